"""The sharing graph's parts: what flows back along an edge, and how a head takes in what it is told.

Progressive layer sharing (Grudzinski, 4): the representation that BERT gives of a downstream task's sentences is
concatenated with what the upstream tasks' heads say of them. Grudzinski, 7 asks for two things beyond: not quite
freezing the upstream heads, and a multi-field attention whose weights are learned, after MTRec: Multi-task Learning
over BERT for News Recommendation (Bi et al. 2022), https://aclanthology.org/2022.findings-acl.209. Its form here is the
attentive pooling that such recommenders use: Neural News Recommendation with Attentive Multi-View Learning (Wu et al.
2019), https://arxiv.org/abs/1907.05576.

Shapes: B examples, W width of a task's own representation, F fields: that representation and the signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from model.config import Fusion
from model.network.heads import dense


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.scale, None


def scale_gradient(x: Tensor, scale: float) -> Tensor:
    """`x` in the same bits, of any shape; the gradient that flows back through it is multiplied by `scale`, 0 to 1.

    At 0 nothing flows back, and nothing is computed for it: the head behind `x` is frozen, as in Grudzinski, 4, and the
    encoder does not hear of the signal either, of which the paper says nothing.
    """
    if scale == 0:
        return x.detach()
    # Written as x * scale + x.detach() * (1 - scale), the sum would be rounded to other bits than x.
    return x if scale == 1 else _ScaledGradient.apply(x, scale)


class ConcatFusion(nn.Module):
    """The representation and the signals, one after the other. (Grudzinski, 4)"""

    def __init__(self, width: int, signal_widths: Sequence[int]) -> None:
        super().__init__()
        self.width = width + sum(signal_widths)
        """Of what `forward` returns."""

    def forward(self, own: Tensor, signals: Sequence[Tensor]) -> Tensor:
        """(B, W) and a (B, `signal_widths[i]`) for each signal to (B, `width`)."""
        return torch.cat((own, *signals), dim=-1)


class AttentionFusion(nn.Module):
    """The mean of the fields, weighted by additive attention: a_i = q . tanh(A f_i + b), weights softmax(a). A field is
    the representation itself, or a signal brought to its width by a linear layer of its own. (Grudzinski, 7)"""

    def __init__(self, width: int, signal_widths: Sequence[int]) -> None:
        super().__init__()
        self.width = width
        """Of what `forward` returns."""
        self.projections = nn.ModuleList(dense(signal_width, width) for signal_width in signal_widths)
        self.attention = dense(width, width)  # A and b
        self.query = dense(width, 1, bias=False)  # q

    def forward(self, own: Tensor, signals: Sequence[Tensor]) -> Tensor:
        """(B, W) and a (B, `signal_widths[i]`) for each signal to (B, W)."""
        projected = (project(signal) for project, signal in zip(self.projections, signals, strict=True))
        fields = torch.stack((own, *projected), dim=1)  # (B, F, W)
        scores = self.query(torch.tanh(self.attention(fields)))  # (B, F, 1)
        return (scores.softmax(dim=1) * fields).sum(dim=1)


def fusion(kind: Fusion, width: int, signal_widths: Sequence[int]) -> ConcatFusion | AttentionFusion:
    """The fusion of that name, of a representation (B, `width`) with signals (B, `signal_widths[i]`)."""
    match kind:
        case "concat":
            return ConcatFusion(width, signal_widths)
        case "attention":
            return AttentionFusion(width, signal_widths)
