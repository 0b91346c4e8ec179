"""How a story is cut into the texts that are embedded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storybank.story import Story

#: A section longer than WINDOW words is cut into windows that begin STEP words apart, because an
#: encoder reads no more than some 190 words at a time.
WINDOW = 150
STEP = 110

#: Of the whole no more is embedded: beyond it the encoder reads nothing anyway, and an edit at the
#: end of a long story need not embed it again.
WHOLE_WORDS = 230

WHOLE, BODY, QUESTION = "whole", "body", "question"
_WORD = re.compile(r"\S+")
_ENDS = (".", "!", "?", '."', '?"', ".)")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to embed. `role` is WHOLE (one a story), BODY or QUESTION; `section` is shown."""

    role: str
    section: str
    text: str


def cut(story: Story) -> list[Passage]:
    """The whole story under its title, then its sections, then the questions it answers.

    A section is embedded without the title: on 30 judged banks that ranked better (nDCG@5 .326
    against .304) than with it, while the whole story under its title adds what the title knows.
    """
    beginning = story.plain.split()[:WHOLE_WORDS]
    passages = [Passage(WHOLE, "Story", f"{story.title}. {' '.join(beginning)}")]
    for section in story.sections:
        passages.extend(Passage(BODY, section.label, window) for window in _windows(section.plain))
    passages.extend(Passage(QUESTION, "Questions", question) for question in story.questions)
    return passages


def _windows(text: str) -> Iterator[str]:
    """Overlapping windows of whole words, substrings of `text`; one if it is short enough.

    A window begins with a sentence if one begins in the overlap.
    """
    words = list(_WORD.finditer(text))
    if not words:
        return
    sentences = [0, *(at for at, word in enumerate(words[:-1], 1) if word[0].endswith(_ENDS))]
    overlap = WINDOW - STEP
    for start in range(0, max(len(words) - overlap, 1), STEP):
        earlier = [at for at in sentences if start - overlap < at <= start]
        window = words[max(earlier, default=start) : start + WINDOW]
        yield text[window[0].start() : window[-1].end()]
