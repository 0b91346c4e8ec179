"""One calibrated score out of several signals: log-odds that add up, with weights in fusion.json.

The weights are learned by training/fuse.py on the development part of the corpus, but for two that
it explains.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storybank.index import Evidence

FITS = ("strong", "workable", "stretch", "none")

#: The cosine of two questions from which on they begin to be the same question.
ALIKE = 0.6

#: The BM25 at which the words signal is half of its maximum.
WORDS_HALF = 12.0
#: And the same for a question that is a name or a topic, where one rare word may decide.
TOPIC_HALF = 2.0
#: What a story has against it that holds no word of such a name or topic.
ABSENT = 0.3

SIGNALS = ("story", "passage", "tokens", "words", "topic", "asked", "labels", "labelled", "bank")
_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fusion.json")


@dataclass(frozen=True, slots=True)
class Fusion:
    """Weights of the signals, the probability from which on each fit but `none` holds.

    `encoder` is the name of the encoder whose cosines the weights are for.
    """

    encoder: str
    bias: float
    weights: Mapping[str, float]
    fits: Mapping[str, float]

    @classmethod
    def load(cls) -> Fusion:
        """The weights that ship."""
        with open(_FILE, encoding="utf-8") as file:
            return cls(**json.load(file))

    def parts(
        self, evidence: Mapping[int, Evidence], bm25: Mapping[int, float], familiar: float
    ) -> dict[int, dict[str, float]]:
        """For each story, what each signal adds to the log-odds of a good answer."""
        found = signals(evidence, bm25, familiar)
        return {
            identity: {name: self.weights[name] * value for name, value in row.items()}
            for identity, row in found.items()
        }

    def probability(self, parts: Mapping[str, float]) -> float:
        """Probability of a good answer (grade 2 or 3), to four places: as it is shown."""
        return round(1 / (1 + math.exp(-(self.bias + sum(parts.values())))), 4)

    def words(self, parts: Mapping[str, float]) -> float:
        """How many words are shared, 0..1: all that counts where the model cannot read."""
        return round(parts["words"] / self.weights["words"], 4)

    def fit(self, probability: float) -> str:
        """One of `FITS`."""
        return next((fit for fit in FITS[:3] if probability >= self.fits[fit]), FITS[3])


def signals(
    evidence: Mapping[int, Evidence], bm25: Mapping[int, float], familiar: float
) -> dict[int, dict[str, float]]:
    """The signals of every story for one question, which is `familiar` (see encoders.Asked).

    `story` and `passage`: cosine to the whole and to the best of it. `tokens`: MaxSim; a story that
    was not looked at so closely counts as the farthest of those that were. `words`: BM25,
    saturated, as one rare name shall not drown the meaning, 0..1. `topic`: the same where there is
    no meaning to drown, as the question is a name or a topic, less `ABSENT`. `asked`: how far a
    question of the story's own is beyond `ALIKE`. `labels`: how near its values and tags are;
    `labelled`: whether it has any, as without them nothing is known, while to have only some that
    are far speaks against it. `bank`: mean cosine of the bank's stories, the same for all: where
    every story is near, being near says less.
    """
    stories = max(len(evidence), 1)
    bank = sum(each.whole for each in evidence.values()) / stories
    looked_at = (each.tokens for each in evidence.values() if each.tokens is not None)
    farthest = min(looked_at, default=0.0)
    found = {}
    for identity, each in evidence.items():
        words = max(bm25.get(identity, 0.0), 0.0)
        found[identity] = {
            "story": each.whole,
            "passage": each.best,
            "tokens": farthest if each.tokens is None else each.tokens,
            "words": words / (words + WORDS_HALF),
            "topic": (1 - familiar) * (words / (words + TOPIC_HALF) - ABSENT),
            "asked": max(each.asked - ALIKE, 0.0),
            "labels": each.labels or 0.0,
            "labelled": float(each.labels is not None),
            "bank": bank,
        }
    return found
