"""Trials that pause and go on in another process's turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.ledger import read_events
from search.records import Decision, Promoted
from tests.faults.harness import EPOCHS, Search, figures


@pytest.mark.slow
def test_a_trial_that_paused_ends_in_the_same_bits(tmp_path: Path, uninterrupted: Search) -> None:
    """As one that trained without a pause."""
    events = [event for event in read_events(uninterrupted.run.ledger) if getattr(event, "trial", None) == "t001"]
    assert any(isinstance(event, Decision) and event.action == "pause" for event in events)
    assert any(isinstance(event, Promoted) for event in events)
    whole = Search(tmp_path)
    whole.start("--no-early-stopping", trials=1).ends()
    assert whole.history().trials["t001"].epoch == EPOCHS
    assert figures(uninterrupted.history())[0] == figures(whole.history())[0]
    weights = [search.run.checkpoint("t001") / "state.safetensors" for search in (uninterrupted, whole)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.slow
def test_places_swap_trials_without_losing_one(tmp_path: Path) -> None:
    """Two at a time: a process lets go of a trial before the other one takes it up."""
    search = Search(tmp_path)
    said, errors = search.start(trials=8, concurrent=2).ends()
    assert errors == ""
    events = read_events(search.run.ledger)
    assert sum(isinstance(event, Promoted) for event in events) > 0
    trials = search.history().trials.values()
    assert len(trials) == 8
    assert all(record.has_ended and record.retries == [] for record in trials)
    assert {record.state for record in trials} <= {"completed", "stopped"}
    assert all(search.run.states(record.name) == [] for record in trials)
    assert "goes on after epoch 2" in said
