"""ASHA's decisions, and what the ledger has of them. Ray is not started."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pytest
from ray.exceptions import RayTaskError
from ray.tune.schedulers import TrialScheduler

from search.ledger import Decision, Ledger
from search.scheduler import Asha
from tests.search.events import report, suggested

STOP, CONTINUE = TrialScheduler.STOP, TrialScheduler.CONTINUE


class Trials:
    """Fake trials of Ray's that report to a real scheduler."""

    def __init__(self, ledger: Ledger, epochs: int, *, early_stopping: bool = True) -> None:
        self.ledger = ledger
        self.asha = Asha(ledger, epochs, early_stopping=early_stopping)
        self.trials: dict[str, Any] = {}

    def report(self, name: str, best: float | None) -> str:
        """The decision on the trial's next epoch; None is a divergence."""
        if name not in self.trials:
            self.trials[name] = SimpleNamespace(trial_id=f"ray-{name}", config={"trial": name})
            self.ledger.append(suggested(name))
            self.asha.on_trial_add(None, self.trials[name])  # type: ignore[arg-type]
        epoch = self.ledger.records[name].epoch + 1
        made = None if best is None else report(name, epoch, best)
        result = {"epoch": epoch, "best": best, "report": made}
        action = self.asha.on_trial_result(None, self.trials[name], result)
        if action == STOP:  # what Ray's controller does next
            self.asha.on_trial_complete(None, self.trials[name], result)
        return action

    def states(self) -> dict[str, str]:
        return {name: record.state for name, record in self.ledger.records.items()}


def decision(trial: str, epoch: int, action: str, rung: int | None, cutoff: object) -> tuple[object, ...]:
    return (trial, epoch, action, rung, cutoff)


def decisions(ledger: Ledger) -> list[tuple[object, ...]]:
    found: list[Decision] = [d for record in ledger.records.values() for d in record.decisions]
    return [decision(d.trial, d.epoch, d.action, d.rung, d.cutoff) for d in found]


def test_below_the_top_third_at_a_rung_is_stopped(ledger: Ledger) -> None:
    trials = Trials(ledger, epochs=7)
    assert [trials.report("t001", best) for best in (0.1, 0.5, 0.5, 0.6, 0.6, 0.6, 0.7)] == [CONTINUE] * 6 + [STOP]
    assert [trials.report("t002", best) for best in (0.4, 0.4)] == [CONTINUE, STOP]
    assert [trials.report("t003", best) for best in (0.0, 0.8, 0.8)] == [CONTINUE] * 3
    assert trials.states() == {"t001": "completed", "t002": "stopped", "t003": "running"}
    two_thirds_of_the_way = pytest.approx(0.4 + (0.5 - 0.4) * 2 / 3)
    assert decisions(ledger) == [
        decision("t001", 1, "continue", None, None),
        decision("t001", 2, "continue", 2, None),
        *(decision("t001", epoch, "continue", None, None) for epoch in (3, 4, 5)),
        decision("t001", 6, "continue", 6, None),
        decision("t002", 1, "continue", None, None),
        decision("t002", 2, "stop", 2, 0.5),
        decision("t003", 1, "continue", None, None),
        decision("t003", 2, "continue", 2, two_thirds_of_the_way),
        decision("t003", 3, "continue", None, None),
    ]


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_budget_within_the_grace_period_stops_nothing(ledger: Ledger, epochs: int) -> None:
    trials = Trials(ledger, epochs)
    for name in ("t001", "t002"):
        for epoch in range(1, epochs + 1):
            action = trials.report(name, 0.5 if name == "t001" else 0.1)
            assert action == (STOP if epoch == epochs else CONTINUE)
    assert trials.states() == {"t001": "completed", "t002": "completed"}


def test_without_early_stopping_the_weakest_trial_trains_to_its_end(ledger: Ledger) -> None:
    trials = Trials(ledger, epochs=7, early_stopping=False)
    for name, best in (("t001", 0.9), ("t002", 0.1)):
        assert [trials.report(name, best) for _ in range(7)] == [CONTINUE] * 6 + [STOP]
    assert [trials.report("t003", best) for best in (0.1, None)] == [CONTINUE, STOP]
    assert trials.states() == {"t001": "completed", "t002": "completed", "t003": "diverged"}
    assert {(d.action, d.rung) for record in ledger.records.values() for d in record.decisions} == {("continue", None)}


def test_a_divergence_leaves_the_rungs_as_they_were(ledger: Ledger) -> None:
    trials = Trials(ledger, epochs=4)
    assert [trials.report("t001", best) for best in (0.5, None)] == [CONTINUE, STOP]
    assert [trials.report("t002", best) for best in (0.1, 0.1)] == [CONTINUE, CONTINUE], "first at the rung"
    assert trials.states() == {"t001": "diverged", "t002": "running"}
    assert ledger.records["t001"].epoch == 1


def test_a_report_is_on_disk_before_ray_hears_the_decision(ledger: Ledger) -> None:
    order: list[str] = []
    ledger.listen(lambda event, record: order.append(type(event).__name__))
    trials = Trials(ledger, epochs=2)
    trials.report("t001", 0.5)
    trials.report("t001", 0.6)
    assert order == ["Suggested", "Report", "Decision", "Report", "End"]


@pytest.mark.parametrize("with_cause", [True, False])
def test_a_failure_keeps_type_message_and_traceback(ledger: Ledger, tmp_path: Path, with_cause: bool) -> None:
    trials = Trials(ledger, epochs=2)
    trials.report("t001", 0.5)
    (tmp_path / "error.txt").write_text("Failure # 1\nsomething in Ray broke\n")
    error = RayTaskError("step", "Traceback ...\nValueError: boom", ValueError("boom"), "x", 1, "127.0.0.1")
    with (tmp_path / "error.pkl").open("wb") as file:
        cloudpickle.dump(error.as_instanceof_cause(), file)
    trials.trials["t001"].error_file = str(tmp_path / "error.txt")
    trials.trials["t001"].pickled_error_file = str(tmp_path / "error.pkl") if with_cause else None
    trials.asha.on_trial_error(None, trials.trials["t001"])
    found = ledger.records["t001"].error
    assert ledger.records["t001"].state == "failed"
    assert found is not None
    if with_cause:
        assert (found.type, found.message) == ("ValueError", "boom")
        assert "ValueError: boom" in found.traceback
        assert "\x1b" not in found.traceback
    else:
        assert (found.type, found.message) == ("RayError", "something in Ray broke")
