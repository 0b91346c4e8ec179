"""From the bytes of a file to a `Story` and the problems found on the way."""

from __future__ import annotations

import re

from storybank import frontmatter, markdown
from storybank.problem import Problem
from storybank.story import STATUSES, Story

#: 40,000 words: nobody tells that. Beyond it a file is something else, and parsing takes seconds.
MAX_BYTES = 256 * 1024

_TRUE = ("true", "yes", "on", "y", "1")
_FALSE = ("false", "no", "off", "n", "0", "")
_DAY = r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?"
_DATE = re.compile(rf"{_DAY}(\s*\.\.\s*{_DAY})?")
_KNOWN = (
    *("title", "company", "role", "date", "values", "tags", "questions"),
    *("strength", "status", "hook", "confidential"),
)


def read(data: bytes, path: str, slug: str) -> tuple[Story | None, tuple[Problem, ...]]:
    """The story in a file, or None when it holds none; every problem found. Never raises.

    `path` is as seen from the bank; `slug` is the story's name there.
    """
    text, fault = _decode(data)
    if fault:
        return None, (Problem(path, *fault),)
    matter = frontmatter.read(text)
    heading, sections = markdown.read_sections(matter.body, matter.body_line)
    fields = _Fields(matter)
    story = Story(
        slug=slug,
        path=path,
        title=fields.text("title") or heading or slug.rpartition("/")[2],
        sections=sections,
        company=fields.text("company"),
        role=fields.text("role"),
        date=fields.date(),
        values=fields.texts("values"),
        tags=fields.texts("tags", split=","),
        questions=fields.texts("questions"),
        strength=fields.strength(),
        status=fields.status(),
        hook=fields.text("hook"),
        confidential=fields.confidential(),
        extra={key: value for key, value in matter.values.items() if key.casefold() not in _KNOWN},
    )
    faults = [*matter.faults, *fields.faults]
    if not story.words:
        message = "the story has no text below its front matter and headings, only a title to match"
        faults.append(frontmatter.Fault(matter.body_line, "SB021", message))
    return story, tuple(Problem(path, each.line, each.code, each.message) for each in faults)


def _decode(data: bytes) -> tuple[str, tuple[int, str, str] | None]:
    """Text with "\\n" as its only newline, or the reason why there is none."""
    if len(data) > MAX_BYTES:
        return "", (1, "SB004", too_large(len(data)))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        return "", (
            *(line, "SB005"),
            f"the file is not UTF-8 text (byte 0x{byte:02x}): save it as UTF-8 in your editor",
        )
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        return "", (line, "SB005", "the file is not text (it holds a zero byte): is it a document?")
    if not text.strip():
        return "", (1, "SB006", "the file is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n"), None


def too_large(size: int) -> str:
    """The message for a file of `size` bytes, more than `MAX_BYTES`."""
    return (
        f"the file has {size / 1e6:.1f} MB; a story has at most {MAX_BYTES // 1024} kB. "
        "Move pictures or logs out of it"
    )


class _Fields:
    """The known keys of a front matter, each checked; what is wrong is noted in `faults`."""

    def __init__(self, matter: frontmatter.FrontMatter) -> None:
        known = {key: key.casefold() for key in matter.values if key.casefold() in _KNOWN}
        self._values = {name: matter.values[key] for key, name in known.items()}
        self._lines = {name: matter.lines[key] for key, name in known.items()}
        self._is_skipped = matter.is_skipped
        self.faults: list[frontmatter.Fault] = []

    def text(self, key: str) -> str | None:
        """One line of text; None when absent or empty."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, str):
            self._fault(key, "should be one line of text")
            return None
        return " ".join(value.split()) or None if value else None

    def texts(self, key: str, split: str | None = None) -> tuple[str, ...]:
        """A list of texts without repeats. One bare text counts as one, cut at `split` if given."""
        value = self._values.get(key)
        if value is None or value == "":
            return ()
        items = value if isinstance(value, list) else [value]
        if isinstance(value, str) and split:
            items = value.split(split)
        if not all(isinstance(item, str | None) for item in items):
            self._fault(key, "should be a list of texts; put quotes around one that holds ': '")
        kept = (" ".join(item.split()) for item in items if isinstance(item, str))
        return tuple(dict.fromkeys(item for item in kept if item))

    def date(self) -> str | None:
        value = self.text("date")
        if value and not _DATE.fullmatch(value):
            self._fault("date", "should look like 2022, 2022-07, 2022-07-15 or 2021-03..2022-07")
        return value

    def strength(self) -> int | None:
        value = self.text("strength")
        if value is None or value in ("1", "2", "3", "4", "5"):
            return int(value) if value else None
        self._fault("strength", "should be a number from 1 to 5")
        return None

    def status(self) -> str | None:
        value = self.text("status")
        if value is None or value.casefold() in STATUSES:
            return value.casefold() if value else None
        self._fault("status", f"should be one of {', '.join(STATUSES)}")
        return None

    def confidential(self) -> bool:
        """Anything but a clear no counts as yes: no mistake may publish a story."""
        value = self._values.get("confidential")
        if value is None:
            return self._is_skipped  # what is in there cannot be known
        text = value.casefold() if isinstance(value, str) else "?"
        if text not in (*_TRUE, *_FALSE):
            self._fault("confidential", "should be true or false; it is taken as true")
        return text not in _FALSE

    def _fault(self, key: str, message: str) -> None:
        self.faults.append(frontmatter.Fault(self._lines[key], "SB016", f"'{key}' {message}"))
