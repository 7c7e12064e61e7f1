"""Sequences of different lengths one after the other, without padding.

All of an encoder but attention looks at each token by itself: it computes on the real tokens alone, (N, C). Attention
takes them apart into padded sequences, (R, T, C), and puts them together again. (Zeng et al. 2022, "Boosting
Distributed Training Performance of the Unpadded BERT Model", https://arxiv.org/abs/2208.08124)

Shapes: R sequences, T tokens of the longest, N tokens of all together, C of anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


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
    places: Tensor | None
    """(R T,), int64: which token stands at each place of the padded sequences, the last one again after a sequence's
    end; None where all are of one length, and nothing is padded."""
    tokens: Tensor | None
    """(N,), int64: at which of the R T places each token stands; None where nothing is padded."""
    mask: Tensor | None
    """(R, T), True where there is a token; None where nothing is padded."""

    @classmethod
    def of(cls, lengths: np.ndarray) -> Packing:
        """Of `lengths`, (R,) whole numbers from 1."""
        starts, longest = np.cumsum(lengths) - lengths, int(lengths.max())
        positions = ranges(np.zeros_like(lengths), lengths)
        places = tokens = mask = None
        if (lengths != longest).any():
            column = np.arange(longest)
            places = torch.from_numpy((starts[:, None] + np.minimum(column, lengths[:, None] - 1)).ravel())
            tokens = torch.from_numpy(np.repeat(np.arange(len(lengths)) * longest, lengths) + positions)
            mask = torch.from_numpy(column < lengths[:, None])
        of = torch.from_numpy
        return cls(of(lengths), of(starts), of(positions), longest, places, tokens, mask)

    @property
    def count(self) -> int:
        """R."""
        return len(self.lengths)

    def to(self, device: torch.device | str) -> Packing:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        optional = (None if tensor is None else moved(tensor) for tensor in (self.places, self.tokens, self.mask))
        return Packing(moved(self.lengths), moved(self.starts), moved(self.positions), self.longest, *optional)

    def pad(self, x: Tensor) -> Tensor:
        """(N, C) to (R, T, C), the last token's vector again after a sequence's end. Whoever reads it leaves those out,
        and no gradient comes back from them."""
        if self.places is None or self.tokens is None:
            return x.view(self.count, self.longest, -1)
        return _Gather.apply(x, self.places, self.tokens).view(self.count, self.longest, -1)  # type: ignore[no-any-return]

    def pack(self, x: Tensor) -> Tensor:
        """(R, T, C) to (N, C)."""
        x = x.flatten(0, 1)
        return x if self.tokens is None else x.index_select(0, self.tokens)

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
    """Rows of x at `places`. The way back is a gather, too, and not a sum over the places that show the same row, of
    which only `tokens` count: on a CPU ten times as fast, and on a GPU in the same order always."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, places: Tensor, tokens: Tensor) -> Tensor:
        ctx.save_for_backward(tokens)
        return x.index_select(0, places)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (tokens,), (gradient,) = ctx.saved_tensors, gradients  # type: ignore[attr-defined]
        return gradient.index_select(0, tokens), None, None


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The whole numbers from each of `starts`, as many as its length, one range after the other. (sum of lengths,)"""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)
