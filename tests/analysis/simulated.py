"""Trials as a ledger would have them, without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from search.records import Report, State, TrialRecord


def simulated_record(
    name: str,
    overalls: Sequence[float],
    state: State = "completed",
    *,
    source: str = "tpe",
    params: Mapping[str, Any] | None = None,
    distributions: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    epoch_seconds: float = 1.0,
    trainable_parameters: int = 1000,
) -> TrialRecord:
    """A trial that reported `overalls`, one an epoch."""
    reports = [
        Report(
            trial=name,
            epoch=epoch,
            scores={"sentiment": overall},
            clean_scores={"sentiment": overall},
            train_scores={"sentiment": overall},
            losses={"sentiment": 1.0},
            overall=overall,
            clean_overall=overall,
            best=best,
            examples=100,
            train_seconds=epoch_seconds,
            seconds=1.5 * epoch_seconds,
            trainable_parameters=trainable_parameters,
            time=1000.0 * epoch,
        )
        for epoch, (overall, best) in enumerate(zip(overalls, accumulate(overalls, max), strict=True), 1)
    ]
    return TrialRecord(
        name=name,
        source=source,
        params=params or {},
        distributions=distributions or {},
        config=config or {},
        reports=reports,
        state=state,
    )
