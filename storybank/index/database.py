"""The SQLite file of the index: made, opened, guarded, and given up for memory when it must be."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from storybank.errors import DamagedIndexError, IndexUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = ".storybank"
FILE = "index.db"

_APPLICATION = 0x53544259  # "STBY" in the file's header: whose database this is
_FORMAT = (
    3  # raise with every change of the schema, of how stories are read, or of how they are cut
)
_LOCK_SECONDS = 60.0

_SCHEMA = (
    """CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path TEXT NOT NULL UNIQUE,
        stamp TEXT NOT NULL,
        hash BLOB NOT NULL,
        slug TEXT NOT NULL,
        fields TEXT,            -- JSON of an Entry's fields; NULL where the file holds no story
        problems TEXT NOT NULL  -- JSON, a list of [line, code, message]
    )""",
    """CREATE TABLE passages (
        file INTEGER NOT NULL,
        position INTEGER NOT NULL,
        role TEXT NOT NULL,
        section TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (file, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE vectors (
        encoder TEXT NOT NULL,
        file INTEGER NOT NULL,
        body INTEGER NOT NULL,  -- how many of the rows, after the first, are of the story's body
        asked INTEGER NOT NULL, -- how many, after those, are of its questions; the rest are labels
        rows BLOB NOT NULL,     -- int8, one vector a passage, in their order
        scales BLOB NOT NULL,   -- float32, what a row is multiplied with to have unit length
        PRIMARY KEY (encoder, file)
    )""",
    """CREATE TABLE tokens (
        encoder TEXT NOT NULL,
        file INTEGER NOT NULL,
        rows BLOB NOT NULL,     -- int8, one small vector a token of the story; read for few stories
        scales BLOB NOT NULL,   -- as above
        PRIMARY KEY (encoder, file)
    )""",
    """CREATE VIRTUAL TABLE words USING fts5 (
        title, labels, body, tokenize = 'porter unicode61 remove_diacritics 2'
    )""",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_FORMAT}",
)

#: What SQLite says when a file cannot be written here but storybank can go on without it.
_NO_PLACE = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_PERM")
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")
_MADE_ANEW = "the index was damaged or another program's, and has been made anew."


class ReadOnlyIndexError(IndexUnavailableError):
    """The file cannot be written; the caller moves to memory."""


class Database:
    """One connection. `notices` are sentences for the user on what was unusual."""

    def __init__(self, root: str) -> None:
        self.path = os.path.join(root, FOLDER, FILE)
        self.notices: list[str] = []
        self._inode: int | None = None
        self._connection = self._open()

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        with self.guard():
            return self._connection.execute(statement, parameters)

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[Any]:
        """All rows of a query."""
        with self.guard():
            return self._connection.execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: Sequence[object] = ()) -> Any:  # noqa: ANN401  # SQL
        """The first row of a query, or None."""
        with self.guard():
            return self._connection.execute(statement, parameters).fetchone()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else writes meanwhile."""
        yield from self._between("BEGIN IMMEDIATE")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several questions to one state, whatever others write meanwhile."""
        yield from self._between("BEGIN")

    def _between(self, begin: str) -> Iterator[None]:
        self.execute(begin)
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def guard(self) -> Iterator[None]:
        """For SQLite's errors: DamagedIndexError, ReadOnlyIndexError or IndexUnavailableError.

        What SQLite returns but cannot be decoded is damage, too.
        """
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a mistake of ours, not of the file
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error
        except (ValueError, IndexError, TypeError) as error:
            raise DamagedIndexError(self.path, str(error)) from error

    def _translated(self, error: sqlite3.DatabaseError) -> Exception:
        name, text = getattr(error, "sqlite_errorname", ""), str(error)
        if "no such module" in text:
            reason = "the SQLite of this Python was built without FTS5; use another Python"
            return IndexUnavailableError(self.path, reason)
        if name.startswith(_NO_PLACE):
            return ReadOnlyIndexError(self.path, text)
        decoding = "Could not decode" in text  # a text column that is not UTF-8
        if name.startswith(_DAMAGE) or decoding or text.startswith(("no such", "vtable constr")):
            return DamagedIndexError(self.path, text)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            text = "another storybank is writing to it; try again"
        return IndexUnavailableError(self.path, text)

    def rebuild(self, *, damaged: bool) -> None:
        """Throw everything away and begin with an empty index."""
        if not damaged:
            try:
                self._make(replace=True)
            except DamagedIndexError:
                damaged = True
        if damaged:
            self.close()
            self._connection = self._replace()

    def move_to_memory(self) -> None:
        """Go on with a copy in memory of whatever the file holds."""
        memory = _connect(":memory:")
        with suppress(sqlite3.Error):
            self._connection.backup(memory)
        self.close()
        self._connection = memory
        self._note_memory()
        self._make()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _open(self) -> sqlite3.Connection:
        """A connection to the file, made or made anew if need be, or to memory."""
        try:
            make_folder(os.path.dirname(self.path))
            self._connection = _connect(self.path)
            self._inode = os.stat(self.path).st_ino
            self._make()
        except DamagedIndexError:
            self.close()
            return self._replace()
        except (OSError, sqlite3.Error, ReadOnlyIndexError):
            return self._open_memory()
        return self._connection

    def _replace(self) -> sqlite3.Connection:
        """Remove a broken file, unless another process has just done so, and open it again."""
        self._note(_MADE_ANEW)
        try:
            if os.stat(self.path).st_ino == self._inode:
                os.remove(self.path)
                with suppress(FileNotFoundError):
                    os.remove(f"{self.path}-journal")
            self._connection = _connect(self.path)
            self._inode = os.stat(self.path).st_ino
            self._make(replace=True)
        except (OSError, sqlite3.Error, ReadOnlyIndexError, DamagedIndexError):
            return self._open_memory()
        return self._connection

    def _open_memory(self) -> sqlite3.Connection:
        self._note_memory()
        self._connection = _connect(":memory:")
        self._make()
        return self._connection

    def _make(self, *, replace: bool = False) -> None:
        """Make the tables, unless they are there and of this version."""
        self.execute("PRAGMA synchronous = NORMAL")  # a cache need not survive a power cut
        if not replace and self._is_current():
            return
        with self.transaction():
            if not replace and self._is_current():  # made this moment by another process
                return
            tables = self.rows(
                """SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                   ORDER BY sql LIKE 'CREATE VIRTUAL%' DESC"""
            )
            if tables and self.row("PRAGMA application_id")[0] != _APPLICATION:
                self._note(_MADE_ANEW)
            for (name,) in tables:  # a virtual table takes its shadow tables with it
                self.execute(f'DROP TABLE IF EXISTS "{name}"')
            for statement in _SCHEMA:
                self.execute(statement)

    def _is_current(self) -> bool:
        return (self.row("PRAGMA application_id"), self.row("PRAGMA user_version")) == (
            (_APPLICATION,),
            (_FORMAT,),
        )

    def _note_memory(self) -> None:
        folder = os.path.dirname(self.path)
        self._note(
            f"the index cannot be written to {folder}; it is made in memory, each time anew."
        )

    def _note(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)


def make_folder(folder: str) -> None:
    """Make the folder of derived files, which git is told to ignore. Raises OSError."""
    ignore = os.path.join(folder, ".gitignore")
    if not os.path.exists(ignore):
        os.makedirs(folder, exist_ok=True)
        with open(ignore, "w", encoding="utf-8") as file:
            file.write("*\n")


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
