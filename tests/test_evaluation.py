from __future__ import annotations

import json
import math
from dataclasses import astuple
from typing import TYPE_CHECKING

import pytest

from storybank import evaluation
from storybank.bank import Bank
from storybank.encoders import ENCODERS
from storybank.errors import (
    EmptyBankError,
    EmptyQuestionError,
    JudgmentsError,
    NoJudgmentsError,
    UnknownStoryError,
)
from storybank.evaluation import accept, measure, own_judgments, read_judgments
from storybank.fusion import SIGNALS, Fusion
from storybank.index import Index
from tests.toy import ToyEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import BankMaker, Runner

SECOND = 1 / math.log2(3)  # the discount of rank 2

STORIES = {
    "apples.md": "The red apples fell.",
    "pears.md": "The green pears fell.",
    "train.md": "I missed a train.",
}
JUDGED: list[dict[str, object]] = [
    {"question": "Pears?", "story": "pears"},
    {"question": "Pears?", "story": "train", "grade": 0},
    {"question": "Apples?", "story": "stories/pears.md", "grade": 2},  # the second best by words
    {"question": "A ship?", "story": "train", "grade": 1},
]
READ: evaluation.Judgments = {
    "Pears?": {"pears": 3, "train": 0},
    "Apples?": {"pears": 2},
    "A ship?": {"train": 1},
}

#: The words decide alone: some shared word is `strong`, none is `none`.
WORDS_ONLY = Fusion(
    "toy",
    -1.0,
    {**dict.fromkeys(SIGNALS, 0.0), "words": 1000.0},
    {"strong": 0.6, "workable": 0.5, "stretch": 0.4},
)


def toy(_: str) -> ToyEncoder:
    return ToyEncoder()


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fusion, "load", lambda: WORDS_ONLY)
    monkeypatch.setitem(ENCODERS, "onnx", "tests.test_evaluation:toy")
    monkeypatch.setitem(ENCODERS, "other", "tests.toy:ToyEncoder")


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


def lines(*records: object) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


@pytest.mark.parametrize(
    ("ranking", "grades", "expected"),
    [
        ("ab", {"a": 3}, (1, 1, 1, 1)),
        ("ba", {"a": 2}, (0, 1, 1 / 2, SECOND)),
        ("ba", {"a": 2, "b": 1}, (0, 1, 1 / 2, (1 + 3 * SECOND) / (3 + SECOND))),
        ("bcda", {"a": 3}, (0, 0, 1 / 4, 1 / math.log2(5))),
        ("bcdefa", {"a": 3}, (0, 0, 1 / 6, 0)),  # beyond the five
        ("abcdef", {"b": 2, "c": 1, "f": 3}, (0, 1, 1 / 2, 2.392789 / 9.392789)),
        ("ab", {"a": 1}, (0, 0, 0, 1)),  # a stretch is no hit
        ("b", {"a": 3}, (0, 0, 0, 0)),
        ("ab", {}, (0, 0, 0, 0)),
    ],
)
def test_measures(
    ranking: str, grades: dict[str, int], expected: tuple[float, float, float, float]
) -> None:
    found = measure(ranking, grades)
    assert (found.hit1, found.hit3, found.reciprocal_rank) == expected[:3]
    assert found.ndcg5 == pytest.approx(expected[3], abs=1e-6)


def test_an_evaluation(make_bank: BankMaker) -> None:
    bank = Bank.open(make_bank(STORIES))
    judgments = {**READ, "A ship?": {"train": 1}, "Zebra?": {"apples": 3}, "Nobody?": {}}
    found = evaluation.evaluate(bank, judgments, {"shipped": ToyEncoder()})
    assert (found.measured, found.unanswered) == (3, 2)
    words, shipped = found.results
    # Of three questions the good story is first, second and (by name, nothing being shared) first.
    assert astuple(words.means) == pytest.approx((2 / 3, 1, 2.5 / 3, (2 + SECOND) / 3))
    assert shipped.means == words.means
    assert (words.ranker, words.encoder, words.false_noes) == ("BM25", None, None)
    assert (shipped.ranker, shipped.encoder, shipped.false_noes) == ("shipped", "toy", 1 / 3)


