"""Probe questions: what is asked is read as the known questions that are nearest to it.

A wording that the encoder has never seen lands somewhere near those it was trained with, and those
it has learned to put beside the stories that answer them. So a question's vector is pulled towards
the mean of its nearest probes: Rocchio's feedback (1971) from questions instead of documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Chosen on the development part, see training/EXPERIMENTS.md: how many probes, the width of the
#: softmax over their cosines, and how much their mean weighs beside the question itself.
NEAREST, WIDTH, PULL = 16, 0.06, 4.0


def load(path: str) -> NDArray[np.float32]:
    """The vectors [n, dimension] of unit length in a file that `save` wrote."""
    import numpy as np

    vectors: NDArray[np.float32] = np.load(path, allow_pickle=False).astype(np.float32)
    return vectors


def save(path: str, vectors: NDArray[np.float32]) -> None:
    """Write unit vectors [n, dimension] in half precision."""
    import numpy as np

    np.save(path, vectors.astype(np.float16))


def pull(question: NDArray[np.float32], probes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The unit vector [dimension] that a question's own becomes; itself where there is no probe."""
    import numpy as np

    if not len(probes):
        return question
    near = probes @ question
    nearest = np.argpartition(-near, min(NEAREST, len(near)) - 1)[:NEAREST]
    weights = np.exp((near[nearest] - near[nearest].max()) / WIDTH)
    mean = weights @ probes[nearest]
    pulled = question + PULL * mean / np.linalg.norm(mean)
    unit: NDArray[np.float32] = (pulled / np.linalg.norm(pulled)).astype(np.float32)
    return unit
