"""Whole outputs, kept as files: `pytest --update-goldens` writes them, a review reads the diff."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT, Runner
from tests.test_readme import differences, words

GOLDENS = ROOT / "tests" / "goldens"
COMMANDS = {
    "help": ["--help"],
    "help-init": ["init", "--help"],
    "help-new": ["new", "--help"],
    "help-list": ["list", "--help"],
    "help-show": ["show", "--help"],
    "help-index": ["index", "--help"],
    "help-eval": ["eval", "--help"],
    "help-match": ["match", "--help"],
    "list": ["list"],
    "list-company": ["list", "--company", "brackmere"],
    "show": ["show", "one-run"],
    "show-rough-note": ["show", "saturday"],
    "match": ["match", "Tell me about a time you disagreed with your manager's decision."],
    "match-topic": ["match", "-n", "2", "the certificate that ran out"],
    "match-plain": ["match", "--plain", "-n", "3", "missed a deadline"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_golden(run: Runner, request: pytest.FixtureRequest, name: str) -> None:
    result = run("--bank", ROOT, *COMMANDS[name])
    assert result.exit_code == 0
    assert result.stderr == ""
    path = GOLDENS / f"{name}.txt"
    if request.config.getoption("--update-goldens"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(result.stdout, encoding="utf-8")
    expected = path.read_text(encoding="utf-8")
    assert len(words(expected)) == len(words(result.stdout)), result.stdout
    assert differences(expected, result.stdout) == [], result.stdout
