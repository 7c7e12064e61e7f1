"""Ctrl-C, once and twice, a polite kill and an impolite one: what is left, and how the run goes on."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from search.ledger import read_events
from search.records import SessionEnd
from tests.faults.harness import Driver, Search, decisions, figures

LIMIT = 30.0
"""Seconds that stopping in order takes at most, whatever the trials are at."""


def dawdling(search: Search, epoch: int, *, resumed: bool = False) -> Driver:
    """In a step of its second trial that would take an hour."""
    plan = {"t002": {epoch: "dawdle"}}
    driver = search.resume(plan=plan) if resumed else search.start(plan=plan)
    return driver.wait_for(search.met("t002", epoch))


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_stops_all_trials_and_keeps_them(
    tmp_path: Path, number: signal.Signals, uninterrupted: Search
) -> None:
    search = Search(tmp_path)
    driver = dawdling(search, 2)
    begun = time.monotonic()
    said, errors = driver.gets(number).ends(130)
    assert time.monotonic() - begun < LIMIT
    assert errors == ""
    assert "Stopping all trials; once more to break off." in said
    assert "Leaderboard" in said
    assert "1 unfinished" in said
    assert f"--resume {search.run.name} --runs-dir {search.runs_dir}" in said
    search.leaves_nothing_running()
    assert [record.state for record in search.history().trials.values()][1:] == ["running"]

    search.resume().ends()
    assert decisions(search.history()) == decisions(uninterrupted.history())
    assert figures(search.history()) == figures(uninterrupted.history())


def test_a_reader_that_dies_of_the_same_signal_leaves_the_order_as_it_is(tmp_path: Path, uninterrupted: Search) -> None:
    """As `tee` does, which a run is piped into."""
    search = Search(tmp_path)
    driver = dawdling(search, 2)
    assert driver.process.stdout is not None
    driver.process.stdout.close()
    _, errors = driver.gets(signal.SIGINT).ends(130)
    assert errors == ""
    search.leaves_nothing_running()
    assert isinstance(read_events(search.run.ledger)[-1], SessionEnd)

    search.resume().ends()
    assert decisions(search.history()) == decisions(uninterrupted.history())


def test_a_second_signal_breaks_off_at_once(tmp_path: Path) -> None:
    search = Search(tmp_path)
    driver = dawdling(search, 2).gets(signal.SIGINT)
    time.sleep(0.5)
    begun = time.monotonic()
    _, errors = driver.gets(signal.SIGINT).ends(130)
    assert time.monotonic() - begun < LIMIT / 3
    assert errors == ""
    search.leaves_nothing_running()
    assert search.history().trials["t002"].state == "running"


def test_a_killed_driver_leaves_no_process_and_no_lock(tmp_path: Path, uninterrupted: Search) -> None:
    search = Search(tmp_path)
    driver = dawdling(search, 2)
    assert len(search.processes()) > 3, "Ray's own, too"
    driver.be_killed()
    # These two do no work; they try for a minute to tell Ray's head, which is gone, what they know.
    search.leaves_nothing_running(but=("ray::DashboardAgent", "ray::RuntimeEnvAgent"))
    search.resume().ends()
    assert figures(search.history()) == figures(uninterrupted.history())
