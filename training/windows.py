"""How a story's text is cut into windows; the same cut as at match time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storybank.passage import spans

if TYPE_CHECKING:
    from collections.abc import Sequence


def cut_text(title: str, parts: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The text that is encoded, and its windows as character spans; the title is in none."""
    text = f"{title}\n" if title else ""
    windows = []
    for part in parts:
        windows += [(start + len(text), end + len(text)) for start, end in spans(part)]
        text += f"{part}\n"
    return text, windows
