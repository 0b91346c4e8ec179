"""Bringing the index up to date: read what changed, embed what is new, a chunk a transaction."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storybank.index.vectors import pack
from storybank.passage import ALONE, BODY, QUESTION, cut
from storybank.problem import Problem

if TYPE_CHECKING:
    from storybank.bank import Bank, StoryFile
    from storybank.encoders import Encoder
    from storybank.index.database import Database

#: Called with the number of stories embedded so far, and in all.
Progress = Callable[[int, int], None]

#: Counts of the body's passages and of the questions; rows and scales of passages, of tokens.
_Vectors = tuple[int, int, bytes, bytes, bytes, bytes]

_CHUNK = 16  # stories a transaction: a kill loses at most the work of one


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What an update did, in stories."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0


class Updater:
    """One update of a database to the state of a bank's folder."""

    def __init__(self, database: Database, bank: Bank, encoder: Encoder) -> None:
        self._database = database
        self._bank = bank
        self._encoder = encoder
        self._done: Counter[str] = Counter()
        #: Vectors of stories that were changed, renamed or removed, by the hashes of their
        #: passages: a story that is the same as before under another name is not embedded again.
        self._spare: dict[bytes, _Vectors] = {}

    def run(self, progress: Progress | None) -> tuple[IndexStats, tuple[Problem, ...]]:
        """Do it; what was done, and all problems of the bank by path and line."""
        files, problems = self._bank.scan()
        known = {
            path: (stamp, slug)
            for path, stamp, slug in self._database.rows("SELECT path, stamp, slug FROM files")
        }
        gone = known.keys() - {file.path for file in files}
        stale = [file for file in files if known.get(file.path) != (file.stamp, file.slug)]
        if gone:
            self._forget(sorted(gone))
        for start in range(0, len(stale), _CHUNK):
            self._read(stale[start : start + _CHUNK])
        self._embed(progress)
        notes = self._database.rows("SELECT path, problems FROM files WHERE problems != '[]'")
        with self._database.guard():
            for path, found in notes:
                problems.extend(Problem(path, *note) for note in json.loads(found))
        stories = self._database.row("SELECT count(*) FROM files WHERE fields IS NOT NULL")[0]
        added, changed, removed = (self._done[each] for each in ("added", "changed", "removed"))
        stats = IndexStats(added, changed, removed, kept=stories - added - changed)
        return stats, tuple(sorted(problems))

    def _forget(self, paths: Sequence[str]) -> None:
        with self._database.transaction():
            for path in paths:
                row = self._database.row("SELECT id, fields FROM files WHERE path = ?", (path,))
                if row:
                    self._done["removed"] += row[1] is not None
                    self._clear(row[0])
                    self._database.execute("DELETE FROM files WHERE id = ?", (row[0],))

    def _read(self, files: Sequence[StoryFile]) -> None:
        """Read files from disk and store all but their vectors."""
        contents = [(file, self._bank.read_bytes(file)) for file in files]
        with self._database.transaction():
            for file, data in contents:
                digest = _hash(data if isinstance(data, bytes) else repr(data).encode())
                # What could not be opened is tried again: it may be a matter of a moment.
                stamp = file.stamp if isinstance(data, bytes) else ""
                row = self._database.row(
                    "SELECT id, hash, slug, fields FROM files WHERE path = ?", (file.path,)
                )
                if row and row[1:3] == (digest, file.slug):
                    self._database.execute(
                        "UPDATE files SET stamp = ? WHERE id = ?", (stamp, row[0])
                    )
                    continue
                is_story = self._store(file, stamp, data, digest)
                was_story = row is not None and row[3] is not None
                self._done["added"] += is_story and not was_story
                self._done["changed"] += is_story and was_story
                self._done["removed"] += was_story and not is_story

    def _store(self, file: StoryFile, stamp: str, data: bytes | Problem, digest: bytes) -> bool:
        """Replace all that is known of a file; whether it holds a story."""
        story, problems = self._bank.parse(file, data)
        fields = story and json.dumps(
            [
                *(story.title, story.company, story.date, story.values, story.tags, story.words),
                *(story.status, story.missing),
            ]
        )
        notes = json.dumps([(each.line, each.code, each.message) for each in problems])
        identity = self._database.row(
            """INSERT INTO files (path, stamp, hash, slug, fields, problems)
               VALUES (?, ?, ?, ?, ?, ?)
               ON CONFLICT (path) DO UPDATE SET stamp = excluded.stamp, hash = excluded.hash,
                   slug = excluded.slug, fields = excluded.fields, problems = excluded.problems
               RETURNING id""",
            (file.path, stamp, digest, file.slug, fields, notes),
        )[0]
        self._clear(identity)
        if story is None:
            return False
        for at, each in enumerate(cut(story)):
            self._database.execute(
                "INSERT INTO passages VALUES (?, ?, ?, ?, ?)",
                (identity, at, each.role, each.section, each.text),
            )
        labels = " ".join((*story.values, *story.tags, *story.questions))
        self._database.execute(
            "INSERT INTO words (rowid, title, labels, body) VALUES (?, ?, ?, ?)",
            (identity, story.title, labels, story.plain),
        )
        return True

    def _clear(self, identity: int) -> None:
        """Drop a file's passages, words and vectors; keep the vectors of this encoder at hand."""
        row = self._database.row(
            """SELECT body, asked, vectors.rows, vectors.scales, tokens.rows, tokens.scales
               FROM vectors JOIN tokens USING (encoder, file) WHERE file = ? AND encoder = ?""",
            (identity, self._encoder.key),
        )
        if row:
            self._spare[self._fingerprint(identity)] = row
        self._database.execute("DELETE FROM passages WHERE file = ?", (identity,))
        self._database.execute("DELETE FROM vectors WHERE file = ?", (identity,))
        self._database.execute("DELETE FROM tokens WHERE file = ?", (identity,))
        self._database.execute("DELETE FROM words WHERE rowid = ?", (identity,))

    def _embed(self, progress: Progress | None) -> None:
        """Give every story its vectors that has none of this encoder."""
        pending = self._database.rows(
            """SELECT id, hash FROM files WHERE fields IS NOT NULL AND id NOT IN
               (SELECT file FROM vectors WHERE encoder = ?) ORDER BY id""",
            (self._encoder.key,),
        )
        for start in range(0, len(pending), _CHUNK):
            if progress:
                progress(start, len(pending))
            self._embed_chunk(pending[start : start + _CHUNK])
        if progress and pending:
            progress(len(pending), len(pending))

    def _embed_chunk(self, pending: Sequence[tuple[int, bytes]]) -> None:
        found = [(identity, content, self._passages(identity)) for identity, content in pending]
        known = {identity: self._spare.get(self._fingerprint(identity)) for identity, _ in pending}
        new = [each for each in found if each[2] and not known[each[0]]]
        known.update(
            zip((each[0] for each in new), self._encode([p for *_, p in new]), strict=True)
        )
        with self._database.transaction():
            for identity, content, _ in found:
                row = known[identity]
                if row is None:  # another process is making the index anew at this moment
                    continue
                # Unless another process has changed the story since.
                self._database.execute(
                    """INSERT OR REPLACE INTO vectors (encoder, file, body, asked, rows, scales)
                       SELECT ?, id, ?, ?, ?, ? FROM files WHERE id = ? AND hash = ?""",
                    (self._encoder.key, *row[:4], identity, content),
                )
                self._database.execute(
                    """INSERT OR REPLACE INTO tokens (encoder, file, rows, scales)
                       SELECT ?, id, ?, ? FROM files WHERE id = ? AND hash = ?""",
                    (self._encoder.key, *row[4:], identity, content),
                )

    def _passages(self, identity: int) -> list[tuple[str, str]]:
        """Role and text of a story's passages, in order."""
        return self._database.rows(
            "SELECT role, text FROM passages WHERE file = ? ORDER BY position", (identity,)
        )

    def _fingerprint(self, identity: int) -> bytes:
        """Differs when anything differs that a story's vectors depend on."""
        return _hash(repr(self._passages(identity)).encode("utf-8", "replace"))

    def _encode(self, stories: Sequence[Sequence[tuple[str, str]]]) -> Iterator[_Vectors]:
        """What is stored of each story: its counts, rows and scales."""
        if not stories:
            return
        import numpy as np

        told = [sum(role not in ALONE for role, _ in passages) for passages in stories]
        read = self._encoder.stories(
            [[text for _, text in passages[:n]] for passages, n in zip(stories, told, strict=True)]
        )
        alone = [
            text for passages, n in zip(stories, told, strict=True) for _, text in passages[n:]
        ]
        rest = self._encoder.questions(alone) if alone else read[0].passages[:0]
        at = 0
        for passages, story in zip(stories, read, strict=True):
            more = len(passages) - len(story.passages)
            roles = [role for role, _ in passages]
            packed = pack(np.concatenate([story.passages, rest[at : at + more]]))
            yield roles.count(BODY), roles.count(QUESTION), *packed, *pack(story.tokens)
            at += more


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
