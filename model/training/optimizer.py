"""AdamW in groups, and the step sizes over time.

The step size is a pure function of the step: a trial that goes on after an interruption needs no scheduler state.
"""

from __future__ import annotations

from torch.optim import AdamW

from model.config import OptimizationConfig
from model.network.multitask import MultitaskBert


def build_optimizer(model: MultitaskBert, config: OptimizationConfig) -> AdamW:
    """Fused AdamW over the trainable parameters; each group's `peak` is its step size before the schedule.

    Biases and LayerNorms are not decayed (Devlin et al. 2019's own code).
    """
    groups = []
    for prefix, peak in (("bert.", config.learning_rate), (("common.", "heads."), config.head_learning_rate)):
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad and n.startswith(prefix)]
        for decay, parameters in (
            (config.weight_decay, [p for _, p in named if p.ndim > 1]),
            (0.0, [p for _, p in named if p.ndim == 1]),
        ):
            if parameters:
                groups.append({"params": parameters, "peak": peak, "lr": peak, "weight_decay": decay})
    return AdamW(groups, fused=True)


def set_step_size(optimizer: AdamW, config: OptimizationConfig, step: int, steps_per_epoch: int, epochs: int) -> None:
    """Sets the step size for `step` (from 0, over the whole trial of `epochs`)."""
    factor = schedule_factor(config, step, steps_per_epoch, epochs)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def schedule_factor(config: OptimizationConfig, step: int, steps_per_epoch: int, epochs: int) -> float:
    """What the peak step size is multiplied by at `step`, from 0."""
    match config.schedule:
        case "constant":
            return 1.0
        case "exponential":
            return config.decay ** (step // steps_per_epoch)
        case "linear":
            total = steps_per_epoch * epochs
            warmup = config.warmup * total
            if step + 1 < warmup:
                return (step + 1) / warmup
            return (total - step) / max(1.0, total - warmup) if step >= warmup else 1.0
