"""Text that fits: widths, bars, and the few lines that commands print alike."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from storybank.problem import Problem

_JOINERS = "\u200c\u200d"  # of letters in Persian, of emoji in families
WIDEST = 100  # longer lines are hard to read
_SHOWN_PROBLEMS = 3
_LEAST_LAST = 12  # columns that are kept for the last cell of a row
_MANY = 40  # stories to embed before a progress bar is worth its line


def _is_narrow(text: str) -> bool:
    """Whether every character takes one column, as far as that is known without tables."""
    return text.isascii() or all(
        each < "\u0300" or "\u2010" <= each <= "\u2027" or each in "█░" for each in text
    )


def width() -> int:
    """Columns to fill: $COLUMNS, else those of the terminal, else 80."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        found = int(columns)
    else:  # as shutil.get_terminal_size does, whose import takes longer than the ranking
        try:
            found = os.get_terminal_size(1).columns or 80
        except OSError:
            found = 80
    return max(min(found, WIDEST), 40)


def clean(text: str) -> str:
    """Text on one line and without control characters, which could command the terminal."""
    return clean_line(" ".join(text.split()))


def clean_line(text: str) -> str:
    """A line without control characters, its spaces kept."""
    return "".join(each if each.isprintable() or each in _JOINERS else " " for each in text)


def cells(text: str) -> int:
    """Columns that a text takes."""
    if _is_narrow(text):
        return len(text)
    import wcwidth

    return wcwidth.width(text)


def cut(text: str, columns: int) -> str:
    """At most so many columns, with an ellipsis where something is missing."""
    if cells(text) <= columns:
        return text
    if _is_narrow(text):
        return text[: columns - 1].rstrip() + "…"
    import wcwidth

    return wcwidth.clip(text, 0, columns - 1).rstrip() + "…"


def pad(text: str, columns: int) -> str:
    """Exactly so many columns."""
    text = cut(text, columns)
    return text + " " * (columns - cells(text))


def lines(text: str, columns: int, most: int) -> list[str]:
    """A text over at most so many lines, broken between words; the last is cut."""
    rest = clean(text).split(" ")
    found: list[str] = []
    while rest and len(found) < most - 1:
        line = rest.pop(0)
        while rest and cells(f"{line} {rest[0]}") <= columns:
            line = f"{line} {rest.pop(0)}"
        found.append(cut(line, columns))
    return found + ([cut(" ".join(rest), columns)] if rest else [])


def wrapped(text: str, columns: int) -> list[str]:
    """A text's own lines, the long ones broken between words under their own indentation."""
    found = []
    for line in (clean_line(each).rstrip() for each in text.split("\n")):
        indent = " " * min(len(line) - len(line.lstrip(" -*+")), columns // 2)
        first, *rest = line.split(" ")
        current, used = first, cells(first)
        for word in rest:
            size = cells(word)
            if used + 1 + size > columns and current.strip(" -*+"):
                found.append(current.rstrip())
                current, used = indent + word, len(indent) + size
            else:
                current, used = f"{current} {word}", used + 1 + size
        found.append(current)
    return found


def bar(share: float, columns: int = 10) -> str:
    """A share of 0..1 as a bar."""
    full = round(share * columns)
    return "█" * full + "░" * (columns - full)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], columns: int) -> Iterable[str]:
    """Aligned lines; the last column takes what is left."""
    rows = [headings, *([clean(cell) for cell in row] for row in rows)]
    widths = [max(cells(row[at]) for row in rows) for at in range(len(headings) - 1)]
    while widths and sum(widths) + 2 * len(widths) > columns - _LEAST_LAST:
        widths[widths.index(max(widths))] -= 1
    last = columns - sum(widths) - 2 * len(widths)
    for row in rows:
        fixed = [pad(cell, each) for cell, each in zip(row, widths, strict=False)]
        yield "  ".join([*fixed, cut(row[-1], last)]).rstrip()


def print_json(value: object) -> None:
    """One line of JSON on stdout, in UTF-8 whatever the terminal speaks."""
    import json

    text = json.dumps(value, ensure_ascii=False)
    click.echo(text.encode("utf-8", "replace"))


def note(text: str) -> None:
    """A remark for the user, beside the data."""
    click.echo(f"storybank: {clean(text)}", err=True)


def note_problems(problems: Sequence[Problem], *, most: int = _SHOWN_PROBLEMS) -> None:
    """The files that need a look; `list` shows all."""
    for problem in problems[:most]:
        click.echo(click.style(clean(str(problem)), fg="yellow"), err=True)
    if len(problems) > most:
        more = len(problems) - most
        note(f"{more} more problem{'s' if more > 1 else ''}; see 'storybank list'.")


def progress() -> Callable[[int, int], None] | None:
    """A callback that draws a bar on stderr, if that is a terminal and there is much to do."""
    if not sys.stderr.isatty():
        return None

    def draw(done: int, total: int) -> None:
        if total < _MANY:
            return
        line = f"reading your stories {bar(done / total, 24)} {done} of {total}"
        ending = "\r\x1b[K" if done == total else ""
        click.echo(f"\r{cut(line, width() - 1)}{ending}", err=True, nl=False)

    return draw


def story_facts(*facts: str | None) -> str:
    """What is known of a story, on one line."""
    return " · ".join(clean(fact) for fact in facts if fact)
