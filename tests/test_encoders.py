"""The bundled model: the vectors it gives, and that it is the model it was made from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from storybank.encoders import Encoder, load, probes
from storybank.encoders.onnx import BUNDLED, OnnxEncoder
from storybank.errors import ModelError, UnknownEncoderError
from tests.conftest import ROOT

CANONICAL = {
    "Tell me about a time you were wrong.": [0.0759, -0.0607, -0.0312, -0.0325],
    "x": [-0.008, -0.0503, 0.0006, -0.1059],
}


@pytest.fixture(scope="module")
def bundled() -> Encoder:
    return load("onnx")


@pytest.fixture(scope="module")
def questions() -> list[str]:
    judged = json.loads((ROOT / "benchmarks/judgments.json").read_text(encoding="utf-8"))
    return list(judged)


def test_canonical_vectors(bundled: Encoder) -> None:
    for text, beginning in CANONICAL.items():
        vector = bundled.questions([text])[0]
        assert vector.shape == (384,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert vector[:4] == pytest.approx(beginning, abs=0.01)


def test_a_vector_does_not_depend_on_its_company(bundled: Encoder) -> None:
    texts = ["short", "a text of some more words than the first " * 5, "", "short"]
    for text, vector in zip(texts, bundled.questions(texts), strict=True):
        assert (vector == bundled.questions([text])[0]).all()
    assert bundled.questions([]).shape == (0, 384)
    stories = [["Title", "One window.", "And another one."], ["T"], ["", "Only this."]]
    together = bundled.stories(stories)
    assert [told.passages.shape for told in together] == [(3, 384), (1, 384), (2, 384)]
    for story, told in zip(stories, together, strict=True):
        (alone,) = bundled.stories([story])
        assert (told.passages == alone.passages).all()
        assert (told.tokens == alone.tokens).all()
        assert np.linalg.norm(told.passages, axis=1) == pytest.approx(1, abs=1e-5)
        assert np.linalg.norm(told.tokens, axis=1) == pytest.approx(1, abs=1e-5)


def test_the_tokens_of_a_question_weigh_one_in_all(bundled: Encoder) -> None:
    asked = bundled.ask("a time you were wrong")
    (told,) = bundled.stories([["Boxes", "I counted the boxes on the dock."]])
    assert (asked.whole == bundled.questions(["a time you were wrong"])[0]).all()
    assert asked.tokens.shape[1] == told.tokens.shape[1]
    assert np.linalg.norm(asked.tokens, axis=1).sum() == pytest.approx(1, abs=1e-5)


def test_a_passage_knows_what_stands_around_it(bundled: Encoder) -> None:
    pronoun = "She signed it the same evening."
    stories = [
        ["The lease", "The landlord had refused for a month.", pronoun],
        ["The cake", "My daughter drew a cat on the birthday card.", pronoun],
    ]
    first, second = (told.passages[2] for told in bundled.stories(stories))
    assert first @ second < 0.98


def test_long_texts_are_read_in_parts_not_refused(bundled: Encoder) -> None:
    assert np.isfinite(bundled.questions(["word " * 5000])).all()
    windows = [f"In week {n} I counted the boxes on the dock by hand again." for n in range(200)]
    (told,) = bundled.stories([["Boxes", *windows]])
    assert told.passages.shape == (201, 384)
    assert len(told.tokens) > 2000
    assert np.linalg.norm(told.passages, axis=1) == pytest.approx(1, abs=1e-5)
    (long,) = bundled.stories([["word " * 900, "word " * 5000, "", "end"]])
    assert np.linalg.norm(long.passages, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_question_is_pulled_towards_the_probes_that_are_near() -> None:
    right, up, left = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    meant, familiar = probes.read(right, 3, np.zeros((0, 2), np.float32))
    assert (meant == right).all()
    assert familiar == 1
    near = np.array([0.8, 0.6], np.float32)
    meant, familiar = probes.read(right, 3, np.array([near, left]))
    assert familiar == 1
    assert np.linalg.norm(meant) == pytest.approx(1, abs=1e-6)
    assert meant @ near > 0.99, "it weighs more than the question itself"
    many = np.array([near] * 40 + [left] * 40)
    assert probes.read(right, 3, many)[0] == pytest.approx(meant, abs=1e-6)
    meant, familiar = probes.read(right, 3, np.array([up, left]))
    assert (meant == right).all(), "neither is near"
    assert familiar == 0
    assert probes.read(right, 7, np.array([up, left]))[1] == 1, "too long for a name"


def test_the_model_that_ships_knows_questions(bundled: Encoder) -> None:
    asked = bundled.ask("a time you were wrong")
    assert 0.3 < asked.meant @ asked.whole < 0.999
    assert asked.meant.dtype == asked.whole.dtype == np.float32
    assert asked.familiar == 1
    assert bundled.ask("Mrs Tanaka").familiar < 0.3


def damaged_copy(folder: Path, file: str) -> str:
    shutil.copytree(BUNDLED, folder / "model")
    path = folder / "model" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return str(folder / "model")


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", "probes.npy"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, file: str) -> None:
    encoder = OnnxEncoder(damaged_copy(tmp_path, file))
    with pytest.raises(ModelError, match=f"{file} is damaged.*export it again"):
        encoder.questions(["a question"])


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", "model.json"])
def test_a_missing_or_empty_file_is_noticed(tmp_path: Path, file: str) -> None:
    folder = damaged_copy(tmp_path, file)
    for spoil in (lambda path: path.write_bytes(b""), Path.unlink):
        spoil(Path(folder) / file)
        with pytest.raises(ModelError, match="cannot be used"):
            OnnxEncoder(folder).questions(["a question"])


def test_unknown_encoders() -> None:
    for spec in ("", "bm25", "onnxx", "torch:x"):
        with pytest.raises(UnknownEncoderError, match="Choose from: onnx"):
            load(spec)
    with pytest.raises(ModelError, match="sentence-transformers:all-MiniLM-L6-v2"):
        load("sentence-transformers:")


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        load(f"sentence-transformers:{tmp_path}")
    with pytest.raises(ModelError, match=r"model\.json"):
        load(f"onnx:{tmp_path}")


def test_the_model_stays_small() -> None:
    sizes = {path.name: path.stat().st_size for path in Path(BUNDLED).iterdir()}
    assert sizes["model.onnx"] + sizes["tokenizer.json"] < 25e6
    assert sizes["probes.npy"] < 5e6
