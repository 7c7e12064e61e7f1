"""Which trials count as hung, and the end of their processes. Ray is not started."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial

from search.pulse import Pulse, read_beat
from search.records import History
from search.run_folder import RunFolder
from search.watch import FIRST_PATIENCE, LEAST_PATIENCE, Watch, end_process, end_unless_it_beats, patience
from tests.search.events import report, suggested


def records_of(*seconds: float) -> History:
    history = History([suggested()])
    for epoch, taken in enumerate(seconds, 1):
        made = report(epoch=epoch)
        history.apply(type(made)(**{**vars(made), "seconds": taken}))
    return history


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((), FIRST_PATIENCE), ((1.0, 2.0), LEAST_PATIENCE), ((5.0, 20.0, 900.0), 200.0), ((30.0,), 300.0)],
)
def test_patience_goes_by_the_median_epoch(seconds: tuple[float, ...], expected: float) -> None:
    assert patience(records_of(*seconds).trials) == expected


class Watched:
    """Trials under watch, by a clock that is set by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.hung: list[tuple[str, float]] = []
        self.killed: list[int] = []
        self.run = RunFolder(folder)
        self.trials: dict[str, Any] = {}
        self.pulses: list[Pulse] = []
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("search.watch.time", clock)
        monkeypatch.setattr("search.pulse.time", clock)
        monkeypatch.setattr("search.watch.kill", lambda pulse, beat: self.killed.append(beat.pid))
        self.watch = Watch(self.run, records_of(30.0).trials, lambda name, seconds: self.hung.append((name, seconds)))

    def start(self, name: str) -> None:
        self.trials[name] = SimpleNamespace(config={"trial": name}, status=Trial.RUNNING)
        self.watch.on_trial_start(0, list(self.trials.values()), self.trials[name])

    def train(self, name: str) -> Pulse:
        self.run.trial(name).mkdir(parents=True, exist_ok=True)
        self.pulses.append(Pulse(self.run.pulse(name), "node"))
        return self.pulses[-1]

    def wait(self, seconds: float, *beating: Pulse) -> None:
        for _ in range(round(seconds)):
            self.now += 1
            for pulse in beating:
                pulse.beat()
            self.watch.on_step_end(0, list(self.trials.values()))


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(tmp_path, monkeypatch)
    yield made
    for pulse in made.pulses:
        pulse.close()


def test_a_trial_without_a_beat_is_killed_once_while_one_with_beats_never_is(watched: Watched) -> None:
    for name in ("t001", "t002"):
        watched.start(name)
    hangs, trains = watched.train("t001"), watched.train("t002")
    watched.wait(299, trains)
    assert watched.hung == []
    watched.wait(100, trains)
    ((name, seconds),) = watched.hung
    assert name == "t001"
    assert 300 < seconds < 303
    assert len(watched.killed) == 1
    watched.wait(1000, trains, hangs)
    assert len(watched.hung) == 1, "it beats again"


def test_what_still_hangs_after_as_long_again_is_killed_again(watched: Watched) -> None:
    watched.start("t001")
    watched.train("t001")
    watched.wait(305)
    watched.wait(290)
    assert len(watched.killed) == 1
    watched.wait(20)
    assert len(watched.killed) == 2


def test_a_trial_that_begins_again_gets_all_its_time(watched: Watched) -> None:
    watched.start("t001")
    watched.train("t001").close()
    watched.wait(250)
    watched.start("t001")
    watched.wait(250)
    assert watched.hung == []


def test_a_trial_that_waits_or_has_ended_is_not_watched(watched: Watched) -> None:
    watched.start("t001")
    watched.train("t001")
    watched.wait(10)
    watched.trials["t001"].status = Trial.PENDING
    watched.wait(1000)
    assert watched.hung == []


def test_a_process_that_never_gave_a_sign_can_not_be_killed(watched: Watched) -> None:
    watched.start("t001")
    watched.wait(1000)
    assert (watched.hung, watched.killed) == ([], [])


STUBBORN = """
import signal, sys, time
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("lives", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("how", "died_of"), [("polite", signal.SIGTERM), ("stubborn", signal.SIGKILL)])
def test_a_process_is_asked_to_end_then_made_to(monkeypatch: pytest.MonkeyPatch, how: str, died_of: int) -> None:
    monkeypatch.setattr("search.watch._GRACE", 0.5)
    argv = [sys.executable, "-c", STUBBORN, how]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "lives\n"
        end_process(process.pid)  # whose zombie stays until it is waited for
        assert process.wait(60) == -died_of


def test_a_process_that_went_on_meanwhile_is_let_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr("search.watch.end_process", ended.append)
    monkeypatch.setattr("search.pulse._INTERVAL", 0.0)
    pulse = Pulse(tmp_path / "pulse", "node")
    seen = read_beat(tmp_path / "pulse")
    assert seen is not None
    pulse.beat()
    end_unless_it_beats(tmp_path / "pulse", seen)
    assert ended == []
    newest = read_beat(tmp_path / "pulse")
    assert newest is not None
    end_unless_it_beats(tmp_path / "pulse", newest)
    assert ended == [newest.pid]
    pulse.close()


def test_a_process_that_is_gone_needs_no_end() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        start = time.monotonic()
        end_process(process.pid)
        assert time.monotonic() - start < 1
