"""A trained model from its folder, one or several together, ready to say something of sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from analysis.winner.ensemble import Counts, combined
from model.data.corpus import Corpus, Split
from model.data.tasks import Task
from model.data.tokens import tokenize
from model.errors import UserError
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder
from model.network.saved import member_folder, read_ensemble, read_model, read_precision
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


@dataclass(frozen=True)
class Predictor:
    """One model, or an ensemble."""

    tasks: tuple[Task, ...]
    members: Mapping[str, Member]
    counts: Counts
    """How often each one's outputs count."""

    def outputs(
        self, corpus: Corpus, split: Split, on_batch: Callable[[], None] | None = None
    ) -> dict[str, np.ndarray]:
        """What it says of the examples of `split`, by the tasks of `corpus`: see `evaluate.outputs`; of an ensemble
        the mean. `on_batch` is called `batches` times.

        On a CPU the same examples in the same order, and the same number of threads, give the same bits.
        """
        said: dict[str, dict[str, np.ndarray]] = {}
        for name, member in self.members.items():
            tasks = tuple(task for task in corpus.tasks if name in self.counts[task.name])
            tokens = tokenize(replace(corpus, tasks=tasks), member.encoder)
            said[name] = evaluate.outputs(member.model, tokens, split, member.precision, on_batch=on_batch)
        return combined(said, {task.name: self.counts[task.name] for task in corpus.tasks})

    def batches(self, corpus: Corpus, split: Split) -> int:
        """How many batches `outputs` takes."""
        size = corpus.size(split)
        return sum(-(-size[task.name] // evaluate.BATCH_SIZE) * len(self.counts[task.name]) for task in corpus.tasks)


def load_predictor(folder: Path, device: torch.device) -> Predictor:
    """What `write_model`, or `write_model` and `write_ensemble`, left in `folder` (model.network.saved).

    It computes in what it was evaluated in; of fp16, which is for GPUs, a CPU makes fp32. Raises UserError, naming the
    file, where there is no such model, or not a whole one.
    """
    counts = read_ensemble(folder)
    if counts is None:
        alone = _load(folder, device)
        tasks = alone.model.tasks
        return Predictor(tasks, {folder.name: alone}, {task.name: {folder.name: 1} for task in tasks})
    names = dict.fromkeys(name for of_task in counts.values() for name in of_task)
    members = {name: _load(member_folder(folder, name), device) for name in names}
    first = next(iter(members))
    tasks = members[first].model.tasks
    for name, member in members.items():
        names = [task.name for task in member.model.tasks]
        if set(names) != set(counts):
            own, known = ", ".join(names), ", ".join(counts)
            raise UserError(f"{folder}: the member {name} is of the tasks {own}; the ensemble is of {known}")
        if member.model.tasks != tasks:
            raise UserError(f"{folder}: the tasks of the member {name} are not described as those of {first}")
    return Predictor(tasks, members, counts)


def _load(path: Path, device: torch.device) -> Member:
    model, encoder = read_model(path)
    precision = read_precision(path)
    here: ConcretePrecision = "fp32" if precision == "fp16" and device.type == "cpu" else precision
    return Member(model.to(device), encoder, here)
