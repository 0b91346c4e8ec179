"""Vectors as they are stored: eight bits a number and a scale for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_LARGEST = 127


def pack(vectors: NDArray[np.float32]) -> tuple[bytes, bytes]:
    """Rows and scales of unit vectors [n, d]; a cosine changes by some .001."""
    import numpy as np

    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    rows = np.rint(vectors * (_LARGEST / np.maximum(largest, 1e-9))).astype(np.int8)
    lengths = np.linalg.norm(rows.astype(np.float32), axis=1)
    return rows.tobytes(), (1 / np.maximum(lengths, 1)).astype(np.float32).tobytes()


def best_of_each(
    rows: bytes, scales: bytes, counts: Sequence[int], asked: NDArray[np.float32]
) -> NDArray[np.float32]:
    """MaxSim of each story [n], whose `counts` [n] token vectors are stored one after the other.

    No count is 0. `asked` [t, size] are the question's tokens: the sum over them of the largest
    dot product. Raises ValueError where the bytes are no vectors.
    """
    import numpy as np

    stored = np.frombuffer(rows, np.int8).reshape(-1, asked.shape[1])
    starts = np.cumsum([0, *counts[:-1]])
    with np.errstate(all="ignore"):
        near = stored.astype(np.float32) @ asked.T
        near *= np.frombuffer(scales, np.float32)[:, None]
        found: NDArray[np.float32] = np.maximum.reduceat(near, starts, axis=0).sum(axis=1)
    _check(found)
    return found


def cosines(
    rows: bytes,
    scales: bytes,
    query: NDArray[np.float32],
    where: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """A cosine for each row [n]; 0 but `where` it is wanted, if that is given [n].

    Raises ValueError where the bytes are no vectors.
    """
    import numpy as np

    stored = np.frombuffer(rows, np.int8).reshape(-1, len(query))
    factors = np.frombuffer(scales, np.float32)
    found = np.zeros(len(stored), np.float32)
    chosen = slice(None) if where is None else where
    with np.errstate(all="ignore"):
        found[chosen] = (stored[chosen].astype(np.float32) @ query) * factors[chosen]
    _check(found)
    return found


def _check(found: NDArray[np.float32]) -> None:
    """Raise ValueError for what is no cosine, NaN among it."""
    if not (abs(found) < 1.5).all():  # noqa: PLR2004  # some more than 1: rows are rounded
        message = "a vector has not the length of 1"
        raise ValueError(message)