def test_no_verdict_is_no_false_no(make_bank: BankMaker) -> None:
    bank = Bank.open(make_bank(STORIES))
    found = evaluation.evaluate(bank, READ, {"shipped": ToyEncoder("not calibrated")})
    assert [each.false_noes for each in found.results] == [None, None]


LISTING = {
    **STORIES,
    "ship.md": "---\ntags: [harbour]\nvalues: [amazon/ownership]\nquestions:\n{first}"
    "- Who waited for  apples?\n- What sank?\n---\nWe sailed.",
    "too.md": "---\nquestions:\n{first}---\nWe waited.",
}
FIRST = "- Who missed a zebra?\n"


def listing(first: str) -> dict[str, str]:
    return {name: text.replace("{first}", first) for name, text in LISTING.items()}


def test_what_is_left_out_is_as_if_it_had_never_been_listed(make_bank: BankMaker) -> None:
    encoder = ToyEncoder()
    index = Index(Bank.open(make_bank(listing(FIRST))), encoder)
    never = Index(Bank.open(make_bank(listing(""), "never")), encoder)
    index.update()
    never.update()
    question = "who missed a ZEBRA"
    query = encoder.ask(question)

    def known(of: Index) -> tuple[dict[str, object], dict[str, object]]:
        slugs, words = of.slugs(), of.words(question)
        near = of.similarities(query)
        return (
            {slugs[each]: pytest.approx(near[each].asked) for each in slugs},
            {slugs[each]: pytest.approx(words[each]) for each in words},
        )

    told = known(index)
    assert told != known(never)
    index.leave_out("another question")
    assert known(index) == told
    index.leave_out(question)
    assert known(index) == known(never)
    assert {index.slugs()[each] for each in index.words(question)} == {"train"}
    index.leave_out("who waited for apples")
    assert known(index)[1].keys() == {"ship", "too", "train"}, "the other is listed again"
    index.leave_out("")
    assert known(index) == told


def test_the_question_that_is_asked_does_not_help(make_bank: BankMaker) -> None:
    stories = {**STORIES, "zoo.md": "---\nquestions: [Who fed a zebra?]\n---\nWe sailed."}
    bank = Bank.open(make_bank(stories))
    judgments = own_judgments(bank)
    assert judgments == {"Who fed a zebra?": {"zoo": 3}}
    found = evaluation.evaluate(bank, judgments, {"shipped": ToyEncoder()})
    for result in found.results:  # nothing is shared: by name, and the zoo is the last of four
        assert astuple(result.means) == pytest.approx((0, 0, 1 / 4, 1 / math.log2(5)))
    assert found.results[1].false_noes == 1
    again = evaluation.evaluate(bank, {"Zebra?": {"zoo": 3}}, {"shipped": ToyEncoder()})
    assert again.results[1].means.hit1 == 1, "another question is helped"
    assert again.results[1].false_noes == 0


