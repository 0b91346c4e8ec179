"""The first files of a new bank, and of a new story."""

from __future__ import annotations

import itertools
import json
import os

from storybank import folder
from storybank.label import slugify

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_SLUG_BYTES = 80  # of a file's name; a file system allows 255


def make(root: str) -> list[tuple[str, bool]]:
    """Make what is missing of a bank; the path of each file, and whether it was made or was there.

    A folder that holds stories already gets no example. Raises OSError.
    """
    stories = os.path.join(root, "stories")
    os.makedirs(stories, exist_ok=True)
    wanted = [("storybank.toml", "storybank.toml"), ("gitignore", ".gitignore")]
    if not any(folder.walk(stories, "stories")):
        wanted.insert(0, ("example.md", os.path.join("stories", "example.md")))
    return [_copy(template, os.path.join(root, path)) for template, path in wanted]


def make_story(stories: str, title: str | None, question: str | None) -> str:
    """Make a file for a story yet to be told, in the folder `stories`; its path.

    Its name is made from the title, else from the question that it shall answer; a file that is
    there is never touched: the name then ends in a number. Raises OSError.
    """
    os.makedirs(stories, exist_ok=True)
    with open(os.path.join(_TEMPLATES, "story.md"), encoding="utf-8") as file:
        body = file.read()
    # A JSON string is a YAML string as well, whatever colons and quotes it holds.
    matter = [f"title: {json.dumps(title, ensure_ascii=False)}"] if title else []
    if question:
        matter += ["questions:", f"  - {json.dumps(question, ensure_ascii=False)}"]
    text = "\n".join(["---", *matter, "status: raw", "---", "", body])
    slug = _file_name(title or question or "")
    for number in itertools.count(1):
        name = f"{slug}.md" if number == 1 else f"{slug}-{number}.md"
        path = os.path.join(stories, name)
        if _write_new(path, text):
            return path
    raise AssertionError  # numbers do not end


def _file_name(text: str) -> str:
    """A slug that every file system takes."""
    slug = slugify("".join(each if each.isalnum() else " " for each in text))
    cut = slug.encode("utf-8", "replace")[:_SLUG_BYTES].decode("utf-8", "ignore")
    if len(cut) < len(slug) and "-" in cut:
        cut = cut.rpartition("-")[0]
    return cut.strip("- ") or "untitled"


def _copy(template: str, path: str) -> tuple[str, bool]:
    with open(os.path.join(_TEMPLATES, template), encoding="utf-8") as file:
        return path, _write_new(path, file.read())


def _write_new(path: str, text: str) -> bool:
    """Write a file unless there is one; whether it was written. Raises OSError."""
    try:
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            try:
                file.write(text)
                file.flush()
            except (OSError, UnicodeError):  # half a file would count as a story
                os.remove(path)
                raise
    except FileExistsError:
        return False
    return True
