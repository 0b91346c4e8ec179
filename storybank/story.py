"""A story and its sections, as read from a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The parts of a STAR story; Learning is the fifth that many people add.
KINDS = ("situation", "task", "action", "result", "learning")
STAR = KINDS[:4]

#: How fast a story is told, in words per minute.
WORDS_PER_MINUTE = 140

STATUSES = ("raw", "structured", "polished", "retired")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a story.

    `kinds` are those of `KINDS` that it serves: none for a part with another heading or no heading,
    two or more for a joined one. `text` is the Markdown as written, a substring of the file;
    `plain` is what is read aloud: no markup, no comments. `line` counts from 1 in the file.
    """

    heading: str
    kinds: tuple[str, ...]
    text: str
    plain: str
    line: int

    @property
    def label(self) -> str:
        """What to call the section when it is shown."""
        if self.kinds:
            return " / ".join(kind.capitalize() for kind in self.kinds)
        return self.heading or "Story"


@dataclass(frozen=True, slots=True)
class Story:
    """One experience, told once. `path` is as seen from the bank, with forward slashes."""

    slug: str
    path: str
    title: str
    sections: tuple[Section, ...] = ()
    company: str | None = None
    role: str | None = None
    date: str | None = None
    values: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    strength: int | None = None
    status: str | None = None
    hook: str | None = None
    confidential: bool = False
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def plain(self) -> str:
        """What would be spoken."""
        return "\n".join(section.plain for section in self.sections)

    @property
    def words(self) -> int:
        """Number of words that would be spoken."""
        return len(self.plain.split())

    @property
    def minutes(self) -> float:
        """Spoken length, to a tenth of a minute."""
        return minutes(self.words)

    def lacks(self, kind: str) -> bool:
        """Whether no section of this kind has any text."""
        return not any(kind in section.kinds and section.plain for section in self.sections)

    @property
    def missing(self) -> tuple[str, ...]:
        """The kinds of `STAR` that the story lacks."""
        return tuple(kind for kind in STAR if self.lacks(kind))

    def summary(self) -> dict[str, object]:
        """What JSON output says of a story without its text."""
        return {
            "story": self.slug,
            "title": self.title,
            "path": self.path,
            "company": self.company,
            "role": self.role,
            "date": self.date,
            "values": list(self.values),
            "tags": list(self.tags),
            "strength": self.strength,
            "status": self.status,
            "confidential": self.confidential,
            "minutes": self.minutes,
            "missing": list(self.missing),
        }

    def as_dict(self) -> dict[str, object]:
        """All of it, for JSON."""
        return {
            **self.summary(),
            "hook": self.hook,
            "questions": list(self.questions),
            "extra": dict(self.extra),
            "sections": [
                {
                    "heading": section.heading,
                    "kinds": list(section.kinds),
                    "text": section.text,
                    "line": section.line,
                }
                for section in self.sections
            ],
        }


def minutes(words: int) -> float:
    """Spoken length in minutes, to a tenth."""
    return round(words / WORDS_PER_MINUTE, 1)
