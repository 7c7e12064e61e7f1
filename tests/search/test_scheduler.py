"""Ray's side of the judge: outcomes in, Ray's decisions out, deaths counted. Ray is not started."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search.budget import Budget
from search.halt import Halt
from search.ledger import Ledger
from search.records import End, Retry
from search.scheduler import JudgedTrials
from search.trainable import DiskFull, NotShared, Outcome
from tests.search.events import report, suggested
from tests.search.scripted import ERROR, judging

STOP, CONTINUE, NOOP = TrialScheduler.STOP, TrialScheduler.CONTINUE, TrialScheduler.NOOP
DIED = "The actor died unexpectedly before finishing this task.\n\tclass_name: MinbertTrial\n"
OUT_OF_MEMORY = "Task was killed due to the node running low on memory.\nMemory on the node was 31.1GB.\n"


class FakeTrial(Trial):
    """Ray's own, whose process dies in words."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__("MinbertTrial", config={"trial": name, "micro_batches": 1}, stub=True)
        self._folder = folder

    @property
    def error_file(self) -> str | None:
        return str(self._folder / "error.txt") if (self._folder / "error.txt").exists() else None

    def dies(self, words: str) -> None:
        self.run_metadata.num_failures += 1
        with (self._folder / "error.txt").open("a") as file:
            file.write(f"Failure # {self.num_failures} (occurred at 2026-01-01)\n{words}\n")


class Run:
    """A run that was begun or resumed, of one trial."""

    def __init__(self, ledger: Ledger, folder: Path, epochs: int = 3) -> None:
        self.ledger = ledger
        self.halt = Halt(Budget(), ledger.history, on_interrupt=lambda: None)
        self.scheduler = JudgedTrials(judging(ledger, epochs), self.halt)
        self.trial = FakeTrial("t001", folder)
        self.controller: Any = None
        if "t001" not in ledger.records:
            ledger.append(suggested("t001"))
        self.scheduler.on_trial_add(self.controller, self.trial)

    def says(self, outcome: Outcome) -> str:
        return self.scheduler.on_trial_result(self.controller, self.trial, {"outcome": outcome})

    def dies(self, words: str = DIED) -> bool:
        """What Ray's controller does with a death. Whether the trial begins again."""
        self.trial.dies(words)
        goes_on = self.trial.should_recover()
        self.scheduler.on_trial_error(self.controller, self.trial)
        if goes_on:
            self.scheduler.on_trial_add(self.controller, self.trial)
        return goes_on

    @property
    def retries(self) -> list[Retry]:
        return self.ledger.records["t001"].retries

    @property
    def state(self) -> str:
        return self.ledger.records["t001"].state


@pytest.fixture
def run(ledger: Ledger, tmp_path: Path) -> Run:
    return Run(ledger, tmp_path)


def test_each_outcome_has_its_decision(run: Run) -> None:
    assert run.says(report(epoch=1)) == CONTINUE
    assert run.says(Retry(trial="t001", reason="damaged", error=ERROR)) == CONTINUE
    assert run.says(report(epoch=1)) == CONTINUE, "repeated"
    assert run.says(report(epoch=2)) == CONTINUE
    assert run.says(report(epoch=3)) == STOP
    assert (run.state, run.ledger.records["t001"].epoch) == ("completed", 3)


@pytest.mark.parametrize("state", ["diverged", "failed"])
def test_a_trial_that_went_wrong_by_its_own_word_is_stopped(run: Run, state: Any) -> None:
    error = ERROR if state == "failed" else None
    assert run.says(End(trial="t001", state=state, error=error)) == STOP
    assert (run.state, run.ledger.records["t001"].error) == (state, error)


def test_a_trial_whose_process_dies_is_taken_up_three_times(run: Run) -> None:
    assert [run.dies() for _ in range(3)] == [True] * 3
    assert [(retry.reason, retry.error.type) for retry in run.retries] == [("died", "ProcessDied")] * 3
    assert run.retries[-1].error.message == "The actor died unexpectedly before finishing this task."
    assert run.retries[-1].error.traceback.count("died") == 1, "of the last death alone"
    assert not run.dies()
    assert run.state == "failed"
    error = run.ledger.records["t001"].error
    assert error is not None
    assert error.type == "ProcessDied"


