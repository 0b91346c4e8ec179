"""Looking through a folder for story files, without opening one."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from storybank.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIX = ".md"


def walk(root: str, path: str) -> Iterator[tuple[str, str | Problem]]:
    """Every Markdown file below a folder with its stamp, or the problem with it.

    `path` is what the paths given begin with; a stamp changes whenever its file does. Names that
    begin with a dot are passed over. A folder is entered once, also when links lead back to it.
    """
    pending = [(root, path)]
    entered: set[tuple[int, int]] = set()
    while pending:
        folder, path = pending.pop()
        try:
            entries = _enter(folder, entered)
        except FileNotFoundError:  # no stories/ yet, or removed under our hands
            continue
        except OSError as error:
            yield path, Problem(path, 1, "SB003", f"cannot be opened: {error.strerror}")
            continue
        for entry in entries:
            name = os.fsencode(entry.name).decode("utf-8", "replace")
            inner = f"{path}/{name}"
            found = _look(entry, inner)
            is_story = name.lower().endswith(_SUFFIX)
            if name != entry.name and (is_story or found is None):
                yield inner, Problem(inner, 1, "SB003", "has a name that is not UTF-8: rename it")
            elif found is None and not is_story:
                pending.append((entry.path, inner))
            elif not is_story:
                if isinstance(found, Problem) and entry.is_dir(follow_symlinks=False):
                    yield inner, found
            else:
                message = "is a folder, though named like a story: what is in it is not read"
                yield inner, found or Problem(inner, 1, "SB001", message)


def _enter(folder: str, entered: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
    """The visible entries of a folder; none if it has been entered before. Raises OSError."""
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in entered:
        return []
    entered.add(identity)
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _look(entry: os.DirEntry[str], path: str) -> str | Problem | None:
    """The stamp of a file, what is wrong with it, or None for a folder."""
    try:
        status = entry.stat()
    except OSError as error:
        if entry.is_symlink():
            message = f"is a link that leads nowhere ({error.strerror})"
            return Problem(path, 1, "SB002", message)
        return Problem(path, 1, "SB003", f"cannot be opened: {error.strerror}")
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return Problem(path, 1, "SB003", "is no ordinary file")
    return f"{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_size}"
