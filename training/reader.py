"""The bi-encoder as it is trained: one pass over a story gives a vector for it and for each window.

The windows' vectors are means over the tokens of the window *after* the transformer has read the
whole story (late chunking: Günther et al. 2024, arXiv 2409.04701), so "she signed it" knows who and
what. A question is one vector. The score of a story is half its whole, half a soft maximum over its
windows; `storybank.index` and `storybank.fusion` compute the same from the stored vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from storybank.index import SHARPNESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class Encoded:
    """Unit vectors of a batch of stories: `whole` [b, d], `windows` [b, w, d], `mask` [b, w]."""

    whole: torch.Tensor
    windows: torch.Tensor
    mask: torch.Tensor

    def scores(self, questions: torch.Tensor) -> torch.Tensor:
        """Cosine-like scores [q, b] of questions [q, d]."""
        whole = questions @ self.whole.T
        near = torch.einsum("qd,bwd->qbw", questions, self.windows)
        near = near.masked_fill(~self.mask[None], -1e4)
        best = torch.logsumexp(SHARPNESS * near, 2) / SHARPNESS
        best = best - torch.log(self.mask.sum(1).clamp(min=1).float())[None] / SHARPNESS / 2
        return 0.5 * whole + 0.5 * best


class Reader:
    """A sentence-transformers model used with late chunking."""

    def __init__(self, model: SentenceTransformer, max_tokens: int) -> None:
        self.model = model
        self.transformer = model[0].auto_model
        self.tokenizer = model.tokenizer.backend_tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)

    def stories(self, texts: Sequence[tuple[str, Sequence[tuple[int, int]]]]) -> Encoded:
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
        return Encoded(
            functional.normalize(whole, dim=-1),
            functional.normalize(windows, dim=-1),
            member.sum(2) > 0,
        )

    def questions(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors [q, d]."""
        hidden, mask = self._run([self.tokenizer.encode(text).ids for text in texts])
        return functional.normalize((hidden * mask[:, :, None]).sum(1), dim=-1)

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
