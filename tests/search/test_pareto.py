"""The trials that no other one beats, told by a slow twin, and what each objective is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from search.pareto import OBJECTIVES, Objective, epoch_seconds, front, nondominated, seconds_an_epoch
from search.records import State, TrialRecord
from tests.analysis.simulated import simulated_record

MANY = [("overall", *others) for number in range(3) for others in combinations(OBJECTIVES[1:], number)]


def some(seed: int, count: int) -> list[TrialRecord]:
    """With few different values, so that many are equal in one objective or in all."""
    rng = np.random.default_rng(seed)
    return [
        simulated_record(
            f"t{number:03d}", [overall / 10], epoch_seconds=float(seconds), trainable_parameters=1000 * parameters
        )
        for number, (overall, seconds, parameters) in enumerate(rng.integers(1, 6, (count, 3)).tolist())
    ]


def slow_front(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> list[TrialRecord]:
    """Each compared with each, as the definition goes."""

    def values(record: TrialRecord) -> list[float]:
        one = record.reports[0]
        each = {"overall": one.overall, "seconds": -one.train_seconds, "parameters": -one.trainable_parameters}
        return [each[objective] for objective in objectives]

    def beats(one: TrialRecord, other: TrialRecord) -> bool:
        pairs = list(zip(values(one), values(other), strict=True))
        as_good = all(mine >= its for mine, its in pairs)
        return as_good and (any(mine > its for mine, its in pairs) or one.name < other.name)

    left = [one for one in records if not any(beats(other, one) for other in records)]
    return sorted(left, key=lambda record: (-record.reports[0].overall, *(-value for value in values(record))))


@pytest.mark.parametrize("objectives", MANY)
@pytest.mark.parametrize("seed", range(8))
def test_the_front_is_that_of_the_definition(objectives: Sequence[Objective], seed: int) -> None:
    records = some(seed, 5 + 5 * seed)
    found = front(records, objectives)
    assert [one.name for one in found] == [one.name for one in slow_front(records, objectives)]
    assert [one.name for one in front(records[::-1], objectives)] == [one.name for one in found]
    overalls = [one.reports[0].overall for one in found]
    assert overalls == sorted(overalls, reverse=True)
    assert (len(found) == 1) or len(objectives) > 1


def test_of_equal_ones_the_first_is_on_it() -> None:
    assert nondominated({"b": (0.5, -1.0), "a": (0.5, -1.0), "c": (0.5, -2.0), "d": (0.4, -0.5)}) == ["b", "d"]
    assert nondominated({}) == []


@pytest.mark.parametrize("state", ["diverged", "failed"])
def test_trials_without_scores_that_count_are_not_on_it(state: State) -> None:
    records = [
        simulated_record("t001", [0.5], epoch_seconds=5.0),
        simulated_record("t002", [0.9], state, epoch_seconds=1.0),
        simulated_record("t003", [], "running"),
        simulated_record("t004", [0.4], "stopped", epoch_seconds=1.0),
        simulated_record("t005", [0.3], "paused", epoch_seconds=0.5),
    ]
    assert [record.name for record in front(records, ("overall", "seconds"))] == ["t001", "t004", "t005"]
    assert front(records[1:3], OBJECTIVES) == []


def test_seconds_are_of_training_and_without_the_first_epoch_if_there_are_more() -> None:
    assert epoch_seconds([30.0]) == 30.0
    assert epoch_seconds([30.0, 2.0, 4.0]) == 3.0
    assert (epoch_seconds([1.118]), epoch_seconds([1.121]), epoch_seconds([118.0])) == (1.1, 1.1, 120.0)
    record = simulated_record("t001", [0.1, 0.2, 0.3])
    for report, took in zip(list(record.reports), (30.0, 2.0, 4.0), strict=True):
        record.reports[report.epoch - 1] = replace(report, train_seconds=took, seconds=99.0)
    assert seconds_an_epoch(record) == 3.0


def test_a_trial_is_judged_by_its_best_overall() -> None:
    records = [simulated_record("t001", [0.1, 0.6, 0.2]), simulated_record("t002", [0.5])]
    assert [record.name for record in front(records, ("overall",))] == ["t001"]
