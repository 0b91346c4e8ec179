"""Which words of a question are looked up."""

from __future__ import annotations

import re

#: Words of questions in general, which say nothing about this one.
STOP_WORDS = frozenset(
    """
    a about an and are as at be been but by can could describe did do does example for from give
    had has have how i in into is it its me my of on or our please share situation so some tell that
    the their them then there these they this time to us was we were what when where which who why
    will with would you your
    """.split()  # noqa: SIM905  # a line a word is no list that one reads
)


def terms(question: str) -> list[str]:
    """The content words of a question, each once, in lower case."""
    found = re.findall(r"\w+", question.casefold())
    return list(dict.fromkeys(word for word in found if word not in STOP_WORDS))
