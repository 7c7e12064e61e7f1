"""Losses of a batch, what the outputs say, and how far two outputs are apart.

Mean absolute error, and the cosine embedding loss of labels cut in two at a threshold: Jetty, 4.4 and 4.2. The
divergences: SMART (Jiang et al. 2020, https://arxiv.org/abs/1911.03437, section 2.1). Multiple negatives ranking:
Efficient Natural Language Response Suggestion for Smart Reply (Henderson et al. 2017,
https://arxiv.org/abs/1705.00652, section 4.4); Naeem, 5.4.

Shapes: B examples of a batch, H units of an encoded sentence. All losses are in fp32, whatever the outputs are in, and
none waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import Loss, TaskConfig
from model.data.tasks import Binary, Classes, Number, Task

BINARY_THRESHOLD = 0.5
"""Between the labels 0 and 1, their probabilities, and the cosines that say so."""

_ABOVE_THRESHOLD = BINARY_THRESHOLD + 2**-24
"""The next number in fp32."""

TOGETHER = 0.8
"""Where in the range of a task's numbers the pairs begin that belong together: its upper fifth."""

RANKING_SCALE = 20.0
"""Factor on the cosines of the ranking loss, as sentence-transformers has it: cosines alone, all in -1 to 1, could
never make one candidate much more probable than the others."""


@dataclass(frozen=True)
class Objective:
    """What the output of one task is trained towards and read as. `objective` makes it."""

    loss: Loss
    scale: float
    """What a cosine of 1 stands for in the output."""
    threshold: float
    """Labels above it count as similar in the cosine embedding loss."""
    binary: bool
    """Whether the labels are 0 and 1."""

    @property
    def is_regression(self) -> bool:
        """Whether the output is a number, not a distribution over classes."""
        return self.loss in ("mse", "mae", "cosine_embedding")

    def batch_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar.

        `logits` (B, outputs) and `labels` (B,) float: class numbers, 0 or 1, or numbers on the task's own scale.
        """
        logits = logits.float()
        match self.loss:
            case "cross_entropy":
                return F.cross_entropy(logits, labels.long())
            case "bce":
                return F.binary_cross_entropy_with_logits(logits.squeeze(-1), labels)
            case "mse":
                return F.mse_loss(logits.squeeze(-1), labels)
            case "mae":
                return F.l1_loss(logits.squeeze(-1), labels)
            case "cosine_embedding":
                cosine = logits.squeeze(-1) / self.scale
                return torch.where(labels > self.threshold, 1 - cosine, cosine.clamp(min=0)).mean()

    def outputs(self, logits: Tensor) -> Tensor:
        """What `logits` (B, outputs) say, in fp32; not a number where they are not finite.

        Of classes their probabilities, (B, classes); of binary labels the probability of 1, (B,); of numbers the number
        itself, (B,). A cosine alone is no logit: of binary labels it is taken as it is, below 0 as 0, which is how its
        loss sees it; 0.5 is its threshold. The decision never gets lost in rounding: the largest logit, and it alone,
        has the first of the largest probabilities, and a logit above 0 a probability above 0.5.
        """
        logits = logits.float()
        match self.loss:
            case "cross_entropy" if self.binary:
                said = _probability(logits[:, 1] - logits[:, 0])
            case "cross_entropy":
                said = _probabilities(logits)
            case "bce":
                said = _probability(logits.squeeze(-1))
            case "cosine_embedding" if self.binary:
                said = (logits.squeeze(-1) / self.scale).clamp(0, 1)
            case "mse" | "mae" | "cosine_embedding":
                said = logits.squeeze(-1)
        finite = logits.isfinite().all(dim=-1)
        return torch.where(finite if said.ndim == 1 else finite.unsqueeze(-1), said, torch.nan)

    def divergence(self, p: Tensor, q: Tensor) -> Tensor:
        """How far two outputs for a batch, (B, outputs) each, are apart: their mean over the batch, a scalar.

        KL(p, q) + KL(q, p) where the output is a distribution, the squared difference where it is a number. (Jiang et
        al. 2020, 2.1) The gradient flows into both.
        """
        p, q = p.float(), q.float()
        match self.loss:
            # Both divergences in one sum, of (P - Q)(log P - log Q): no term is negative, and nothing large cancels
            # where the two are close, which is where regularizers compare them.
            case "cross_entropy":
                log_p, log_q = p.log_softmax(dim=-1), q.log_softmax(dim=-1)
                return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1).mean()
            case "bce":  # the terms of the two classes added up: the difference of their logarithms is the logit
                return ((p.sigmoid() - q.sigmoid()) * (p - q)).mean()
            case "mse" | "mae" | "cosine_embedding":
                return F.mse_loss(p, q)


def objective(task: Task, config: TaskConfig) -> Objective:
    """What `config` has the output of `task` trained towards."""
    binary = isinstance(task.label, Binary)
    return Objective(
        loss=config.loss,
        scale=task.cosine_scale,
        threshold=BINARY_THRESHOLD if binary else config.threshold,
        binary=binary,
    )


def together(task: Task, labels: Tensor) -> Tensor:
    """Which pairs of a batch belong together, (B,) bool: of binary `labels` (B,) those of 1, of numbers those in the
    upper fifth of the range, its lower end included. Raises ValueError for classes, which say nothing of that."""
    match task.label:
        case Binary():
            return labels > BINARY_THRESHOLD
        case Number(low=low, high=high):
            return labels >= low + TOGETHER * (high - low)
        case Classes():
            raise ValueError(f"{task.name}: no pair belongs together by {task.label}")


def ranking_loss(first: Tensor, second: Tensor, together: Tensor, *, scale: float = RANKING_SCALE) -> Tensor:
    """Multiple negatives ranking: how hard it is to find each first sentence's partner among the batch's second ones.

    `first` and `second` (B, H) are the pairs' sentences, `together` (B,) bool says which pairs belong together. For
    each of those, the cross entropy of its own second sentence among all B, by their cosines times `scale`; the mean
    over them, a scalar; 0 where there are none. Not under autocast, which would compute the cosines in half precision.
    """
    cosines = F.normalize(first.float(), dim=-1) @ F.normalize(second.float(), dim=-1).T  # (B, B)
    own = torch.arange(len(cosines), device=cosines.device)
    losses = F.cross_entropy(scale * cosines, own, reduction="none")
    return (losses * together).sum() / together.sum().clamp(min=1)


def _probability(logits: Tensor) -> Tensor:
    """Of the label 1, (B,): above 0.5 where the logit is above 0, however little."""
    probability = logits.sigmoid()
    return torch.where((logits > 0) & (probability <= BINARY_THRESHOLD), _ABOVE_THRESHOLD, probability)


def _probabilities(logits: Tensor) -> Tensor:
    """Of the classes, (B, classes): the first of the largest ones is that of the largest logit."""
    probabilities, largest = logits.softmax(dim=-1), logits.argmax(dim=-1, keepdim=True)
    own = probabilities.gather(-1, largest)
    tied = probabilities.argmax(dim=-1, keepdim=True) != largest
    return probabilities.scatter(-1, largest, torch.where(tied, own.nextafter(torch.ones_like(own)), own))
