"""What is known of a bank's stories: their fields, passages, vectors and words, in one SQLite file.

The index is a cache. It is keyed by content hash and encoder, may be deleted at any time, and is
rebuilt when damaged or made by another version. Every change is one short transaction: two
processes may work at once, and a process killed at any moment leaves a state that the next one
completes. In a folder that cannot be written it lives in memory.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storybank.errors import DamagedIndexError
from storybank.index.database import Database, ReadOnlyIndexError
from storybank.index.terms import terms
from storybank.index.update import IndexStats, Progress, Updater
from storybank.index.vectors import best_of_each, cosines
from storybank.passage import QUESTION
from storybank.story import minutes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from storybank.bank import Bank
    from storybank.encoders import Asked, Encoder
    from storybank.problem import Problem

_READ = 256  # stories whose vectors are in memory at once: few, so that they stay in the cache
_SCALE_BYTES = 4

#: Sharpness of the soft maximum over a story's passages, in units of cosine^-1: as in training.
SHARPNESS = 12.0
#: A value or tag that is no nearer to a question than this cosine says nothing.
FAR = 0.2


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of a story without opening its file.

    `words` is its spoken length; `missing` are the sections of STAR that it lacks.
    """

    slug: str
    path: str
    title: str
    company: str | None
    date: str | None
    values: tuple[str, ...]
    tags: tuple[str, ...]
    words: int
    status: str | None
    missing: tuple[str, ...]

    @property
    def minutes(self) -> float:
        """Spoken length, to a tenth of a minute."""
        return minutes(self.words)


