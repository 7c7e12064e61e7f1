"""Dropout, with random numbers that a CPU draws five times as fast.

Dropout: A Simple Way to Prevent Neural Networks from Overfitting (Srivastava et al. 2014),
https://jmlr.org/papers/v15/srivastava14a.html, scaled while training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Each unit becomes 0 with probability `p` while training, and is divided by 1 - p else."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training else x

    def extra_repr(self) -> str:
        return f"p={self.p}"


def dropout(x: Tensor, p: float) -> Tensor:
    """`x` with each unit 0 with probability `p`, 0 to below 1, and divided by 1 - p else.

    On a CPU `p` is rounded to 1/65,536: PyTorch draws a number of 32 bits for each unit there, and computes a Bernoulli
    distribution from it, in one thread; here 16 bits of it make do, and are compared with a threshold.
    """
    if not p:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    count = x.numel()
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
    kept = drawn.view(torch.int16)[:count].view(x.shape) >= round(p * 2**16) - 2**15
    return x * kept.to(x.dtype).mul_(1 / (1 - p))
