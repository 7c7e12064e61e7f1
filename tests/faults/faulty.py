"""A search whose trials meet faults at given epochs: python -m tests.faults.faulty PLAN [flags of search.run]

The real command line, and the real trial but for one method. PLAN is a JSON file: by trial and epoch, the fault that
strikes before that epoch, the first time it comes to it, or, where it is called "always ...", every time. Beside it,
study.json has what Optuna was told, where it suggests.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from search import conduct, run, strategy, watch
from search.searcher import OptunaSearcher
from search.trainable import MinbertTrial, Outcome

LEAK_LIMIT = 2**28
"""Bytes that a leaking process may still take."""
ROOM = 6
"""Examples of a task that a GPU short of memory has room for."""
PAUSE = 1.0
"""Seconds that each step of a slow trial takes."""


class FaultyTrial(MinbertTrial):
    """Meets its fault, then is as it was."""

    plan: ClassVar[Path]
    """Goes with this class, which is __main__'s, to wherever Ray takes it."""

    def _next_outcome(self) -> Outcome:
        if self._training is not None and not self._to_tell:
            self._meet(self._training.epochs_done + 1)
        return super()._next_outcome()

    def _meet(self, epoch: int) -> None:
        fault = json.loads(self.plan.read_text()).get(self._name, {}).get(str(epoch))
        met = self.plan.with_name(f"met-{self._name}-{epoch}")
        if fault is None or (met.exists() and not fault.startswith("always ")):
            return
        met.touch()
        FAULTS[fault.removeprefix("always ")](self)


class OpenSearcher(OptunaSearcher):
    """Shows what Optuna knows."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        super().on_trial_complete(trial_id, result, error)
        known = [
            (trial.state.name, trial.values, list(trial.intermediate_values.items())) for trial in self.study.trials
        ]
        FaultyTrial.plan.with_name("study.json").write_text(json.dumps(known))


def be_killed(trial: MinbertTrial) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(trial: MinbertTrial) -> None:
    """In a child, too, of a process group of its own, and with all signals blocked that can be."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    if os.fork() == 0:
        os.setsid()
    while True:
        time.sleep(1)


def leak(trial: MinbertTrial) -> None:
    """Until the system gives no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + LEAK_LIMIT, hard))
    leaked = []
    try:
        while True:
            leaked.append(torch.zeros(2**22))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def have_little_room(trial: MinbertTrial) -> None:
    """From here on, as on a GPU with room for parts of a batch only."""
    assert trial._training is not None
    batch = trial._training._batch

    def small_batch(task: str, rows: np.ndarray, swaps: np.ndarray | None) -> Any:
        if len(rows) > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
        return batch(task, rows, swaps)

    trial._training._batch = small_batch


def lose_its_numbers(trial: MinbertTrial) -> None:
    assert trial._training is not None
    with torch.no_grad():
        next(p for p in trial._training.model.parameters() if p.requires_grad).fill_(float("nan"))


def break_down(trial: MinbertTrial) -> None:
    raise ZeroDivisionError("as planned")


def be_slow(trial: MinbertTrial) -> None:
    """From here on."""
    assert trial._training is not None
    beat = trial._training._on_step
    assert beat is not None

    def step_slowly() -> None:
        time.sleep(PAUSE)
        beat()

    trial._training._on_step = step_slowly


def dawdle(trial: MinbertTrial) -> None:
    time.sleep(3600)


FAULTS: dict[str, Callable[[Any], None]] = {
    "be killed": be_killed,
    "hang": hang,
    "leak": leak,
    "have little room": have_little_room,
    "lose its numbers": lose_its_numbers,
    "break down": break_down,
    "be slow": be_slow,
    "dawdle": dawdle,
}


def main(plan: str, *flags: str) -> int:
    FaultyTrial.plan = Path(plan)
    conduct.MinbertTrial = FaultyTrial
    strategy.OptunaSearcher = OpenSearcher
    watch.LEAST_PATIENCE = float(os.environ.get("MINBERT_TEST_PATIENCE", watch.LEAST_PATIENCE))
    watch.MEDIAN_EPOCHS = int(os.environ.get("MINBERT_TEST_MEDIAN_EPOCHS", watch.MEDIAN_EPOCHS))
    return run.main(list(flags))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
