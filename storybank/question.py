"""What kind of question is asked, as far as a few rules can tell."""

from __future__ import annotations

import re

_STORY = re.compile(
    r"\b(time|example|instance|situation|occasion|describe|story|when (did|have|were) you)\b"
)

#: What is asked -> what it wants instead of a story.
_OTHER = {
    r"\bsalar(y|ies)\b|\bcompensation\b|\bpay expectations?\b": (
        "it asks for a figure: look up the range and have one ready"
    ),
    r"^why \w+\W*$|\bwhy (do you want|would you like|should we|us|our|this (company|role|job))\b": (
        "it asks for your reasons: prepare them for each company"
    ),
    r"\btell (me|us) (\w+ )*about yourself\b|\bintroduce yourself\b|\bthrough your (cv|resume)\b": (
        "it asks for your career in two minutes: prepare that as a text of its own"
    ),
    r"\bnotice period\b|\b(can|could) you start\b|\bvisa\b|\bwork permit\b": (
        "it asks for a fact: answer it plainly"
    ),
    r"\bany questions for (me|us)\b": (
        "it is your turn to ask: prepare three questions for each company"
    ),
    r"\bwhere do you see yourself\b": (
        "it asks for a plan of yours: prepare it beside the stories"
    ),
}

#: Frequent short words of English, and of seven other languages but not of English.
_ENGLISH = frozenset(
    [
        "the",
        "of",
        "and",
        "to",
        "in",
        "is",
        "was",
        "that",
        "for",
        "it",
        "with",
        "as",
        "on",
        "are",
        "this",
        "you",
        "your",
        "have",
        "had",
        "what",
        "when",
        "who",
        "how",
        "they",
        "we",
        "my",
        "me",
        "about",
        "at",
        "from",
        "by",
        "an",
        "be",
        "or",
        "not",
        "did",
        "do",
    ]
)
_OTHER_LANGUAGES = frozenset(
    [
        "der",
        "die",
        "das",
        "und",
        "ist",
        "nicht",
        "ein",
        "eine",
        "ich",
        "wir",
        "sie",
        "haben",
        "hatte",
        "mit",
        "auf",
        "für",
        "von",
        "zu",
        "den",
        "dem",
        "wie",
        "wann",
        "mir",
        "einen",
        "sich",
        "auch",
        "el",
        "la",
        "los",
        "las",
        "que",
        "del",
        "una",
        "por",
        "con",
        "para",
        "cómo",
        "cuando",
        "es",
        "se",
        "su",
        "un",
        "le",
        "les",
        "des",
        "et",
        "est",
        "dans",
        "pour",
        "avec",
        "vous",
        "nous",
        "je",
        "il",
        "elle",
        "sur",
        "qui",
        "pas",
        "quand",
        "ce",
        "di",
        "che",
        "non",
        "per",
        "sono",
        "della",
        "ho",
        "mi",
        "um",
        "uma",
        "não",
        "com",
        "você",
        "eu",
        "os",
        "ao",
        "het",
        "een",
        "van",
        "ik",
        "niet",
        "wij",
        "op",
        "zijn",
        "te",
        "dat",
        "warum",
        "bei",
        "uns",
        "ihre",
        "ihnen",
        "sind",
        "pourquoi",
        "cette",
        "comment",
        "êtes",
        "cuándo",
        "qué",
        "perché",
        "quando",
        "waarom",
    ]
)
_LEAST = 2  # such words, before a text is called foreign
_LETTERS = re.compile(r"[^\W\d_]+")


def wants_no_story(question: str) -> str | None:
    """What a question wants that is not behavioral, or None where a story may answer it."""
    if _STORY.search(question.lower()):
        return None
    asked = question.lower().replace("é", "e")
    return next((wants for rule, wants in _OTHER.items() if re.search(rule, asked)), None)


def is_foreign(text: str) -> bool:
    """Whether a text is clearly not English: by its letters, or by its most frequent short words.

    Too short a text, and a language whose words are not known here, pass as English.
    """
    words = _LETTERS.findall(text.lower())
    letters = "".join(words)
    if letters and sum(each > "\u024f" for each in letters) > len(letters) / 2:
        return True
    english = sum(word in _ENGLISH for word in words)
    other = sum(word in _OTHER_LANGUAGES for word in words)
    return other >= _LEAST and other > english
