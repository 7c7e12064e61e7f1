"""Trials that diverge, raise or run out of memory, all in one search: what each becomes, and that it harms no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from search.policy.rungs import GRACE, REDUCTION_FACTOR
from search.records import TrialRecord, leaderboard
from tests.faults.harness import EPOCHS, Search, pid_of

PLAN = {
    "t001": {2: "always have little room"},
    "t003": {3: "break down"},
    "t004": {3: "lose its numbers"},
    "t005": {2: "always leak"},
    "t007": {3: "leak"},
}

SEED = ("--seed", "10")
"""By which those that are to meet something in their third epoch are not stopped after the second."""


@dataclass(frozen=True)
class Ended:
    """The search, when it has ended."""

    search: Search
    said: str
    trials: dict[str, TrialRecord]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    search = Search(tmp_path_factory.mktemp("outcomes"))
    said, errors = search.start(*SEED, "--search", "tpe", trials=8, plan=PLAN).ends()
    assert errors == ""
    return Ended(search, said, search.history().trials)


def test_a_trial_that_raises_has_failed(ended: Ended) -> None:
    trial = ended.trials["t003"]
    assert (trial.state, trial.epoch, trial.retries) == ("failed", 2, [])
    assert trial.error is not None
    assert (trial.error.type, trial.error.message) == ("ZeroDivisionError", "as planned")
    assert trial.error.traceback.startswith("Traceback (most recent call last):")
    assert 'raise ZeroDivisionError("as planned")' in trial.error.traceback
    assert "t003  failed: ZeroDivisionError: as planned" in ended.said


def test_a_trial_that_leaves_the_finite_numbers_has_diverged(ended: Ended) -> None:
    trial = ended.trials["t004"]
    assert (trial.state, trial.epoch, trial.retries, trial.error) == ("diverged", 2, [], None)
    assert "t004  diverged in epoch 3" in ended.said


def test_those_that_failed_or_diverged_are_ranked_last(ended: Ended) -> None:
    names = [record.name for record in leaderboard(ended.trials.values())]
    assert set(names[-3:]) == {"t003", "t004", "t005"}


def test_thresholds_are_as_if_they_had_not_been(ended: Ended) -> None:
    """One trial at a time: each is compared with those before it, less those that are out."""
    before = list[float]()
    for trial in ended.trials.values():
        decision = next((made for made in trial.decisions if made.rung == GRACE), None)
        if decision is None:
            continue
        best = trial.reports[GRACE - 1].best
        cutoff = np.percentile(before, 100 * (1 - 1 / REDUCTION_FACTOR)) if before else None
        assert decision.cutoff == cutoff
        assert decision.action == ("stop" if cutoff is not None and best < cutoff else "continue")
        if trial.state not in ("failed", "diverged"):
            before.append(best)
    assert len(before) == 5
    assert ended.trials["t004"].reports[GRACE - 1].best > min(before), "or it would not have mattered"


def test_optuna_is_told(ended: Ended) -> None:
    for record, (state, values, intermediate) in zip(ended.trials.values(), ended.search.told_to_optuna(), strict=True):
        told = [[report.epoch, report.best] for report in record.reports]
        match record.state:
            case "completed":
                assert (state, values, intermediate) == ("COMPLETE", [record.reports[-1].best], told)
            case "stopped":
                assert (state, intermediate) == ("PRUNED", told)
            case "diverged":
                assert (state, intermediate) == ("PRUNED", [])
            case "failed":
                assert (state, intermediate) == ("FAIL", [])


def test_a_trial_that_ran_out_of_memory_goes_on_in_half_micro_batches(ended: Ended, tmp_path: Path) -> None:
    """As many examples in as many steps: the same learning, up to rounding."""
    undisturbed = Search(tmp_path)
    undisturbed.start(*SEED, "--search", "tpe", trials=1).ends()
    trial, whole = ended.trials["t001"], undisturbed.history().trials["t001"]
    assert (trial.state, trial.epoch) == ("completed", EPOCHS)
    (retry,) = trial.retries
    assert (retry.reason, retry.error.type) == ("memory", "OutOfMemoryError")
    assert (
        "t001  out of memory (CUDA out of memory. Tried to allocate 2.00 MiB.): taken up again, now with" in ended.said
    )
    assert trial.reports[0].losses == whole.reports[0].losses, "it goes on from its last epoch"
    for report, other in zip(trial.reports[1:], whole.reports[1:], strict=True):
        assert report.examples == other.examples
        assert report.losses == pytest.approx(other.losses, rel=1e-3)


def test_a_leak_is_told_from_other_errors(ended: Ended) -> None:
    trial = ended.trials["t007"]
    assert (trial.state, trial.epoch) == ("completed", EPOCHS)
    assert [retry.reason for retry in trial.retries] == ["memory"]
    assert "can't allocate memory" in trial.retries[0].error.message


def test_a_trial_that_runs_out_of_memory_twice_has_failed_and_its_process_serves_the_next(ended: Ended) -> None:
    trial = ended.trials["t005"]
    assert (trial.state, trial.epoch) == ("failed", 1)
    assert [retry.reason for retry in trial.retries] == ["memory"]
    assert trial.error is not None
    assert "can't allocate memory" in trial.error.message
    assert pid_of(ended.search.run, "t006") == pid_of(ended.search.run, "t005")


def test_the_end_counts_them(ended: Ended) -> None:
    assert "(1 by ZeroDivisionError, 1 by RuntimeError)" in ended.said
    assert "2 failed" in ended.said
    assert "1 diverged" in ended.said
    assert "; taken up again: 3 memory\n" in ended.said
