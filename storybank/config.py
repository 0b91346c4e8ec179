"""Optional settings of a bank, from `storybank.toml`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storybank.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "storybank.toml"
DEFAULT_ENCODER = "onnx"
DEFAULT_RESULTS = 5


@dataclass(frozen=True, slots=True)
class Config:
    """Settings with their defaults."""

    encoder: str = DEFAULT_ENCODER
    results: int = DEFAULT_RESULTS


def load(root: str) -> Config:
    """The settings of the bank at `root`. Raises ConfigError, naming the key that is wrong."""
    path = os.path.join(root, FILE)
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError(path, "is no ordinary file")
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise ConfigError(path, f"cannot be opened: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, "is not UTF-8 text") from error
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return Config()  # as `init` writes it: no need to load a parser

    import tomllib

    try:
        return _check(tomllib.loads(text), path)
    except (ValueError, RecursionError) as error:
        raise ConfigError(path, f"is not valid TOML: {error}") from error


def _check(table: Mapping[str, object], path: str) -> Config:
    known = Config.__slots__
    for key in table:
        if key not in known:
            raise ConfigError(path, f"no setting '{key}'. Choose from: {', '.join(known)}.")
    encoder, results = table.get("encoder", DEFAULT_ENCODER), table.get("results", DEFAULT_RESULTS)
    if not isinstance(encoder, str):
        raise ConfigError(path, "'encoder' should be a text, such as \"onnx\"")
    if not isinstance(results, int) or isinstance(results, bool) or results < 0:
        raise ConfigError(path, "'results' should be a number of stories, 0 for all")
    return Config(encoder, results)
