"""A search's driver without Ray: asked for trials and told of their epochs by whoever keeps the clock.

Searcher, judge and scheduler are the very classes of a search, called in the order in which Ray calls them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import TrialScheduler

from model.console import Console
from model.problem import Problem
from search.budget import Budget
from search.halt import Halt
from search.judge import Judge
from search.ledger import Ledger
from search.ledger_searcher import LedgerSearcher
from search.progress import PlainLines
from search.records import End, Report, TrialRecord
from search.run_folder import RunFolder
from search.scheduler import JudgedTrials
from search.space import Space
from search.strategy import strategy_of
from search.tensorboard import TensorBoard


@dataclass(frozen=True)
class Parts:
    """What Ray Tune, or a Driver, is put together with."""

    ledger: Ledger
    halt: Halt
    judge: Judge
    searcher: LedgerSearcher


class Driver:
    """Over a ledger. Raises what makes an end to a real search: the error of a space, or of a disk."""

    def __init__(self, parts: Parts) -> None:
        self._ledger = parts.ledger
        self._halt = parts.halt
        self._searcher = parts.searcher
        self._scheduler = JudgedTrials(parts.judge, parts.halt)
        self._running: dict[str, Any] = {}
        """Trials as Ray knows them, by name."""
        self._asked = 0

    def start(self) -> TrialRecord | None:
        """The trial that an empty worker gets, new or one to go on. None: nothing as long as no other trial has told
        more."""
        self._asked += 1
        config = self._searcher.suggest(str(self._asked))
        self._raise_error()
        if not isinstance(config, dict):
            return None
        trial = SimpleNamespace(trial_id=str(self._asked), config=config, num_failures=0, max_failures=0)
        self._running[config["trial"]] = trial
        self._scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
        return self._ledger.records[config["trial"]]

    def tell(self, outcome: Report | End) -> bool:
        """A trial ended an epoch or diverged: does it go on?"""
        trial = self._running[outcome.trial]
        action = self._scheduler.on_trial_result(None, trial, {"outcome": outcome})
        self._raise_error()
        if action == TrialScheduler.CONTINUE:
            return True
        self._searcher.on_trial_complete(trial.trial_id)
        del self._running[outcome.trial]
        return False

    def _raise_error(self) -> None:
        error = self._searcher.error or self._halt.error
        if error is not None:
            raise error


@contextmanager
def on_disk(
    run: RunFolder,
    search: str,
    space: Space,
    problem: Problem,
    *,
    epochs: int,
    trials: int | None,
    seed: int,
    early_stopping: bool,
) -> Iterator[Parts]:
    """All that a real search writes is written: ledger, TensorBoard files and lines for people."""
    with Ledger(run.ledger) as ledger, (run.path / "lines.txt").open("w") as lines:
        ledger.listen(TensorBoard(run))
        ledger.listen(PlainLines(Console(file=lines, width=120), epochs))
        halt = no_limit(ledger)
        decider, searcher_for = strategy_of(
            search, space, problem, ledger, halt, epochs=epochs, trials=trials, seed=seed, early_stopping=early_stopping
        )
        judge = Judge(ledger, epochs, decider)
        yield Parts(ledger, halt, judge, searcher_for())


def no_limit(ledger: Ledger) -> Halt:
    """Halts for errors alone."""
    return Halt(Budget(), ledger.history, on_interrupt=lambda: None)


def report_on(record: TrialRecord, overall: float, seconds: float = 1.0, tasks: Iterable[str] = ()) -> Report:
    """What a trial reports of its next epoch, had each of the tasks scored `overall`."""
    scores = dict.fromkeys(tasks, overall)
    return Report(
        trial=record.name, epoch=record.epoch + 1, scores=scores, clean_scores=scores, train_scores=scores,
        losses=scores, overall=overall, clean_overall=overall,
        best=max([overall, *(report.best for report in record.reports[-1:])]), examples=1, train_seconds=seconds,
        seconds=seconds, trainable_parameters=1,
    )  # fmt: skip
