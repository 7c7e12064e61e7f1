"""How many trials share a GPU: --trials-per-gpu auto, by what they were measured to take of its memory.

The space's points and some random draws are each trained for a step on its longest examples, one after the other in a
process of their own on one GPU of the run: what a trial can take at most, and not what it happens to take at first. A
configuration that is larger still meets the trial's own answer to a full GPU: it goes on in halves of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
import ray
from optuna.samplers import RandomSampler
from rich.console import Console

from model.config import TrialConfig
from model.data.tokens import Tokens
from model.network.pretrained import Encoder
from model.problem import Problem
from model.training.memory import Memory, measure
from model.training.precision import Precision
from search.resources import Machine
from search.space import Space, quiet_optuna

DRAWS = 12
"""Random draws, beside the points."""
MOST = 8
"""Trials on a GPU: beyond it, they are in each other's way."""
SHARE = 0.9
"""Of the memory, to be given to trials: allocators need some room to move in."""


@dataclass(frozen=True)
class Measured:
    """What came of it."""

    trials: int
    """On each GPU."""
    largest: int
    """Bytes that the largest of the measured trials takes, all its process needs included."""
    available: int
    """Bytes of the GPU that nobody else has."""
    configurations: int

    def __str__(self) -> str:
        return (
            f"{self.trials} to a GPU: the largest of {self.configurations} configurations takes "
            f"{self.largest / 1e9:.1f} GB of {self.available / 1e9:.1f}"
        )


def trials_that_fit(
    machine: Machine,
    space: Space,
    problem: Problem,
    tokens: Tokens,
    encoder: Encoder,
    precision: Precision,
    console: Console,
) -> Measured:
    """Measures on one GPU of `machine`, which has some, under a Ray that was started."""
    configs = candidates(space, problem)
    console.print(f"Measuring what {len(configs)} configurations take of a GPU's memory", highlight=False)
    on_gpu = ray.remote(num_gpus=1, num_cpus=1, max_retries=0)(measured_there)
    found: list[Memory] = ray.get(on_gpu.remote([config.to_dict() for config in configs], tokens, encoder, precision))
    return that_fit(found, machine)


def candidates(space: Space, problem: Problem) -> list[TrialConfig]:
    """The space's points, and random draws."""
    with quiet_optuna():
        study = optuna.create_study(sampler=RandomSampler(seed=0))
        for params in space.points.values():
            study.enqueue_trial(dict(params))
        return [space.draw(study.ask(), problem) for _ in range(len(space.points) + DRAWS)]


def measured_there(configs: Sequence[dict], tokens: Tokens, encoder: Encoder, precision: Precision) -> list[Memory]:
    """What each of `configs` takes, in this process, which has a GPU to itself."""
    return [measure(TrialConfig.from_dict(config), tokens, encoder, precision=precision) for config in configs]


def that_fit(found: Sequence[Memory], machine: Machine) -> Measured:
    """As many as the largest of them allows, with a core for each."""
    largest = max(memory.taken for memory in found)
    available = min(memory.available for memory in found)
    cores = min(node.cores // node.gpus for node in machine.nodes if node.gpus)
    fitting = min(int(SHARE * available // largest), cores, MOST)
    return Measured(max(1, fitting), largest, available, len(found))
