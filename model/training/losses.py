"""Losses of a batch, and what the logits of each predict."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import Loss


def batch_loss(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """The mean loss of a batch, a scalar, in fp32.

    `logits` (B, outputs) and `labels` (B,) float: class numbers for `cross_entropy`, 0 or 1 for `bce`, numbers on the
    task's own scale for `mse`.
    """
    logits = logits.float()
    match loss:
        case "cross_entropy":
            return F.cross_entropy(logits, labels.long())
        case "bce":
            return F.binary_cross_entropy_with_logits(logits.squeeze(-1), labels)
        case "mse":
            return F.mse_loss(logits.squeeze(-1), labels)


def predictions(loss: Loss, logits: Tensor) -> Tensor:
    """What logits (B, outputs) trained with `loss` predict, (B,) fp32; not a number where the logits are not finite."""
    logits = logits.float()
    match loss:
        case "cross_entropy":
            predicted = logits.argmax(dim=-1).float()
        case "bce":
            predicted = (logits.squeeze(-1) > 0).float()
        case "mse":
            predicted = logits.squeeze(-1)
    return torch.where(logits.isfinite().all(dim=-1), predicted, torch.nan)
