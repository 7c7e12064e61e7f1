"""A search for several objectives at once: what each of them is, and the trials that no other one beats."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from operator import ge
from typing import Literal, get_args

from search.records import TrialRecord, is_fit, leaderboard

Objective = Literal["overall", "seconds", "parameters"]
"""The best overall so far, higher is better; seconds of training in an epoch, and parameters that are trained, lower is
better."""
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
OVERALL_ALONE: tuple[Objective, ...] = ("overall",)


def epoch_seconds(train_seconds: Sequence[float]) -> float:
    """Of training, in an epoch: their mean over the epochs without the first one, which may fill a cache, if there are
    more. In two digits: more would be noise, by which any trial may be the fastest of its like."""
    return float(f"{statistics.fmean(train_seconds[1:] or train_seconds):.2g}")


def values(
    objectives: Iterable[Objective], *, overall: float, train_seconds: Sequence[float], parameters: int
) -> tuple[float, ...]:
    """A trial's value for each of `objectives`, of which higher is better."""
    each = {"overall": overall, "seconds": -epoch_seconds(train_seconds), "parameters": -float(parameters)}
    return tuple(each[objective] for objective in objectives)


def nondominated(values: Mapping[str, tuple[float, ...]]) -> list[str]:
    """The names of those to whose values no other's are at least as high in all objectives, the highest first objective
    first. Of several with the same values, the first."""
    found: list[str] = []
    for name in sorted(values, key=values.__getitem__, reverse=True):  # whatever dominates a name comes before it
        mine = values[name]
        if not any(all(map(ge, values[other], mine)) for other in found):
            found.append(name)
    return found


def front(records: Iterable[TrialRecord], objectives: Sequence[Objective]) -> list[TrialRecord]:
    """The Pareto front: the sound trials that no other one is at least as good as in all of `objectives`, of which
    overall is the first, by overall, best first. Of equal ones, the first by name."""
    sound = {record.name: record for record in leaderboard(records) if is_fit(record)}
    return [sound[name] for name in nondominated({name: _values(one, objectives) for name, one in sound.items()})]


def seconds_an_epoch(record: TrialRecord) -> float:
    """Of training, of a trial that has reported: see `epoch_seconds`."""
    return epoch_seconds([report.train_seconds for report in record.reports])


def _values(record: TrialRecord, objectives: Sequence[Objective]) -> tuple[float, ...]:
    assert record.best is not None, "a sound trial has reported"
    return values(
        objectives,
        overall=record.best.overall,
        train_seconds=[report.train_seconds for report in record.reports],
        parameters=record.best.trainable_parameters,
    )
