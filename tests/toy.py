"""A deterministic encoder for tests: a bag of hashed words, so that rankings can be worked out."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

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

    def stories(self, stories: Sequence[Sequence[str]]) -> list[NDArray[np.float32]]:
        self.embedded.extend(" ".join(story) for story in stories)
        return [
            np.stack([self._vector(text) for text in (" ".join(story), *story[1:])])
            for story in stories
        ]

    def questions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = np.zeros(self.dimension, np.float32)
        for word in re.findall(r"\w+", text.casefold()):
            vector[zlib.crc32(word.encode()) % self.dimension] += 1.0
        length = float(np.linalg.norm(vector))
        return vector / length if length else vector + self.dimension**-0.5
