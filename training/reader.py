"""The bi-encoder as it is trained: one pass over a story gives a vector for it and for each window.

The windows' vectors are means over the tokens of the window *after* the transformer has read the
whole story (late chunking: Günther et al. 2024, arXiv 2409.04701), so "she signed it" knows who and
what. A question is one vector. The score of a story is half its whole, half a soft maximum over its
windows.

Besides, every token of both has a small vector of its own, and a question's tokens look each for
the nearest of the story's (late interaction: Khattab and Zaharia 2020, arXiv 2004.12832), here
with a learned weight for each of the question's tokens.

`storybank.index` computes the same parts from the stored vectors, `storybank.fusion` weighs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch.nn import functional

from storybank.index import SHARPNESS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

_FAR = 1e4

#: The file in a model's folder that holds its TokenHead.
HEAD = "token_head.safetensors"


class TokenHead(torch.nn.Module):
    """Token vectors of the transformer [..., d] -> small ones [..., p], and weights [...]."""

    def __init__(self, dimension: int, size: int) -> None:
        super().__init__()
        self.project = torch.nn.Linear(dimension, size, bias=False)
        torch.nn.init.orthogonal_(self.project.weight)
        self.weigh = torch.nn.Linear(dimension, 1)
        torch.nn.init.zeros_(self.weigh.weight)
        torch.nn.init.ones_(self.weigh.bias)

    @classmethod
    def load(cls, folder: Path) -> TokenHead | None:
        """The head that train.py saved beside a model, if it did."""
        path = folder / HEAD
        if not path.exists():
            return None
        weights = load_file(path)
        size, dimension = weights["project.weight"].shape
        head = cls(dimension, size)
        head.load_state_dict(weights)
        return head.eval()

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of length 1, and weights above 0."""
        vectors = functional.normalize(self.project(hidden), dim=-1)
        return vectors, functional.softplus(self.weigh(hidden)[..., 0])


@dataclass(frozen=True, slots=True)
class Questions:
    """Unit vectors of questions, `whole` [q, d], and of all their tokens, `tokens` [n, p].

    `weights` [n] sum to 1 for each question; `owner` [n] is the question that a token belongs to.
    """

    whole: torch.Tensor
    tokens: torch.Tensor
    weights: torch.Tensor
    owner: torch.Tensor


@dataclass(frozen=True, slots=True)
class Stories:
    """Unit vectors of a batch of stories, of their windows and of their tokens.

    `whole` [b, d]; `windows` [b, w, d] where `mask` [b, w]; `tokens` [b, s, p] where `token_mask`.
    """

    whole: torch.Tensor
    windows: torch.Tensor
    mask: torch.Tensor
    tokens: torch.Tensor
    token_mask: torch.Tensor

    def scores(self, asked: Questions) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine-like scores [q, b]: of the vectors alone, and their mean with the tokens'."""
        vectors = self._by_vectors(asked.whole)
        return vectors, (vectors + self._by_tokens(asked)) / 2

    def _by_vectors(self, questions: torch.Tensor) -> torch.Tensor:
        whole = questions @ self.whole.T
        near = torch.einsum("qd,bwd->qbw", questions, self.windows)
        near = near.masked_fill(~self.mask[None], -_FAR)
        best = torch.logsumexp(SHARPNESS * near, 2) / SHARPNESS
        best = best - torch.log(self.mask.sum(1).clamp(min=1).float())[None] / SHARPNESS / 2
        return 0.5 * whole + 0.5 * best

    def _by_tokens(self, asked: Questions) -> torch.Tensor:
        """Weighted mean over a question's tokens of the cosine to the nearest of the story's."""
        stories, length, size = self.tokens.shape
        # Padding is put far away by one more coordinate: cheaper than to mask the product.
        far = (~self.token_mask).float()[..., None] * -_FAR
        told = torch.cat([self.tokens, far], 2).reshape(stories * length, size + 1)
        mine = torch.cat([asked.tokens, torch.ones(len(asked.tokens), 1)], 1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            near = (mine @ told.T).view(len(mine), stories, length)
        best = near.amax(2).float() * asked.weights[:, None]
        return torch.zeros(len(asked.whole), stories).index_add(0, asked.owner, best)


class Reader:
    """A sentence-transformers model used with late chunking and late interaction."""

    def __init__(self, model: SentenceTransformer, head: TokenHead, max_tokens: int) -> None:
        self.model, self.head = model, head
        self.transformer = model[0].auto_model
        self.tokenizer = model.tokenizer.backend_tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)

    def stories(self, texts: Sequence[tuple[str, Sequence[tuple[int, int]]]]) -> Stories:
        """Encode (text, windows as character spans) pairs."""
        encodings = [self.tokenizer.encode(text) for text, _ in texts]
        hidden, mask = self._run([each.ids for each in encodings])
        most = max(1, *(len(spans) for _, spans in texts))
        member = torch.zeros(len(texts), most, hidden.shape[1])
        for row, ((_, spans), encoding) in enumerate(zip(texts, encodings, strict=True)):
            starts = [span[0] for span in spans]
            at = -1
            for token, (start, end) in enumerate(encoding.offsets):
                if end == start:
                    continue
                while at + 1 < len(starts) and starts[at + 1] < end:
                    at += 1
                if at >= 0 and start < spans[at][1]:
                    member[row, at, token] = 1.0
        whole = (hidden * mask[:, :, None]).sum(1)
        windows = member @ hidden
        return Stories(
            functional.normalize(whole, dim=-1),
            functional.normalize(windows, dim=-1),
            member.sum(2) > 0,
            self.head(hidden)[0],
            mask.bool(),
        )

    def questions(self, texts: Sequence[str]) -> Questions:
        """Encode questions."""
        hidden, mask = self._run([self.tokenizer.encode(text).ids for text in texts])
        owner, at = mask.bool().nonzero(as_tuple=True)
        tokens, weights = self.head(hidden[owner, at])
        total = torch.zeros(len(texts)).index_add(0, owner, weights)
        whole = functional.normalize((hidden * mask[:, :, None]).sum(1), dim=-1)
        return Questions(whole, tokens, weights / total[owner], owner)

    def _run(self, ids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token vectors [n, t, d] and mask [n, t]; texts of like length are run together."""
        longest = max(map(len, ids))
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        group = max(8, -(-len(order) // 4))
        pieces = []
        for start in range(0, len(order), group):
            rows = order[start : start + group]
            length = min(-(-len(ids[rows[-1]]) // 16) * 16, 512)
            padded = torch.zeros(len(rows), length, dtype=torch.long)
            mask = torch.zeros(len(rows), length)
            for at, row in enumerate(rows):
                padded[at, : len(ids[row])] = torch.tensor(ids[row])
                mask[at, : len(ids[row])] = 1.0
            with torch.autocast("cpu", dtype=torch.bfloat16):
                hidden = self.transformer(
                    input_ids=padded, attention_mask=mask.long()
                ).last_hidden_state
            room = (0, 0, 0, longest - length) if length < longest else (0, 0)
            hidden = functional.pad(hidden.float(), room)[:, :longest]
            pieces.append(
                (hidden, functional.pad(mask, (0, max(longest - length, 0)))[:, :longest])
            )
        back = torch.tensor(order).argsort()
        hidden = torch.cat([piece for piece, _ in pieces])[back]
        return hidden, torch.cat([mask for _, mask in pieces])[back]
