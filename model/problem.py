"""What a run is given and cannot vary, and the check of a TrialConfig against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.config import EncoderConfig, Loss, TaskConfig, TrialConfig
from model.data.corpus import Corpus
from model.data.tasks import Binary, Classes, Number, Task
from model.network.shape import BertShape


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Handed to every space: `space(trial, problem)`."""

    tasks: tuple[Task, ...]
    num_layers: int
    hidden_size: int
    num_heads: int
    """Attention heads of a layer."""
    train_size: Mapping[str, int]
    """Training examples by task name."""
    dev_size: Mapping[str, int]
    """Dev examples by task name."""

    @classmethod
    def of(cls, corpus: Corpus, shape: BertShape) -> Problem:
        """What a search on `corpus` from an encoder of `shape` is given."""
        return cls(
            tasks=corpus.tasks,
            num_layers=shape.num_layers,
            hidden_size=shape.hidden_size,
            num_heads=shape.num_heads,
            train_size=corpus.size("train"),
            dev_size=corpus.size("dev"),
        )


def losses_for(task: Task) -> tuple[Loss, ...]:
    """The losses of a head that fit a task's kind of label, the usual one first."""
    match task.label:
        case Classes():
            return ("cross_entropy",)
        case Binary():
            return ("bce", "cross_entropy")
        case Number():
            return ("mse", "mae")


def check(config: TrialConfig, problem: Problem) -> None:
    """Raises a ValueError naming the field, its value and what is allowed, where `config` doesn't fit `problem`."""
    names = [task.name for task in problem.tasks]
    if sorted(config.tasks) != sorted(names):
        raise ValueError(f"TrialConfig.tasks names {sorted(config.tasks)}: allowed is exactly {sorted(names)}")
    for task in problem.tasks:
        _check_task(task, config.tasks[task.name])
    layers = _layers_left(config.encoder, problem.num_layers)
    _check_depths(config.encoder, layers, len(names))
    _check_adapter(config.encoder, layers, problem.num_heads)
    _check_effects(config, layers)


def _check_task(task: Task, part: TaskConfig) -> None:
    where = f"TrialConfig.tasks[{task.name!r}]"
    if task.is_pair and part.pair_encoding is None:
        raise ValueError(f"{where}.pair_encoding = None: allowed is 'cross' or 'bi', for a task on two sentences")
    if not task.is_pair and part.pair_encoding is not None:
        raise ValueError(f"{where}.pair_encoding = {part.pair_encoding!r}: allowed is None, for one sentence")
    losses = losses_for(task)
    if isinstance(task.label, Binary | Number):
        losses += ("cosine_embedding",) if task.is_pair else ()
    if part.loss not in losses:
        allowed = " or ".join(map(repr, losses))
        raise ValueError(f"{where}.loss = {part.loss!r}: allowed is {allowed}, for {task.label}")
    if isinstance(task.label, Number):
        low, high = task.label.low, task.label.high
        if part.loss == "cosine_embedding" and not low <= part.threshold < high:
            raise ValueError(f"{where}.threshold = {part.threshold!r}: allowed is from {low:g} up to below {high:g}")
    else:
        part.refuse_without_effect("threshold", f"for {task.label}")
    if isinstance(task.label, Classes):
        part.refuse_without_effect("ranking_weight", f"for {task.label}: no pair belongs together")


def _layers_left(encoder: EncoderConfig, num_layers: int) -> int:
    """The layers that remain after some are removed."""
    most = num_layers // 2 if encoder.removal == "alternate" else num_layers - 1
    if encoder.removed_layers > most:
        raise ValueError(
            f"EncoderConfig.removed_layers = {encoder.removed_layers}: allowed is 0 to {most} with removal = "
            f"{encoder.removal!r}, of the encoder's {num_layers} layers"
        )
    return num_layers - encoder.removed_layers


def _check_depths(encoder: EncoderConfig, layers: int, tasks: int) -> None:
    if encoder.freeze_depth > layers:
        raise ValueError(
            f"EncoderConfig.freeze_depth = {encoder.freeze_depth}: allowed is 0 to {layers}, the encoder's layers"
        )
    most = layers - encoder.freeze_depth
    if encoder.branch_layers > most:
        raise ValueError(
            f"EncoderConfig.branch_layers = {encoder.branch_layers}: allowed is 0 to {most}, the layers above "
            f"freeze_depth = {encoder.freeze_depth}"
        )
    if tasks == 1:
        encoder.refuse_without_effect("branch_layers", "with one task")


def _check_adapter(encoder: EncoderConfig, layers: int, heads: int) -> None:
    adapter = encoder.adapter
    if adapter is None:
        return
    if adapter.pal_size % heads:
        raise ValueError(
            f"AdapterConfig.pal_size = {adapter.pal_size}: allowed is a multiple of {heads}, the encoder's attention "
            "heads, or 0"
        )
    if encoder.freeze_depth == layers:
        adapter.refuse_without_effect("layers", f"with freeze_depth = {layers}: no layer is trainable")


def _check_effects(config: TrialConfig, layers: int) -> None:
    encoder, optimization = config.encoder, config.optimization
    if encoder.prefix_depth == layers:
        because = f"with freeze_depth = {layers}, every layer of the encoder"
        for name in ("hidden_dropout", "attention_dropout", "layer_drop"):
            encoder.refuse_without_effect(name, because)
        if config.noise_stability is not None:
            raise ValueError(f"TrialConfig.noise_stability has no effect {because}: leave it at None")
        if config.smart is not None and encoder.pooling == "mean":
            raise ValueError(
                f"TrialConfig.smart makes nothing smooth {because} and mean pooling: nothing below the heads is "
                "trained; leave it at None"
            )
    if not _tasks_share_weights(config, layers):
        optimization.refuse_without_effect("gradient_surgery", "where no two tasks train the same weights")
    if layers - encoder.prefix_depth == 1 and encoder.layer_drop_growth == "depth":
        encoder.refuse_without_effect("layer_drop_growth", "with one layer above the frozen prefix")
    if encoder.freeze_depth == layers and encoder.pooling == "mean":
        because = f"with freeze_depth = {layers}, every layer of the encoder, and mean pooling"
        optimization.refuse_without_effect("learning_rate", because)
        if encoder.adapter is None and not config.head.common_layers and not config.head.pooled_layer_norm:
            _check_fixed_vectors(config, f"{because}: nothing below the heads is trained")
    if encoder.freeze_depth and layers - encoder.freeze_depth < 2:
        because = f"with freeze_depth = {encoder.freeze_depth}: no two layers are trained"
        optimization.refuse_without_effect("layer_decay", because)


def _tasks_share_weights(config: TrialConfig, layers: int) -> bool:
    """Whether anything is trained by more than one task."""
    encoder, head = config.encoder, config.head
    return (
        encoder.freeze_depth == 0
        or encoder.freeze_depth + encoder.branch_layers < layers
        or (encoder.pooling == "pooler" and encoder.branch_layers == 0)
        or (encoder.adapter is not None and not encoder.adapter.per_task)
        or head.common_layers > 0
        or head.pooled_layer_norm
        or (config.sharing is not None and any(edge.gradient_scale > 0 for edge in config.sharing.edges))
    )


def _check_fixed_vectors(config: TrialConfig, because: str) -> None:
    """What only trained vectors can profit from."""
    for name, task in config.tasks.items():
        task.refuse_without_effect("ranking_weight", because)
        if task.cosine == "alone":
            raise ValueError(f"TrialConfig.tasks[{name!r}].cosine = 'alone' leaves nothing to train {because}")
