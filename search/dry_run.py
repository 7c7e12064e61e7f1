"""Configurations that a space can make, the POINTS, then random draws, shown without training any."""

from __future__ import annotations

import optuna
from optuna.samplers import RandomSampler

from model.console import Console
from model.describe import describe
from model.problem import Problem
from search.records import POINT
from search.space import Space, quiet_optuna


def dry_run(space: Space, problem: Problem, count: int, seed: int, console: Console) -> None:
    """Prints `count` configurations: the space's POINTS, then random draws."""
    console.print("Fields at their default are left out.", highlight=False)
    with quiet_optuna():
        study = optuna.create_study(sampler=RandomSampler(seed=seed))
        for params in space.points.values():
            study.enqueue_trial(dict(params))
        names = [f"{POINT}{name}" for name in space.points]
        for number in range(count):
            config = space.draw(study.ask(), problem)
            name = names[number] if number < len(names) else "drawn at random"
            console.print(f"{number + 1}. {name}", style="bold", highlight=False)
            for line in describe(config):
                console.say(f"   {line}")
