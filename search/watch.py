"""Trials that hang: no progress for so long that there will be none. Their processes are terminated, then killed.

A slow trial is told from a hung one by its pulse (search.pulse), which beats with every step of training and
evaluation. Ray sees the process die, and the trial is taken up again like any whose process died.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.pulse import Beat, read_beat
from search.records import TrialRecord
from search.run_folder import RunFolder

LEAST_PATIENCE = 60.0
"""Seconds without progress that are never too many."""
MEDIAN_EPOCHS = 10
"""So many median epochs are never too many either."""
FIRST_PATIENCE = 600.0
"""Seconds, as long as no epoch has ended and none can be compared with."""
_GRACE = 5.0
"""Seconds between asking a process to end and killing it."""
_INTERVAL = 1.0
"""Seconds between two looks."""


@dataclass
class _Sign:
    """The newest of a trial, and when it was seen, by this process's clock: those of a cluster's nodes may differ."""

    beat: Beat | None
    seen: float
    own: bool = False
    """Whether the process that trains the trial now gave it: the number of one before it may be another's by now."""


class Watch(tune.Callback):
    """Called by Ray several times a second."""

    def __init__(
        self, run: RunFolder, records: Mapping[str, TrialRecord], on_hang: Callable[[str, float], None]
    ) -> None:
        self._run = run
        self._records = records
        self._on_hang = on_hang
        self._signs: dict[str, _Sign] = {}
        self._next = 0.0

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A process begins with a trial, or begins with it again: what it did before is no sign of life."""
        name = trial.config["trial"]
        self._signs[name] = _Sign(read_beat(self._run.pulse(name)), time.monotonic())

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Looks at all that run."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        running = {trial.config["trial"] for trial in trials if trial.status == Trial.RUNNING}
        for name in self._signs.keys() - running:
            del self._signs[name]
        limit = patience(self._records)
        for name, sign in self._signs.items():
            beat = read_beat(self._run.pulse(name))
            if beat is not None and beat != sign.beat:
                self._signs[name] = _Sign(beat, now, own=True)
            elif now - sign.seen > limit:
                self._signs[name] = _Sign(sign.beat, now, sign.own)  # not once more while it dies
                if sign.own and sign.beat is not None:
                    self._on_hang(name, now - sign.seen)
                    kill(self._run.pulse(name), sign.beat)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles a Tuner for its own restore, which is never used here."""
        return {}


def patience(records: Mapping[str, TrialRecord]) -> float:
    """Seconds without progress after which a trial counts as hung."""
    seconds = [report.seconds for record in records.values() for report in record.reports]
    return max(LEAST_PATIENCE, MEDIAN_EPOCHS * statistics.median(seconds)) if seconds else FIRST_PATIENCE


def kill(pulse: Path, beat: Beat) -> None:
    """Ends the process that `beat` is of, on its node, without waiting for it."""
    strategy: Any = NodeAffinitySchedulingStrategy(beat.node, soft=False)
    ray.remote(num_cpus=0, scheduling_strategy=strategy, max_retries=0)(end_unless_it_beats).remote(pulse, beat)


def end_unless_it_beats(pulse: Path, beat: Beat) -> None:
    """Ends the process that `beat` is of, if it is still the newest: until Ray had room to ask, the trial may have gone
    on, and its process have turned to another one."""
    if read_beat(pulse) == beat:
        end_process(beat.pid)


def end_process(pid: int) -> None:
    """Asks process `pid` of this machine to end, kills it if it does not, and all that it has started."""
    family = [pid, *_descendants(pid)]  # as long as it can be asked for them
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.1)
    for one in family:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """The children of process `pid`, theirs, and so on. Those that hold on to a trial's pulse keep it from going on."""
    found = list[int]()
    with suppress(OSError):  # it has ended, or this system has no /proc
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, listed.read_text().split()):
                found += [child, *_descendants(child)]
    return found
