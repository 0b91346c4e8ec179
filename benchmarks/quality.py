"""How well stories are ranked, on banks whose questions were judged by hand.

    python benchmarks/quality.py [FOLDER]

FOLDER holds banks, one a sub-folder, each with its stories/ and a judgments.json: an object that
maps a question to {story slug: grade}, 3 for the story one would tell, 2 for a good answer, 1 for a
stretch; a story not named is a 0. Without FOLDER, the sample bank of this repository is measured.

Printed are means over the questions that at least one story answers (grade 2 or 3): hit@1 and hit@3
(such a story is first, or among the first three), MRR (mean reciprocal rank of the first such one)
and nDCG@5 (gain 2^grade - 1, discount log2(rank + 1); Järvelin and Kekäläinen 2002).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storybank.bank import Bank
from storybank.encoders import Encoder, load
from storybank.match import Matcher, meaning

if TYPE_CHECKING:
    from storybank.index import Evidence

ROOT = Path(__file__).resolve().parent.parent
GOOD = 2
RANDOM_ORDERS = 200
#: Weight of BM25 beside MiniLM in "dense + BM25", the baseline that most such tools would be; both
#: are standardised over the bank's stories.
BASELINE_WEIGHT = 0.5

Grades = Mapping[str, int]
Ranker = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class JudgedBank:
    """A bank and, for each question, the grades of its stories."""

    name: str
    bank: Bank
    judgments: Mapping[str, Grades]


def judged_banks(folder: Path | None) -> Iterator[JudgedBank]:
    """The banks below a folder, or the sample bank."""
    if folder is None:
        yield read_bank("sample", ROOT, ROOT / "benchmarks" / "judgments.json")
        return
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


def measure(ranking: Sequence[str], grades: Grades) -> tuple[float, float, float, float]:
    """hit@1, hit@3, reciprocal rank and nDCG@5 of one ranking."""
    gained = [grades.get(slug, 0) for slug in ranking]
    first = next(at for at, grade in enumerate(gained, 1) if grade >= GOOD)
    ideal = dcg(sorted(grades.values(), reverse=True)[:5])
    return float(first <= 1), float(first <= 3), 1 / first, dcg(gained[:5]) / ideal


def dcg(grades: Sequence[int]) -> float:
    """Discounted cumulative gain."""
    return math.fsum((2.0**grade - 1) / math.log2(at + 1) for at, grade in enumerate(grades, 1))


def standardised(scores: Mapping[str, float]) -> dict[str, float]:
    """Mean 0, deviation 1; all 0 where all are equal."""
    mean, deviation = statistics.fmean(scores.values()), statistics.pstdev(scores.values())
    return {slug: (score - mean) / (deviation or 1.0) for slug, score in scores.items()}


def by_score(scores: Mapping[str, float]) -> list[str]:
    return sorted(scores, key=lambda slug: (-scores[slug], slug))


def rankers(judged: JudgedBank, encoder: Encoder) -> dict[str, Ranker]:
    """Name -> question -> slugs, best first."""
    matcher = Matcher(judged.bank, encoder)
    slugs = matcher.index.slugs()

    def words(question: str) -> dict[str, float]:
        found = matcher.index.words(question)
        return {slug: found.get(identity, 0.0) for identity, slug in slugs.items()}

    def dense(question: str, part: Callable[[Evidence], float]) -> dict[str, float]:
        found = matcher.index.similarities(encoder.query(question))
        return {slug: part(found[identity]) for identity, slug in slugs.items()}

    def both(question: str) -> dict[str, float]:
        near = standardised(dense(question, lambda evidence: evidence.whole))
        shared = standardised(words(question))
        return {slug: near[slug] + BASELINE_WEIGHT * shared[slug] for slug in near}

    return {
        "BM25": lambda question: by_score(words(question)),
        "dense, whole story": lambda question: by_score(dense(question, lambda each: each.whole)),
        "dense, whole and passages": lambda question: by_score(dense(question, meaning)),
        "dense, whole story + BM25": lambda question: by_score(both(question)),
        "shipped": lambda question: [each.story.slug for each in matcher.match(question).matches],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--encoder", default="onnx", help="as for storybank match")
    arguments = parser.parse_args()
    encoder = load(arguments.encoder)
    chance = random.Random(0)
    results: dict[str, list[tuple[float, float, float, float]]] = {}
    banks = unanswered = 0
    for judged in judged_banks(arguments.folder):
        banks += 1
        ranked_by = rankers(judged, encoder)
        slugs = [story.slug for story in judged.bank.stories]
        for question, grades in judged.judgments.items():
            if max(grades.values(), default=0) < GOOD:
                unanswered += 1
                continue
            orders = [
                measure(chance.sample(slugs, len(slugs)), grades) for _ in range(RANDOM_ORDERS)
            ]
            expected = [statistics.fmean(column) for column in zip(*orders, strict=True)]
            results.setdefault("random", []).append((*expected,))  # type: ignore[arg-type]  # four
            for name, rank in ranked_by.items():
                results.setdefault(name, []).append(measure(rank(question), grades))
    if not results:
        raise SystemExit(f"no judged bank in {arguments.folder}")
    measured = len(results["random"])
    print(
        f"{banks} bank(s), {measured} questions with a good answer "
        f"({unanswered} without are left out), encoder {encoder.name}\n"
    )
    print(f"{'ranker':<28}{'hit@1':>8}{'hit@3':>8}{'MRR':>8}{'nDCG@5':>8}")
    for name, rows in results.items():
        means = (statistics.fmean(column) for column in zip(*rows, strict=True))
        print(f"{name:<28}" + "".join(f"{value:8.3f}" for value in means))


if __name__ == "__main__":
    main()
