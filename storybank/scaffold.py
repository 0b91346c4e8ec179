"""The first files of a new bank."""

from __future__ import annotations

import os

from storybank import folder

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")


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


def _copy(template: str, path: str) -> tuple[str, bool]:
    with open(os.path.join(_TEMPLATES, template), encoding="utf-8") as file:
        text = file.read()
    try:
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:  # half an example would count as a story
                os.remove(path)
                raise
    except FileExistsError:
        return path, False
    return path, True
