"""`storybank new`: a story is begun in the user's own editor, and nothing is ever overwritten."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from storybank.bank import Bank
from storybank.scaffold import make_story

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import BankMaker, Runner

QUESTION = 'When did "no" mean: not yet?'


pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals of this kind")


def edit(bank: Path, editor: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `storybank new` in a terminal whose editor is a line of Python with the file as `f`."""
    code = f"import sys; f = sys.argv[1]; {editor}"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    ours, theirs = pty.openpty()
    try:
        return subprocess.run(
            [sys.executable, "-m", "storybank", "--bank", str(bank), "new", *arguments],
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "VISUAL": command},
        )
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_story_is_begun(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank({})
    result = run("new", "The", "queue: one day", "--for", QUESTION, "--bank", bank)
    assert result.stdout == f"made {bank}/stories/the-queue-one-day.md\n"
    story, _ = Bank.open(bank).get("the-queue-one-day")
    assert story.title == "The queue: one day"
    assert story.questions == (QUESTION,)
    assert story.words == 0, "prompts are never counted"


def test_what_is_there_is_never_touched(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank({"queue.md": "mine"})
    assert "queue-2.md" in run("new", "Queue", "--no-edit", "--bank", bank).stdout
    assert (bank / "stories" / "queue.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd", "etc-passwd.md"),
        ("Größe & Mut", "grösse-mut.md"),
        ("三十分", "三十分.md"),
        ("...", "untitled.md"),
        (None, "untitled.md"),
        ("word " * 100, "-".join(["word"] * 16) + ".md"),
    ],
)
def test_names_of_files(tmp_path: Path, title: str | None, name: str) -> None:
    path = make_story(str(tmp_path / "stories"), title, None)
    assert path == str(tmp_path / "stories" / name)


def test_an_empty_question(run: Runner, make_bank: BankMaker) -> None:
    result = run("new", "--for", " ", "--bank", make_bank({}))
    assert result.exit_code == 2
    assert "the question is empty" in result.stderr


def test_letters_that_yaml_refuses(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank({})
    assert run("new", "a\x7f\x85 \udc80 queue", "--bank", bank).exit_code == 0
    story, problems = Bank.open(bank).get("a-queue")
    assert story.title == "a queue"
    assert [each.code for each in problems] == ["SB021"]


def test_ctrl_c_in_the_editor_is_the_editors(make_bank: BankMaker) -> None:
    bank = make_bank({})
    kill = (
        "import os, signal; os.kill(os.getppid(), signal.SIGINT); open(f, 'a').write('I cut it.')"
    )
    result = edit(bank, kill, "Queue")
    assert (result.returncode, result.stdout) == (0, f"made {bank}/stories/queue.md\n")


def test_the_editor_is_opened(make_bank: BankMaker) -> None:
    bank = make_bank({})
    result = edit(bank, "open(f, 'a').write('I cut it.')", "Queue")
    assert result.stdout == f"made {bank}/stories/queue.md\n", result.stderr
    assert (bank / "stories" / "queue.md").read_text(encoding="utf-8").endswith("I cut it.")


@pytest.mark.parametrize("editor", ["pass", "open(f, 'w').close()", "__import__('os').remove(f)"])
def test_what_was_left_is_taken_away(make_bank: BankMaker, editor: str) -> None:
    bank = make_bank({})
    result = edit(bank, editor, "Queue")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert "nothing was written" in result.stderr
    assert list((bank / "stories").iterdir()) == []


def test_an_editor_that_fails_loses_nothing(make_bank: BankMaker) -> None:
    bank = make_bank({})
    result = edit(bank, "open(f, 'a').write('I cut it.'); sys.exit(3)", "Queue")
    assert result.returncode == 2
    assert "the story is in" in result.stderr
    assert "Traceback" not in result.stderr
    assert "I cut it." in (bank / "stories" / "queue.md").read_text(encoding="utf-8")


def test_a_begun_story_is_no_answer_yet(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank({"queue.md": "## Action\nI cut the queue.\n"})
    run("new", "Later", "--for", QUESTION, "--bank", bank)
    result = run("match", QUESTION, "--bank", bank)
    assert "thin: it has only 0 words" in result.stderr
    assert "strong" not in result.stdout.partition("\n\n")[0]


def test_a_no_says_what_to_do(run: Runner, make_bank: BankMaker) -> None:
    text = "I cut the queue of the parcels that came in at night. " * 12
    bank = make_bank({"queue.md": f"## Action\n{text}\n## Result\nIt was short.\n"})
    result = run("match", "What's it like when you fire somebody?", "--bank", bank)
    assert """storybank new --for 'What'"'"'s it like when you fire somebody?'""" in result.stderr
