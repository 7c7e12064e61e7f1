"""--budget ends a run in time, keeps the trials that ran, and counts what all sessions took."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from search.standing import standing_of
from tests.faults.harness import Search, decisions, figures

GRACE = 60.0
"""Seconds that a run may take over its budget."""


def test_a_budget_of_epochs(tmp_path: Path, uninterrupted: Search) -> None:
    search = Search(tmp_path)
    said, errors = search.start("--budget", "3epochs").ends()
    assert errors == ""
    assert "Ended: budget of 3epochs used up; 1 paused, 1 unfinished" in said
    assert standing_of(search.run).words == "budget of 3epochs used up, 1 paused, 1 unfinished"
    assert "A larger budget goes on, such as this:\n" in said
    assert f"--resume {search.run.name} --runs-dir {search.runs_dir} --budget 6epochs\n" in said
    trials = [(record.name, record.state, record.epoch) for record in search.history().trials.values()]
    assert trials == [("t001", "paused", 2), ("t002", "running", 1)]
    for name in ("t001", "t002"):
        assert search.run.states(name) != [], "it is kept as it was"
    search.leaves_nothing_running()

    said, errors = search.resume().ends()
    assert errors == ""
    assert said == f"{search.run.name}: its budget of 3epochs is used up; a larger --budget goes on\n"

    search.resume("--budget", "1h").ends()
    assert decisions(search.history()) == decisions(uninterrupted.history())
    assert figures(search.history()) == figures(uninterrupted.history())


@pytest.mark.slow
def test_a_budget_of_time(tmp_path: Path, uninterrupted: Search) -> None:
    search = Search(tmp_path)
    search.start("--budget", "1epoch").ends()
    before = search.history().seconds_spent()
    assert before > 0

    # As much again as it took so far to start, and some seconds: whatever this machine is, trials begin, and one is in
    # a step that would take an hour when the time is up.
    budget = math.ceil(2 * before) + 5
    begun = time.monotonic()
    driver = search.resume("--budget", f"{budget}s", plan={"t002": {2: "dawdle"}})
    said, errors = driver.wait_for(search.met("t002", 2)).ends()
    took = time.monotonic() - begun
    assert errors == ""
    assert f"Ended: budget of {budget}s used up; 1 paused, 1 unfinished" in said
    assert "A larger budget goes on" in said
    assert before + took < budget + GRACE, "what the first session took counts"
    history = search.history()
    assert [record.state for record in history.trials.values()] == ["paused", "running"]
    assert budget <= history.seconds_spent() < budget + GRACE
    search.leaves_nothing_running()

    said, _ = search.resume().ends()
    assert said == f"{search.run.name}: its budget of {budget}s is used up; a larger --budget goes on\n"

    search.resume("--budget", "1h").ends()
    assert decisions(search.history()) == decisions(uninterrupted.history())
    assert figures(search.history()) == figures(uninterrupted.history())
