from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storybank.markdown import kinds_of, plain_text, read_sections
from tests.conftest import ROOT


def cases() -> list[tuple[str, str, str]]:
    """Title, input and expected of every case in the data file."""
    blocks = (ROOT / "tests/data/sections.txt").read_text(encoding="utf-8").split("%%% ")[1:]
    found = []
    for given_block, expected in zip(blocks[::2], blocks[1::2], strict=True):
        title, _, text = given_block.partition("\n")
        found.append((title, text, expected.partition("\n")[2].strip()))
    return found


@pytest.mark.parametrize(("text", "expected"), [pytest.param(t, e, id=i) for i, t, e in cases()])
def test_sections(text: str, expected: str) -> None:
    title, sections = read_sections(text)
    lines = [f"title: {title}"] if title else []
    for section in sections:
        label = "+".join(section.kinds) or section.heading
        lines.append(f"{label}: {' '.join(section.plain.split())}".strip())
    assert "\n".join(lines) == expected


def test_every_spelling_of_the_documentation_is_known() -> None:
    known = {
        "situation": ["Situation", "Situation (S)", "S", "Context", "Background"],
        "task": ["Task", "Challenge", "Problem", "Obstacle", "Goal"],
        "action": ["Action", "Actions", "Approach", "What I did", "WHAT I DID:"],
        "result": ["Result", "Results", "Outcome", "Impact"],
        "learning": ["Learning", "Learnings", "Reflection", "Lesson", "Lessons", "Takeaways"],
    }
    for kind, spellings in known.items():
        for spelling in spellings:
            assert kinds_of(spelling) == (kind,), spelling


def test_lines_count_from_the_top_of_the_file() -> None:
    _, sections = read_sections("## Situation\nOne.\n\n**Result:** Two.\n", first_line=5)
    assert [(section.kinds[0], section.line) for section in sections] == [
        ("situation", 5),
        ("result", 8),
    ]


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\f", "\v", "\u2029"])
def test_what_python_calls_a_line_break_shifts_nothing(separator: str) -> None:
    body = f"## Situation\nOne{separator}two{separator}three.\n## Result\nFour.\n"
    _, sections = read_sections(body)
    assert [section.text for section in sections] == [
        f"One{separator}two{separator}three.",
        "Four.",
    ]


MARKDOWN = st.lists(
    st.sampled_from(
        [*"#*_-`>|[]()<>!:\n\n  \tSTAR\u2028\f\u0085é", "## Situation\n", "**Task:** "]
    ),
    max_size=60,
).map("".join)


@given(MARKDOWN)
def test_any_text_is_read_and_every_section_is_a_part_of_it(body: str) -> None:
    _, sections = read_sections(body)
    position = 0
    for section in sections:
        position = body.find(section.text, position)
        assert position >= 0
        position += len(section.text)
        assert 1 <= section.line <= body.count("\n") + 1


@given(st.text(max_size=200))
def test_plain_text_never_raises_and_has_no_blank_lines(text: str) -> None:
    plain = plain_text(text)
    assert "\n\n" not in plain
    assert plain == plain.strip()
