from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storybank.frontmatter import MAX_CHARACTERS, read
from storybank.problem import CODES


def test_scalars_stay_as_they_were_written() -> None:
    matter = read(
        "---\na: no\nb: 2022-07-15\nc: 012\nd: 12:30\ne: [yes, ~]\nf: {g: 1}\nh:\ni: '~'\n---\nText"
    )
    assert matter.values == {
        "a": "no",
        "b": "2022-07-15",
        "c": "012",
        "d": "12:30",
        "e": ["yes", None],
        "f": {"g": "1"},
        "h": None,
        "i": "~",
    }
    assert matter.body == "Text"
    assert matter.body_line == 11
    assert matter.lines["e"] == 6
    assert not matter.faults


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("---\ntitle: x\nText without an end", 1, "SB011"),
        ("---\ntitle: [x\n---\nText", 3, "SB012"),
        ("---\ntitle: x\nnote: this: that\n---\nText", 3, "SB012"),
        ("---\n\ttitle: x\n---\nText", 2, "SB012"),
        ("---\n- a\n- b\n---\nText", 2, "SB013"),
        ("---\njust words\n---\nText", 2, "SB013"),
        ("---\ntitle: a\ntags: x\ntitle: b\n---\nText", 4, "SB014"),
        ("---\na: *nothing\n---\nText", 2, "SB015"),
        ("---\nb: 1\na: &a [*a]\n---\nText", 3, "SB015"),
        (f"---\na: {'[' * 30}x{']' * 30}\n---\nText", 2, "SB015"),
        (f"---\na: {'[' * 60_000}\n---\nText", 2, "SB015"),
        (f"---\n{'- ' * 30_000}x\n---\nText", 2, "SB013"),
        ("---\na: 1\n}\n---\nText", 3, "SB012"),
        (f"---\na: {'x' * MAX_CHARACTERS}\n---\nText", 1, "SB015"),
        ("---\na: \x07\n---\nText", 2, "SB012"),
    ],
)
def test_mistakes_are_reported_where_they_are(text: str, line: int, code: str) -> None:
    matter = read(text)
    assert [(fault.line, fault.code) for fault in matter.faults] == [(line, code)]
    assert "Text" in matter.body


def test_aliases_that_multiply_are_cut_off() -> None:
    bomb = "\n".join(
        ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    )
    matter = read(f"---\n{bomb}\n---\nText")
    assert [fault.code for fault in matter.faults] == ["SB015"]
    assert matter.values == {}


def test_of_a_repeated_key_the_last_counts() -> None:
    assert read("---\na: 1\na: 2\n---\n").values == {"a": "2"}


@pytest.mark.parametrize("text", ["", "No front matter", "----\na\n----\n"])
def test_text_without_front_matter_is_all_body(text: str) -> None:
    assert read(text).body == text


def test_dots_close_it_too() -> None:
    assert read("---\na: 1\n...\nText").body == "Text"


@given(st.text(st.sampled_from([*"-\n:[]{}&*!|>'\"#%@ \tab01,?"]), max_size=80))
def test_any_front_matter_is_survived(yaml: str) -> None:
    matter = read(f"---\n{yaml}\n---\nText")
    assert all(fault.code in CODES and fault.line >= 1 for fault in matter.faults)


def test_blank_lines_before_it_do_not_matter() -> None:
    matter = read("\n\n---\na: 1\nb: [\n---\nText")
    assert [(fault.line, fault.code) for fault in matter.faults] == [(6, "SB012")]
    assert matter.is_skipped
    assert read("\n\n---\na: 1\nb: 2\n---\nText").lines == {"a": 4, "b": 5}


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085"])
def test_breaks_that_only_yaml_sees(separator: str) -> None:
    matter = read(f"---\ntitle: one{separator}two\ncompany: x\n---\nText")
    assert matter.values == {"title": "one two", "company": "x"}
    assert matter.lines["company"] == 3


@pytest.mark.parametrize(
    "text", ["---\n\n## Situation\nOne.\n\n---\nTwo.", "---\ntitle: A\n\n## Task\nOne.\n---\nTwo."]
)
def test_a_rule_is_no_front_matter_and_no_text_is_lost(text: str) -> None:
    matter = read(text)
    assert "One." in matter.body
    assert "Two." in matter.body
    assert text.split("\n")[matter.body_line - 1 :] == matter.body.split("\n")
    assert matter.is_skipped
