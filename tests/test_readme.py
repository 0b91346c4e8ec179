"""What the documentation shows is what happens."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, Runner

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (ROOT / "README.md").read_text(encoding="utf-8")
NEAR = 0.021  # another processor may round a cosine differently


def transcripts() -> Iterator[tuple[str, str]]:
    """Command and output of every `$` in a console block."""
    for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL):
        for part in block.split("$ ")[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def differences(shown: str, real: str) -> list[tuple[str, str]]:
    """Words that differ, bars apart, by more than a rounding."""
    found = []
    for one, other in zip(words(shown), words(real), strict=True):
        numbers = all(re.fullmatch(r"\d\.\d{2,4}", each) for each in (one, other))
        if one != other and not (numbers and abs(float(one) - float(other)) <= NEAR):
            found.append((one, other))
    return found


def words(text: str) -> list[str]:
    return [word for word in text.split() if not set(word) <= set("█░")]


@pytest.mark.parametrize(("command", "output"), list(transcripts()))
def test_transcripts(run: Runner, command: str, output: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "storybank"
    real = run("--bank", ROOT, *arguments)
    assert real.exit_code == 0
    assert len(words(output)) == len(words(real.output)), real.output
    assert differences(output, real.output) == [], real.output


def test_there_is_a_transcript_of_the_main_job() -> None:
    assert next(command.split()[:2] for command, _ in transcripts()) == ["storybank", "match"]


def test_every_command_and_every_option_of_match_is_documented(run: Runner) -> None:
    table = README.partition("| command |")[2].partition("\n\n")[0]
    listed = run("--help").stdout.partition("Commands:")[2]
    for command in (line.split()[0] for line in listed.splitlines() if line.strip()):
        assert f"`storybank {command}" in table
    for option in re.findall(r"(?<=  )--[a-z]+", run("match", "--help").stdout):
        assert option in README or option == "--help", option


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_example_of_a_story_is_read_without_a_problem() -> None:
    from storybank.storyfile import read

    example = README.partition("```markdown\n")[2].partition("```")[0]
    story, problems = read(example.encode(), "stories/x.md", "x")
    assert story is not None
    assert story.strength == 4
    assert {problem.code for problem in problems} == {"SB021"}, "its sections are empty"
    assert [section.kinds[0] for section in story.sections] == [
        "situation",
        "task",
        "action",
        "result",
        "learning",
    ]
