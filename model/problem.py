"""What a run is given and cannot vary, and the check of a TrialConfig against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.config import Loss, TrialConfig
from model.data.corpus import Corpus
from model.data.tasks import Binary, Classes, Number, Task
from model.network.shape import BertShape


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Handed to every space: `space(trial, problem)`."""

    tasks: tuple[Task, ...]
    num_layers: int
    hidden_size: int
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
            train_size=corpus.size("train"),
            dev_size=corpus.size("dev"),
        )


def losses_for(task: Task) -> tuple[Loss, ...]:
    """The losses that fit a task's kind of label, the usual one first."""
    match task.label:
        case Classes():
            return ("cross_entropy",)
        case Binary():
            return ("bce", "cross_entropy")
        case Number():
            return ("mse",)


def check(config: TrialConfig, problem: Problem) -> None:
    """Raises a ValueError naming the field, its value and what is allowed, where `config` doesn't fit `problem`."""
    names = [task.name for task in problem.tasks]
    if sorted(config.tasks) != sorted(names):
        raise ValueError(f"TrialConfig.tasks names {sorted(config.tasks)}: allowed is exactly {sorted(names)}")
    for task in problem.tasks:
        where, part = f"TrialConfig.tasks[{task.name!r}]", config.tasks[task.name]
        if task.is_pair and part.pair_encoding is None:
            raise ValueError(f"{where}.pair_encoding = None: allowed is 'cross' or 'bi', for a task on two sentences")
        if not task.is_pair and part.pair_encoding is not None:
            raise ValueError(f"{where}.pair_encoding = {part.pair_encoding!r}: allowed is None, for one sentence")
        if part.loss not in losses_for(task):
            allowed = " or ".join(map(repr, losses_for(task)))
            raise ValueError(f"{where}.loss = {part.loss!r}: allowed is {allowed}, for {task.label}")
    _check_freezing(config, problem.num_layers)


def _check_freezing(config: TrialConfig, num_layers: int) -> None:
    depth = config.encoder.freeze_depth
    if depth > num_layers:
        raise ValueError(f"EncoderConfig.freeze_depth = {depth}: allowed is 0 to {num_layers}, the encoder's layers")
    if depth == num_layers:
        because = f"with freeze_depth = {depth}, every layer of the encoder"
        config.encoder.refuse_without_effect("hidden_dropout", because)
        config.encoder.refuse_without_effect("attention_dropout", because)
        if config.encoder.pooling == "mean":
            config.optimization.refuse_without_effect("learning_rate", f"{because} and mean pooling")
