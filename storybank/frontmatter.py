"""The YAML block at the top of a story: found, bounded, and read without ever executing anything.

Every scalar is kept as the user wrote it (`no` stays "no", `2022-07-15` stays a string): what a key
means is decided where the key is known, not by YAML 1.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_CHARACTERS = 64 * 1024
MAX_DEPTH = 20
_FENCE = "---"
#: YAML ends a line where an editor shows none.
_NO_BREAKS = dict.fromkeys(map(ord, "\x85\u2028\u2029"), " ")
_NULLS = ("", "~", "null", "Null", "NULL")

#: libyaml when PyYAML was built with it: ten times as fast. Both build nothing but str, list, dict.
_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_PROLOGUE = (yaml.StreamStartEvent, yaml.DocumentStartEvent)


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake at a line of the file (from 1); `code` is one of `problem.CODES`."""

    line: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """Keys and values, the line each key stands on, and the text that follows.

    `is_skipped`: there is one, but it could not be read; `faults` say why.
    """

    body: str
    body_line: int = 1
    values: Mapping[str, object] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    is_skipped: bool = False


class _NotFlatError(Exception):
    """More depth than a person writes, or an alias."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def read(text: str) -> FrontMatter:
    """Split a file's text (newlines already "\\n") and read its front matter. Never raises.

    A block that cannot be read is reported and skipped; an opening line without a closing one is
    reported, and what follows it is taken as the story's text.
    """
    lines = text.split("\n")
    start = next((at for at, line in enumerate(lines) if line.strip()), 0)
    if lines[start].rstrip() != _FENCE:
        return FrontMatter(body=text)
    rest = enumerate(lines[start + 1 :], start + 1)
    end = next((at for at, line in rest if line.rstrip() in (_FENCE, "...")), None)
    if end is None:
        fault = Fault(
            start + 1,
            "SB011",
            "the front matter opened by '---' is never closed: add a line '---' after its last "
            "key. Until then it is read as text",
        )
        body = "\n".join(lines[start + 1 :])
        return FrontMatter(body, start + 2, faults=(fault,), is_skipped=True)
    body, body_line = "\n".join(lines[end + 1 :]), end + 2
    # Empty lines for those above, so that the parser counts as the file does.
    source = "\n" * (start + 1) + "\n".join(lines[start + 1 : end])
    values, key_lines, faults = _load(source.translate(_NO_BREAKS))
    is_skipped = any(fault.code != "SB014" for fault in faults)
    if is_skipped and _is_text(lines[start + 1 : end], faults):  # the rule below closes nothing
        body = "\n".join(lines[start + 1 :])
        return FrontMatter(body, start + 2, faults=faults, is_skipped=True)
    return FrontMatter(body, body_line, values, key_lines, faults, is_skipped)


def _is_text(lines: list[str], faults: tuple[Fault, ...]) -> bool:
    """Whether what stands between two rules is a story's text and no attempt at keys."""
    has_heading = any(line.startswith("##") for line in lines)
    return has_heading or any("plain text" in fault.message for fault in faults)


def _load(source: str) -> tuple[dict[str, object], dict[str, int], tuple[Fault, ...]]:
    """Values, lines and faults of the YAML, which is padded to begin on its line of the file."""
    if len(source) > MAX_CHARACTERS:
        message = (
            f"the front matter has {len(source):,} characters, more than {MAX_CHARACTERS:,}: "
            "is a closing '---' missing? It is skipped"
        )
        return {}, {}, (Fault(1, "SB015", message),)
    try:
        return _mapping(yaml.parse(source, Loader=_Loader))
    except yaml.YAMLError as error:
        return {}, {}, (_yaml_fault(error, source),)
    except _NotFlatError as error:
        return {}, {}, (_not_flat(error.line),)


def _mapping(
    events: Iterator[yaml.Event],
) -> tuple[dict[str, object], dict[str, int], tuple[Fault, ...]]:
    values: dict[str, object] = {}
    lines: dict[str, int] = {}
    faults = []
    root = next(event for event in events if not isinstance(event, _PROLOGUE))
    if isinstance(root, yaml.SequenceStartEvent | yaml.ScalarEvent):
        kind = "a list" if isinstance(root, yaml.SequenceStartEvent) else "plain text"
        message = f"the front matter is {kind}, not lines of 'key: value'; it is not used as such"
        return {}, {}, (Fault(_line(root), "SB013", message),)
    while isinstance(root, yaml.MappingStartEvent):
        first = next(events)
        if isinstance(first, yaml.MappingEndEvent):
            break
        key, line = str(_value(first, events)), _line(first)
        if key in values:
            message = f"'{key}' stands twice, first on line {lines[key]}; this one counts"
            faults.append(Fault(line, "SB014", message))
        values[key], lines[key] = _value(next(events), events), line
    return values, lines, tuple(faults)


def _value(event: yaml.Event, events: Iterator[yaml.Event], depth: int = 0) -> object:
    """The str, None, list or dict that begins with an event.

    Built from events, not from PyYAML's nodes: its composer recurses in C, and 20,000 brackets
    bring down the process.
    """
    if isinstance(event, yaml.ScalarEvent):
        is_null = event.implicit[0] and event.value in _NULLS  # not in quotes
        return None if is_null else str(event.value)
    if depth == MAX_DEPTH or isinstance(event, yaml.AliasEvent):
        raise _NotFlatError(_line(event))
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(following := next(events), yaml.SequenceEndEvent):
            items.append(_value(following, events, depth + 1))
        return items
    pairs = {}
    while not isinstance(following := next(events), yaml.MappingEndEvent):
        key = str(_value(following, events, depth + 1))
        pairs[key] = _value(next(events), events, depth + 1)
    return pairs


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _not_flat(line: int) -> Fault:
    message = (
        "the front matter is nested deeply or repeats itself through aliases (*name): "
        "write it flat. It is skipped"
    )
    return Fault(line, "SB015", message)


def _yaml_fault(error: yaml.YAMLError, source: str) -> Fault:
    """Where and what, in one sentence, whichever parser said it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else source.count("\n", 0, getattr(error, "position", 0)) + 1
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    if "nesting depth" in what:  # libyaml 0.2.6 stops here by itself, before `_value` can
        return _not_flat(line)
    hint = "put quotes around the value, or close the bracket or quote above"
    return Fault(line, "SB012", f"the front matter cannot be read from here on: {hint} ({what})")
