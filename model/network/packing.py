"""Sequences of different lengths one after the other, without padding.

All of an encoder but attention looks at each token by itself: it computes on the real tokens alone, (N, C). Attention
takes them apart into padded sequences, (R, H, T, D), and puts them together again. (Zeng et al. 2022, "Boosting
Distributed Training Performance of the Unpadded BERT Model", https://arxiv.org/abs/2208.08124)

Kernels for matrix products may be compiled when a shape is first met, which takes as long as a small product itself
(oneDNN in bf16: 0.3 ms), and N is another number in each batch. So an encoder's layers compute on a few idle tokens
more, I, that make it a round one: `widen` adds them, `narrow` takes them away, nobody reads them in between, and what
is computed of the others is the same with or without them.

Shapes: R sequences, T tokens of the longest, N tokens of all together, I idle ones, C of anything, H attention heads of
D = C / H.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

ROUND = 8
"""What N + I is a multiple of. At some 600 tokens of a batch 0.6% of them are idle."""


@dataclass(frozen=True)
class Packing:
    """Where R sequences lie in one row of N tokens."""

    lengths: Tensor
    """(R,), int64, 1 or more each."""
    starts: Tensor
    """(R,), int64: each sequence's first token."""
    positions: Tensor
    """(N,), int64: each token's place in its own sequence, from 0."""
    longest: int
    """T."""
    places: Tensor
    """(R T,), int64: which token stands at each place of the padded sequences, the last one again after a sequence's
    end."""
    tokens: Tensor
    """(N + I,), int64: at which of the R T places each token stands, an idle one at the first."""
    mask: Tensor | None
    """(R, T), True where there is a token; None where nothing is padded."""
    idle: int
    """I; 0 where nothing is padded: N is R T then, which comes up again and again."""
    by_head: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False, compare=False)
    """Places and tokens as `places` and `tokens` have them, of each head by itself: (R H T,) and ((N + I) H,)."""

    @classmethod
    def of(cls, lengths: np.ndarray) -> Packing:
        """Of `lengths`, (R,) whole numbers from 1."""
        starts, longest = np.cumsum(lengths) - lengths, int(lengths.max())
        positions, column = ranges(np.zeros_like(lengths), lengths), np.arange(longest)
        places = (starts[:, None] + np.minimum(column, lengths[:, None] - 1)).ravel()
        tokens = np.repeat(np.arange(len(lengths)) * longest, lengths) + positions
        mask, idle = None, 0
        if (lengths != longest).any():
            mask, idle = torch.from_numpy(column < lengths[:, None]), -len(positions) % ROUND
            tokens = np.pad(tokens, (0, idle))
        of = torch.from_numpy
        return cls(of(lengths), of(starts), of(positions), longest, of(places), of(tokens), mask, idle)

    @property
    def count(self) -> int:
        """R."""
        return len(self.lengths)

    def to(self, device: torch.device | str) -> Packing:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return Packing(
            moved(self.lengths),
            moved(self.starts),
            moved(self.positions),
            self.longest,
            moved(self.places),
            moved(self.tokens),
            None if self.mask is None else moved(self.mask),
            self.idle,
        )

    def widen(self, x: Tensor) -> Tensor:
        """(N, C) to (N + I, C), with zeros."""
        return F.pad(x, (0, 0, 0, self.idle)) if self.idle else x

    def narrow(self, x: Tensor) -> Tensor:
        """(N + I, C) to (N, C)."""
        return x[: len(self.positions)]

    def pad(self, x: Tensor) -> Tensor:
        """(N, C) to (R, T, C), the last token's vector again after a sequence's end. Whoever reads it leaves those out,
        and no gradient comes back from them."""
        if self.mask is None:
            return x.view(self.count, self.longest, -1)
        count = len(self.positions)
        return _Gather.apply(x, self.places, self.tokens[:count], count).view(self.count, self.longest, -1)  # type: ignore[no-any-return]

    def heads(self, x: Tensor, num_heads: int) -> Tensor:
        """(N, C) or (N + I, C) to each head's part of it, padded likewise: (R, H, T, D)."""
        if self.mask is None:
            return x.view(self.count, self.longest, num_heads, -1).transpose(1, 2)
        places, tokens = self._by_head(num_heads)
        x = x.reshape(-1, x.shape[-1] // num_heads)
        gathered = _Gather.apply(x, places, tokens[: len(x)], len(self.positions) * num_heads)
        return gathered.view(self.count, num_heads, self.longest, -1)  # type: ignore[no-any-return]

    def pack(self, x: Tensor, count: int) -> Tensor:
        """(R, H, T, D) to `count` tokens, (N, C) or (N + I, C)."""
        if self.mask is None:
            return x.transpose(1, 2).reshape(count, -1)
        _, tokens = self._by_head(x.shape[1])
        return x.reshape(-1, x.shape[-1]).index_select(0, tokens[: count * x.shape[1]]).view(count, -1)

    def _by_head(self, num_heads: int) -> tuple[Tensor, Tensor]:
        if num_heads not in self.by_head:
            head = torch.arange(num_heads, device=self.places.device)
            places = self.places.view(-1, 1, self.longest) * num_heads + head[:, None]  # (R, H, T)
            row = self.tokens.div(self.longest, rounding_mode="floor") * (num_heads - 1) * self.longest
            tokens = (self.tokens + row)[:, None] + head * self.longest  # (N + I, H)
            self.by_head[num_heads] = places.flatten(), tokens.flatten()
        return self.by_head[num_heads]

    def first(self, x: Tensor) -> Tensor:
        """(N, C) to the vectors of the sequences' first tokens, (R, C). What is (R, C) holds no other ones."""
        return x if len(x) == self.count else x.index_select(0, self.starts)

    def mean(self, x: Tensor) -> Tensor:
        """(N, C) to the mean over each sequence's tokens, (R, C). What is (R, C) is that already."""
        if len(x) == self.count:
            return x
        padded = self.pad(x)
        if self.mask is None:
            return padded.mean(dim=1)
        weights = self.mask.unsqueeze(-1).to(x.dtype)  # (R, T, 1)
        return (padded * weights).sum(dim=1) / weights.sum(dim=1)


class _Gather(torch.autograd.Function):
    """Rows of x at `places`, of which those after the first `count` have no gradient. The way back is a gather, too,
    and not a sum over the places that show the same row, of which only `tokens` count: on a CPU ten times as fast, and
    on a GPU in the same order always."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, x: Tensor, places: Tensor, tokens: Tensor, count: int
    ) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.count = count  # type: ignore[attr-defined]
        return x.index_select(0, places)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (tokens,), (gradient,) = ctx.saved_tensors, gradients  # type: ignore[attr-defined]
        of_tokens = gradient.index_select(0, tokens)
        of_tokens[ctx.count :] = 0  # type: ignore[attr-defined]
        return of_tokens, None, None, None


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The whole numbers from each of `starts`, as many as its length, one range after the other. (sum of lengths,)"""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)
