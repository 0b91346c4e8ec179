"""The bundled model, on onnxruntime: a question is encoded in milliseconds, without torch."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from typing import TYPE_CHECKING, cast

from storybank.encoders import Asked, Told, probes
from storybank.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

BUNDLED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "model")
_FACTS, _GRAPH, _TOKENIZER = "model.json", "model.onnx", "tokenizer.json"
PROBES = "probes.npy"  # a model may do without


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
            self._token_size = int(facts.get("token_size", 0))  # 0: no late interaction
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

    def stories(self, stories: Sequence[Sequence[str]]) -> list[Told]:
        """Read each story.

        The model reads a story as a whole and each passage's vector is the mean of its tokens after
        that ("late chunking", arXiv 2409.04701). What is longer than the model can read is read in
        parts, each under the title. A story is run alone, the cores each take one: in a batch,
        activations are quantised with one scale for all, and a vector would depend on its
        neighbours. It is also faster.
        """
        from concurrent.futures import ThreadPoolExecutor

        if len(stories) == 1:
            return [self._story(stories[0])]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self._story, stories))

    def questions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [len(texts), dimension] of unit length."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = _unit(self._run(self._framed(text))[0].mean(0))
        return vectors

    def ask(self, question: str) -> Asked:
        """Read the question that is to be answered."""
        hidden, tokens, weights = self._run(self._framed(question))
        whole = _unit(hidden.mean(0))
        meant, familiar = probes.read(whole, len(question.split()), self._probes)
        return Asked(whole, meant, tokens * (weights / weights.sum())[:, None], familiar)

    def _story(self, texts: Sequence[str]) -> Told:
        import numpy as np

        title, *passages = (self._ids(text) for text in texts)
        room = self._max_tokens - 2
        title = title[: room // 4]
        room -= len(title)
        passages = [each[:room] for each in passages]
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        small = []
        for first, part in _parts(passages, room):
            told = [each for passage in part for each in passage]
            hidden, tokens, _ = self._run([self._first, *title, *told, self._last])
            vectors[0] += hidden.sum(0)
            small.append(tokens)
            at = 1 + len(title)
            for row, passage in enumerate(part, first + 1):
                vectors[row] = (hidden[at : at + len(passage)] if passage else hidden).sum(0)
                at += len(passage)
        return Told(_unit(vectors), np.concatenate(small))

    def _framed(self, text: str) -> list[int]:
        ids = self._ids(text)[: self._max_tokens - 2]
        return [self._first, *ids, self._last]

    def _ids(self, text: str) -> list[int]:
        tokenizer, _ = self._loaded()
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _run(self, ids: Sequence[int]) -> tuple[NDArray[np.float32], ...]:
        """Of the tokens: vectors [t, dimension], small vectors [t, size] and weights [t]."""
        import numpy as np

        _, session = self._loaded()
        batch = np.array([ids], np.int64)
        found = session.run(None, {"input_ids": batch, "attention_mask": np.ones_like(batch)})
        hidden, *late = (each[0] for each in found)
        if not late:
            late = [np.zeros((0, 0), np.float32), np.ones(0, np.float32)]
        return hidden, *late

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
        given = [each.shape[-1] for each in self._session.get_outputs()[:2]]
        said = [self.dimension, self._token_size][: 2 if self._token_size else 1]
        if said != given:
            reason = f"{_FACTS} says {said} dimensions, {_GRAPH} gives {given}"
            raise ModelError(self._folder, reason)

    def _load_tokenizer(self) -> None:
        for file, expected in self._sha256.items():
            self._check(file, expected)
        import numpy as np
        from tokenizers import Tokenizer

        self._probes = np.zeros((0, self.dimension), np.float32)
        if PROBES in self._sha256:
            self._probes = probes.load(os.path.join(self._folder, PROBES))
        self._tokenizer = Tokenizer.from_file(os.path.join(self._folder, _TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._first, self._last = self._tokenizer.encode("").ids

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


def _parts(
    passages: Sequence[Sequence[int]], room: int
) -> Iterator[tuple[int, Sequence[Sequence[int]]]]:
    """Runs of passages of no more than `room` tokens together, each with the index of its first."""
    first = size = 0
    for at, passage in enumerate(passages):
        if size + len(passage) > room:
            yield first, passages[first:at]
            first, size = at, 0
        size += len(passage)
    yield first, passages[first:]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1."""
    import numpy as np

    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit
