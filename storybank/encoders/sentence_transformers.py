"""Any model of the sentence-transformers library, by its name or folder; an optional extra."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from storybank.encoders import Asked, Told
from storybank.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

EXTRA = "sentence-transformers"


class SentenceTransformersEncoder:
    """Runs the model on the CPU, with the prompts it was trained with.

    A name that is not on disk is fetched by the library from its hub: the only time that storybank
    touches the network, and only when it is told to. No text is sent.

    Raises MissingExtraError, and ModelError when there is no such model.
    """

    def __init__(self, model: str) -> None:
        if not model:
            raise ModelError(
                "''",
                "give a name or folder, as in --encoder sentence-transformers:all-MiniLM-L6-v2",
            )
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"the encoder {EXTRA}:{model}", EXTRA) from error
        from transformers.utils import logging

        # stderr is for what the user must know
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # theirs
        try:
            self._model = SentenceTransformer(model, device="cpu")
        except Exception as error:  # the hub, safetensors and the library each raise their own
            reason = " ".join(str(error).split())[:300]
            raise ModelError(model, f"{reason or type(error).__name__}") from error
        self.name = f"{EXTRA}:{model}"
        self.key = f"{self.name}@{_fingerprint(model)}"
        self.dimension: int = self._model.get_embedding_dimension() or 0

    def stories(self, stories: Sequence[Sequence[str]]) -> list[Told]:
        """Read each story; each passage is read alone. There are no tokens."""
        import numpy as np

        texts = [text for title, *told in stories for text in (f"{title}. {' '.join(told)}", *told)]
        ends = np.cumsum([len(story) for story in stories])
        read = np.split(self._encode(texts, "document"), ends[:-1]) if texts else []
        return [Told(vectors, np.zeros((0, 0), np.float32)) for vectors in read]

    def questions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [len(texts), dimension] of unit length."""
        return self._encode(list(texts), "query")

    def ask(self, question: str) -> Asked:
        """Read the question that is to be answered. There are no tokens."""
        import numpy as np

        whole = self.questions([question])[0]
        return Asked(whole, whole, np.zeros((0, 0), np.float32))

    def _encode(self, texts: list[str], kind: str) -> NDArray[np.float32]:
        encode = self._model.encode_query if kind == "query" else self._model.encode_document
        vectors: NDArray[np.float32] = encode(
            texts, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return vectors


def _fingerprint(model: str) -> str:
    """Tells versions of a model folder apart by its files' names, sizes and times."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(model):
        folders.sort()
        for file in sorted(files):
            status = os.stat(os.path.join(folder, file))
            digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
