"""Probe questions: what is asked is read as the known questions that are nearest to it.

A wording that the encoder has never seen lands somewhere near those it was trained with, and those
it has learned to put beside the stories that answer them. So a question's vector is pulled towards
the mean of its nearest probes: Rocchio's feedback (1971) from questions instead of documents.
What is near to none is no question of the kind, but a name or a topic ("the Kafka migration"), and
is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Chosen on the development part, see training/EXPERIMENTS.md: how many probes, the width of the
#: softmax over their cosines, and how much their mean weighs beside the question itself.
NEAREST, WIDTH, PULL = 16, 0.06, 4.0

#: Cosines to the nearest probe: below the one a short text is no question of the kind, above the
#: other it surely is. Names are at .38 to .49, hurried questions of the development part above .70.
STRANGE, FAMILIAR = 0.45, 0.6
#: Nobody says more words than these to name a topic; a long question may be strange all the same.
SHORT = 6


def load(path: str) -> NDArray[np.float32]:
    """The vectors [n, dimension] of unit length in a file that `save` wrote."""
    import numpy as np

    vectors: NDArray[np.float32] = np.load(path, allow_pickle=False).astype(np.float32)
    return vectors


def save(path: str, vectors: NDArray[np.float32]) -> None:
    """Write unit vectors [n, dimension] in half precision."""
    import numpy as np

    np.save(path, vectors.astype(np.float16))


def read(
    question: NDArray[np.float32], words: int, probes: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """The unit vector [dimension] that a question's own becomes, and how familiar it is, 0..1.

    `words` is how many it has. Itself, and 1, where there is no probe.
    """
    import numpy as np

    if not len(probes):
        return question, 1.0
    near = probes @ question
    familiar = min(max((float(near.max()) - STRANGE) / (FAMILIAR - STRANGE), 0.0), 1.0)
    familiar = 1.0 if words > SHORT else familiar
    nearest = np.argpartition(-near, min(NEAREST, len(near)) - 1)[:NEAREST]
    weights = np.exp((near[nearest] - near[nearest].max()) / WIDTH)
    mean = weights @ probes[nearest]
    pulled = question + familiar * PULL * mean / np.linalg.norm(mean)
    unit: NDArray[np.float32] = (pulled / np.linalg.norm(pulled)).astype(np.float32)
    return unit, familiar
