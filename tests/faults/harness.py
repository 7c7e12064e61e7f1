"""Real searches in processes of their own, small enough to be broken many times."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from model.network.pretrained import write_encoder
from search.ledger import read_ledger
from search.pulse import read_beat
from search.records import History, Report
from search.run_folder import RunFolder
from tests.support import tiny_corpus, tiny_encoder, write_corpus

EPOCHS = 4
WAIT = 300.0
"""Seconds that nothing here takes, however busy the machine is."""
END = 15.0
"""Seconds within which processes end that have to."""
RAY_FILES = Path(tempfile.mkdtemp(prefix="faults-"))
"""Where the Rays of these searches keep their files: a short path, as sockets need one."""
atexit.register(shutil.rmtree, RAY_FILES, ignore_errors=True)

Plan = Mapping[str, Mapping[int, str]]
"""By trial and epoch, the fault to meet (tests.faults.faulty)."""


class Search:
    """One run on tiny inputs, which may be started, broken and resumed."""

    def __init__(self, folder: Path, name: str = "run", runs_dir: Path | None = None) -> None:
        self.folder = folder
        self.runs_dir = runs_dir or folder / "runs"
        self.run = RunFolder(self.runs_dir / name)
        self.faults = folder / f"faults-of-{name}"
        """With the plan, and what became of it."""
        self._ray_files = Path(tempfile.mkdtemp(dir=RAY_FILES))
        self._inputs(folder)

    def start(
        self,
        *flags: str,
        trials: int = 3,
        concurrent: int = 1,
        plan: Plan | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Driver:
        """The run from its beginning."""
        sizes = ("--trials", str(trials), "--epochs", str(EPOCHS), "--epoch-examples", "32", "--precision", "fp32")
        inputs = ("--space", "spaces/smoke.py", "--data", str(self.folder / "data"))
        encoder = ("--encoder", str(self.folder / "encoder"))
        names = ("--run", self.run.name, "--concurrent", str(concurrent))
        return self._driver(*inputs, *encoder, *sizes, *names, *flags, plan=plan, environment=environment)

    def start_demo(
        self, *flags: str, trials: int, plan: Plan | None = None, environment: Mapping[str, str] | None = None
    ) -> Driver:
        """The run from its beginning, on what is built in, with as many trials at a time as there is room for."""
        sizes = ("--trials", str(trials), "--epochs", str(EPOCHS), "--epoch-examples", "200")
        inputs = ("--space", "spaces/smoke.py", "--data", "demo", "--run", self.run.name)
        return self._driver(*inputs, *sizes, *flags, plan=plan, environment=environment)

    def resume(self, *flags: str, plan: Plan | None = None, environment: Mapping[str, str] | None = None) -> Driver:
        """The run from where it was."""
        return self._driver("--resume", self.run.name, *flags, plan=plan, environment=environment)

    def history(self) -> History:
        return read_ledger(self.run.ledger)

    def met(self, trial: str, epoch: int) -> Callable[[], bool]:
        """Whether the fault before that epoch has struck."""
        return (self.faults / f"met-{trial}-{epoch}").exists

    def told_to_optuna(self) -> list[list[Any]]:
        """State, values and intermediate values of each trial, as Optuna has them."""
        return json.loads((self.faults / "study.json").read_text())

    def processes(self) -> dict[int, str]:
        """All that still runs of the search: what has Ray's files for it open, or named at its start."""
        return running(str(self._ray_files))

    def leaves_nothing_running(self, but: tuple[str, ...] = ()) -> None:
        """Fails where some process of the search is still there after a few seconds, of another name than these."""
        deadline = time.monotonic() + END
        while left := {pid: words for pid, words in self.processes().items() if not words.startswith(but)}:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.1)

    def _driver(self, *flags: str, plan: Plan | None, environment: Mapping[str, str] | None) -> Driver:
        self.faults.mkdir(exist_ok=True)
        path = self.faults / "plan.json"
        path.write_text(json.dumps(plan or {}))
        surroundings = {"OMP_NUM_THREADS": "1", "RAY_TMPDIR": str(self._ray_files), **(environment or {})}
        return Driver([str(path), *flags, "--runs-dir", str(self.runs_dir)], self.run, surroundings)

    @staticmethod
    def _inputs(folder: Path) -> None:
        if not (folder / "data").exists():
            write_corpus(folder / "data", tiny_corpus())
            encoder = tiny_encoder()
            weights = {name: torch.from_numpy(array) for name, array in encoder.weights.items()}
            write_encoder(folder / "encoder", encoder, weights)


class Driver:
    """The process of a search."""

    def __init__(self, arguments: list[str], run: RunFolder, environment: Mapping[str, str]) -> None:
        self._run = run
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.faulty", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        atexit.register(self.process.kill)  # where a test fails in between

    def ends(self, code: int = 0) -> tuple[str, str]:
        """What it printed, when it has ended with exit code `code`."""
        said, errors = self.process.communicate(timeout=WAIT)
        assert self.process.returncode == code, f"exit code {self.process.returncode}\n{said}\n{errors}"
        return said, errors

    def until(self, seen: Callable[[History], bool]) -> Driver:
        """Waits until the ledger shows it."""
        return self.wait_for(lambda: self._run.ledger.exists() and seen(read_ledger(self._run.ledger)))

    def wait_for(self, seen: Callable[[], bool]) -> Driver:
        wait_until(seen, self.process)
        return self

    def be_killed(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=WAIT)

    def gets(self, number: signal.Signals) -> Driver:
        """Ctrl-C comes from a terminal, to all that it sees as one job; another signal to the driver alone."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self


def wait_until(seen: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Fails where `process` ends before."""
    deadline = time.monotonic() + WAIT
    while not seen():
        assert time.monotonic() < deadline, "it never came to that"
        if process.poll() is not None:
            raise AssertionError(f"it ended before: {process.communicate()}")
        time.sleep(0.02)


def running(files: str) -> dict[int, str]:
    """Processes of this machine that have one of these files open, or named at their start."""
    return {pid: words for pid, words in _processes() if files in words}


def pid_of(run: RunFolder, trial: str) -> int:
    """The process that trains a trial, or trained it last."""
    beat = read_beat(run.pulse(trial))
    assert beat is not None
    return beat.pid


def decisions(history: History) -> list[tuple[Any, ...]]:
    """All that was decided, without the times."""
    return [
        (record.name, record.state, decision.epoch, decision.rung, decision.action, decision.cutoff)
        for record in history.trials.values()
        for decision in record.decisions
    ]


def figures(history: History) -> list[tuple[Any, ...]]:
    """All that was suggested and reported, without the times."""

    def of(report: Report) -> tuple[Any, ...]:
        return (report.epoch, report.overall, report.best, dict(report.scores), dict(report.losses))

    return [
        (record.name, record.source, dict(record.params), record.state, [of(report) for report in record.reports])
        for record in history.trials.values()
    ]


def _processes() -> list[tuple[int, str]]:
    """Number, and command line, environment and open files of each process of this machine."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        words = [_text(folder / name) for name in ("cmdline", "environ")]
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            words += [os.readlink(file) for file in (folder / "fd").iterdir()]
        found.append((int(folder.name), " ".join(words)))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
