"""A question in, ranked stories out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storybank.errors import (
    DamagedIndexError,
    EmptyBankError,
    EmptyQuestionError,
    IndexUnavailableError,
    NothingLeftError,
)
from storybank.index import Entry, Evidence, Hit, Index
from storybank.passage import QUESTION
from storybank.selection import Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from storybank.bank import Bank
    from storybank.encoders import Encoder
    from storybank.index.update import Progress
    from storybank.problem import Problem

#: The share of the words signal in the score, and the BM25 at which it is half of its maximum.
#: Measured on 30 judged banks of stories that show rather than tell: see benchmarks/README.md.
WORDS_SHARE = 0.3
WORDS_HALF = 12.0

#: The cosine of two questions from which on they begin to be the same question. Any two questions
#: of an interviewer have some .3 to .5.
ALIKE = 0.5

_TRIES = 5  # while another process makes the index anew

PASSAGES = 2  # shown of each story
EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Match:
    """A story with its place in the ranking and the reasons.

    `score` is in 0..1: `meaning` and `words`, each in 0..1, weighted. `fit` is None until scores
    are calibrated. `passages` are the best first.
    """

    rank: int
    story: Entry
    score: float
    meaning: float
    words: float
    passages: tuple[Hit, ...]
    fit: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The promised JSON; see the README."""
        return {
            "rank": self.rank,
            "story": self.story.slug,
            "title": self.story.title,
            "path": self.story.path,
            "score": self.score,
            "fit": self.fit,
            "passages": [
                {
                    "section": hit.section,
                    "text": hit.text,
                    "score": round(min(max(hit.cosine, 0.0), 1.0), 4),
                }
                for hit in self.passages
            ],
            "values": list(self.story.values),
            "tags": list(self.story.tags),
            "minutes": self.story.minutes,
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer to one question. `problems` are those of the bank's files."""

    question: str
    matches: tuple[Match, ...]
    problems: tuple[Problem, ...]
    encoder: str
    verdict: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The promised JSON; see the README."""
        return {
            "question": self.question,
            "verdict": self.verdict,
            "matches": [each.as_dict() for each in self.matches],
            "problems": [each.as_dict() for each in self.problems],
            "encoder": self.encoder,
        }


class Matcher:
    """A bank whose index is up to date, ready for questions.

    Raises EmptyBankError when there is no story, IndexUnavailableError when SQLite refuses to work.
    """

    def __init__(self, bank: Bank, encoder: Encoder, progress: Progress | None = None) -> None:
        self._encoder = encoder
        self.index = Index(bank, encoder)
        for _ in range(_TRIES):
            self.index.update(progress)
            if self.index.slugs():
                return
            if not bank.scan()[0]:
                break
        raise EmptyBankError(bank.folder, len(self.index.problems))

    def without(self, question: str) -> Ranking:
        """The answer to what is no question: nothing ranked."""
        return Ranking(question, (), self.index.problems, self._encoder.name)

    def match(
        self, question: str, limit: int | None = None, selection: Selection = EVERYTHING
    ) -> Ranking:
        """The best stories first: all, or no more than `limit`.

        Raises EmptyQuestionError, and NothingLeftError when the selection accepts no story.
        """
        # What a terminal passes on may hold half a letter.
        question = " ".join(question.encode("utf-8", "replace").decode().split())
        if not any(character.isalnum() for character in question):
            raise EmptyQuestionError(question)
        try:
            matches = self._rank(question, limit, selection)
        except DamagedIndexError:
            self.index.rebuild(damaged=True)
            matches = self._rank(question, limit, selection)
        return Ranking(question, matches, self.index.problems, self._encoder.name)

    def _rank(self, question: str, limit: int | None, selection: Selection) -> tuple[Match, ...]:
        query = self._encoder.query(question)
        for _ in range(_TRIES):
            with self.index.snapshot():
                if self.index.is_complete():
                    return self._rank_now(question, query, limit, selection)
            self.index.update()
        raise IndexUnavailableError(
            "of this bank", "another storybank is making it anew; try again"
        )

    def _rank_now(
        self, question: str, query: NDArray[np.float32], limit: int | None, selection: Selection
    ) -> tuple[Match, ...]:
        slugs = self.index.slugs()
        if selection:
            entries = self.index.entries()
            chosen = {
                each for each in slugs if each in entries and selection.accepts(entries[each])
            }
            if not chosen:
                raise NothingLeftError(str(selection), len(slugs))
            slugs = {each: slugs[each] for each in chosen}
        similarities = self.index.similarities(query)
        bm25 = self.index.words(question)
        scored = []
        for identity in slugs.keys() & similarities.keys():
            near, shared = meaning(similarities[identity]), words(bm25.get(identity, 0.0))
            scored.append((fuse(near, shared), slugs[identity], identity, near, shared))
        scored.sort(key=lambda each: (-each[0], each[1]))
        best = scored[:limit]
        entries = self.index.entries(identity for _, _, identity, _, _ in best)
        return tuple(
            Match(
                rank,
                entries[identity],
                score,
                near,
                shared,
                tuple(_telling(self.index.hits(identity, query))[:PASSAGES]),
            )
            for rank, (score, _, identity, near, shared) in enumerate(best, 1)
        )


def _telling(hits: list[Hit]) -> list[Hit]:
    """The passages to show: what the story tells, and a question of its own if nearly the same."""
    return [hit for hit in hits if hit.role != QUESTION or hit.cosine >= ALIKE] or hits


def meaning(evidence: Evidence) -> float:
    """The dense signal, 0..1: mean of the cosines to the whole, the best passage and the body.

    A question that is nearly one of the story's own counts beside them: its owner knows best.
    """
    best = max(evidence.best, evidence.asked)
    told = (evidence.whole + best + evidence.mean) / 3
    return min(max(told + max(evidence.asked - ALIKE, 0.0), 0.0), 1.0)


def words(bm25: float) -> float:
    """The lexical signal, 0..1: BM25, saturated: one rare name shall not drown the meaning."""
    return max(bm25, 0.0) / (max(bm25, 0.0) + WORDS_HALF)


def fuse(near: float, shared: float) -> float:
    """The score, 0..1, to four places: what is shown is what is compared."""
    return round((1 - WORDS_SHARE) * near + WORDS_SHARE * shared, 4)
