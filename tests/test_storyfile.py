from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storybank.problem import CODES
from storybank.storyfile import MAX_BYTES, read

FULL = """---
title: Six minutes
company: Norvane Retail
role: Scientist
date: 2021-03..2022-07
values: [amazon/dive-deep, "Have Backbone; Disagree and Commit", "Are Right, A Lot"]
tags: [replenishment, sensor-logs, replenishment]
questions:
  - Tell me about a time, any time
strength: 4
status: Polished
hook: One line.
confidential: yes
mood: {weather: rain}
---
# A heading
## Situation
It was one.
"""


def problems(text: str | bytes) -> list[tuple[int, str]]:
    data = text.encode() if isinstance(text, str) else text
    return [(each.line, each.code) for each in read(data, "stories/x.md", "x")[1]]


def test_all_fields() -> None:
    story, found = read(FULL.encode(), "stories/x.md", "x")
    assert story is not None
    assert not found
    assert story.title == "Six minutes"
    assert story.date == "2021-03..2022-07"
    assert story.values == (
        "amazon/dive-deep",
        "Have Backbone; Disagree and Commit",
        "Are Right, A Lot",
    )
    assert story.tags == ("replenishment", "sensor-logs")
    assert story.questions == ("Tell me about a time, any time",)
    assert (story.strength, story.status, story.confidential) == (4, "polished", True)
    assert story.extra == {"mood": {"weather": "rain"}}
    assert [section.line for section in story.sections] == [17]
    assert story.words == 3
    assert story.missing == ("task", "action", "result")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: A\n---\n# B\nText", "A"),
        ("# B\nText", "B"),
        ("Text", "the-stem"),
        ("---\ntitle:\n---\nText", "the-stem"),
    ],
)
def test_title(text: str, title: str) -> None:
    story, _ = read(text.encode(), "stories/sub/the-stem.md", "sub/the-stem")
    assert story is not None
    assert story.title == title


def test_line_ends_and_bom_make_no_difference() -> None:
    plain, _ = read(FULL.encode(), "x.md", "x")
    for changed in (FULL.replace("\n", "\r\n"), FULL.replace("\n", "\r"), "\ufeff" + FULL):
        assert read(changed.encode(), "x.md", "x")[0] == plain


def test_a_single_tag_line_is_cut_at_commas_but_a_single_value_is_not() -> None:
    story, _ = read(b"---\ntags: a, b\nvalues: Are Right, A Lot\n---\nText", "x.md", "x")
    assert story is not None
    assert story.tags == ("a", "b")
    assert story.values == ("Are Right, A Lot",)


@pytest.mark.parametrize(
    ("data", "line", "code"),
    [
        (b"", 1, "SB006"),
        (b" \n\t\n", 1, "SB006"),
        (b"\xef\xbb\xbf", 1, "SB006"),
        ("Größe\nJäger".encode("latin-1"), 1, "SB005"),
        ("one\ntwo\nJäger".encode("latin-1"), 3, "SB005"),
        ("Text".encode("utf-16"), 1, "SB005"),
        (b"one\n\0two", 2, "SB005"),
        (b"x" * (MAX_BYTES + 1), 1, "SB004"),
    ],
)
def test_what_is_no_story(data: bytes, line: int, code: str) -> None:
    story, found = read(data, "stories/x.md", "x")
    assert story is None
    assert [(each.path, each.line, each.code) for each in found] == [("stories/x.md", line, code)]


@pytest.mark.parametrize(
    ("matter", "code"),
    [
        ("date: summer", "SB016"),
        ("date: 2022-13", "SB016"),
        ("strength: 6", "SB016"),
        ("strength: [1]", "SB016"),
        ("status: done", "SB016"),
        ("title: [a, b]", "SB016"),
        ("tags: {a: b}", "SB016"),
        ("values: [[a]]", "SB016"),
        ("confidential: perhaps", "SB016"),
    ],
)
def test_values_of_the_wrong_form(matter: str, code: str) -> None:
    assert problems(f"---\ncompany: x\n{matter}\n---\nText") == [(3, code)]


@pytest.mark.parametrize(
    ("matter", "expected"),
    [
        ("confidential: perhaps", True),
        ("confidential: [yes]", True),
        ("Confidential: TRUE", True),
        ("confidential: true\nbroken: [", True),
        ("confidential: false", False),
        ("confidential:", False),
        ("title: x", False),
    ],
)
def test_what_is_not_clearly_public_is_confidential(matter: str, expected: bool) -> None:
    story, _ = read(f"---\n{matter}\n---\nText".encode(), "x.md", "x")
    assert story is not None
    assert story.confidential is expected


def test_nulls_are_nothing() -> None:
    matter = "company: null\ndate: ~\nstrength:\ntags: [a, ~]\nvalues: null"
    story, found = read(f"---\n{matter}\n---\nText".encode(), "x.md", "x")
    assert story is not None
    assert (story.company, story.date, story.strength, story.tags) == (None, None, None, ("a",))
    assert not found


def test_a_story_of_comments_and_headings_has_no_text() -> None:
    assert problems("---\ntitle: x\n---\n## Situation\n<!-- what happened? -->\n") == [(4, "SB021")]


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data: bytes) -> None:
    story, found = read(data, "stories/x.md", "x")
    assert story is not None or found
    assert all(each.code in CODES for each in found)
