"""How well a bank's stories are ranked: questions with graded answers in, measures out.

A grade is 3 for the story one would tell, 2 for a good answer, 1 for a stretch, 0 for none; a story
without one is a 0.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from dataclasses import astuple, dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from storybank.errors import (
    EmptyBankError,
    EmptyQuestionError,
    JudgmentsError,
    NoJudgmentsError,
    StorybankError,
)
from storybank.fusion import FITS
from storybank.match import Matcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from storybank.bank import Bank
    from storybank.encoders import Encoder
    from storybank.index import Index
    from storybank.index.update import Progress

#: The bank's own judgments, at its root.
FILE = "judgments.jsonl"

GRADES = range(4)
GOOD = 2
BEST = 3  # the grade of what was accepted, and of a judgment that names none
DEPTH = 5  # of nDCG
FEW = 3  # stories that one looks at, in hit@3
_COLUMNS = ("question", "story", "grade")

#: Question -> slug -> grade.
Judgments = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one ranking, or means over several; each 0..1."""

    hit1: float
    hit3: float
    reciprocal_rank: float
    ndcg5: float


def measure(ranking: Sequence[str], grades: Mapping[str, int]) -> Measures:
    """How good one ranking of slugs is; all 0 where no story that is ranked has a grade above 0.

    A hit is a story of at least `GOOD`; nDCG has the gain 2^grade - 1 and the discount
    log2(rank + 1) (Järvelin and Kekäläinen 2002).
    """
    gained = [grades.get(slug, 0) for slug in ranking]
    first = next((rank for rank, grade in enumerate(gained, 1) if grade >= GOOD), math.inf)
    ideal = _dcg(sorted(grades.values(), reverse=True))
    ndcg = _dcg(gained) / ideal if ideal else 0.0
    return Measures(float(first <= 1), float(first <= FEW), 1 / first, ndcg)


def mean(rows: Sequence[Measures]) -> Measures:
    """The mean of each measure over at least one ranking."""
    return Measures(*map(fmean, zip(*map(astuple, rows), strict=True)))


def _dcg(grades: Sequence[int]) -> float:
    """Discounted cumulative gain of the first `DEPTH`."""
    return math.fsum(
        (2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades[:DEPTH], 1)
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What one ranker reached: means over the questions.

    `false_noes` is the share of the questions, all of which have a good answer, that got the
    verdict `none`; None for a ranker that gives no verdict.
    """

    ranker: str
    encoder: str | None
    means: Measures
    false_noes: float | None

    def as_dict(self) -> dict[str, object]:
        """For JSON, rounded."""
        hit1, hit3, mrr, ndcg5 = (round(value, 4) for value in astuple(self.means))
        return {
            "ranker": self.ranker,
            "encoder": self.encoder,
            "hit1": hit1,
            "hit3": hit3,
            "mrr": mrr,
            "ndcg5": ndcg5,
            "false_noes": None if self.false_noes is None else round(self.false_noes, 4),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results over `measured` questions; `unanswered` more have no good answer.

    `notices` are sentences for the user on what was unusual about the index.
    """

    measured: int
    unanswered: int
    results: tuple[Result, ...]
    notices: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "measured": self.measured,
            "unanswered": self.unanswered,
            "rankers": [each.as_dict() for each in self.results],
        }


def evaluate(
    bank: Bank,
    judgments: Judgments,
    encoders: Mapping[str, Encoder],
    progress: Progress | None = None,
) -> Evaluation:
    """BM25, and the matcher with each encoder under its name here, measured on the same questions.

    While a question is asked, no story lists it (see `Index.leave_out`): a bank is not praised for
    finding what its front matter says. Raises NoJudgmentsError when no question has a good answer.
    """
    asked = {
        each: grades
        for each, grades in judgments.items()
        if max(grades.values(), default=0) >= GOOD
    }
    if not asked:
        raise NoJudgmentsError("the judgments", len(judgments))
    results: list[Result] = []
    notices: dict[str, None] = {}
    for name, encoder in encoders.items():
        matcher = Matcher(bank, encoder, progress)
        try:
            if not results:
                found = _measure_words(matcher.index, asked)
                results.append(Result("BM25", None, found, None))
            results.append(_measure_matcher(name, encoder.name, matcher, asked))
        finally:
            notices.update(dict.fromkeys(matcher.index.notices))
            matcher.index.close()
    unanswered = len(judgments) - len(asked)
    return Evaluation(len(asked), unanswered, tuple(results), tuple(notices))


