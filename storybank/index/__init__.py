"""What is known of a bank's stories: their fields, passages, vectors and words, in one SQLite file.

The index is a cache. It is keyed by content hash and encoder, may be deleted at any time, and is
rebuilt when damaged or made by another version. Every change is one short transaction: two
processes may work at once, and a process killed at any moment leaves a state that the next one
completes. In a folder that cannot be written it lives in memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storybank.errors import DamagedIndexError
from storybank.index.database import Database, ReadOnlyIndexError
from storybank.index.terms import terms
from storybank.index.update import IndexStats, Progress, Updater
from storybank.story import minutes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from storybank.bank import Bank
    from storybank.encoders import Encoder
    from storybank.problem import Problem

_READ = 2048  # stories whose vectors are in memory at once


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of a story without opening its file; `words` is its spoken length."""

    slug: str
    path: str
    title: str
    company: str | None
    date: str | None
    values: tuple[str, ...]
    tags: tuple[str, ...]
    words: int

    @property
    def minutes(self) -> float:
        """Spoken length, to a tenth of a minute."""
        return minutes(self.words)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Cosines of a question to one story.

    To the `whole`; to the `best` passage of its body, and the `mean` over them; and to the nearest
    of the questions that the story says it answers, `asked`, which is 0 where it says none.
    """

    whole: float
    best: float
    mean: float
    asked: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage of a story, its role and section, and its cosine to the question."""

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

    def similarities(self, query: NDArray[np.float32]) -> dict[int, Evidence]:
        """How near every story is to a question's vector [dimension].

        A story that is all title has no body: then the whole stands for its best and its mean.
        """
        import numpy as np

        found: dict[int, Evidence] = {}
        with self._database.guard():
            cursor = self._database.execute(
                "SELECT file, body, rows FROM vectors WHERE encoder = ?", (self._encoder.key,)
            )
            while chunk := cursor.fetchmany(_READ):
                counts = np.array([len(rows) for _, _, rows in chunk]) // (2 * len(query))
                bodies = np.array([body for _, body, _ in chunk])
                stored = np.frombuffer(b"".join(rows for _, _, rows in chunk), np.float16)
                cosines = _cosines(stored, query)
                starts = np.cumsum(counts) - counts
                position = np.arange(len(cosines)) - np.repeat(starts, counts)
                in_body = (position > 0) & (position <= np.repeat(bodies, counts))
                whole = cosines[starts]
                best = np.maximum.reduceat(np.where(in_body, cosines, -1.0), starts)
                best = np.where(bodies > 0, best, whole)
                mean = np.add.reduceat(np.where(in_body, cosines, 0.0), starts)
                mean = np.where(bodies > 0, mean / np.maximum(bodies, 1), whole)
                is_question = position > np.repeat(bodies, counts)
                asked = np.maximum.reduceat(np.where(is_question, cosines, 0.0), starts)
                parts = (part.tolist() for part in (whole, best, mean, asked))
                evidence = (Evidence(*each) for each in zip(*parts, strict=True))
                found.update(zip((row[0] for row in chunk), evidence, strict=True))
        return found

    def words(self, question: str) -> dict[int, float]:
        """BM25 of the stories that share a content word with the question; higher is better.

        Okapi BM25 as SQLite's FTS5 computes it (k1 1.2, b 0.75), over title, labels and body.
        """
        expression = " OR ".join(f'"{term}"' for term in terms(question))
        if not expression:
            return {}
        return dict(
            self._database.rows(
                "SELECT rowid, -bm25(words) FROM words WHERE words MATCH ?", (expression,)
            )
        )

    def hits(self, identity: int, query: NDArray[np.float32]) -> list[Hit]:
        """A story's passages, best first; the whole is not among them unless there is no other."""
        import numpy as np

        passages = self._database.rows(
            "SELECT role, section, text FROM passages WHERE file = ? ORDER BY position", (identity,)
        )
        (rows,) = self._database.row(
            "SELECT rows FROM vectors WHERE file = ? AND encoder = ?", (identity, self._encoder.key)
        )
        with self._database.guard():
            cosines = _cosines(np.frombuffer(rows, np.float16), query).tolist()
            _check_texts(*(text for passage in passages for text in passage))
            found = [
                Hit(role, section, text, cosine)
                for (role, section, text), cosine in zip(passages, cosines, strict=True)
            ]
        return sorted(found[1:] or found, key=lambda hit: -hit.cosine)


def _cosines(stored: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """A cosine for each vector stored. Raises ValueError where the bytes are no vectors."""
    import numpy as np

    with np.errstate(all="ignore"):
        cosines = stored.reshape(-1, len(query)).astype(np.float32) @ query
    if not np.isfinite(cosines).all():
        message = "a vector is not finite"
        raise ValueError(message)
    return cosines


def _check_texts(*values: object) -> None:
    """Raise ValueError for a text that a flipped bit has turned into something else."""
    if not all(isinstance(value, str) for value in values):
        message = "a text is none"
        raise ValueError(message)


def _entry(slug: str, path: str, fields: str) -> Entry:
    title, company, date, values, tags, words = json.loads(fields)
    _check_texts(slug, path, title)
    return Entry(slug, path, title, company, date, tuple(values), tuple(tags), words)
