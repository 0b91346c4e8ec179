"""Learn the weights of storybank/fusion.json on the development part.

    python training/fuse.py BANKS storybank/fusion.json

BANKS is a folder of banks as benchmarks/quality.py reads it (training/write_banks.py makes it), as
they are and, in the sub-folders whose names end in `-tagged`, with their owner's tags. First
what needs no tags is fitted where there are no tags, then the labels' weight, with those fixed,
where there are. Weights are learned by how well they rank; one factor for them, by how true the
probabilities are that come of it: the two differ, as most pairs are easy noes.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from storybank.bank import Bank
from storybank.encoders import load
from storybank.fusion import SIGNALS, signals
from storybank.match import Matcher

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD = 2
#: A question that is a paraphrase of one that the story's owner wrote down decides by itself:
#: chosen, not learned, as the development part has no such questions.
ASKED = 40.0
#: A name or a topic must be found, and the development part asks for neither: chosen as well.
LETTERS = {"words": 1.0, "topic": 8.0}
#: What is learned first, where there are no labels.
MEANING = ("story", "passage", "tokens")
#: By grade 0 to 3, what a story's place is worth in learning how to rank: as in training.
GAINS = np.array(
    tomllib.loads((Path(__file__).parent / "config.toml").read_text(encoding="utf-8"))["gains"]
)

#: Of the first choices called strong, so many are to be good answers; of the questions without one
#: so many are to be called stretch or none; of those with one no more are to be called none.
STRONG, NOES, FALSE_NOES = 0.88, 0.6, 0.04


@dataclass(frozen=True, slots=True)
class Judged:
    """One question: signals [n, s] of a bank's stories, and their grades [n]."""

    signals: np.ndarray
    grades: np.ndarray

    def of(self, *names: str) -> np.ndarray:
        """Columns of these signals [n, names]."""
        return self.signals[:, [SIGNALS.index(name) for name in names]]

    @property
    def is_good(self) -> np.ndarray:
        """Which stories are good answers, 0 or 1 [n]."""
        return (self.grades >= GOOD).astype(float)


def read(folder: Path) -> list[Judged]:
    """All questions of a bank."""
    encoder = load("onnx")
    judged = json.loads((folder / "judgments.json").read_text(encoding="utf-8"))
    matcher = Matcher(Bank.open(folder), encoder)
    slugs = matcher.index.slugs()
    found = []
    for question, grades in judged.items():
        asked = encoder.ask(question)
        rows = signals(*matcher.evidence(question, asked), asked.familiar)
        values = np.array([[row[name] for name in SIGNALS] for row in rows.values()])
        found.append(Judged(values, np.array([grades.get(slugs[each], 0) for each in rows])))
    return found


def fit_ranking(columns: Sequence[np.ndarray], asked: Sequence[Judged]) -> np.ndarray:
    """Weights of `columns` [n, w] of each question that rank best, by a listwise loss.

    The softmax over a bank's stories is to be near their gains (ListNet: Cao et al. 2007); a
    question that no story answers says nothing.
    """
    gains = [GAINS[each.grades] for each in asked]
    answered = [at for at, gain in enumerate(gains) if gain.sum() > 0]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 1e-3 * float(w @ w), 2e-3 * w
        for at in answered:
            scores = columns[at] @ w
            p = np.exp(scores - scores.max())
            p /= p.sum()
            target = gains[at] / gains[at].sum()
            total -= float(target @ np.log(p)) / len(answered)
            slope = slope + columns[at].T @ (p - target) / len(answered)
        return total, slope

    start = np.ones(columns[0].shape[1])
    found: np.ndarray = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found


def fit_chance(x: np.ndarray, y: np.ndarray, offset: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """Weights and, last, bias of a logistic regression, by Newton's method."""
    x = np.column_stack([x, np.ones(len(x))])
    w = np.zeros(x.shape[1])
    for _ in range(50):
        p = chance(x @ w + offset)
        gradient = x.T @ (p - y) + ridge * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(w))
        w -= np.linalg.solve(hessian, gradient)
    return w


