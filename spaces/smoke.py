"""A space of three parameters at most, for a search that only has to run; the shortest one to begin your own from."""

from typing import Any

import optuna

from model.config import EncoderConfig, OptimizationConfig, TaskConfig, TrialConfig
from model.problem import Problem, losses_for


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """One configuration."""
    frozen = trial.suggest_categorical("frozen", [True, False])
    pairs: Any = trial.suggest_categorical("pair_encoding", ["cross", "bi"]) if has_pairs(problem) else None
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    return TrialConfig(
        encoder=EncoderConfig(freeze_depth=problem.num_layers if frozen else 0),
        tasks={
            task.name: TaskConfig(pair_encoding=pairs if task.is_pair else None, loss=losses_for(task)[0])
            for task in problem.tasks
        },
        optimization=OptimizationConfig(learning_rate=rate, head_learning_rate=rate),
    )


def points(problem: Problem) -> dict[str, dict[str, Any]]:
    """What is tried first."""
    pairs = {"pair_encoding": "bi"} if has_pairs(problem) else {}
    return {"frozen": {"frozen": True, **pairs, "learning_rate": 1e-3}}


def has_pairs(problem: Problem) -> bool:
    """Whether it changes anything how pairs meet the encoder."""
    return any(task.is_pair for task in problem.tasks)
