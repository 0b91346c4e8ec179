"""How a story is cut into the texts that are embedded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storybank.label import readable

if TYPE_CHECKING:
    from storybank.story import Story

#: A window is a sentence or some neighbouring ones: it has at least LEAST words where it can, and
#: never more than MOST.
LEAST, MOST = 12, 40

WHOLE, BODY, QUESTION, LABEL = "whole", "body", "question", "label"
#: What is read by itself, as a question is, and not as part of the story.
ALONE = (QUESTION, LABEL)
_WORD = re.compile(r"\S+")
_END = re.compile(r"(?<=[.!?])[\"'\u201d\u2019)\]]*\s+|\n+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to embed, shown under `section`.

    `role` is WHOLE (one a story, the first: its title, standing for all of it), BODY (a window),
    QUESTION (one that the story says it answers) or LABEL (a value or tag).
    """

    role: str
    section: str
    text: str


def cut(story: Story) -> list[Passage]:
    """The whole, then the windows of its sections in order, then its questions and labels.

    A story of which no word is told answers no question yet, whatever it lists.
    """
    passages = [Passage(WHOLE, "Story", story.title)]
    for section in story.sections:
        plain = section.plain
        passages.extend(Passage(BODY, section.label, plain[a:b]) for a, b in spans(plain))
    questions = story.questions if story.words else ()
    passages.extend(Passage(QUESTION, "Questions", question) for question in questions)
    labels = dict.fromkeys(map(readable, (*story.values, *story.tags)))
    passages.extend(Passage(LABEL, "Labels", label) for label in labels)
    return passages


def spans(text: str) -> list[tuple[int, int]]:
    """The windows of a text as character spans, in order, without overlap; whole words only."""
    found: list[tuple[int, int]] = []
    size = 0  # words in the last window
    at = 0
    for end in (*(match.end() for match in _END.finditer(text)), len(text)):
        words = list(_WORD.finditer(text, at, end))
        at = end
        for first in range(0, len(words), MOST):
            piece = words[first : first + MOST]
            if found and size < LEAST and size + len(piece) <= MOST:
                found[-1] = (found[-1][0], piece[-1].end())
                size += len(piece)
            else:
                found.append((piece[0].start(), piece[-1].end()))
                size = len(piece)
    if len(found) > 1 and size < LEAST // 2:  # a short end goes with what it ends
        last = found.pop()
        found[-1] = (found[-1][0], last[1])
    return found
