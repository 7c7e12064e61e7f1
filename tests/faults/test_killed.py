"""Processes killed without warning, trials' and drivers', and runs that go on as if nothing had been."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.harness import Search, decisions, figures, pid_of


def test_a_killed_trial_ends_with_the_same_score_in_the_same_bits(tmp_path: Path, uninterrupted: Search) -> None:
    broken = Search(tmp_path)
    driver = broken.start()
    driver.until(lambda history: "t001" in history.trials and history.trials["t001"].epoch >= 1)
    os.kill(pid_of(broken.run, "t001"), signal.SIGKILL)
    said, errors = driver.ends()
    assert errors == ""
    assert "t001  its process died" in said
    assert figures(broken.history()) == figures(uninterrupted.history())
    assert decisions(broken.history()) == decisions(uninterrupted.history())
    assert [retry.reason for retry in broken.history().trials["t001"].retries] == ["died"]
    assert broken.run.checkpoint("t001").joinpath("state.safetensors").read_bytes() == (
        uninterrupted.run.checkpoint("t001").joinpath("state.safetensors").read_bytes()
    )
    assert broken.run.states("t001") == [], "a trial that has ended leaves its best weights only"


@pytest.mark.slow
def test_a_trial_that_dies_again_and_again_fails(tmp_path: Path) -> None:
    search = Search(tmp_path)
    said, _ = search.start(plan={"t001": {2: "always be killed"}}, trials=2).ends()
    first, second = search.history().trials.values()
    assert (first.state, first.epoch, len(first.retries)) == ("failed", 1, 3)
    assert first.error is not None
    assert first.error.type == "ProcessDied"
    assert second.state == "completed"
    assert "Ended: 1 failed, 1 completed (1 by ProcessDied); taken up again: 3 died" in said


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("MINBERT_TEST_KILLS", "4"))))
def test_a_driver_killed_at_any_moment(tmp_path: Path, seed: int, uninterrupted: Search) -> None:
    first, *_, last = map(json.loads, uninterrupted.run.ledger.read_text().splitlines())
    moment = random.Random(seed).random() * (last["time"] - first["time"])
    search = Search(tmp_path)
    started = time.monotonic()
    driver = search.start()
    driver.until(lambda history: True)
    ready = time.monotonic() - started
    time.sleep(moment)
    driver.be_killed()
    search.resume().ends()
    assert decisions(search.history()) == decisions(uninterrupted.history()), f"killed {ready:.1f} s after its start"
    assert figures(search.history()) == figures(uninterrupted.history())
