"""Learn the weights of storybank/fusion.json on the development part.

    python training/fuse.py BANKS storybank/fusion.json

BANKS is a folder of banks as benchmarks/quality.py reads it (training/write_banks.py makes it), as
they are and, in the sub-folders whose names end in `-tagged`, with their owner's tags. First
what needs no tags is fitted where there are no tags, then the labels' weight, with those fixed,
where there are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from storybank.bank import Bank
from storybank.encoders import load
from storybank.fusion import SIGNALS, signals
from storybank.match import Matcher

GOOD = 2
#: A question that is a paraphrase of one that the story's owner wrote down decides by itself:
#: chosen, not learned, as the development part has no such questions.
ASKED = 40.0

#: answer so many are to be called stretch or none; of those with one, no more than that none.
#: answer so many are to be called stretch or none; of those with one no more are to be called none.
STRONG, NOES, FALSE_NOES = 0.88, 0.6, 0.04


def rows(folder: Path) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Signals [n, s] and whether it is a good answer [n] of every pair; stories a question."""
    encoder = load("onnx")
    features, good, sizes = [], [], []
    judged = json.loads((folder / "judgments.json").read_text(encoding="utf-8"))
    matcher = Matcher(Bank.open(folder), encoder)
    slugs = matcher.index.slugs()
    for question, grades in judged.items():
        found = signals(*matcher.evidence(question, encoder.ask(question)))
        sizes.append(len(found))
        for identity, row in found.items():
            features.append([row[name] for name in SIGNALS])
            good.append(grades.get(slugs[identity], 0) >= GOOD)
    return np.array(features), np.array(good, float), sizes


def fit(x: np.ndarray, y: np.ndarray, offset: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """Weights and, last, bias of a logistic regression, by Newton's method."""
    x = np.column_stack([x, np.ones(len(x))])
    w = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(x @ w + offset)))
        gradient = x.T @ (p - y) + ridge * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(w))
        step = np.linalg.solve(hessian, gradient)
        w -= step
    return w


def first_choices(p: np.ndarray, y: np.ndarray, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the best story of every question, and whether it is a good answer."""
    ends = np.cumsum(sizes)
    best = [
        end - size + int(p[end - size : end].argmax())
        for end, size in zip(ends, sizes, strict=True)
    ]
    return p[best], y[best]


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
    bare = [rows(path) for path in folders if not path.name.endswith("-tagged")]
    tagged = [rows(path) for path in folders if path.name.endswith("-tagged")]
    x, y, sizes = (np.concatenate(each) for each in zip(*bare, strict=True))
    bare_at = [SIGNALS.index(name) for name in ("story", "passage", "tokens", "words", "bank")]
    *learned, bias = fit(x[:, bare_at], y, np.zeros(len(y)))
    tx, ty, tsizes = (np.concatenate(each) for each in zip(*tagged, strict=True))
    labels, labelled = fit(tx[:, [SIGNALS.index("labels")]], ty, tx[:, bare_at] @ learned + bias)
    p = 1 / (1 + np.exp(-(x[:, bare_at] @ learned + bias)))
    weights = dict(zip((SIGNALS[at] for at in bare_at), learned, strict=True))
    weights |= {"asked": ASKED, "labels": labels, "labelled": labelled}
    at = SIGNALS.index("labels")
    tp = 1 / (1 + np.exp(-(tx[:, bare_at] @ learned + labels * tx[:, at] + labelled + bias)))
    choices = [first_choices(p, y, list(sizes)), first_choices(tp, ty, list(tsizes))]
    top, is_good = (np.concatenate(each) for each in zip(*choices, strict=True))
    answered = np.concatenate(
        [np.add.reduceat(y, np.cumsum(n) - n) > 0 for y, n in ((y, sizes), (ty, tsizes))]
    )
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
    for low in np.arange(0, 1, 0.1):
        inside = (p >= low) & (p < low + 0.1)
        if inside.any():
            said, is_good = p[inside].mean(), y[inside].mean()
            print(f"{low:.1f}..  n {inside.sum():6d}  said {said:.3f}  is {is_good:.3f}")
    print("Brier", round(float(((p - y) ** 2).mean()), 4), "base", round(float(y.var()), 4))


if __name__ == "__main__":
    main()
