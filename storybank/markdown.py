"""The sections of a story, found in the Markdown token stream.

A section begins at a heading that names a part of STAR, or at such a name in bold at the beginning
of a line. What is inside a code fence or a comment begins nothing, nor does a deeper heading with
another name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import unescape

from markdown_it import MarkdownIt
from markdown_it.token import Token

from storybank.story import Section

#: The names people give to the parts, also in STARL, CAR and SOAR.
SPELLINGS = {
    "situation": ("s", "situation", "situations", "context", "background", "setting"),
    "task": (
        *("t", "task", "tasks", "challenge", "challenges", "problem", "problems"),
        *("obstacle", "obstacles", "goal", "goals", "objective", "objectives", "role"),
    ),
    "action": (
        *("a", "action", "actions", "approach", "steps", "what i did"),
        *("actions taken", "steps taken"),
    ),
    "result": ("r", "result", "results", "outcome", "outcomes", "impact"),
    "learning": (
        *("l", "learning", "learnings", "reflection", "reflections", "lesson", "lessons"),
        *(
            "takeaway",
            "takeaways",
            "key takeaways",
            "lesson learned",
            "lessons learned",
            "lessons learnt",
        ),
        *("what i learned", "what i learnt"),
    ),
}
_KIND = {spelling: kind for kind, spellings in SPELLINGS.items() for spelling in spellings}
_JOINTS = str.maketrans(dict.fromkeys("/&+,()|", "\n"))
_DASHES = ("-", "\N{EN DASH}", "\N{EM DASH}")
_SEPARATORS = (":", "\N{FULLWIDTH COLON}", *_DASHES)
_TRAILING = ".*? " + "".join(_SEPARATORS)
_LEAD_LEVEL = 7  # below every heading: any heading ends a section that a bold lead began

LeadFinder = Callable[[Token, Sequence[str], int, int], Iterator["_Mark"]]

_PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a section begins: its first line, and where in the source its text starts.

    A weak one is a single bold letter, which may as well begin a sentence ("**A** customer").
    """

    line: int
    heading: str
    kinds: tuple[str, ...]
    level: int
    text_line: int
    text_column: int = 0
    is_weak: bool = False


def read_sections(body: str, first_line: int = 1) -> tuple[str | None, tuple[Section, ...]]:
    """The first H1 that names no part of STAR (or None), and the sections in order.

    `body` has "\\n" as its only newline; `first_line` is the number of its first line in the file.
    Text before the first section, or without any, is a section with no heading and no kinds.
    """
    lines = body.split("\n")
    tokens = _PARSER.parse(body)
    title, marks = _marks(tokens, lines, _bold_leads)
    if len({mark.kinds for mark in marks if mark.level == _LEAD_LEVEL}) == 1:
        marks = [mark for mark in marks if not mark.is_weak]
    if not any(mark.kinds for mark in marks):
        title, marks = _marks(tokens, lines, _plain_leads)
    ends = [*marks[1:], _Mark(len(lines), "", (), 0, len(lines))]
    sections = (
        _section(mark, end.line, lines, first_line) for mark, end in zip(marks, ends, strict=True)
    )
    return title, tuple(part for part in sections if part.plain or part.kinds)


def plain_text(markdown: str) -> str:
    """What a person would read aloud: a line a block; no markup, comments or link targets."""
    blocks = []
    for token in _PARSER.parse(markdown):
        if token.type == "inline":
            text = _inline_text(token.children or ())
        elif token.type in ("fence", "code_block"):
            text = token.content
        elif token.type == "html_block":
            text = _html_text(token.content)
        else:
            continue
        blocks.append(" ".join(text.split()))
    return "\n".join(block for block in blocks if block)


def without_comments(markdown: str) -> str:
    """The Markdown as it is meant to be seen: the prompts of a template are for the writer."""
    lines = markdown.split("\n")
    for token in reversed(_PARSER.parse(markdown)):
        if token.map is None:
            continue
        start, end = token.map
        if token.type == "html_block" and token.content.lstrip().startswith("<!--"):
            lines[start:end] = token.content.partition("-->")[2].strip("\n").split("\n")
        elif token.type == "inline":
            text = "\n".join(lines[start:end])
            for child in token.children or ():
                if child.type == "html_inline" and child.content.startswith("<!--"):
                    text = text.replace(child.content, "", 1)
            lines[start:end] = text.split("\n")
    return "\n".join(lines).strip()


