from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storybank.bank import Bank
from storybank.errors import EmptyBankError, EmptyQuestionError, NothingLeftError
from storybank.fusion import ABSENT, FITS, SIGNALS, TOPIC_HALF, WORDS_HALF, Fusion, signals
from storybank.index import Evidence, Index
from storybank.match import Matcher
from storybank.passage import BODY, LABEL, LEAST, MOST, QUESTION, WHOLE, cut, spans
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
    assert first.parts["words"] > 0
    assert first.parts["asked"] == 0
    assert first.score == Fusion.load().probability(first.parts)


def test_a_fit_is_said_only_with_the_encoder_it_was_calibrated_for(make_bank: BankMaker) -> None:
    encoder = ToyEncoder(Fusion.load().encoder)
    ranking = Matcher(Bank.open(make_bank(STORIES)), encoder).match("We made juice")
    assert all(each.fit in FITS for each in ranking.matches)
    assert ranking.verdict == ranking.matches[0].fit
    order = [FITS.index(each.fit or "") for each in ranking.matches]
    assert order == sorted(order)


def test_a_label_counts_by_what_it_means(make_bank: BankMaker) -> None:
    stories = {
        "a.md": "---\ntags: [long-train-rides]\n---\nBread.",
        "b.md": "---\ntags: [short-pause]\n---\nBread.",
    }
    ranking = matcher(make_bank, stories).match("rides by train")
    assert [each.story.slug for each in ranking.matches] == ["a", "b"]
    assert ranking.matches[0].parts["labels"] > ranking.matches[1].parts["labels"] == 0
    assert all(each.parts["labelled"] < 0 for each in ranking.matches)


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


@given(COSINE, COSINE, COSINE, st.none() | st.floats(0, 9), st.floats(0, 1e6), st.floats(0, 1))
def test_scores_are_probabilities_and_fits_follow_them(
    whole: float, best: float, asked: float, labels: float | None, bm25: float, familiar: float
) -> None:
    fusion = Fusion.load()
    evidence = {1: Evidence(whole, best, asked, labels)}
    probability = fusion.probability(fusion.parts(evidence, {1: bm25}, familiar)[1])
    assert 0 <= probability <= 1
    better = {1: Evidence(whole, min(best + 0.1, 1), asked, labels)}
    higher = fusion.probability(fusion.parts(better, {1: bm25}, familiar)[1])
    assert higher >= probability
    assert FITS.index(fusion.fit(higher)) <= FITS.index(fusion.fit(probability))


def test_the_weights_that_ship_make_sense() -> None:
    fusion = Fusion.load()
    assert set(fusion.weights) == set(SIGNALS)
    assert {name for name, weight in fusion.weights.items() if weight < 0} == {"bank", "labelled"}
    assert 1 >= fusion.fits["strong"] >= fusion.fits["workable"] >= fusion.fits["stretch"] > 0


def test_words_are_half_at_their_half() -> None:
    nothing = Evidence(0, 0)
    found = signals({1: nothing, 2: nothing}, {1: WORDS_HALF}, 1.0)
    assert (found[1]["words"], found[2]["words"]) == (0.5, 0)
    assert found[1]["topic"] == 0
    found = signals({1: nothing, 2: nothing}, {1: TOPIC_HALF}, 0.5)
    topics = found[1]["topic"], found[2]["topic"]
    assert topics == pytest.approx(((0.5 - ABSENT) / 2, -ABSENT / 2))


def passages(text: str) -> list[tuple[str, str, str]]:
    story, _ = read(text.encode(), "stories/x.md", "x")
    assert story is not None
    return [(each.role, each.section, each.text) for each in cut(story)]


def test_passages_of_a_story() -> None:
    assert passages(
        "---\ntitle: T\nquestions: [Why?]\nvalues: [amazon/dive-deep]\n"
        "tags: [Dive deep, ink]\n---\n"
        "Intro.\n## Action\nOne.\n## Notes\nTwo."
    ) == [
        (WHOLE, "Story", "T"),
        (BODY, "Story", "Intro."),
        (BODY, "Action", "One."),
        (BODY, "Notes", "Two."),
        (QUESTION, "Questions", "Why?"),
        (LABEL, "Labels", "dive deep"),
        (LABEL, "Labels", "Dive deep"),
        (LABEL, "Labels", "ink"),
    ]


def test_windows_are_sentences_of_a_telling_length() -> None:
    text = "She said no. I asked why, and she showed me the list of all the wards. Then we began."
    assert [text[start:end] for start, end in spans(text)] == [
        "She said no. I asked why, and she showed me the list of all the wards. Then we began."
    ]
    text = "One two three four five six seven. " * 6
    assert [text[start:end].count("One") for start, end in spans(text)] == [2, 2, 2]


@given(st.text(st.sampled_from("ab .!?\n"), max_size=400), st.integers(0, 150))
def test_windows_cover_every_word_in_order(text: str, more: int) -> None:
    text += "\nw" * more + " w" * more
    found = spans(text)
    assert [word for start, end in found for word in text[start:end].split()] == text.split()
    for start, end in found:
        assert text[start:end] == text[start:end].strip()
        assert len(text[start:end].split()) < MOST + LEAST


def calibrated(make_bank: BankMaker, stories: dict[str, str]) -> Matcher:
    return Matcher(Bank.open(make_bank(stories)), ToyEncoder(Fusion.load().encoder))


