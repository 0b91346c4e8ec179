"""Train a cross-encoder that reads question and story together, and measure it on the dev part.

    python training/rerank.py RUN_MODEL OUTPUT_FOLDER [--minutes 15]

It starts from the bi-encoder that train.py made, and is shown, of each question of the training
banks, the stories with a grade and those that the bi-encoder wrongly ranks high. What is measured
is the top of the bi-encoder's list as it is, and ranked anew. It does not ship: see EXPERIMENTS.md.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import tomllib
from pathlib import Path

import corpus
import torch
from corpus import JudgedBank, LabelledStory
from reader import HEAD, Reader, TokenHead
from sentence_transformers import CrossEncoder, SentenceTransformer
from train import GOOD, grades_of, measures, text_of

SHOWN = 8  # stories of a question, the best by grade and then by the bi-encoder
QUESTIONS = 4  # a step
RATE, WARM_UP = 1e-4, 40
MAX_TOKENS = 320


def bi_encoder(folder: Path, max_tokens: int) -> Reader:
    """The model that train.py saved."""
    model = SentenceTransformer(
        str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"}
    )
    model[0].auto_model.eval()
    head = TokenHead.load(folder)
    if head is None:
        raise SystemExit(f"{folder} has no {HEAD}: name the folder that train.py wrote")
    return Reader(model, head, max_tokens)


def ranked(reader: Reader, bank: JudgedBank, stories: dict[str, LabelledStory]) -> torch.Tensor:
    """Scores [questions, stories] of the bi-encoder."""
    with torch.no_grad():
        told = reader.stories([text_of(stories[each]) for each in bank.stories])
        return told.scores(reader.questions(bank.questions))[1]


class Reranker:
    """A cross-encoder with one output."""

    def __init__(self, folder: Path) -> None:
        self.model = CrossEncoder(
            str(folder),
            num_labels=1,
            max_length=MAX_TOKENS,
            device="cpu",
            model_kwargs={"attn_implementation": "eager"},
        )
        self.model.model.eval()  # no dropout, as in train.py

    def scores(self, pairs: list[tuple[str, str]]) -> torch.Tensor:
        """A score for each pair of question and story [n]."""
        batch = self.model.tokenizer(
            [question for question, _ in pairs],
            [story for _, story in pairs],
            truncation="only_second",
            max_length=MAX_TOKENS,
            padding=True,
            return_tensors="pt",
        )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits: torch.Tensor = self.model.model(**batch).logits[:, 0]
        return logits.float()


def examples(
    reader: Reader, banks: list[JudgedBank], stories: dict[str, LabelledStory]
) -> list[tuple[str, list[str], torch.Tensor]]:
    """Question, texts of the stories shown, and their grades; of questions with an answer."""
    found = []
    for bank in banks:
        scores, grades = ranked(reader, bank, stories), grades_of(bank)
        texts = [text_of(stories[each])[0] for each in bank.stories]
        for question, near, given in zip(bank.questions, scores, grades, strict=True):
            if given.max() == 0:
                continue
            shown = (given * 10 + near).argsort(descending=True)[:SHOWN]
            found.append((question, [texts[at] for at in shown], given[shown]))
    return found


def evaluate(
    reranker: Reranker, reader: Reader, banks: list[JudgedBank], stories: dict[str, LabelledStory]
) -> dict[str, list[float]]:
    """good@1, good@3, nDCG@5 of the bi-encoder, of its top ranked anew, and of the sum of both."""
    rows: dict[str, list[list[float]]] = {"bi-encoder": [], "cross-encoder": [], "sum": []}
    for bank in banks:
        texts = [text_of(stories[each])[0] for each in bank.stories]
        for question, near, given in zip(
            bank.questions, ranked(reader, bank, stories), grades_of(bank), strict=True
        ):
            if given.max() < GOOD:
                continue
            order = near.argsort(descending=True)
            top, rest = order[:SHOWN], order[SHOWN:]
            with torch.no_grad():
                read = reranker.scores([(question, texts[at]) for at in top])
            sums = near[top] / near[top].std() + read / read.std()
            for name, scores in (("bi-encoder", near[top]), ("cross-encoder", read), ("sum", sums)):
                again = torch.cat([top[scores.argsort(descending=True)], rest])
                rows[name].append(measures(given[again]))
    return {
        name: [round(each, 4) for each in torch.tensor(found).mean(0).tolist()]
        for name, found in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--banks", type=int, default=60, help="training banks to draw from")
    arguments = parser.parse_args()
    config = tomllib.loads((corpus.HERE / "config.toml").read_text(encoding="utf-8"))
    torch.manual_seed(config["seed"])
    chance = random.Random(config["seed"])
    judged = corpus.banks()
    stories = corpus.without_held_out(corpus.stories(), judged)
    train = [bank for bank in judged if bank.split == "train"]
    reader = bi_encoder(arguments.source, config["max_tokens"])
    reranker = Reranker(arguments.source)
    asked = examples(reader, chance.sample(train, min(arguments.banks, len(train))), stories)
    chance.shuffle(asked)
    optimizer = torch.optim.AdamW(
        reranker.model.model.parameters(), lr=RATE, weight_decay=config["weight_decay"]
    )
    gains, good = torch.tensor(config["gains"]), torch.tensor(config["good"])
    began, limit = time.time(), arguments.minutes * 60
    losses = []
    for step, start in enumerate(range(0, len(asked) - QUESTIONS + 1, QUESTIONS)):
        spent = (time.time() - began) / limit
        if spent >= 1:
            break
        for group in optimizer.param_groups:  # the rate falls with the time that is left
            group["lr"] = RATE * min((step + 1) / WARM_UP, 1 - spent)
        batch = asked[start : start + QUESTIONS]
        read = reranker.scores([(q, text) for q, texts, _ in batch for text in texts])
        scores = read.view(len(batch), SHOWN)
        grades = torch.stack([given for *_, given in batch]).long()
        target = gains[grades] / gains[grades].sum(1, keepdim=True)
        listwise = torch.nn.functional.cross_entropy(scores, target)
        pointwise = torch.nn.functional.binary_cross_entropy_with_logits(scores, good[grades])
        loss = listwise + pointwise
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reranker.model.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if step % 50 == 0:
            print({"step": step, "loss": sum(losses[-50:]) / len(losses[-50:])}, flush=True)
    row = {"questions": len(losses) * QUESTIONS, "seconds": round(time.time() - began)}
    dev = [bank for bank in judged if bank.split == "dev"]
    row |= evaluate(reranker, reader, dev, stories)
    print(row, flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    reranker.model.save_pretrained(str(arguments.output / "model"))
    (arguments.output / "result.json").write_text(json.dumps(row), encoding="utf-8")


if __name__ == "__main__":
    main()
