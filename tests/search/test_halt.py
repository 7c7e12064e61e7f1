"""Why a run ends before its last trial."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from search.budget import Budget
from search.halt import Halt
from search.records import End, History, Session
from tests.search.events import report, suggested


def halting(budget: Budget, history: History) -> Halt:
    return Halt(budget, history, on_interrupt=lambda: None)


def test_without_a_cause_it_goes_on() -> None:
    halt = halting(Budget(), History([Session(time=0.0), suggested(), report()]))
    assert not halt.stop_all()
    assert halt.cause is None


def test_a_budget_in_seconds_is_that_of_all_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("search.halt.time", SimpleNamespace(monotonic=lambda: now[0]))
    history = History(
        [
            Session(setup_seconds=10.0, time=100.0),
            suggested(),
            End(trial="t001", state="diverged", time=130.0),
            Session(setup_seconds=5.0, time=9000.0),
        ]
    )
    halt = halting(Budget(seconds=60), history)  # 40 s before, 5 s to come to this
    now[0] += 14.9
    assert not halt.stop_all()
    now[0] += 0.2
    assert halt.stop_all()
    assert halt.cause == "budget"


def test_a_budget_in_epochs_is_that_of_all_trials() -> None:
    history = History([suggested("t001"), suggested("t002"), report("t001", 1), report("t002", 1)])
    halt = halting(Budget(epochs=3), history)
    assert not halt.stop_all()
    history.apply(report("t001", 2))
    assert halt.stop_all()
    assert halt.cause == "budget"


def test_no_single_trial_is_stopped() -> None:
    halt = halting(Budget(epochs=1), History([suggested(), report()]))
    assert halt.stop_all()
    assert not halt("ray-id", {})


def test_the_first_error_is_the_one_to_raise() -> None:
    halt = halting(Budget(), History())
    first, second = OSError("first"), OSError("second")
    halt.for_error(first)
    halt.for_error(second)
    assert (halt.cause, halt.error, halt.stop_all()) == ("error", first, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_stops_in_order_and_a_second_breaks_off(number: int) -> None:
    said: list[str] = []
    halt = Halt(Budget(), History(), on_interrupt=lambda: said.append("stopping"))
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    with halt.on_signals():
        os.kill(os.getpid(), number)
        assert (halt.cause, halt.stop_all(), said) == ("interrupted", True, ["stopping"])
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert said == ["stopping"]
    assert {one: signal.getsignal(one) for one in before} == before