@dataclass(frozen=True, slots=True)
class Evidence:
    """How near a question is to one story.

    `whole`: cosine to all of it. `best`: soft maximum of the cosines to the passages of its body.
    `asked`: cosine to the nearest of the questions that the story says it answers, 0 without any.
    `labels`: sum over its values and tags of how far their cosines are above `FAR`; None without.
    `tokens`: MaxSim of the question's tokens and the story's; None where it was not looked at.
    `told`: whether there is more of it than a title.
    """

    whole: float
    best: float
    asked: float = 0.0
    labels: float | None = None
    tokens: float | None = None
    told: bool = True


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage of a story, its role and section, and its cosine to what the question means."""

    role: str
    section: str
    text: str
    cosine: float


class Index:
    """The index of one bank for one encoder. `update` comes first; then it can be asked.

    `problems` are those of the last update; `notices` are sentences for the user on what was
    unusual about the index itself. All methods raise DamagedIndexError when the file turns out to
    be broken (then `rebuild`) and IndexUnavailableError when SQLite refuses to work.
    """

    def __init__(self, bank: Bank, encoder: Encoder) -> None:
        self._bank = bank
        self._encoder = encoder
        self._database = Database(bank.root)
        self.problems: tuple[Problem, ...] = ()
        self._left_out: dict[int, list[str]] = {}  # story -> the questions that it still lists

    @property
    def notices(self) -> list[str]:
        """Sentences on what was unusual about the index, since it was opened."""
        return self._database.notices

    def update(self, progress: Progress | None = None) -> IndexStats:
        """Read what changed since the last time and embed what is new."""
        try:
            return self._update(progress)
        except DamagedIndexError:
            self._database.rebuild(damaged=True)
        except ReadOnlyIndexError:
            self._database.move_to_memory()
        return self._update(progress)

    def rebuild(self, progress: Progress | None = None, *, damaged: bool = False) -> IndexStats:
        """Throw everything away and make it anew."""
        try:
            self._database.rebuild(damaged=damaged)
        except ReadOnlyIndexError:
            self._database.move_to_memory()
        return self.update(progress)

    def _update(self, progress: Progress | None) -> IndexStats:
        stats, self.problems = Updater(self._database, self._bank, self._encoder).run(progress)
        return stats

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def snapshot(self) -> AbstractContextManager[None]:
        """Several questions to one state, whatever other processes write meanwhile."""
        return self._database.snapshot()

    def is_complete(self) -> bool:
        """Whether there are stories, and all of them have vectors."""
        stories, vectors = self._database.row(
            """SELECT (SELECT count(*) FROM files WHERE fields IS NOT NULL),
                      (SELECT count(*) FROM vectors WHERE encoder = ?)""",
            (self._encoder.key,),
        )
        return bool(0 < stories == vectors)

    def slugs(self) -> dict[int, str]:
        """Identity and slug of every story."""
        return dict(self._database.rows("SELECT id, slug FROM files WHERE fields IS NOT NULL"))

    def entries(self, identities: Iterable[int] | None = None) -> dict[int, Entry]:
        """The stories of these identities, or all."""
        select = "SELECT id, slug, path, fields FROM files WHERE fields IS NOT NULL"
        if identities is None:
            rows = self._database.rows(select)
        else:
            rows = [self._database.row(f"{select} AND id = ?", (each,)) for each in identities]
        with self._database.guard():
            return {row[0]: _entry(*row[1:]) for row in rows if row}

    def similarities(self, asked: Asked) -> dict[int, Evidence]:
        """How near every story is to a question.

        A story that is all title has no body: then the whole stands for its best.
        """
        import numpy as np

        identities: list[int] = []
        parts: list[list[NDArray[np.float32]]] = []
        with self._database.guard():
            cursor = self._database.execute(
                "SELECT file, body, asked, rows, scales FROM vectors WHERE encoder = ?",
                (self._encoder.key,),
            )
            while chunk := cursor.fetchmany(_READ):
                rows, scales = (b"".join(row[at] for row in chunk) for at in (3, 4))
                found = cosines(rows, scales, asked.meant)
                counts = np.array([len(row[4]) // _SCALE_BYTES for row in chunk])
                bodies = np.array([row[1] for row in chunk])
                questions = bodies + np.array([row[2] for row in chunk])
                starts = np.cumsum(counts) - counts
                at = np.arange(len(found)) - np.repeat(starts, counts)
                in_body = (at > 0) & (at <= np.repeat(bodies, counts))
                is_label = at > np.repeat(questions, counts)
                is_question = (at > 0) & ~in_body & ~is_label
                own = cosines(rows, scales, asked.whole, is_question)
                whole = found[starts]
                heights = np.where(in_body, np.exp(SHARPNESS * found), 0.0)
                best = np.log(np.maximum(np.add.reduceat(heights, starts), 1e-9)) / SHARPNESS
                best -= np.log(np.maximum(bodies, 1)) / SHARPNESS / 2
                identities.extend(row[0] for row in chunk)
                parts.append(
                    [
                        whole,
                        np.where(bodies > 0, best, whole),
                        np.maximum.reduceat(np.where(is_question, own, 0.0), starts),
                        np.where(
                            np.add.reduceat(is_label, starts) > 0,
                            np.add.reduceat(np.where(is_label, found - FAR, 0.0).clip(0), starts),
                            np.nan,
                        ),
                        bodies.astype(np.float32),
                    ]
                )
        if not identities:
            return {}
        columns = [np.concatenate(column).tolist() for column in zip(*parts, strict=True)]
        columns[3] = [None if labels != labels else labels for labels in columns[3]]  # noqa: PLR0124  # NaN
        evidence = (
            Evidence(whole, best, of_questions, labels, told=told > 0)
            for whole, best, of_questions, labels, told in zip(*columns, strict=True)
        )
        known = dict(zip(identities, evidence, strict=True))
        for identity in self._left_out.keys() & known.keys():
            listed = self._left_out[identity]
            others = [
                hit.cosine
                for hit in self.hits(identity, asked)
                if hit.role == QUESTION and hit.text in listed
            ]
            known[identity] = replace(known[identity], asked=max([0.0, *others]))
        return known

    def tokens(self, identities: Sequence[int], asked: NDArray[np.float32]) -> dict[int, float]:
        """MaxSim of a question's tokens [t, size] with each of these stories' own."""
        found: dict[int, float] = {}
        if not asked.size:  # the encoder has none
            return found
        with self._database.guard():
            for start in range(0, len(identities), _READ):
                chunk = identities[start : start + _READ]
                rows = self._database.rows(
                    f"""SELECT file, rows, scales FROM tokens WHERE encoder = ? AND rows != x''
                        AND file IN ({", ".join("?" * len(chunk))})""",  # noqa: S608  # marks
                    (self._encoder.key, *chunk),
                )
                if not rows:
                    continue
                best = best_of_each(
                    b"".join(row[1] for row in rows),
                    b"".join(row[2] for row in rows),
                    [len(row[2]) // _SCALE_BYTES for row in rows],
                    asked,
                )
                found.update(zip((row[0] for row in rows), best.tolist(), strict=True))
        return found

    def words(self, question: str) -> dict[int, float]:
        """BM25 of the stories that share a content word with the question; higher is better.

        Okapi BM25 as SQLite's FTS5 computes it (k1 1.2, b 0.75), over title, labels and body.
        """
        expression = " OR ".join(f'"{term}"' for term in terms(question))
        if not expression:
            return {}
        select = "SELECT rowid, -bm25(words) FROM words WHERE words MATCH ?"
        if self._left_out:
            select = "SELECT rowid, -bm25(untold) FROM temp.untold WHERE untold MATCH ?"
        return dict(self._database.rows(select, (expression,)))

    def leave_out(self, question: str) -> None:
        """From now on answer as if no story listed this question; "" ends it.

        For measuring: a question that a story lists would find it by itself. It is left out
        wherever its words are the same, whatever their case and punctuation. `asked` is then that
        of the story's other questions, and `words` looks into a copy, in SQLite's temporary
        database, whose labels lack it; the rest of the evidence never held it. The copy is made
        once: stories that change later are not in it.
        """
        wanted = _said(question)
        listed: dict[int, list[str]] = {}
        for identity, text in self._database.rows(
            "SELECT file, text FROM passages WHERE role = ? ORDER BY file, position", (QUESTION,)
        ):
            listed.setdefault(identity, []).append(text)
        before, self._left_out = self._left_out, {}
        for identity, texts in listed.items():
            others = [text for text in texts if not wanted or _said(text) != wanted]
            if len(others) < len(texts):
                self._left_out[identity] = others
        self._tell_copy(before, self._left_out)

    def _tell_copy(self, before: Iterable[int], left_out: dict[int, list[str]]) -> None:
        """Make the copy of the words, if need be, and put in it what the stories still list."""
        execute = self._database.execute
        if not self._database.row("SELECT 1 FROM sqlite_temp_master WHERE name = 'untold'"):
            if not left_out:
                return
            before = ()
            schema = self._database.row("SELECT sql FROM main.sqlite_master WHERE name = 'words'")
            execute(schema[0].replace("TABLE words", "TABLE temp.untold", 1))
            execute(
                """INSERT INTO temp.untold (rowid, title, labels, body)
                   SELECT rowid, title, labels, body FROM main.words"""
            )
        for identity in before:
            execute(
                """UPDATE temp.untold SET labels =
                       (SELECT labels FROM main.words WHERE rowid = untold.rowid)
                   WHERE rowid = ?""",
                (identity,),
            )
        for identity, entry in self.entries(left_out).items():
            labels = " ".join((*entry.values, *entry.tags, *left_out[identity]))
            execute("UPDATE temp.untold SET labels = ? WHERE rowid = ?", (labels, identity))

    def hits(self, identity: int, asked: Asked) -> list[Hit]:
        """A story's passages, best first; the whole is not among them unless there is no other."""
        import numpy as np

        passages = self._database.rows(
            "SELECT role, section, text FROM passages WHERE file = ? ORDER BY position", (identity,)
        )
        rows, scales = self._database.row(
            "SELECT rows, scales FROM vectors WHERE file = ? AND encoder = ?",
            (identity, self._encoder.key),
        )
        with self._database.guard():
            _check_texts(*(text for passage in passages for text in passage))
            near = np.where(
                [role == QUESTION for role, *_ in passages],
                cosines(rows, scales, asked.whole),
                cosines(rows, scales, asked.meant),
            ).tolist()
            found = [
                Hit(role, section, text, cosine)
                for (role, section, text), cosine in zip(passages, near, strict=True)
            ]
        return sorted(found[1:] or found, key=lambda hit: -hit.cosine)


def _said(question: str) -> list[str]:
    """A question's words, by which two are the same."""
    return re.findall(r"\w+", question.casefold())


def _check_texts(*values: object) -> None:
    """Raise ValueError for a text that a flipped bit has turned into something else."""
    if not all(isinstance(value, str) for value in values):
        message = "a text is none"
        raise ValueError(message)


def _entry(slug: str, path: str, fields: str) -> Entry:
    title, company, date, values, tags, words, status, missing = json.loads(fields)
    _check_texts(slug, path, title)
    labels = tuple(values), tuple(tags)
    return Entry(slug, path, title, company, date, *labels, words, status, tuple(missing))
