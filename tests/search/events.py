"""Events of a ledger, made up."""

from __future__ import annotations

from typing import Any

from search.records import Report, Suggested

TASKS = ("sentiment", "paraphrase", "similarity")


def suggested(trial: str = "t001", source: str = "tpe", **params: Any) -> Suggested:
    return Suggested(trial=trial, source=source, params=params, distributions={}, config={"made": "up"})


def report(trial: str = "t001", epoch: int = 1, overall: float = 0.5, best: float | None = None) -> Report:
    return Report(
        trial=trial,
        epoch=epoch,
        scores=dict.fromkeys(TASKS, overall),
        clean_scores=dict.fromkeys(TASKS, overall),
        train_scores=dict.fromkeys(TASKS, overall + 0.1),
        losses=dict.fromkeys(TASKS, 1.0),
        overall=overall,
        clean_overall=overall,
        best=overall if best is None else best,
        examples=100,
        train_seconds=2.0,
        seconds=3.0,
        trainable_parameters=1000,
    )
