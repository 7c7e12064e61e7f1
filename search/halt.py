"""Why a run ends before its last trial: Ctrl-C, its budget, or an error that concerns all trials."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

from ray import tune

from search.budget import Budget
from search.records import History

Cause = Literal["interrupted", "budget", "error"]


class Halt(tune.Stopper):
    """Asked by Ray several times a second whether all trials are to stop; they are kept as they are."""

    def __init__(self, budget: Budget, history: History, on_interrupt: Callable[[], None]) -> None:
        self.cause: Cause | None = None
        self.error: Exception | None = None
        self._budget = budget
        self._history = history
        self._spent_before = history.seconds_spent()
        self._start = time.monotonic()
        self._on_interrupt = on_interrupt

    def for_error(self, error: Exception) -> None:
        """No trial can go on. `error` is to be raised when all have stopped."""
        self.cause, self.error = self.cause or "error", self.error or error

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        seconds = self._spent_before + time.monotonic() - self._start
        if self.cause is None and self._budget.used_up(seconds, self._history.epochs_spent()):
            self.cause = "budget"
        return self.cause is not None

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles a Tuner for its own restore, which is never used here."""
        return {}

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Meanwhile the first Ctrl-C, or polite kill, stops all trials in order, and a second one breaks off."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.cause == "interrupted":
            raise KeyboardInterrupt
        self.cause = "interrupted"
        self._on_interrupt()
