"""Imports only go down, each third-party package has one owner, and starting is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = ROOT / "storybank"

#: From the bottom up; a module may import from its own floor's package and from lower floors.
FLOORS = (
    ("errors", "problem", "story", "label", "question"),
    ("frontmatter", "markdown", "config", "selection", "folder"),
    ("storyfile", "passage", "encoders", "scaffold"),
    ("bank",),
    ("index",),
    ("fusion",),
    ("match",),
    ("evaluation",),
    ("cli",),
)

OWNERS = {
    "click": ("cli",),
    "wcwidth": ("cli.terminal",),
    "markdown_it": ("markdown",),
    "yaml": ("frontmatter",),
    "sqlite3": ("index.database",),
    "numpy": ("encoders", "index"),
    "onnxruntime": ("encoders.onnx",),
    "tokenizers": ("encoders.onnx",),
    "sentence_transformers": ("encoders.sentence_transformers",),
    "transformers": ("encoders.sentence_transformers",),
    "tomllib": ("config",),
}

MATCH = ["match", "a time you were wrong", "--bank", str(ROOT)]

HEAVY = ("numpy", "onnxruntime", "tokenizers", "yaml", "markdown_it", "sqlite3", "torch", "wcwidth")


def modules() -> dict[str, Path]:
    """Module name below the package -> file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    del found["__init__"], found["__main__"]
    return found


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions, unless only for types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            yield node.module
            if node.module == "storybank":
                yield from (f"storybank.{alias.name}" for alias in node.names)


def top(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def floor(module: str) -> int:
    return next(at for at, names in enumerate(FLOORS) if top(module) in names)


@pytest.mark.parametrize("module", modules())
def test_imports_go_down(module: str) -> None:
    for imported in imports(modules()[module]):
        name = imported.removeprefix("storybank.")
        if name in (imported, "__version__") or top(name) == top(module):
            continue
        assert floor(name) < floor(module), f"{module} imports {imported}"


@pytest.mark.parametrize("module", modules())
def test_packages_are_imported_by_their_owner_only(module: str) -> None:
    for imported in imports(modules()[module]):
        package = imported.split(".")[0]
        if package in sys.stdlib_module_names and package not in OWNERS:
            continue
        if package == "storybank":
            continue
        owners = OWNERS[package]
        assert any(module == owner or module.startswith(f"{owner}.") for owner in owners), (
            f"{module} imports {imported}, which belongs to {owners}"
        )


def test_no_floor_names_a_module_that_is_gone() -> None:
    assert {name for names in FLOORS for name in names} == {
        module.split(".")[0] for module in modules()
    }


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import storybank.cli", ()),
        ("from storybank.cli import main; main(['--help'], standalone_mode=False)", ()),
        ("from storybank.cli import main; main(['match', '--help'], standalone_mode=False)", ()),
        (
            f"from storybank.cli import main; main({MATCH!r}, standalone_mode=False)",
            ("numpy", "onnxruntime", "tokenizers", "sqlite3"),
        ),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str, allowed: tuple[str, ...]) -> None:
    warm = [sys.executable, "-m", "storybank", "index", "--bank", str(ROOT)]
    subprocess.run(warm, check=True, capture_output=True)
    probe = f"import sys; {code}; print('loaded', *sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", probe], check=True, capture_output=True, text=True
    )
    loaded = answer.stdout.splitlines()[-1].split()
    assert loaded[0] == "loaded"
    assert not (set(loaded) & set(HEAVY)) - set(allowed)


def test_modules_are_small() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert max(lengths.values()) < 400, lengths