def _measure_words(index: Index, asked: Judgments) -> Measures:
    slugs = index.slugs()
    rows = []
    for question, grades in asked.items():
        index.leave_out(question)
        scores = index.words(question)
        order = sorted(slugs, key=lambda each: (-scores.get(each, 0.0), slugs[each]))
        rows.append(measure([slugs[each] for each in order], grades))
    return mean(rows)


def _measure_matcher(name: str, encoder: str, matcher: Matcher, asked: Judgments) -> Result:
    rows = []
    noes = verdicts = 0
    for question, grades in asked.items():
        matcher.index.leave_out(question)
        ranking = matcher.match(question)
        rows.append(measure([each.story.slug for each in ranking.matches], grades))
        verdicts += ranking.verdict is not None
        noes += ranking.verdict == FITS[-1]
    return Result(name, encoder, mean(rows), noes / len(rows) if verdicts else None)


def accept(bank: Bank, question: str, story: str) -> str:
    """Note at the end of the bank's own judgments that a story is the one to tell; their path.

    `story` is named as for `Bank.get`, whose errors this raises, and EmptyQuestionError.
    """
    found, _ = bank.get(story)
    asked = _tidy(question)
    if not asked:
        raise EmptyQuestionError(" ".join(question.split()))
    record = {"question": asked, "story": found.slug, "grade": BEST}
    line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    path = os.path.join(bank.root, FILE)
    with open(path, "a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # somebody's editor left the last line open
                line = b"\n" + line
        file.write(line)  # at the end, wherever the file was read
    return path


def own_judgments(bank: Bank) -> Judgments:
    """The bank's own: those of its file, if there is one, and the questions that stories list.

    A question that a story lists has the grade of 3, unless the file says otherwise. Raises
    EmptyBankError, JudgmentsError, NoJudgmentsError.
    """
    path = os.path.join(bank.root, FILE)
    judgments = _read(bank, path) if os.path.lexists(path) else {}
    for story in bank.stories:
        for question in filter(None, map(_tidy, story.questions)):
            judgments.setdefault(question, {}).setdefault(story.slug, BEST)
    if not judgments:
        if not bank.stories:
            raise EmptyBankError(bank.folder, len(bank.problems))
        raise NoJudgmentsError(bank.root, 0)
    return judgments


def read_judgments(bank: Bank, path: str) -> Judgments:
    """The judgments in a JSONL, CSV or JSON file; of two on the same question and story, the last.

    Raises EmptyBankError, JudgmentsError, NoJudgmentsError.
    """
    judgments = _read(bank, path)
    if not judgments:
        raise NoJudgmentsError(path, 0)
    return judgments


def _read(bank: Bank, path: str) -> Judgments:
    if not bank.stories:
        raise EmptyBankError(bank.folder, len(bank.problems))
    slugs = {name: each.slug for each in bank.stories for name in (each.path, each.slug)}
    judgments: Judgments = {}
    for place, question, story, grade in _rows(path, _text(path)):
        asked = _tidy(question) if isinstance(question, str) else ""
        if not asked:
            raise JudgmentsError(path, 'there is no question. Write one as "question".', place)
        graded = judgments.setdefault(asked, {})
        if story is None and grade == 0:  # no story answers it
            continue
        if not isinstance(story, str) or not story.strip():
            raise JudgmentsError(path, 'there is no story. Name one as "story".', place)
        name = story.strip()
        if name not in slugs:
            try:
                slugs[name] = bank.get(name)[0].slug
            except StorybankError as error:
                raise JudgmentsError(path, str(error), place) from error
        if isinstance(grade, bool) or not isinstance(grade, int) or grade not in GRADES:
            shown = json.dumps(grade, ensure_ascii=False, default=str)[:40]
            reason = f"the grade {shown} is none of 0, 1, 2, 3. Without one, it is 3."
            raise JudgmentsError(path, reason, place)
        graded[slugs[name]] = grade
    return judgments


def _tidy(question: str) -> str:
    """A question as it is matched; empty where there is no letter and no digit."""
    question = " ".join(question.encode("utf-8", "replace").decode().split())
    return question if any(each.isalnum() for each in question) else ""


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        reason = f"is not UTF-8 text (byte 0x{byte:02x}): save it as UTF-8 in your editor."
        raise JudgmentsError(path, reason) from error
    except FileNotFoundError as error:
        reason = "there is no such file. Name one with judgments: see 'storybank eval --help'."
        raise JudgmentsError(path, reason) from error
    except OSError as error:
        reason = f"cannot be read ({error.strerror}). Name a file with judgments."
        raise JudgmentsError(path, reason) from error


_Row = tuple[str, object, object, object]  # its place, question, story, grade


def _rows(path: str, text: str) -> Iterator[_Row]:
    """The judgments of a file as written, in the format of its name or of its beginning."""
    suffix = os.path.splitext(path)[1].lower()
    is_json = text.lstrip().startswith(("{", "[")) and suffix != ".csv"
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(path, text)
    if not is_json and suffix != ".json":
        return _csv_rows(path, text)
    try:
        whole = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        if suffix != ".json" or getattr(error, "msg", "") == "Extra data":
            return _json_lines(path, text)
        place = f"line {getattr(error, 'lineno', 1)}"
        raise JudgmentsError(path, f"is not JSON ({error}). Mend it there.", place) from error
    if isinstance(whole, dict) and all(isinstance(each, dict) for each in whole.values()):
        return _json_object(whole)
    if isinstance(whole, dict) and whole.keys() & set(_COLUMNS):
        return _json_lines(path, json.dumps(whole))
    reason = 'is not what is wanted: {"question": {"story": 3}}, or a line for each judgment.'
    raise JudgmentsError(path, reason)


def _json_object(whole: Mapping[str, Mapping[str, object]]) -> Iterator[_Row]:
    for question, graded in whole.items():
        for story, grade in graded.items() if graded else ((None, 0),):
            yield f"question '{question}'", question, story, BEST if grade is None else grade


def _json_lines(path: str, text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            reason = 'is no JSON object. Write {"question": "...", "story": "...", "grade": 3}.'
            raise JudgmentsError(path, reason, f"line {number}")
        question, story, grade = (found.get(column) for column in _COLUMNS)
        yield f"line {number}", question, story, BEST if grade is None else grade


def _csv_rows(path: str, text: str) -> Iterator[_Row]:
    header = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)  # as spreadsheets of all countries write it
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] = []
    try:
        for cells in reader:
            place = f"line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                names = [cell.strip().casefold() for cell in cells]
                for column in _COLUMNS[:2]:
                    if column not in names:
                        reason = f"no column '{column}'. The first line is to name the columns."
                        raise JudgmentsError(path, reason, place)
                continue
            if len(cells) > len(names):
                reason = "has too many cells. Put a question that holds a comma in quotes."
                raise JudgmentsError(path, reason, place)
            row = dict(zip(names, cells, strict=False))
            grade = row.get("grade", "").strip()
            yield (
                place,
                row.get("question"),
                row.get("story"),
                int(grade) if grade in map(str, GRADES) else grade or BEST,
            )
    except csv.Error as error:
        reason = f"is not CSV ({error}). Mend it there."
        raise JudgmentsError(path, reason, f"line {reader.line_num}") from error
