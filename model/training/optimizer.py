"""AdamW in groups, and the step sizes over time.

The step size is a pure function of the step: a trial that goes on after an interruption needs no scheduler state.
"""

from __future__ import annotations

import math
import re

from torch import nn
from torch.optim import AdamW

from model.config import OptimizationConfig
from model.network.multitask import MultitaskBert
from model.training.row_adamw import RowAdamW

LARGE = 2**20
"""Weights from which on a step of all rows takes longer than to look after them one by one."""


def build_optimizer(model: MultitaskBert, config: OptimizationConfig) -> AdamW:
    """Fused AdamW over the trainable parameters; each group's `peak` is its step size before the schedule.

    Biases and LayerNorms are not decayed (Devlin et al. 2019's own code). Where a step reads a few rows of the word
    embeddings alone, it is a `RowAdamW`.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((_peak(name, model, config), decay), []).append(parameter)
    described = [
        {"params": parameters, "peak": peak, "lr": peak, "weight_decay": decay}
        for (peak, decay), parameters in groups.items()
    ]
    if _is_read_by_rows(model):
        words = model.bert.embeddings.word
        words.sparse = True
        return RowAdamW(described, words.weight)
    return AdamW(described, fused=True)


def _is_read_by_rows(model: MultitaskBert) -> bool:
    """Whether a step needs no more of the word embeddings than the rows of its tokens, as it does for gradient surgery
    and for a teacher; and they are many, on a CPU: a GPU's memory is fast enough to move them all."""
    weight, config = model.bert.embeddings.word.weight, model.config
    needs_all = config.optimization.gradient_surgery or config.proximal is not None
    return weight.requires_grad and weight.numel() >= LARGE and weight.device.type == "cpu" and not needs_all


def _peak(name: str, model: MultitaskBert, config: OptimizationConfig) -> float:
    """The largest step size of the parameter called `name`.

    Discriminative fine-tuning (Sun et al. 2019, 5.3.4, after Howard and Ruder 2018): a layer's is `layer_decay` times
    that of the layer above it; the embeddings count as the layer below the lowest.
    """
    if not name.startswith(("bert.", "branches.")):
        return config.head_learning_rate
    shared = len(model.bert.layers)
    top = shared + model.config.encoder.branch_layers
    layer = re.search(r"(branches\.[^.]*|bert)\.layers\.(\d+)\.", name)
    if layer:
        height = int(layer[2]) + 1 + (shared if layer[1] != "bert" else 0)
    else:
        height = 0 if name.startswith("bert.embeddings.") else top  # the pooler goes with the top layer
    return config.learning_rate * config.layer_decay ** (top - height)


def set_step_size(optimizer: AdamW, config: OptimizationConfig, step: int, total: int, epoch: int) -> None:
    """Sets the step size for `step` (from 0, of `total` in the whole trial), which is in `epoch` (from 1)."""
    factor = schedule_factor(config, step, total, epoch)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def schedule_factor(config: OptimizationConfig, step: int, total: int, epoch: int) -> float:
    """What the peak step size is multiplied by at `step` (from 0, of `total`), in `epoch` (from 1)."""
    match config.schedule:
        case "constant":
            return 1.0
        case "exponential":
            return config.decay ** (epoch - 1)
        case "linear" | "cosine":
            warmup = config.warmup * total
            if step < warmup:
                return min(1.0, (step + 1) / warmup)
            left = (total - step) / max(1.0, total - warmup)  # 1 down to nearly 0
            return left if config.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))
