"""The training data: complete, and split so that nothing of the test part is trained on."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

TRAINING = ROOT / "training"


POOLS = sorted((TRAINING / "questions").glob("*.jsonl"))


def pool(path: Path, part: str = "") -> list[dict[str, Any]]:
    """The rows of a pool; none if it is of another part."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.stem.startswith(part) else []
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def corpus() -> ModuleType:
    sys.path.insert(0, str(TRAINING))
    try:
        import corpus  # type: ignore[import-not-found]  # beside the package, not in it
    finally:
        sys.path.remove(str(TRAINING))
    return corpus  # type: ignore[no-any-return]  # untyped for the same reason


def test_every_bank_belongs_to_one_part(corpus: ModuleType) -> None:
    stories = corpus.stories()
    parts = {"train": 0, "dev": 0, "test": 0}
    for bank in corpus.banks():
        parts[bank.split] += 1  # raises where a bank mixes writers of two parts
        assert set(bank.stories) <= stories.keys()
        assert all(set(grades) <= set(bank.stories) for grades in bank.grades)
        assert all(grade in (1, 2, 3) for grades in bank.grades for grade in grades.values())
    assert parts["test"] >= 12
    assert min(parts.values()) > 0
    assert sum(story.split == "test" for story in stories.values()) >= 300


def test_training_sees_no_question_of_the_other_parts(corpus: ModuleType) -> None:
    banks = corpus.banks()
    held_out = {corpus.said(q) for b in banks if b.split != "train" for q in b.questions}
    asked = {corpus.said(q) for b in banks if b.split == "train" for q in b.questions}
    assert not asked & held_out
    probes = {corpus.said(row["question"]) for path in POOLS for row in pool(path, "train")}
    assert probes
    assert not probes & held_out
    for story in corpus.without_held_out(corpus.stories(), banks).values():
        assert not {corpus.said(q) for q in (*story.fits, *story.misfits, *story.typed)} & held_out


@pytest.mark.parametrize(
    "path", sorted((TRAINING / "questions").glob("*.jsonl")), ids=lambda path: path.stem
)
def test_pools_name_behaviours_that_there_are(path: Path) -> None:
    behaviours = json.loads((TRAINING / "behaviours.json").read_text(encoding="utf-8"))
    for row in pool(path):
        assert row["question"].strip()
        assert set(row["codes"]) <= behaviours.keys(), row
