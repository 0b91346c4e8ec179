"""A story bank on disk: found, scanned, read. Nothing here writes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from storybank import folder
from storybank.errors import NoBankError, UnknownStoryError, UnreadableStoryError
from storybank.problem import Problem

if TYPE_CHECKING:
    from storybank.story import Story

STORIES = "stories"
CONFIG = "storybank.toml"
ENVIRONMENT = "STORYBANK_BANK"


@dataclass(frozen=True, slots=True)
class StoryFile:
    """A Markdown file of the bank, not yet read.

    `path` is as seen from the bank, with forward slashes; `stamp` changes whenever the file does.
    """

    path: str
    slug: str
    stamp: str


class Bank:
    """A folder that holds `stories/`. Stories are read when they are first asked for."""

    def __init__(self, root: str) -> None:
        self.root = root

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Bank:
        """The bank at `path`; without one, `$STORYBANK_BANK` or the nearest folder upwards.

        Raises NoBankError.
        """
        named = os.fspath(path) if path is not None else os.environ.get(ENVIRONMENT)
        if named is not None:
            root = os.path.abspath(os.path.expanduser(named))
            if not is_bank(root):
                variable = None if path is not None else ENVIRONMENT
                raise NoBankError(named, named=True, variable=variable)
            return cls(root)
        start = root = os.getcwd()
        while not is_bank(root):
            parent = os.path.dirname(root)
            if parent == root:
                raise NoBankError(start, named=False)
            root = parent
        return cls(root)

    @property
    def folder(self) -> str:
        """The folder of the stories."""
        return os.path.join(self.root, STORIES)

    def scan(self) -> tuple[list[StoryFile], list[Problem]]:
        """The story files, by path, without opening them, and what cannot be a story."""
        stamps: dict[str, str] = {}
        problems: list[Problem] = []
        for path, found in folder.walk(self.folder, STORIES):
            if isinstance(found, str):
                stamps[path] = found
            else:
                problems.append(found)
        files = []
        taken: dict[str, str] = {}
        for path in sorted(stamps):
            slug = path.rpartition("/")[2].rpartition(".")[0]
            if slug in taken:
                longer = path.partition("/")[2].rpartition(".")[0]
                longer = path.partition("/")[2] if longer in taken else longer
                message = f"has the same name as {taken[slug]}; it is called '{longer}' here"
                problems.append(Problem(path, 1, "SB007", message))
                slug = longer
            taken[slug] = path
            files.append(StoryFile(path, slug, stamps[path]))
        return files, problems

    def read_bytes(self, file: StoryFile) -> bytes | Problem:
        """A file's content, or why it cannot be read or is too large for a story."""
        from storybank.storyfile import MAX_BYTES, too_large

        try:
            with open(os.path.join(self.root, file.path), "rb") as opened:
                data = opened.read(MAX_BYTES + 1)
                if len(data) > MAX_BYTES:
                    size = os.fstat(opened.fileno()).st_size
                    return Problem(file.path, 1, "SB004", too_large(size))
                return data
        except OSError as error:
            return Problem(file.path, 1, "SB003", f"cannot be opened: {error.strerror}")

    def read(self, file: StoryFile) -> tuple[Story | None, tuple[Problem, ...]]:
        """The story in a file, or None; and the problems found in it."""
        return self.parse(file, self.read_bytes(file))

    @staticmethod
    def parse(file: StoryFile, data: bytes | Problem) -> tuple[Story | None, tuple[Problem, ...]]:
        """What `read` gives, of what `read_bytes` gave."""
        from storybank import storyfile

        if isinstance(data, Problem):
            return None, (data,)
        return storyfile.read(data, file.path, file.slug)

    @cached_property
    def _content(self) -> tuple[tuple[Story, ...], tuple[Problem, ...]]:
        files, problems = self.scan()
        stories = []
        for file in files:
            story, found = self.read(file)
            problems.extend(found)
            if story:
                stories.append(story)
        return tuple(stories), tuple(sorted(problems))

    @property
    def stories(self) -> tuple[Story, ...]:
        """All stories that can be read, by path."""
        return self._content[0]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, by path and line."""
        return self._content[1]

    def get(self, name: str) -> tuple[Story, tuple[Problem, ...]]:
        """The story of that slug, path, or unique beginning of a slug; and the problems in it.

        Raises UnknownStoryError, with near misses, and UnreadableStoryError.
        """
        files, problems = self.scan()
        readable = {each for file in files for each in (file.path, file.slug)}
        for problem in problems:
            names = {problem.path, problem.path.rpartition("/")[2].rpartition(".")[0]}
            if name in names - readable:
                raise UnreadableStoryError(problem.path, problem.message)
        file = self._file(name, files)
        story, found = self.read(file)
        if story is None:
            raise UnreadableStoryError(file.path, found[0].message)
        return story, found

    def _file(self, name: str, files: list[StoryFile]) -> StoryFile:
        by_slug = {file.slug: file for file in files}
        if name in by_slug:
            return by_slug[name]
        beginnings = [slug for slug in by_slug if slug.casefold().startswith(name.casefold())]
        if name and len(beginnings) == 1:
            return by_slug[beginnings[0]]
        wanted = os.path.realpath(name)
        inside = os.path.realpath(os.path.join(self.folder, name))
        for file in files:
            here = os.path.realpath(os.path.join(self.root, file.path))
            if here in (wanted, inside) or file.path == name:
                return file
        if name and beginnings:
            raise UnknownStoryError(name, beginnings[:5], ambiguous=True)
        raise UnknownStoryError(name, _near(name, list(by_slug)))


def _near(name: str, slugs: list[str]) -> list[str]:
    """Up to three slugs that look like `name` or hold it."""
    from difflib import get_close_matches

    wanted = name.casefold()
    holding = [slug for slug in slugs if wanted and wanted in slug.casefold()]
    return (holding + [slug for slug in get_close_matches(wanted, slugs) if slug not in holding])[
        :3
    ]


def is_bank(folder: str) -> bool:
    """Whether a folder is a bank."""
    return os.path.isdir(os.path.join(folder, STORIES)) or os.path.isfile(
        os.path.join(folder, CONFIG)
    )
