"""Encoders turn texts into vectors. A new one is a module here and a line in `ENCODERS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from storybank.errors import UnknownEncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import float32
    from numpy.typing import NDArray

#: The part of a spec before the colon -> module and factory; the factory takes the part behind it.
ENCODERS = {
    "onnx": "storybank.encoders.onnx:OnnxEncoder",
    "sentence-transformers": "storybank.encoders.sentence_transformers:SentenceTransformersEncoder",
}


class Encoder(Protocol):
    """A bi-encoder: questions and stories in one space, compared by dot product."""

    @property
    def name(self) -> str:
        """What to print."""

    @property
    def key(self) -> str:
        """Differs whenever the vectors may: vectors under two keys are never compared."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def stories(self, stories: Sequence[Sequence[str]]) -> list[NDArray[float32]]:
        """For each story, its title and its passages in order, vectors of unit length.

        [number of texts, dimension] for each: in the place of the title stands the vector of the
        whole story; those of the passages may know of what stands around them.
        """

    def questions(self, texts: Sequence[str]) -> NDArray[float32]:
        """Vectors of unit length, [len(texts), dimension], in the order of the texts."""


def load(spec: str) -> Encoder:
    """The encoder of a spec: "onnx" or "sentence-transformers:NAME_OR_PATH".

    Raises UnknownEncoderError, MissingExtraError, ModelError.
    """
    kind, _, argument = spec.partition(":")
    if kind not in ENCODERS:
        raise UnknownEncoderError(spec, ["onnx", "sentence-transformers:NAME_OR_PATH"])
    module, _, factory = ENCODERS[kind].partition(":")
    encoder: Encoder = getattr(import_module(module), factory)(argument)
    return encoder
