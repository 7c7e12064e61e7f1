"""Configurations that a space can make, the POINTS, then random draws, shown without training any."""

from __future__ import annotations

import dataclasses
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from rich.console import Console

from model.config import TrialConfig
from model.problem import Problem
from search.space import Space, quiet_optuna


def dry_run(space: Space, problem: Problem, count: int, seed: int, console: Console) -> None:
    """Prints `count` configurations: the space's POINTS, then random draws."""
    with quiet_optuna():
        study = optuna.create_study(sampler=RandomSampler(seed=seed))
        for params in space.points.values():
            study.enqueue_trial(dict(params))
        names = [f"point {name}" for name in space.points]
        for number in range(count):
            config = space.draw(study.ask(), problem)
            name = names[number] if number < len(names) else "drawn at random"
            console.print(f"{number + 1}. {name}", style="bold", highlight=False)
            for line in describe(config):
                console.print(f"   {line}", soft_wrap=True, highlight=False, markup=False)


def describe(config: TrialConfig) -> list[str]:
    """A configuration in lines to read: one for each of its parts, one for each task."""
    parts: dict[str, Any] = {"encoder": config.encoder, "head": config.head, **config.tasks}
    parts["optimization"] = config.optimization
    width = max(len(name) for name in parts)
    return [f"{name:{width}}  {_fields(part)}" for name, part in parts.items()]


def _fields(part: Any) -> str:
    values = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )
