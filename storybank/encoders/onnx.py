"""The bundled model, on onnxruntime: a question is encoded in milliseconds, without torch."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from typing import TYPE_CHECKING, cast

from storybank.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

BUNDLED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "model")
_FACTS, _GRAPH, _TOKENIZER = "model.json", "model.onnx", "tokenizer.json"


class OnnxEncoder:
    """A model folder made by `training/export.py`; without a path, the bundled one.

    Construction reads `model.json` and begins to load the weights in threads, while the caller
    looks at the bank; the first text to encode waits for them.

    Raises ModelError: at construction when the folder is no model, at first use when a file is not
    the one that `model.json` describes.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = folder or BUNDLED
        self._advice = "export it again" if folder else "install storybank again"
        try:
            with open(os.path.join(self._folder, _FACTS), encoding="utf-8") as file:
                text = file.read()
            facts = json.loads(text)
            self.name: str = facts["name"]
            self.dimension = int(facts["dimension"])
            self._max_tokens = int(facts["max_tokens"])
            self._sha256: dict[str, str] = facts["sha256"]
            self.key: str = f"{self.name}@{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(self._folder, f"{_FACTS} is missing or damaged ({error!r})") from error

        # Here and not in the thread: imports hold the interpreter, and two threads that import take
        # turns every 5 ms. What comes after them does not, and runs beside the caller's own work.
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(self._folder, f"onnxruntime does not load ({error})") from error

        self._onnxruntime = onnxruntime
        self._session: InferenceSession | None = None
        self._tokenizer: Tokenizer | None = None
        self._failure: Exception | None = None
        # Not daemons: a thread killed inside onnxruntime at exit would abort the process.
        self._loading = [
            threading.Thread(target=self._try, args=(load,))
            for load in (self._load_session, self._load_tokenizer)
        ]
        for thread in self._loading:
            thread.start()

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [len(texts), dimension] of unit length.

        A text is run alone, the cores each take one: in a batch, activations are quantised with one
        scale for all, and a vector would depend on its neighbours. It is also faster.
        """
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), np.float32)
        if len(texts) == 1:
            vectors[0] = self._run(texts[0])
        elif texts:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for row, vector in enumerate(pool.map(self._run, texts)):
                    vectors[row] = vector
        return vectors

    def query(self, text: str) -> NDArray[np.float32]:
        """A vector [dimension] of unit length."""
        vector: NDArray[np.float32] = self.passages([text])[0]
        return vector

    def _run(self, text: str) -> NDArray[np.float32]:
        import numpy as np

        tokenizer, session = self._loaded()
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        vectors = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
        vector: NDArray[np.float32] = vectors[0]
        return vector

    def _loaded(self) -> tuple[Tokenizer, InferenceSession]:
        for thread in self._loading:
            thread.join()
        if self._failure:
            raise self._failure
        return cast("Tokenizer", self._tokenizer), cast("InferenceSession", self._session)

    def _load_session(self) -> None:
        options = self._onnxruntime.SessionOptions()
        options.log_severity_level = 4  # a damaged file is our own message, not onnxruntime's
        options.intra_op_num_threads = 1  # cores are used by text, see `passages`
        self._session = self._onnxruntime.InferenceSession(
            os.path.join(self._folder, _GRAPH), options, providers=["CPUExecutionProvider"]
        )
        shape = self._session.get_outputs()[0].shape
        if shape[-1] != self.dimension:
            reason = f"{_FACTS} says {self.dimension} dimensions, {_GRAPH} gives {shape[-1]}"
            raise ModelError(self._folder, reason)

    def _load_tokenizer(self) -> None:
        for file, expected in self._sha256.items():
            self._check(file, expected)
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(os.path.join(self._folder, _TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._max_tokens)

    def _check(self, file: str, expected: str) -> None:
        with open(os.path.join(self._folder, file), "rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != expected:
                reason = f"{file} is damaged (its SHA-256 is another); {self._advice}"
                raise ModelError(self._folder, reason)

    def _try(self, load: Callable[[], None]) -> None:
        """Run one part of the loading; keep the more telling of two failures for the caller."""
        try:
            load()
        except ModelError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001  # whatever the two raise on a bad file
            reason = f"{error} ({self._advice})".replace("\n", " ")
            self._failure = self._failure or ModelError(self._folder, reason)
