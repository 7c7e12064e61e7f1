"""Ray's questions for trials, answered from a ledger: those that have not ended first, then new ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from model.errors import UserError
from search.halt import Halt
from search.ledger import Ledger


class LedgerSearcher(Searcher, ABC):
    """Records each trial in the ledger before Ray hears of it."""

    room: Callable[[], int] | None = None
    """How many trials can run at a time, where that changes while they run."""
    error: UserError | None = None
    """Why there can be no further trial. None is suggested after it, those that run go on to their end."""

    def __init__(self, ledger: Ledger, halt: Halt) -> None:
        super().__init__()
        self._ledger = ledger
        self._halt = halt
        self._asked: dict[str, str] = {}
        """The name of each trial, by Ray's id."""
        self._unfinished: deque[str] = deque()
        """Names of trials that go on where they were."""

    @abstractmethod
    def _is_left(self) -> bool:
        """Whether there is a new trial to suggest."""

    @abstractmethod
    def _next(self) -> str | None:
        """The name of a new trial, which is in the ledger; None where there is an end to them after all."""

    @abstractmethod
    def _on_done(self, name: str) -> None:
        """Ray has let go of a trial. How it ended, if it did, is in the ledger."""

    def has_more(self) -> bool:
        """Whether there is a trial to go on with, or a new one."""
        return bool(self._unfinished) or self._is_left()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Ray's question for the next trial: its name, TrialConfig as a dictionary, seed and epochs."""
        if self._halt.stop_all():
            return Searcher.FINISHED  # Ray would wait minutes for a trial where none runs
        # Ray Tune itself could be left without a limit, but would start a new process for each trial then, since one
        # more than there is room for would always wait for a place of its own.
        full = self.room is not None and len(self._asked) >= self.room()
        if full and self._asked:
            return None
        if not self.has_more():
            return None if self._asked else Searcher.FINISHED  # one of those asked for may yet come back
        if full:
            return None
        name = self._unfinished.popleft() if self._unfinished else self._next()
        if name is None:
            return Searcher.FINISHED
        self._asked[trial_id] = name
        record = self._ledger.records[name]
        out_of_memory = any(retry.reason == "memory" for retry in record.retries)
        return {
            "trial": name,
            "config": dict(record.config),
            "seed": record.seed,
            "epochs": record.epochs,
            "micro_batches": 2 if out_of_memory else 1,
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing to do: what a trial reported is in the ledger."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Ray's word that it is done with a trial. How it ended is in the ledger, where the judge wrote it. Where it
        has not, since the process that was to take it up had died before, another one is to."""
        name = self._asked.pop(trial_id)
        self._on_done(name)
        if self._ledger.records[name].state == "running":
            self._unfinished.append(name)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles a Tuner for its own restore, which is never used here, and a ledger can't be pickled."""
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: Ray's snapshot of a run is disposable, all can be rebuilt from the ledger."""