def kinds_of(name: str) -> tuple[str, ...]:
    """The parts of STAR that a name stands for; none unless every word of it is accounted for.

    "Situation (S)" is one, "Situation / Task" is two, "Task force" is none.
    """
    name = " ".join(name.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    while name and not name[0].isalpha():  # numbers, emoji, brackets
        name = name[1:]
    name = name.rstrip(_TRAILING)
    for article in ("the ", "my ", "our "):
        name = name.removeprefix(article)
    name = name.replace(" (s)", " /s").replace("(s)", "")  # "Situation (S)" but "Action(s)"
    parts = name.replace(" and ", "/").translate(_JOINTS).split("\n")
    found = [_KIND.get(part.strip().rstrip(":")) for part in parts if part.strip()]
    if not found or None in found:
        return ()
    return tuple(dict.fromkeys(kind for kind in found if kind))


def _marks(
    tokens: Sequence[Token],
    lines: Sequence[str],
    leads: LeadFinder,
) -> tuple[str | None, list[_Mark]]:
    """The title, and where every section begins; the first mark is the top of the text."""
    title = None
    marks = [_Mark(0, "", (), 0, 0)]
    for before, token in itertools.pairwise(tokens):
        if token.type != "inline" or before.map is None:
            continue
        start, end = before.map
        if before.type == "paragraph_open":
            marks.extend(leads(token, lines, start, end))
        elif before.type == "heading_open":
            level = int(before.tag[1])
            mark = _heading_mark(_inline_text(token.children or ()), lines, start, end, level)
            current = marks[-1].level
            is_first = title is None and not any(each.kinds for each in marks)
            whole = " ".join(_inline_text(token.children or ()).split())
            if level == 1 and is_first and not kinds_of(whole):
                title = whole or None
                marks.append(_Mark(start, "", (), 0, end))
            elif mark.kinds or not 0 < current < level:
                marks.append(mark)
    return title, marks


def _heading_mark(text: str, lines: Sequence[str], start: int, end: int, level: int) -> _Mark:
    """A heading's mark; of "Result: it shipped", the words after the colon belong to the text."""
    text = " ".join(text.split())
    kinds = kinds_of(text)
    for separator in (":", *(f" {dash} " for dash in _DASHES)):
        name, found, rest = text.partition(separator)
        if kinds or not found or not kinds_of(name):
            continue
        if kinds_of(rest):  # "S - Situation" is one, "Situation - Task" is two
            kinds = tuple(dict.fromkeys((*kinds_of(name), *kinds_of(rest))))
        elif separator in lines[start] and end == start + 1:
            column = lines[start].index(separator) + len(separator)
            if lines[start].count("**", 0, column) % 2:  # "**Result:** it shipped"
                column = _after_separator(lines[start], column)
            return _Mark(start, name, kinds_of(name), level, start, column)
    return _Mark(start, text, kinds, level, end)


def _bold_leads(token: Token, lines: Sequence[str], start: int, end: int) -> Iterator[_Mark]:
    """Marks for `**Situation:** ...` at the beginning of a paragraph's lines."""
    children = [child for child in token.children or () if child.type != "text" or child.content]
    cursor = start
    for at, child in enumerate(children):
        begins = at == 0 or children[at - 1].type in ("softbreak", "hardbreak", "em_open")
        if child.type != "strong_open" or not begins:
            continue
        closing = next(
            index for index in range(at, len(children)) if children[index].type == "strong_close"
        )
        name = _inline_text(children[at + 1 : closing])
        raw = f"{child.markup}{name}{child.markup}"
        following = children[closing + 1] if closing + 1 < len(children) else None
        if following and following.type == "text" and following.content[0].isalpha():
            rest, colon, _ = following.content.partition(":")  # "**S**ituation:"
            name, raw = f"{name}{rest}{colon}", f"{raw}{rest}{colon}"
        kinds, standing = kinds_of(name), _standing(name, following)
        if not kinds or not standing:
            continue
        found = (number for number in range(cursor, end) if _begins_with(lines[number], raw))
        if (line := next(found, None)) is not None:
            column = _after_separator(lines[line], lines[line].index(raw) + len(raw))
            heading, is_weak = name.strip(_TRAILING), standing == "weak"
            yield _Mark(line, heading, kinds, _LEAD_LEVEL, line, column, is_weak)
            cursor = line + 1


def _begins_with(line: str, raw: str) -> bool:
    """Whether a line begins with a lead, whatever list or quote it stands in."""
    return line.lstrip(" \t>-+*0123456789.)_").startswith(raw.lstrip("*_"))


def _standing(name: str, following: Token | None) -> str:
    """Whether bold words stand as a label or merely begin a sentence: "firm", "weak" or ""."""
    if name.rstrip().endswith(_SEPARATORS) or following is None:
        return "firm"
    if following.type in ("softbreak", "hardbreak"):
        return "firm"
    if following.content.lstrip().startswith(_SEPARATORS):
        return "firm"
    return "weak" if len(name.strip()) == 1 else ""


def _plain_leads(token: Token, lines: Sequence[str], start: int, end: int) -> Iterator[_Mark]:
    """Marks for `Situation: ...` without bold; only full words, as single letters mislead."""
    del token
    for number in range(start, end):
        name, found, _ = lines[number].partition(":")
        name = name.lstrip(" \t-*+>")
        if found and len(name) > 1 and kinds_of(name):
            column = _after_separator(lines[number], lines[number].index(":"))
            yield _Mark(number, name, kinds_of(name), _LEAD_LEVEL, number, column)


def _after_separator(line: str, column: int) -> int:
    """Skip what stands between a label and its text."""
    while column < len(line) and line[column] in (" ", "\t", ":", "*", "_", *_DASHES):
        column += 1
    return column


def _section(mark: _Mark, end: int, lines: Sequence[str], first_line: int) -> Section:
    """Cut the section's text out of the source."""
    kept = list(lines[mark.text_line : max(end, mark.text_line)])
    if kept:
        kept[0] = kept[0][mark.text_column :]
    text = "\n".join(kept).strip()
    return Section(mark.heading, mark.kinds, text, plain_text(text), first_line + mark.line)


def _inline_text(children: Sequence[Token]) -> str:
    """Visible text of inline tokens."""
    parts = []
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif child.type in ("text", "code_inline", "image"):
            parts.append(child.content)
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            parts.append(" ")
    return "".join(parts)


def _html_text(html: str) -> str:
    """What is left of HTML without comments and tags.

    By hand and in one pass: the parser of the standard library raises on what word processors
    write, and is quadratic on what never closes.
    """
    shown, *hidden = html.split("<!--")
    text = shown + "".join(part.partition("-->")[2] for part in hidden)
    first, *rest = text.split("<")
    parts = [first]
    for part in rest:
        is_tag = part[:1].isalpha() or part[:1] in ("/", "!", "?")
        parts.append(part.partition(">")[2] if is_tag else f"<{part}")
    return unescape(" ".join(parts))
