"""Costs, and the trials that no other beats in both score and cost."""

from __future__ import annotations

from analysis.why.cost import front, train_seconds, trainable_parameters
from tests.analysis.simulated import simulated_record


def test_costs() -> None:
    record = simulated_record("t001", [0.1, 0.3, 0.2], epoch_seconds=2.5, trainable_parameters=77)
    assert train_seconds(record) == 7.5
    assert trainable_parameters(record) == 77


def test_the_front_is_cheapest_first_and_each_better() -> None:
    figures = {
        "cheap": (0.5, 1.0),
        "as good, dearer": (0.5, 2.0),
        "worse, dearer": (0.4, 3.0),
        "as dear, worse": (0.55, 4.0),
        "middling": (0.6, 4.0),
        "best": (0.7, 9.0),
        "worse than best": (0.65, 10.0),
    }
    records = [simulated_record(name, [overall], epoch_seconds=cost) for name, (overall, cost) in figures.items()]
    assert [record.name for record in front(records, train_seconds)] == ["cheap", "middling", "best"]
    assert [record.name for record in front(records[::-1], train_seconds)] == ["cheap", "middling", "best"]
    assert [record.name for record in front(records, trainable_parameters)] == ["best"], "all cost the same"
    assert front([], train_seconds) == []


def test_only_trials_with_their_full_budget_are_on_it() -> None:
    records = [
        simulated_record("t001", [0.5], epoch_seconds=5.0),
        simulated_record("t002", [0.9], "stopped", epoch_seconds=1.0),
        simulated_record("t003", [0.9], "diverged", epoch_seconds=1.0),
        simulated_record("t004", [0.9], "running", epoch_seconds=1.0),
        simulated_record("t005", [], "failed"),
    ]
    assert [record.name for record in front(records, train_seconds)] == ["t001"]
