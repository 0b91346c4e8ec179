"""A question in, ranked stories out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storybank.errors import (
    DamagedIndexError,
    EmptyBankError,
    EmptyQuestionError,
    IndexUnavailableError,
    NothingLeftError,
)
from storybank.fusion import ALIKE, FITS, Fusion
from storybank.index import Entry, Evidence, Hit, Index
from storybank.passage import BODY, QUESTION, WHOLE
from storybank.question import is_foreign, wants_no_story
from storybank.selection import Selection
from storybank.story import STAR, STATUSES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from storybank.bank import Bank
    from storybank.encoders import Asked, Encoder
    from storybank.index.update import Progress
    from storybank.problem import Problem

_CLOSELY = 50  # stories, the best by all else, whose tokens are compared one by one
_TRIES = 5  # while another process makes the index anew

PASSAGES = 2  # shown of each story
_THIN_WORDS = 60  # a story of fewer words is not ready to be told
_UNTOLD_WORDS = 20  # one of fewer is a note that there is a story: a stretch at best
_TOLD = (WHOLE, BODY)
EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Match:
    """A story with its place in the ranking and the reasons.

    `score` is the probability, 0..1, that the story is a good answer; `parts` is what each signal
    added to its log-odds. `fit` is None with an encoder that the fusion was not calibrated for, and
    where the question wants no story, or it or the story is in a language that the model cannot
    read; the score of a question that it cannot read is but the share of words. `passages` are the
    best first.
    """

    rank: int
    story: Entry
    score: float
    fit: str | None
    parts: Mapping[str, float]
    passages: tuple[Hit, ...]

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
            "signals": {name: round(part, 3) for name, part in self.parts.items()},
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer to one question.

    `verdict` is the fit of the best story; None without a story, with an encoder that scores were
    not calibrated for, for a question that wants no story, and in a language that the model was
    not trained on. `remarks` are sentences for the user on the question and on the best story.
    `left_out` are the stories that were told already, with the rank they would have had. `problems`
    are those of the bank's files.
    """

    question: str
    matches: tuple[Match, ...]
    problems: tuple[Problem, ...]
    encoder: str

    verdict: str | None = None
    remarks: tuple[str, ...] = ()
    left_out: tuple[Match, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The promised JSON; see the README."""
        return {
            "question": self.question,
            "verdict": self.verdict,
            "matches": [each.as_dict() for each in self.matches],
            "problems": [each.as_dict() for each in self.problems],
            "encoder": self.encoder,
            "remarks": list(self.remarks),
        }


class Matcher:
    """A bank whose index is up to date, ready for questions.

    Raises EmptyBankError when there is no story, IndexUnavailableError when SQLite refuses to work.
    """

    def __init__(self, bank: Bank, encoder: Encoder, progress: Progress | None = None) -> None:
        self._encoder = encoder
        self._fusion = Fusion.load()
        self._is_calibrated = encoder.name == self._fusion.encoder
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
        self,
        question: str,
        limit: int | None = None,
        selection: Selection = EVERYTHING,
        told: Collection[str] = (),
    ) -> Ranking:
        """The best stories first: all, or no more than `limit`; those `told` (slugs) left out.

        Raises EmptyQuestionError, and NothingLeftError when the selection accepts no story.
        """
        # What a terminal passes on may hold half a letter.
        question = " ".join(question.encode("utf-8", "replace").decode().split())
        if not any(character.isalnum() for character in question):
            raise EmptyQuestionError(question)
        most = limit and limit + len(told)
        try:
            ranked = self._rank(question, most, selection)
        except DamagedIndexError:
            self.index.rebuild(damaged=True)
            ranked = self._rank(question, most, selection)
        left_out = tuple(each for each in ranked if each.story.slug in told)
        kept = [each for each in ranked if each.story.slug not in told][:limit]
        matches = tuple(replace(each, rank=rank) for rank, each in enumerate(kept, 1))
        foreign = self._is_foreign(question) or _may_hide_a_story(matches)
        unjudged = foreign or wants_no_story(question) is not None
        matches = tuple(
            replace(each, fit=None) if unjudged or _is_foreign_story(each) else each
            for each in matches
        )
        return Ranking(
            question,
            matches,
            self.index.problems,
            self._encoder.name,
            matches[0].fit if matches else None,
            tuple(_remarks(question, matches, is_foreign=foreign)),
            left_out,
        )

    def _is_foreign(self, question: str) -> bool:
        """Whether the model that ships cannot read it; of others nothing is known."""
        return self._is_calibrated and is_foreign(question)

    def _fit(self, score: float, story: Entry) -> str | None:
        if not self._is_calibrated:
            return None
        fit = self._fusion.fit(score)
        usable = FITS[:2]
        return FITS[2] if fit in usable and story.words < _UNTOLD_WORDS else fit

    def _rank(self, question: str, limit: int | None, selection: Selection) -> tuple[Match, ...]:
        asked = self._encoder.ask(question)
        for _ in range(_TRIES):
            with self.index.snapshot():
                if self.index.is_complete():
                    return self._rank_now(question, asked, limit, selection)
            self.index.update()
        raise IndexUnavailableError(
            "of this bank", "another storybank is making it anew; try again"
        )

    def evidence(
        self, question: str, asked: Asked, among: Collection[int] | None = None
    ) -> tuple[dict[int, Evidence], dict[int, float]]:
        """How near the question is to each story, and the BM25 of those that share a word.

        Only the nearest `among` these, or of all, are looked at closely.
        """
        found = self.index.similarities(asked)
        bm25 = self.index.words(question)
        chances = {
            identity: sum(row.values())
            for identity, row in self._fusion.parts(found, bm25, asked.familiar).items()
            if among is None or identity in among
        }
        best = sorted(chances, key=lambda identity: -chances[identity])[:_CLOSELY]
        for identity, tokens in self.index.tokens(best, asked.tokens).items():
            found[identity] = replace(found[identity], tokens=tokens)
        return found, bm25

    def _rank_now(
        self, question: str, asked: Asked, limit: int | None, selection: Selection
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
        evidence, bm25 = self.evidence(question, asked, slugs)
        parts = self._fusion.parts(evidence, bm25, asked.familiar)
        chances = {each: self._fusion.probability(parts[each]) for each in slugs.keys() & parts}
        most = self._fusion.fits[FITS[2]]  # for a title, however well it sounds
        chances |= {each: min(chances[each], most) for each in chances if not evidence[each].told}
        # What the model makes of a question that it cannot read only parts equals.
        scores = chances
        if self._is_foreign(question):
            scores = {each: self._fusion.words(parts[each]) for each in chances}
        order = sorted(scores, key=lambda each: (-scores[each], -chances[each], slugs[each]))
        best = order[:limit]
        entries = self.index.entries(best)
        return tuple(
            Match(
                rank,
                entries[identity],
                scores[identity],
                self._fit(scores[identity], entries[identity]),
                parts[identity],
                tuple(_telling(self.index.hits(identity, asked))[:PASSAGES]),
            )
            for rank, identity in enumerate(best, 1)
        )


def _is_foreign_story(match: Match) -> bool:
    return any(is_foreign(hit.text) for hit in match.passages)


def _may_hide_a_story(matches: Sequence[Match]) -> bool:
    """Whether a fit cannot be judged, as near the top are stories that the model cannot read.

    A good fit of a story that it can read is none the worse for them.
    """
    looked_at = matches[:1] if matches and matches[0].fit in FITS[:2] else matches[:3]
    return any(map(_is_foreign_story, looked_at))


def _remarks(question: str, matches: Sequence[Match], *, is_foreign: bool) -> Iterator[str]:
    """What is to be said before the stories: the question is none for a story, or none fits."""
    if wants := wants_no_story(question):
        yield f"this is not a question for a story: {wants}."
        return
    if is_foreign:
        yield (
            "the model was trained on English only: in another language stories are ranked by "
            "shared words, and whether one fits is not judged."
        )
        return
    if not matches:
        yield "every story that could be told is left out."
        return
    if matches[0].fit not in (FITS[2], FITS[3]):
        return
    best = matches[0].story
    if thin := _thin(best):
        yield f"'{best.title}' is the nearest, but thin: {thin}. Write it out and ask again."
    elif matches[0].fit == FITS[3]:
        yield (
            "none of your stories seems to answer this. The nearest is "
            f"'{best.title}'. If you have lived something that does, write it down: "
            f"storybank new --for {shlex.quote(question)}"
        )
    else:
        yield "no story answers this squarely; these need bending to the question."


def _thin(story: Entry) -> str | None:
    """Why a story cannot be told yet, or None."""
    lacking = [kind for kind in ("action", "result") if kind in story.missing]
    if story.words < _THIN_WORDS:
        return f"it has only {story.words} words"
    if len(story.missing) < len(STAR) and lacking:
        return f"it has no {' and no '.join(kind.capitalize() for kind in lacking)}"
    return "its status is raw" if story.status == STATUSES[0] else None


def _telling(hits: list[Hit]) -> list[Hit]:
    """The passages to show: what the story tells, and a question of its own if nearly the same."""
    return [
        hit for hit in hits if hit.role in _TOLD or (hit.role == QUESTION and hit.cosine >= ALIKE)
    ] or hits
