"""A trained model from its folder, one or several together, ready to say something of sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from analysis.winner.ensemble import combined
from model.data.corpus import Corpus, Split
from model.data.tasks import CS224N, Task
from model.data.tokens import tokenize
from model.errors import UserError
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder
from model.network.saved import read_members, read_model, read_precision
from model.training import evaluate
from model.training.precision import ConcretePrecision


@dataclass(frozen=True)
class Member:
    """One model."""

    model: MultitaskBert
    encoder: Encoder
    """Whose tokenizer goes with the model."""
    precision: ConcretePrecision
    """What it computes in."""
    count: int
    """How often its outputs count."""


@dataclass(frozen=True)
class Predictor:
    """One model, or an ensemble."""

    tasks: tuple[Task, ...]
    members: Mapping[str, Member]

    def outputs(
        self, corpus: Corpus, split: Split, on_batch: Callable[[], None] | None = None
    ) -> dict[str, np.ndarray]:
        """What it says of the examples of `split`, by the tasks of `corpus`: see `evaluate.outputs`; of an ensemble
        the mean. `on_batch` is called `batches` times.

        On a CPU the same examples in the same order, and the same number of threads, give the same bits.
        """
        said = {
            name: evaluate.outputs(
                member.model, tokenize(corpus, member.encoder), split, member.precision, on_batch=on_batch
            )
            for name, member in self.members.items()
        }
        return combined(said, [name for name, member in self.members.items() for _ in range(member.count)])

    def batches(self, corpus: Corpus, split: Split) -> int:
        """How many batches `outputs` takes."""
        of_one = sum(-(-size // evaluate.BATCH_SIZE) for size in corpus.size(split).values())
        return of_one * len(self.members)


def load_predictor(folder: Path, device: torch.device) -> Predictor:
    """What `write_model`, or `write_model` and `write_ensemble`, left in `folder` (model.network.saved).

    It computes in what it was evaluated in; of fp16, which is for GPUs, a CPU makes fp32. Raises UserError, naming the
    file, where there is no such model, or not a whole one.
    """
    members = {path.name: _load(path, count, device) for path, count in read_members(folder).items()}
    tasks = {name: tuple(member.model.config.tasks) for name, member in members.items()}
    first = next(iter(tasks))
    for name, own in tasks.items():
        if set(own) != set(tasks[first]):
            raise UserError(f"{folder}: the member {name} has other tasks than {first}; allowed are the same ones")
    return Predictor(tuple(task for task in CS224N if task.name in tasks[first]), members)


def _load(path: Path, count: int, device: torch.device) -> Member:
    model, encoder = read_model(path)
    precision = read_precision(path)
    here: ConcretePrecision = "fp32" if precision == "fp16" and device.type == "cpu" else precision
    return Member(model.to(device), encoder, here, count)