def first_choices(
    asked: Sequence[Judged], p: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every question: the first story's probability, whether it is good, whether any is."""
    ends = np.cumsum([len(each.grades) for each in asked])
    rows = []
    for each, end in zip(asked, ends, strict=True):
        chances = p[end - len(each.grades) : end]
        best = chances.argmax()
        rows.append((chances[best], each.is_good[best], each.is_good.any()))
    top, good, answered = zip(*rows, strict=True)
    return np.array(top), np.array(good), np.array(answered)


def threshold(p: np.ndarray, y: np.ndarray, precision: float, least: int = 20) -> float:
    """The lowest probability from which on at least `precision` of the first choices are good.

    Fewer than `least` of them prove nothing.
    """
    order = np.argsort(-p)
    running = np.cumsum(y[order]) / np.arange(1, len(y) + 1)
    reached = np.nonzero(running >= precision)[0]
    reached = reached[reached >= least]
    return float(p[order][reached[-1]]) if len(reached) else 1.0


def share_threshold(p: np.ndarray, share: float) -> float:
    """The probability below which a share of these first choices lies."""
    return float(np.quantile(p, share))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("banks", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.banks.glob("*/judgments.json"))
    bare = [each for path in folders if not path.name.endswith("-tagged") for each in read(path)]
    tagged = [each for path in folders if path.name.endswith("-tagged") for each in read(path)]

    # How stories are ranked, on a scale of its own; then what that is as a chance.
    meaning = fit_ranking([each.of(*MEANING) for each in bare], bare)
    near = [each.of(*MEANING) @ meaning for each in bare]
    letters = np.array(list(LETTERS.values()))
    words = np.concatenate([each.of(*LETTERS) @ letters for each in bare])
    bank = np.concatenate([each.of("bank")[:, 0] for each in bare])
    y = np.concatenate([each.is_good for each in bare])
    scale, of_bank, bias = fit_chance(np.column_stack([np.concatenate(near), bank]), y, words)
    p = chance(scale * np.concatenate(near) + of_bank * bank + words + bias)

    # The labels, with all that fixed.
    near = [each.of(*MEANING) @ meaning for each in tagged]
    both = [np.column_stack([at, each.of("labels")]) for at, each in zip(near, tagged, strict=True)]
    of_meaning, of_labels = fit_ranking(both, tagged)
    labels = of_labels / of_meaning
    known = np.concatenate(
        [
            scale * (at + labels * each.of("labels")[:, 0])
            + each.of(*LETTERS, "bank") @ (*letters, of_bank)
            + bias
            for at, each in zip(near, tagged, strict=True)
        ]
    )
    ty = np.concatenate([each.is_good for each in tagged])
    (labelled,) = fit_chance(np.zeros((len(ty), 0)), ty, known)
    tp = chance(known + labelled)

    weights = dict(zip(MEANING, scale * meaning, strict=True))
    weights |= LETTERS | {"asked": ASKED, "bank": of_bank}
    weights |= {"labels": scale * labels, "labelled": labelled}
    choices = [first_choices(bare, p), first_choices(tagged, tp)]
    top, is_good, answered = (np.concatenate(each) for each in zip(*choices, strict=True))
    strong = threshold(top, is_good, STRONG)
    workable = min(share_threshold(top[~answered], NOES), strong)
    found = {
        "encoder": load("onnx").name,
        "bias": round(float(bias), 3),
        "weights": {name: round(float(weights[name]), 3) for name in SIGNALS},
        "fits": {
            "strong": round(strong, 3),
            "workable": round(workable, 3),
            "stretch": round(min(share_threshold(top[answered], FALSE_NOES), workable), 3),
        },
    }
    arguments.target.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    for name, said, good, (_, first, answered) in (
        ("as they are", p, y, choices[0]),
        ("tagged", tp, ty, choices[1]),
    ):
        print(f"{name}: good@1 {first[answered].mean():.3f}", end="; ")
        print(f"Brier {((said - good) ** 2).mean():.4f}, of the base rate {good.var():.4f}")
        for low in np.arange(0, 1, 0.1):
            inside = (said >= low) & (said < low + 0.1)
            if inside.any():
                means = f"said {said[inside].mean():.3f}  is {good[inside].mean():.3f}"
                print(f"{low:.1f}..  n {inside.sum():6d}  {means}")


def chance(log_odds: np.ndarray) -> np.ndarray:
    """Log-odds as probabilities."""
    p: np.ndarray = 1 / (1 + np.exp(-log_odds))
    return p


if __name__ == "__main__":
    main()
