"""Fixtures: no network, a bank to write into, the command line in this process."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner, Result

from storybank.cli import main

ROOT = Path(__file__).resolve().parent.parent

BankMaker = Callable[..., Path]
Runner = Callable[..., Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden transcripts")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("STORYBANK_BANK", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def make_bank(tmp_path: Path) -> BankMaker:
    """Write files, text or bytes, below `stories/` of a bank; return the bank's folder."""

    def make(files: Mapping[str, str | bytes] = {}, name: str = "bank") -> Path:  # read
        bank = tmp_path / name
        (bank / "stories").mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            target = bank / "stories" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return bank

    return make


@pytest.fixture
def run() -> Runner:
    """Run the command line; an unexpected exception fails the test, an expected one is a result."""

    def invoke(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(main, [str(each) for each in arguments], input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke
