"""Parameters whose best values lie at the edge of what was searched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from analysis.why.edges import edges
from search.records import State, TrialRecord
from tests.analysis.simulated import simulated_record

RATE = FloatDistribution(1e-5, 2e-3, log=True)


def run_of(distribution: BaseDistribution, values: list[Any]) -> list[TrialRecord]:
    """Trials with one parameter, the best first."""
    told = {"rate": json.loads(distribution_to_json(distribution))}
    return [
        simulated_record(f"t{i:03d}", [0.9 - 0.01 * i], params={"rate": value}, distributions=told)
        for i, value in enumerate(values)
    ]


def test_the_words() -> None:
    records = run_of(RATE, [1.9e-3, 1.8e-3, 1e-4, *[1e-4] * 7])
    (edge,) = edges(records)
    assert edge.words == (
        "rate 0.0019 lies at the upper edge of 1e-05 to 0.002, as in 2 of the 3 best trials that have it: a wider "
        "range may be better"
    )


@pytest.mark.parametrize(
    ("distribution", "best", "side"),
    [
        (RATE, [1.1e-5, 1.2e-5, 1e-5], "lower"),
        (RATE, [1e-4, 1e-4, 1.1e-4], None),  # near the lower end, were it not for the logarithm
        (RATE, [1.9e-3, 1e-4, 1e-4], None),  # the winner alone
        (RATE, [1e-4, 1.9e-3, 1.9e-3], None),  # not the winner
        (RATE, [1.9e-3, 1.9e-3], None),  # too few
        (FloatDistribution(0.0, 0.2), [0.0, 0.001, 0.0], None),  # nothing lies below
        (FloatDistribution(0.0, 0.2), [0.2, 0.199, 0.195], "upper"),
        (FloatDistribution(0.0, 1.0, step=0.25), [1.0, 1.0, 1.0], None),  # a share
        (FloatDistribution(0.5, 2.0, step=0.5), [0.5, 0.5, 2.0], "lower"),
        (IntDistribution(1, 9), [1, 1, 1], None),  # counted from one
        (IntDistribution(1, 9), [9, 9, 8], "upper"),
        (IntDistribution(2, 9), [2, 2, 2], "lower"),
        (IntDistribution(1, 2), [2, 2, 2], None),  # each of two is at an edge
        (IntDistribution(3, 3), [3, 3, 3], None),
        (CategoricalDistribution((8, 16, 32)), [8, 8, 32], "lower"),
        (CategoricalDistribution((32, 8, 16)), [16, 16, 16], None),  # in no order
        (CategoricalDistribution((1.0, 0.9)), [1.0, 1.0, 1.0], None),
        (CategoricalDistribution((None, 1, 2, 3)), [3, 3, 3], None),
        (CategoricalDistribution(("a", "b", "c")), ["c", "c", "c"], None),
        (CategoricalDistribution((False, True)), [True, True, True], None),
    ],
)
def test_which_are_at_an_edge(distribution: BaseDistribution, best: list[Any], side: str | None) -> None:
    assert [edge.side for edge in edges(run_of(distribution, best))] == ([side] if side else [])


@pytest.mark.parametrize("state", ["diverged", "running"])
def test_trials_that_importance_leaves_out_or_without_a_score_are_no_help(state: State) -> None:
    records = run_of(RATE, [1.9e-3, 1.9e-3, 1.9e-3])
    records[1].state = state
    assert edges(records) == []
    assert edges([]) == []