COMMAS = """question,story,grade
Pears?,pears,
 Pears? ,train,0
"Apples?",stories/pears.md,2

A ship?,train,1
"""
SEMICOLONS = """Story;Grade;Question;note
pears;3;Pears?;x
train;0;Pears?;
pears;2;Apples?
train; 1 ;A ship?;
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("j.jsonl", lines(*JUDGED)),
        ("j.jsonl", "\ufeff\n" + lines(*JUDGED).replace("\n", "\r\n")),
        ("j.txt", lines(*JUDGED)),
        ("j.json", lines(*JUDGED)),
        ("j.json", json.dumps(READ, indent=1)),
        ("j.txt", json.dumps(READ)),
        ("j.csv", COMMAS),
        ("j.txt", SEMICOLONS.replace("\n", "\r\n")),
    ],
)
def test_formats(make_bank: BankMaker, tmp_path: Path, name: str, text: str) -> None:
    bank = Bank.open(make_bank(STORIES))
    assert read_judgments(bank, write(tmp_path / name, text)) == READ


def test_the_last_judgment_counts_and_one_may_be_alone(
    make_bank: BankMaker, tmp_path: Path
) -> None:
    bank = Bank.open(make_bank(STORIES))
    twice = lines(JUDGED[0], {**JUDGED[0], "grade": 1})
    assert read_judgments(bank, write(tmp_path / "a.jsonl", twice)) == {"Pears?": {"pears": 1}}
    alone = json.dumps(JUDGED[0], indent=2)
    assert read_judgments(bank, write(tmp_path / "a.json", alone)) == {"Pears?": {"pears": 3}}
    nobody = '{"Who?": {}}'
    assert read_judgments(bank, write(tmp_path / "b.json", nobody)) == {"Who?": {}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("j.jsonl", lines(JUDGED[0]) + "{oops\n", ", line 2: is no JSON object. Write {"),
        ("j.jsonl", "\n3\n", ", line 2: is no JSON object. Write {"),
        ("j.jsonl", "[" * 9999, ", line 1: is no JSON object. Write {"),
        ("j.jsonl", '{"story": "pears"}', ", line 1: there is no question. Write one"),
        ("j.jsonl", '{"question": "?!", "story": "pears"}', ", line 1: there is no question."),
        ("j.jsonl", '{"question": "x"}', ", line 1: there is no story. Name one"),
        ("j.jsonl", '{"question": "x", "story": 3}', ", line 1: there is no story. Name one"),
        (
            "j.jsonl",
            '{"question": "x", "story": "paers"}',
            ", line 1: no story 'paers'. Did you mean pears?",
        ),
        *(
            (
                "j.jsonl",
                f'{{"question": "x", "story": "pears", "grade": {grade}}}',
                f", line 1: the grade {grade} is none of 0, 1, 2, 3. Without one, it is 3.",
            )
            for grade in ("4", "-1", "2.5", '"3"', "true", "[3]")
        ),
        ("j.json", '{\n"x": {"pears": 3}', ", line 2: is not JSON ("),
        ("j.json", "[3]", ': is not what is wanted: {"question": {"story": 3}}, or a line for'),
        ("j.json", '{"Who?": {"nobody": 3}}', ", question 'Who?': no story 'nobody'."),
        ("j.csv", "question,tale\nx,pears\n", ", line 1: no column 'story'. The first line"),
        ("j.csv", "question,story\n\nx,y,pears\n", ", line 3: has too many cells. Put"),
        ("j.csv", "question,story\nx\n", ", line 2: there is no story. Name"),
        ("j.csv", 'question,story\n"x,pears\n', ", line 2: is not CSV (unexpected end of data)."),
        ("j.csv", "question,story,grade\nx,pears,good\n", ', line 2: the grade "good" is none of'),
    ],
)
def test_wrong_judgments(
    run: Runner, make_bank: BankMaker, tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = write(tmp_path / name, text)
    result = run("eval", path, "--bank", make_bank(STORIES))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"storybank: {path}{message}")
    assert result.stderr.count("\n") == 1


def test_files_that_are_none(run: Runner, make_bank: BankMaker, tmp_path: Path) -> None:
    bank = make_bank(STORIES)
    for path, message in (
        (tmp_path / "none.jsonl", "there is no such file. Name one with judgments"),
        (tmp_path, "cannot be read (Is a directory)."),
        (tmp_path / "latin.csv", "is not UTF-8 text (byte 0xe9): save it as UTF-8"),
    ):
        (tmp_path / "latin.csv").write_bytes("question,story\nCafé?,pears\n".encode("latin-1"))
        result = run("eval", path, "--bank", bank)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"storybank: {path}: {message}")


def test_nothing_to_measure_by(make_bank: BankMaker, tmp_path: Path) -> None:
    bank = Bank.open(make_bank(STORIES))
    with pytest.raises(NoJudgmentsError, match=r"there is no judgment in .*--accept STORY"):
        own_judgments(bank)
    for name in ("a.jsonl", "a.csv", "a.json", "a"):
        with pytest.raises(NoJudgmentsError, match="there is no judgment in"):
            read_judgments(bank, write(tmp_path / name, "\n"))
    with pytest.raises(NoJudgmentsError, match=r"of 1 question in .*, none has .* Give a story"):
        evaluation.evaluate(bank, {"x": {"pears": 1}}, {"shipped": ToyEncoder()})
    empty = Bank.open(make_bank(name="empty"))
    with pytest.raises(EmptyBankError):
        own_judgments(empty)


def test_the_file_has_the_last_word_on_what_a_story_lists(make_bank: BankMaker) -> None:
    listed = "---\nquestions: [Who fell?, '???', Why?]\n---\nWe fell."
    root = make_bank({**STORIES, "more.md": listed, "most.md": listed})
    write(root / "judgments.jsonl", lines({"question": "Why?", "story": "more", "grade": 1}))
    assert own_judgments(Bank.open(root)) == {
        "Why?": {"more": 1, "most": 3},
        "Who fell?": {"more": 3, "most": 3},
    }


def test_accepted_stories_are_judged(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    bank = Bank.open(root)
    path = root / "judgments.jsonl"
    assert accept(bank, " Wer aß\n es? ", "app") == str(path)
    assert path.read_text("utf-8") == '{"question": "Wer aß es?", "story": "apples", "grade": 3}\n'
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    accept(bank, "Why?", "stories/pears.md")
    accept(bank, "Why?", "train")
    assert path.read_text("utf-8").count("\n") == 3
    assert own_judgments(bank) == {"Wer aß es?": {"apples": 3}, "Why?": {"pears": 3, "train": 3}}
    before = path.read_bytes()
    with pytest.raises(UnknownStoryError):
        accept(bank, "Why?", "nobody")
    with pytest.raises(EmptyQuestionError):
        accept(bank, " ?", "pears")
    assert path.read_bytes() == before


def test_the_command(run: Runner, make_bank: BankMaker, tmp_path: Path) -> None:
    root = make_bank(STORIES)
    path = write(tmp_path / "j.jsonl", lines(*JUDGED))
    result = run("eval", path, "--bank", root)
    assert result.stderr == ""
    assert result.stdout == (
        "ranker   hit@1  hit@3  MRR   nDCG@5  false noes\n"
        "BM25     0.50   1.00   0.75  0.82    -\n"
        "shipped  0.50   1.00   0.75  0.82    0.00\n"
        "\n"
        "2 questions measured; left out, without a good answer: 1\n"
    )
    assert run("--bank", root, "eval", path).stdout == result.stdout


def test_another_encoder_has_a_row(run: Runner, make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    write(root / "judgments.jsonl", lines(*JUDGED))
    result = run("eval", "--json", "--encoder", "other:one", "--bank", root)
    means = {"hit1": 0.5, "hit3": 1.0, "mrr": 0.75, "ndcg5": 0.8155}
    assert json.loads(result.stdout) == {
        "measured": 2,
        "unanswered": 1,
        "rankers": [
            {"ranker": "BM25", "encoder": None, **means, "false_noes": None},
            {"ranker": "shipped", "encoder": "toy", **means, "false_noes": 0.0},
            {"ranker": "other:one", "encoder": "one", **means, "false_noes": None},
        ],
        "problems": [],
    }
    write(root / "storybank.toml", 'encoder = "other:one"\n')
    assert run("eval", "--json", "--bank", root).stdout == result.stdout


def test_a_bad_file_of_the_bank_itself(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    write(root / "judgments.jsonl", "pears\n")
    with pytest.raises(JudgmentsError, match=r"judgments\.jsonl, line 1: is no JSON object"):
        own_judgments(Bank.open(root))