def test_a_trial_that_gets_on_between_its_deaths_is_taken_up_as_often_again(run: Run) -> None:
    assert [run.dies() for _ in range(3)] == [True] * 3
    run.says(report(epoch=1))
    assert [run.dies() for _ in range(3)] == [True] * 3
    run.says(report(epoch=1))  # repeated: no progress
    assert not run.dies()


def test_deaths_are_counted_over_a_resume(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with Ledger(tmp_path / "run.jsonl") as ledger:
        before = Run(ledger, tmp_path / "first")
        assert [before.dies() for _ in range(2)] == [True] * 2
    with Ledger(tmp_path / "run.jsonl") as ledger:
        after = Run(ledger, tmp_path / "second")
        assert after.dies()
        assert not after.dies()
        assert after.state == "failed"


def test_memory_that_ran_out_gets_one_chance_with_less(run: Run) -> None:
    assert run.dies(OUT_OF_MEMORY)
    assert run.trial.config["micro_batches"] == 2
    assert [(retry.reason, retry.error.type) for retry in run.retries] == [("memory", "OutOfMemoryError")]
    assert [run.dies(OUT_OF_MEMORY) for _ in range(4)] == [True, True, True, False], "as deaths, on a full machine"
    assert [retry.reason for retry in run.retries] == ["memory", "died", "died", "died"]
    assert run.state == "failed"
    error = run.ledger.records["t001"].error
    assert error is not None
    assert error.type == "OutOfMemoryError"


def test_a_trial_that_said_itself_that_memory_ran_out_has_had_its_chance(run: Run) -> None:
    assert run.says(Retry(trial="t001", reason="memory", error=ERROR)) == CONTINUE
    assert run.trial.config["micro_batches"] == 2, "where its process is to die"
    assert run.dies(OUT_OF_MEMORY)
    assert [retry.reason for retry in run.retries] == ["memory", "died"]


def test_an_exception_that_a_process_gave_up_by_is_named(run: Run) -> None:
    run.dies('ray::MinbertTrial.train() (pid=12)\n  File "a.py", line 9\nsearch.pulse.Held: another one trains it')
    assert (run.retries[0].error.type, run.retries[0].error.message) == ("Held", "another one trains it")


def test_a_trial_that_was_to_be_killed_and_reports_was_slow(run: Run) -> None:
    run.scheduler.will_be_killed("t001", 71.4)
    run.says(report(epoch=1))
    run.dies()
    assert run.retries[0].reason == "died"


def test_a_trial_that_hangs_is_told_from_one_that_dies(run: Run) -> None:
    run.scheduler.will_be_killed("t001", 71.4)
    assert run.dies()
    assert (run.retries[0].reason, run.retries[0].error.type) == ("hung", "Hung")
    assert run.retries[0].error.message == "no progress for 71 s: terminated, then killed"
    run.dies()
    assert run.retries[1].reason == "died", "the next death has a cause of its own"
    run.dies()
    run.scheduler.will_be_killed("t001", 60.0)
    assert not run.dies()
    error = run.ledger.records["t001"].error
    assert error is not None
    assert (run.state, error.type) == ("failed", "Hung")


def test_a_full_disk_halts_all_and_leaves_the_trial_as_it_was(run: Run, tmp_path: Path) -> None:
    run.says(report(epoch=1))
    assert run.says(DiskFull(errno.ENOSPC, "No space left on device", tmp_path)) == NOOP
    assert run.halt.cause == "error"
    assert str(run.halt.error) == f"[Errno 28] No space left on device: '{tmp_path}'"
    assert (run.state, run.ledger.records["t001"].epoch) == ("running", 1)


def test_a_node_that_does_not_share_the_folder_halts_all(run: Run, tmp_path: Path) -> None:
    assert run.says(NotShared(tmp_path, "node-7")) == NOOP
    assert run.halt.cause == "error"
    assert str(run.halt.error) == (
        f"{tmp_path}: not there on node-7: all nodes of a cluster must share the folder of the runs, at the same path"
    )
    assert run.state == "running"


def test_what_the_ledger_can_not_take_does_not_happen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(event: object) -> None:
        raise full

    monkeypatch.setattr(run.ledger, "append", fail)
    assert run.says(report(epoch=1)) == NOOP
    assert (run.halt.cause, run.halt.error) == ("error", full)
    run.dies()
    assert run.halt.error is full
    assert (run.state, run.retries) == ("running", [])
