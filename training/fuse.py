"""Learn the weights of storybank/fusion.json on the development part.

    python training/fuse.py BANKS storybank/fusion.json

BANKS is a folder of banks as benchmarks/quality.py reads it (training/write_banks.py makes it), as
they are and, in the sub-folders whose names end in `-tagged`, with their owner's tags. First
meaning and words are fitted where there are no tags, then the labels' weight, with those fixed,
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
ASKED = 25.0


def rows(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Signals [n, 4] and whether the story is a good answer [n], of every pair below a folder."""
    encoder = load("onnx")
    features, good = [], []
    judged = json.loads((folder / "judgments.json").read_text(encoding="utf-8"))
    matcher = Matcher(Bank.open(folder), encoder)
    slugs = matcher.index.slugs()
    for question, grades in judged.items():
        query = encoder.questions([question])[0]
        found = signals(matcher.index.similarities(query), matcher.index.words(question))
        for identity, row in found.items():
            features.append([row[name] for name in SIGNALS])
            good.append(grades.get(slugs[identity], 0) >= GOOD)
    return np.array(features), np.array(good, float)


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


def threshold(p: np.ndarray, y: np.ndarray, precision: float) -> float:
    """The lowest probability from which on at least `precision` of the pairs are good answers."""
    order = np.argsort(-p)
    running = np.cumsum(y[order]) / np.arange(1, len(y) + 1)
    reached = np.nonzero(running >= precision)[0]
    return float(p[order][reached[-1]]) if len(reached) else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("banks", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.banks.glob("*/judgments.json"))
    bare = [rows(path) for path in folders if not path.name.endswith("-tagged")]
    tagged = [rows(path) for path in folders if path.name.endswith("-tagged")]
    x, y = (np.concatenate(each) for each in zip(*bare, strict=True))
    meaning, words, bias = fit(x[:, :2], y, np.zeros(len(y)))
    tx, ty = (np.concatenate(each) for each in zip(*tagged, strict=True))
    labels, _ = fit(tx[:, 3:], ty, tx[:, :2] @ np.array([meaning, words]) + bias)
    p = 1 / (1 + np.exp(-(x[:, :2] @ np.array([meaning, words]) + bias)))
    weights = {"meaning": meaning, "words": words, "asked": ASKED, "labels": labels}
    strong = threshold(p, y, 0.85)
    found = {
        "encoder": load("onnx").name,
        "bias": round(float(bias), 3),
        "weights": {name: round(float(weights[name]), 3) for name in SIGNALS},
        "fits": {
            "strong": round(strong, 3),
            "workable": round(min(threshold(p, y, 0.6), strong), 3),
            "stretch": round(min(threshold(p, y, 0.35), strong), 3),
        },
    }
    arguments.target.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    for low in np.arange(0, 1, 0.1):
        inside = (p >= low) & (p < low + 0.1)
        if inside.any():
            print(
                f"{low:.1f}..  n {inside.sum():6d}  said {p[inside].mean():.3f}  is {y[inside].mean():.3f}"
            )
    print("Brier", round(float(((p - y) ** 2).mean()), 4), "base", round(float(y.var()), 4))


if __name__ == "__main__":
    main()
