"""Which stories a command is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from storybank import label


class Labelled(Protocol):
    """What a selection looks at: a story, or what the index knows of one."""

    @property
    def company(self) -> str | None:
        """The employer."""

    @property
    def values(self) -> tuple[str, ...]:
        """Values, as written."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags, as written."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Stories that carry all these tags and values, told of this company; empty selects all."""

    tags: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    company: str | None = None

    def __bool__(self) -> bool:
        return bool(self.tags or self.values or self.company)

    def __str__(self) -> str:
        parts = [f"the tag '{tag}'" for tag in self.tags]
        parts += [f"the value '{value}'" for value in self.values]
        parts += [f"the company '{self.company}'"] if self.company else []
        return " and ".join(parts)

    def accepts(self, story: Labelled) -> bool:
        """Labels in any spelling; of a company's name a part is enough."""
        return (
            all(any(label.same_tag(tag, each) for each in story.tags) for tag in self.tags)
            and all(
                any(label.same_value(value, each) for each in story.values) for value in self.values
            )
            and (not self.company or self.company.casefold() in (story.company or "").casefold())
        )
