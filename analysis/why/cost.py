"""What a score costs: the trials that no other beats in both, overall and cost (the Pareto front)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search.records import TrialRecord, is_fit

Cost = Callable[[TrialRecord], float]


def train_seconds(record: TrialRecord) -> float:
    """Seconds in which the trial trained, evaluation apart."""
    return sum(report.train_seconds for report in record.reports)


def trainable_parameters(record: TrialRecord) -> float:
    """How many numbers it trained."""
    return float(record.reports[-1].trainable_parameters)


def full_budget(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those whose costs compare: a stopped trial is cheap because it was stopped."""
    return [record for record in records if is_fit(record) and record.state == "completed"]


def front(records: Sequence[TrialRecord], cost: Cost) -> list[TrialRecord]:
    """Of the trials with their full budget those that no other is both as good and cheaper than, or better and as
    cheap: cheapest first, each better than the one before."""
    found: list[TrialRecord] = []
    for record in sorted(full_budget(records), key=lambda record: (cost(record), -_overall(record), record.name)):
        if not found or _overall(record) > _overall(found[-1]):
            found.append(record)
    return found


def _overall(record: TrialRecord) -> float:
    assert record.best is not None, "a completed trial has reported"
    return record.best.overall
