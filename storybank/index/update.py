"""Bringing the index up to date: read what changed, embed what is new, a chunk a transaction."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storybank.passage import BODY, cut
from storybank.problem import Problem

if TYPE_CHECKING:
    from storybank.bank import Bank, StoryFile
    from storybank.encoders import Encoder
    from storybank.index.database import Database

#: Called with the number of stories embedded so far, and in all.
Progress = Callable[[int, int], None]

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
        #: Vectors whose story was changed, renamed or removed, by the hash of their text: what a
        #: new version has in common with the old one is not embedded again.
        self._spare: dict[bytes, bytes] = {}

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
            [story.title, story.company, story.date, story.values, story.tags, story.words]
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
                "INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?)",
                (identity, at, each.role, each.section, each.text, _hash(each.text.encode())),
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
            "SELECT rows FROM vectors WHERE file = ? AND encoder = ?", (identity, self._encoder.key)
        )
        if row:
            size = 2 * self._encoder.dimension
            hashes = self._database.rows(
                "SELECT hash FROM passages WHERE file = ? ORDER BY position", (identity,)
            )
            for at, (digest,) in enumerate(hashes):
                self._spare[digest] = row[0][at * size : (at + 1) * size]
        self._database.execute("DELETE FROM passages WHERE file = ?", (identity,))
        self._database.execute("DELETE FROM vectors WHERE file = ?", (identity,))
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
        passages = {
            identity: self._database.rows(
                "SELECT hash, role, text FROM passages WHERE file = ? ORDER BY position",
                (identity,),
            )
            for identity, _ in pending
        }
        texts = {digest: text for found in passages.values() for digest, _, text in found}
        vectors = {digest: self._spare[digest] for digest in texts if digest in self._spare}
        missing = [digest for digest in texts if digest not in vectors]
        if missing:
            made = self._encoder.passages([texts[digest] for digest in missing]).astype("float16")
            vectors.update(zip(missing, (row.tobytes() for row in made), strict=True))
        with self._database.transaction():
            for identity, content in pending:
                found = passages[identity]
                if not found:  # another process is making the index anew at this moment
                    continue
                body = sum(role == BODY for _, role, _ in found)
                rows = b"".join(vectors[digest] for digest, _, _ in found)
                self._database.execute(  # unless another process has changed the story since
                    """INSERT OR REPLACE INTO vectors (encoder, file, body, rows)
                       SELECT ?, id, ?, ? FROM files WHERE id = ? AND hash = ?""",
                    (self._encoder.key, body, rows, identity, content),
                )


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
