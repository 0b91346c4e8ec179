"""The labelled stories and the judged pseudo-banks, split by writer; README.md describes them.

A split is decided by who wrote a story, never by chance: nothing of a test writer is ever trained
on, nor is anything chosen by it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
PARTS = ("situation", "task", "action", "result")

#: Prefixes of story ids, one a writer; every other writer's stories are for training.
WRITERS = {"test": ("t1", "t2", "t3", "t4"), "dev": ("d1", "d2")}


@dataclass(frozen=True, slots=True)
class LabelledStory:
    """A story of the corpus with what it answers; the fields are described in README.md."""

    id: str
    title: str
    parts: Mapping[str, str]
    primary: frozenset[str]
    secondary: frozenset[str]
    fits: tuple[str, ...]
    misfits: tuple[str, ...]
    typed: tuple[str, ...]
    principles: tuple[str, ...]

    @property
    def split(self) -> str:
        """The part that the story's writer belongs to."""
        return split_of(self.id)

    @property
    def behaviours(self) -> frozenset[str]:
        """All behaviour codes, primary and secondary."""
        return self.primary | self.secondary


@dataclass(frozen=True, slots=True)
class JudgedBank:
    """Stories and questions of which every pair has a grade, 0 (not listed) to 3."""

    name: str
    stories: tuple[str, ...]
    questions: tuple[str, ...]
    grades: tuple[Mapping[str, int], ...] = field(repr=False)

    @property
    def split(self) -> str:
        """That of the stories, which all belong to the same part."""
        splits = {split_of(story) for story in self.stories}
        if len(splits) != 1:
            raise ValueError(f"{self.name} mixes the parts {sorted(splits)}")
        return splits.pop()


def split_of(story: str) -> str:
    """The part that a story's id belongs to: a key of `WRITERS`, or `train`."""
    writer = story.partition("-")[0]
    return next((split for split, writers in WRITERS.items() if writer in writers), "train")


def stories(folder: Path = HERE / "corpus") -> dict[str, LabelledStory]:
    """All stories by id, in the order of the files."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.strip():
                story = _story(json.loads(line))
                found[story.id] = story
    return found


def without_held_out(
    stories: Mapping[str, LabelledStory], judged: Sequence[JudgedBank]
) -> dict[str, LabelledStory]:
    """The stories less the questions that, word for word, a dev or test bank asks."""
    held_out = {said(q) for bank in judged if bank.split != "train" for q in bank.questions}

    def kept(questions: Sequence[str]) -> tuple[str, ...]:
        return tuple(each for each in questions if said(each) not in held_out)

    return {
        each.id: replace(
            each, fits=kept(each.fits), misfits=kept(each.misfits), typed=kept(each.typed)
        )
        for each in stories.values()
    }


def said(question: str) -> tuple[str, ...]:
    """A question's words, by which two are the same."""
    return tuple(re.findall(r"\w+", question.casefold()))


def banks(folder: Path = HERE / "judged") -> list[JudgedBank]:
    """All judged banks, by name."""
    found = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        asked = content["questions"]
        found.append(
            JudgedBank(
                path.stem,
                tuple(content["stories"]),
                tuple(each["question"] for each in asked),
                tuple(each["grades"] for each in asked),
            )
        )
    return found


def _story(row: dict) -> LabelledStory:  # type: ignore[type-arg]  # as the file has it
    return LabelledStory(
        row["id"],
        row["title"],
        {part: row[part].strip() for part in PARTS},
        frozenset(row["behaviors"]["primary"]),
        frozenset(row["behaviors"]["secondary"]),
        tuple(row["fits"]),
        tuple(row["misfits"]),
        tuple(row.get("typed", ())),
        tuple(row.get("lp", ())),
    )
