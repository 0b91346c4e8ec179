"""What can be wrong with a user's file: collected as data and shown, never raised."""

from __future__ import annotations

from dataclasses import dataclass

#: Every code, with what it means. Codes are stable: they may be named in a user's own notes.
CODES = {
    "SB001": "a folder is named like a story",
    "SB002": "a symbolic link leads nowhere",
    "SB003": "the file cannot be opened",
    "SB004": "the file is too large for a story",
    "SB005": "the file is not UTF-8 text",
    "SB006": "the file is empty",
    "SB007": "two files have the same name",
    "SB011": "the front matter is not closed",
    "SB012": "the front matter is not valid YAML",
    "SB013": "the front matter is not a list of keys and values",
    "SB014": "a key stands twice in the front matter",
    "SB015": "the front matter is too large",
    "SB016": "a value in the front matter is not of the form expected",
    "SB021": "the story has no text",
}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding in one file: `path` as seen from the bank, `line` from 1, a code of `CODES`."""

    path: str
    line: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.code} {self.message}"

    def as_dict(self) -> dict[str, str | int]:
        """For JSON."""
        return {"path": self.path, "line": self.line, "code": self.code, "message": self.message}
