"""Names of values and tags as people write them, and when two of them mean the same."""

from __future__ import annotations

import re
import unicodedata

_APOSTROPHES = str.maketrans("", "", "'\N{RIGHT SINGLE QUOTATION MARK}")


def slugify(text: str) -> str:
    """Lower case, words joined by hyphens: "Are Right, A Lot" becomes "are-right-a-lot".

    Plus and hash are letters ("C++", "C#"); what has no letter at all stays as it is.
    """
    text = unicodedata.normalize("NFC", text).casefold().translate(_APOSTROPHES).strip()
    return "-".join(re.findall(r"[^\W_]+[+#]*", text)) or text


def same_tag(wanted: str, tag: str) -> bool:
    """Whether two tags differ in spelling only."""
    return slugify(wanted) == slugify(tag)


def same_value(wanted: str, value: str) -> bool:
    """Whether two names of a value mean the same one.

    A value may be written `framework/slug`, `Framework:Name` or by its name alone. A framework
    counts only when both sides name one: "dive-deep" finds "amazon/dive-deep".
    """
    wanted_framework, wanted_name = _split(wanted)
    framework, name = _split(value)
    if wanted_name != name:
        return False
    return not wanted_framework or not framework or wanted_framework == framework


def _split(value: str) -> tuple[str, str]:
    """Framework (empty if none is named) and name, both as slugs."""
    for separator in ("/", ":"):
        framework, found, name = value.partition(separator)
        if found and name.strip():
            return slugify(framework).removesuffix("-lp"), slugify(name)
    return "", slugify(value)


def readable(label: str) -> str:
    """A label as words: "amazon/dive-deep" becomes "dive deep", "Amazon-LP:Ownership" "ownership".

    A label with spaces is left as its owner wrote it.
    """
    for separator in ("/", ":"):
        before, found, name = label.partition(separator)
        if found and name.strip() and " " not in before:
            label = name.strip()
    return label if " " in label else re.sub(r"[-_]+", " ", label).strip() or label
