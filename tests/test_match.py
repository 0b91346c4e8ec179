from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storybank.bank import Bank
from storybank.errors import EmptyBankError, EmptyQuestionError, NothingLeftError
from storybank.index import Evidence, Index
from storybank.match import WORDS_HALF, WORDS_SHARE, Matcher, fuse, meaning, words
from storybank.passage import BODY, QUESTION, STEP, WHOLE, WINDOW, cut
from storybank.selection import Selection
from storybank.storyfile import read
from tests.toy import ToyEncoder

if TYPE_CHECKING:
    from tests.conftest import BankMaker

STORIES = {
    "apples.md": "---\ntitle: Apples\ntags: [fruit]\nvalues: [Dive Deep]\n"
    "company: Orchard & Sons\n---\n"
    "## Situation\nThe red apples fell.\n## Result\nWe baked pie.",
    "pears.md": "---\ntags: [fruit]\n---\n"
    "## Situation\nThe green pears fell.\n## Result\nWe made juice.",
    "train.md": "I missed a train.",
}


def matcher(make_bank: BankMaker, stories: dict[str, str] = STORIES) -> Matcher:
    return Matcher(Bank.open(make_bank(stories)), ToyEncoder())


def test_the_story_that_says_it_comes_first_with_its_reasons(make_bank: BankMaker) -> None:
    ranking = matcher(make_bank).match("Who made juice?")
    assert next(each.story.slug for each in ranking.matches) == "pears"
    first = ranking.matches[0]
    assert (first.rank, first.fit, ranking.verdict) == (1, None, None)
    assert (first.passages[0].section, first.passages[0].text) == ("Result", "We made juice.")
    assert first.words > 0
    assert first.score == round((1 - WORDS_SHARE) * first.meaning + WORDS_SHARE * first.words, 4)


def test_all_stories_are_ranked_down_to_the_limit(make_bank: BankMaker) -> None:
    ready = matcher(make_bank)
    everything = ready.match("pie").matches
    assert [each.rank for each in everything] == [1, 2, 3]
    assert [each.score for each in everything] == sorted(
        (each.score for each in everything), reverse=True
    )
    assert ready.match("pie", 2).matches == everything[:2]
    assert ready.match("pie", 9).matches == everything


def test_ties_are_broken_by_slug(make_bank: BankMaker) -> None:
    ready = matcher(make_bank, {f"{name}.md": "# Same\nThe same words." for name in "cab"})
    ranking = ready.match("same words")
    assert [each.story.slug for each in ranking.matches] == ["a", "b", "c"]
    assert len({each.score for each in ranking.matches}) == 1


def test_a_question_answered_before_comes_first(make_bank: BankMaker) -> None:
    stories = {
        **STORIES,
        "dull.md": "---\nquestions:\n- Who made juice of pears?\n---\nNothing here.",
    }
    assert matcher(make_bank, stories).match("who made pears juice").matches[0].story.slug == "dull"


@pytest.mark.parametrize(
    ("selection", "slugs"),
    [
        (Selection(tags=("Fruit",)), {"apples", "pears"}),
        (Selection(tags=("fruit",), values=("amazon/dive-deep",)), {"apples"}),
        (Selection(company="orchard"), {"apples"}),
        (Selection(), {"apples", "pears", "train"}),
    ],
)
def test_selection(make_bank: BankMaker, selection: Selection, slugs: set[str]) -> None:
    ranking = matcher(make_bank).match("a train", selection=selection)
    assert {each.story.slug for each in ranking.matches} == slugs
    assert [each.rank for each in ranking.matches] == list(range(1, len(slugs) + 1))


def test_a_selection_changes_no_score(make_bank: BankMaker) -> None:
    ready = matcher(make_bank)
    scores = {each.story.slug: each.score for each in ready.match("pie").matches}
    for each in ready.match("pie", selection=Selection(tags=("fruit",))).matches:
        assert each.score == scores[each.story.slug]


def test_nothing_to_rank(make_bank: BankMaker) -> None:
    with pytest.raises(NothingLeftError, match="the tag 'fish' and the value 'x'"):
        matcher(make_bank).match("pie", selection=Selection(tags=("fish",), values=("x",)))
    for question in ("", "  \n", "?!"):
        with pytest.raises(EmptyQuestionError):
            matcher(make_bank).match(question)
    with pytest.raises(EmptyBankError, match="storybank init"):
        Matcher(Bank.open(make_bank(name="empty")), ToyEncoder())
    with pytest.raises(EmptyBankError, match="1 file there cannot be read"):
        Matcher(Bank.open(make_bank({"a.md": ""}, name="broken")), ToyEncoder())


@pytest.mark.parametrize("seen", [(True, False), (False, True), (False, False, True)])
def test_a_bank_is_not_empty_while_another_process_makes_the_index_anew(
    make_bank: BankMaker, monkeypatch: pytest.MonkeyPatch, seen: tuple[bool, ...]
) -> None:
    answers = iter(seen)
    slugs = Index.slugs

    def emptied_at_times(self: Index) -> dict[int, str]:
        return slugs(self) if next(answers, True) else {}

    monkeypatch.setattr(Index, "slugs", emptied_at_times)
    assert matcher(make_bank).index.entries()


COSINE = st.floats(-1, 1)


@given(COSINE, COSINE, COSINE, COSINE, st.floats(0, 1e6))
def test_scores_are_shares(
    whole: float, best: float, mean: float, asked: float, bm25: float
) -> None:
    near, shared = meaning(Evidence(whole, best, mean, asked)), words(bm25)
    assert 0 <= near <= 1
    assert 0 <= shared < 1
    assert 0 <= fuse(near, shared) <= 1


def test_words_are_half_at_their_half() -> None:
    assert words(WORDS_HALF) == 0.5
    assert words(0) == 0


def test_windows_begin_with_a_sentence() -> None:
    text = "One two three four five six seven. " * 60
    windows = [each[2] for each in passages(text) if each[0] == BODY]
    assert len(windows) > 2
    assert all(window.startswith("One two") for window in windows)


def passages(text: str) -> list[tuple[str, str, str]]:
    story, _ = read(text.encode(), "stories/x.md", "x")
    assert story is not None
    return [(each.role, each.section, each.text) for each in cut(story)]


def test_passages_of_a_story() -> None:
    assert passages(
        "---\ntitle: T\nquestions: [Why?]\n---\nIntro.\n## Action\nOne.\n## Notes\nTwo."
    ) == [
        (WHOLE, "Story", "T. Intro. One. Two."),
        (BODY, "Story", "Intro."),
        (BODY, "Action", "One."),
        (BODY, "Notes", "Two."),
        (QUESTION, "Questions", "Why?"),
    ]


@given(st.integers(1, 700))
def test_windows_cover_every_word_and_fit(count: int) -> None:
    text = " ".join(f"w{n}" for n in range(count))
    windows = [each[2] for each in passages(text) if each[0] == BODY]
    assert {word for window in windows for word in window.split()} == set(text.split())
    assert all(len(window.split()) <= WINDOW and window in text for window in windows)
    assert len(windows) == (1 if count <= WINDOW else 1 + -(-(count - WINDOW) // STEP))
