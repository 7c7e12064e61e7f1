"""How far a run has come."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from search.ledger import Ledger
from search.lock import locked
from search.records import Decision, End, History, Session
from search.run_folder import RunFolder, create_run
from search.standing import Standing, nothing_left, standing_of
from tests.search.events import report, suggested
from tests.search.test_run_folder import INFO


def test_how_far_a_run_of_so_many_trials_has_come(tmp_path: Path) -> None:
    run = create_run(tmp_path, "first", dataclasses.replace(INFO, trials=2), "")
    assert standing_of(run) == Standing("unfinished", "unfinished, 0 of 2 trials ended")
    with Ledger(run.ledger) as ledger:
        ledger.append(suggested("t001"))
        with locked(run.lock, "it"):
            assert standing_of(run) == Standing("running", "running, 0 of 2 trials ended")
        ledger.append(End(trial="t001", state="diverged"))
        assert standing_of(run) == Standing("unfinished", "unfinished, 1 of 2 trials ended")
        ledger.append(suggested("t002"))
        ledger.append(End(trial="t002", state="completed"))
        with locked(run.lock, "it"):
            assert standing_of(run) == Standing("done", "all 2 trials ended")
    assert standing_of(run) == Standing("done", "all 2 trials ended")


def test_how_far_a_run_with_a_budget_alone_has_come(tmp_path: Path) -> None:
    run = create_run(tmp_path, "first", dataclasses.replace(INFO, trials=None, budget="2epochs"), "")
    with Ledger(run.ledger) as ledger:
        ledger.append(suggested("t001"))
        ledger.append(report("t001"))
        assert standing_of(run) == Standing("unfinished", "unfinished, 0 trials ended")
        with locked(run.lock, "it"):
            assert standing_of(run) == Standing("running", "running, 0 trials ended")
        ledger.append(suggested("t002"))
        ledger.append(report("t002"))
        ledger.append(Decision(trial="t001", epoch=1, action="pause", rung=1, cutoff=None))
        assert standing_of(run) == Standing("spent", "budget of 2epochs used up, 1 paused, 1 unfinished")
        ledger.append(End(trial="t001", state="stopped"))
        ledger.append(End(trial="t002", state="completed"))
        assert standing_of(run) == Standing("spent", "budget of 2epochs used up, 1 stopped, 1 completed")


ENDED = History(
    [
        Session(time=0.0),
        *(suggested(name) for name in ("t001", "t002", "t003")),
        *(report(name) for name in ("t001", "t002")),
        *(End(trial=name, state="completed", time=90.0) for name in ("t001", "t002")),
    ]
)
"""Two of three trials have ended, after two epochs and a minute and a half."""


@pytest.mark.parametrize(
    ("trials", "budget", "why"),
    [
        (3, None, None),
        (2, None, "one: all 2 trials have ended; --trials N with a larger N goes on with more"),
        (1, None, "one: all 2 trials have ended; --trials N with a larger N goes on with more"),
        (3, "2m", None),
        (3, "1m30s", "one: its budget of 1m30s is used up; a larger --budget goes on"),
        (None, "3epochs", None),
        (None, "2epochs", "one: its budget of 2epochs is used up; a larger --budget goes on"),
    ],
)
def test_nothing_left(trials: int | None, budget: str | None, why: str | None) -> None:
    info = dataclasses.replace(INFO, trials=trials, budget=budget)
    assert nothing_left(RunFolder(Path("runs/one")), info, ENDED) == why
