"""Encoders turn texts into vectors. A new one is a module here and a line in `ENCODERS`."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Told:
    """A story as it was read: unit vectors `passages` [texts, dimension] and `tokens` [t, size].

    An encoder that is not trained for late interaction has no tokens: t is 0.
    """

    passages: NDArray[float32]
    tokens: NDArray[float32]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was read.

    `whole` is its unit vector [dimension], to be compared with other questions; `meant` the one to
    be compared with stories and labels, which may know more (see probes.py). `tokens` are
    [t, size]: the length of a token's vector is its weight, and all weights sum to 1. `familiar` is
    how like a question that is asked in interviews it is, and unlike a name or a topic, 0..1.
    """

    whole: NDArray[float32]
    meant: NDArray[float32]
    tokens: NDArray[float32]
    familiar: float = 1.0


class Encoder(Protocol):
    """A bi-encoder: questions and stories in one space, compared by dot product.

    It may also give every token a small vector for late interaction: a story's score is then the
    sum over the question's tokens of the largest dot product with one of the story's (MaxSim;
    Khattab and Zaharia 2020, arXiv 2004.12832).
    """

    @property
    def name(self) -> str:
        """What to print."""

    @property
    def key(self) -> str:
        """Differs whenever the vectors may: vectors under two keys are never compared."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def stories(self, stories: Sequence[Sequence[str]]) -> list[Told]:
        """Read each story, given as its title and its passages in order.

        In the place of the title's vector stands that of the whole story; those of the passages
        may know of what stands around them.
        """

    def questions(self, texts: Sequence[str]) -> NDArray[float32]:
        """Vectors of unit length, [len(texts), dimension], in the order of the texts."""

    def ask(self, question: str) -> Asked:
        """Read the question that is to be answered."""


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