def test_what_was_told_is_left_out_and_named(make_bank: BankMaker) -> None:
    ready = matcher(make_bank)
    first, second, third = ready.match("Who made juice?").matches
    ranking = ready.match("Who made juice?", 1, told=(first.story.slug,))
    assert [each.story for each in ranking.matches] == [second.story]
    assert ranking.matches[0].rank == 1
    assert [(each.rank, each.story) for each in ranking.left_out] == [(1, first.story)]
    ranking = ready.match("Who made juice?", told=(third.story.slug, second.story.slug))
    assert [each.story for each in ranking.matches] == [first.story]
    assert [each.rank for each in ranking.left_out] == [2, 3]
    ranking = ready.match(
        "Who made juice?", told=[each.story.slug for each in (first, second, third)]
    )
    assert ranking.matches == ()
    assert ranking.remarks == ("every story that could be told is left out.",)


def test_an_honest_no_names_the_nearest(make_bank: BankMaker) -> None:
    long = "## Action\nI counted boxes. " + "On the dock it rained. " * 20 + "\n## Result\nDry."
    ranking = calibrated(make_bank, {"a.md": long}).match("a time you fired somebody")
    assert ranking.verdict == "none"
    (remark,) = ranking.remarks
    assert "none of your stories seems to answer this" in remark
    assert "'a'" in remark


@pytest.mark.parametrize(
    ("story", "why"),
    [
        ("## Action\nI counted.\n## Result\nDone.", "it has only 3 words"),
        ("## Action\n" + "I counted boxes. " * 30, "it has no Result"),
        ("## Situation\n" + "I counted boxes. " * 30, "it has no Action and no Result"),
        ("---\nstatus: raw\n---\n" + "I counted boxes. " * 30, "its status is raw"),
    ],
)
def test_a_thin_story_is_told_apart_from_none(make_bank: BankMaker, story: str, why: str) -> None:
    ranking = calibrated(make_bank, {"a.md": story}).match("a time you fired somebody")
    assert ranking.verdict in ("none", "stretch")
    assert why in ranking.remarks[0]


def test_a_language_that_was_not_trained_is_no_verdict(make_bank: BankMaker) -> None:
    german = "Wir haben die Kisten gezählt und ich war mit dem Chef auf der Rampe, wie immer."
    ready = calibrated(
        make_bank, {"a.md": german, "b.md": "Der Zug kam und wir sind mit ihm nach Ulm."}
    )
    for question in ("die Kisten und wie wir sie mit dem Chef gezählt haben", "boxes counted Chef"):
        ranking = ready.match(question)
        assert ranking.matches[0].story.slug == "a"
        assert ranking.verdict is None
        assert "English only" in ranking.remarks[0]


def test_a_foreign_question_is_ranked_by_words(make_bank: BankMaker) -> None:
    stories = {"a.md": "Kisten.", "b.md": "Mein Chef hat Kisten gezählt.", "c.md": "Der Zug."}
    stories |= {f"{each}.md": "Nebel." for each in "defgh"}
    ranking = calibrated(make_bank, stories).match("wie wir mit dem Chef die Kisten gezählt haben")
    assert [each.story.slug for each in ranking.matches[:2]] == ["b", "a"]
    assert [each.score > 0 for each in ranking.matches[:3]] == [True, True, False]
    multilingual = matcher(make_bank, stories).match(
        "wie wir mit dem Chef die Kisten gezählt haben"
    )
    assert multilingual.remarks == (), "of another encoder it is not known"


def test_a_good_fit_stands_beside_a_story_in_another_language(make_bank: BankMaker) -> None:
    english = "I counted the boxes on the dock again and again, by hand. " * 4
    german = "Wir haben die Kisten gezählt und ich war mit dem Chef auf der Rampe, wie immer."
    ready = calibrated(
        make_bank,
        {"a.md": f"---\nquestions: [a time you counted]\n---\n{english}", "b.md": german},
    )
    ranking = ready.match("a time you counted")
    assert ranking.verdict == "strong"
    assert ranking.matches[1].fit is None, "that one it cannot read"
    assert ready.match("a time you fired somebody").verdict is None


def test_those_that_are_chosen_are_looked_at_closely(make_bank: BankMaker) -> None:
    stories = {f"x{n}.md": "Red pears and red pears." for n in range(130)}
    stories |= {"a.md": "---\ncompany: Acme\n---\nBlue.", "b.md": "---\ncompany: Acme\n---\nRed."}
    ready = matcher(make_bank, stories)
    asked = ToyEncoder().ask("red pears")
    everything, _ = ready.evidence("red pears", asked)
    assert sum(each.tokens is not None for each in everything.values()) == 50
    slugs = ready.index.slugs()
    chosen = {identity for identity, slug in slugs.items() if slug in "ab"}
    few, _ = ready.evidence("red pears", asked, chosen)
    assert {slugs[each] for each in few if few[each].tokens is not None} == {"a", "b"}


def test_a_story_that_is_not_told_answers_no_question(make_bank: BankMaker) -> None:
    begun = "---\nquestions: [a time you counted]\n---\n## Action\n<!-- What YOU did. -->\n"
    told = f"{begun}I did."
    ranking = matcher(make_bank, {"a.md": begun, "b.md": told}).match("a time you counted")
    assert [each.story.slug for each in ranking.matches] == ["b", "a"]
    assert [each.parts["asked"] > 0 for each in ranking.matches] == [True, False]


def test_a_title_is_a_stretch_however_well_it_sounds(make_bank: BankMaker) -> None:
    ready = calibrated(make_bank, {"a.md": "---\ntitle: Red pears\n---\n", "b.md": "Red plums."})
    for match in ready.match("red pears").matches:
        if match.story.slug == "a":
            assert match.score <= Fusion.load().fits["stretch"]
            assert match.fit in ("stretch", "none")


def test_a_question_for_no_story_is_told_so(make_bank: BankMaker) -> None:
    ranking = calibrated(make_bank, STORIES).match("What is your salary expectation?")
    assert "not a question for a story" in ranking.remarks[0]
    assert ranking.verdict is None
    assert {each.fit for each in ranking.matches} == {None}
