"""Vectors as they are stored: eight bits a number and a scale for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGEST = 127


def pack(vectors: NDArray[np.float32]) -> tuple[bytes, bytes]:
    """Rows and scales of unit vectors [n, d]; a cosine changes by some .001."""
    import numpy as np

    largest = np.abs(vectors).max(axis=1, keepdims=True)
    rows = np.rint(vectors * (_LARGEST / np.maximum(largest, 1e-9))).astype(np.int8)
    lengths = np.linalg.norm(rows.astype(np.float32), axis=1)
    return rows.tobytes(), (1 / np.maximum(lengths, 1)).astype(np.float32).tobytes()


def cosines(rows: bytes, scales: bytes, query: NDArray[np.float32]) -> NDArray[np.float32]:
    """A cosine for each row [n]. Raises ValueError where the bytes are no vectors."""
    import numpy as np

    stored = np.frombuffer(rows, np.int8).reshape(-1, len(query))
    with np.errstate(all="ignore"):
        found: NDArray[np.float32] = stored.astype(np.float32) @ query
        found = found * np.frombuffer(scales, np.float32)
    if not (np.abs(found) < 1.5).all():  # noqa: PLR2004  # no cosine, and no NaN either
        message = "a vector has not the length of 1"
        raise ValueError(message)
    return found
