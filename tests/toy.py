"""A deterministic encoder for tests: a bag of hashed words, so that rankings can be worked out."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

from storybank.encoders import Asked, Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class ToyEncoder:
    """Texts are near when they share words. Remembers what it was asked to embed."""

    dimension = 256

    def __init__(self, name: str = "toy") -> None:
        self.name = name
        self.key = f"{name}@1"
        self.embedded: list[str] = []

    def stories(self, stories: Sequence[Sequence[str]]) -> list[Told]:
        self.embedded.extend(" ".join(story) for story in stories)
        return [
            Told(self.questions([" ".join(story), *story[1:]]), self._tokens(" ".join(story)))
            for story in stories
        ]

    def questions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._vector(text) for text in texts])

    def ask(self, question: str) -> Asked:
        tokens = self._tokens(question)
        whole = self._vector(question)
        return Asked(whole, whole, tokens / np.float32(len(tokens)))

    def _tokens(self, text: str) -> NDArray[np.float32]:
        return self.questions(re.findall(r"\w+", text) or [""])

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = np.zeros(self.dimension, np.float32)
        for word in re.findall(r"\w+", text.casefold()):
            vector[zlib.crc32(word.encode()) % self.dimension] += 1.0
        length = float(np.linalg.norm(vector))
        return vector / length if length else vector + self.dimension**-0.5
