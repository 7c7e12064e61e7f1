"""A trial that makes no progress any more is killed and taken up again; one that is slow is left alone."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search.watch import end_process
from tests.faults.faulty import PAUSE
from tests.faults.harness import END, Search, pid_of

PATIENCE = 5.0
"""Seconds, longer than a slow trial's step and shorter than its epoch."""


STUBBORN = """
import os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
child = os.fork()
if child == 0:
    os.setsid()
else:
    print(child, flush=True)
while True:
    time.sleep(1)
"""
"""A process that takes no signal, with a child in a process group of its own; it prints the child's number."""


def test_a_process_ends_with_all_that_it_has_started() -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = Path("/proc") / process.stdout.readline().strip()
        assert child.exists()
        end_process(process.pid)
        assert process.wait(timeout=END) == -signal.SIGKILL
    deadline = time.monotonic() + END
    while child.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_hung_trial_is_killed_and_taken_up_again_and_a_slow_one_is_not(tmp_path: Path) -> None:
    search = Search(tmp_path)
    environment = {"MINBERT_TEST_PATIENCE": str(PATIENCE), "MINBERT_TEST_MEDIAN_EPOCHS": "0"}
    plan = {"t001": {3: "hang"}, "t002": {2: "be slow"}}
    driver = search.start("--no-early-stopping", trials=2, concurrent=2, plan=plan, environment=environment)
    driver.wait_for(search.met("t001", 3))
    hanging = pid_of(search.run, "t001")
    said, errors = driver.ends()
    assert errors == ""
    hung, slow = search.history().trials.values()

    assert (hung.state, hung.epoch) == ("completed", 4)
    (retry,) = hung.retries
    assert (retry.reason, retry.error.type) == ("hung", "Hung")
    assert re.fullmatch(r"no progress for \d+ s: terminated, then killed", retry.error.message)
    assert "t001  it hung (no progress for" in said
    assert "Ended: 2 completed; taken up again: 1 hung" in said
    assert pid_of(search.run, "t001") != hanging
    assert not Path(f"/proc/{hanging}").exists()
    search.leaves_nothing_running()  # not even what the hanging process had started

    assert slow.retries == []
    assert slow.state == "completed"
    assert slow.reports[1].seconds > PATIENCE, f"an epoch of steps that took {PAUSE} s each"
