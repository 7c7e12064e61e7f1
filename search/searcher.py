"""Optuna behind Ray Tune's Searcher: the space's POINTS first, then TPE, told the truth about every trial.

Ray's own OptunaSearch tells the last score of a stopped trial as that of a complete one, ignores a seed beside a
sampler and enqueues its first points anew at every restart. Here each trial ends in Optuna as it ended in the ledger:

    completed  COMPLETE  with the best overall it reached
    stopped    PRUNED    with the best overall so far after each of its epochs as intermediate values
    diverged   PRUNED    without intermediate values: TPE ranks pruned trials by how far they came, and one with no
                         value at all behind every other (optuna `_get_pruned_trial_score`), whatever it scored before
    failed     FAIL      TPE leaves it out: an error says nothing about the parameters

The study is rebuilt from the ledger when a run is resumed, and each draw has random numbers of its own, by the seed and
the trial's number: the same trials told in the same order suggest the same one, whether the run was interrupted or not.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import numpy as np
import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial
from ray.tune.search import Searcher

from model.errors import UserError
from model.problem import Problem
from search.halt import Halt
from search.ledger import Ledger
from search.records import Suggested, TrialRecord
from search.space import Space, quiet_optuna

STARTUP_TRIALS = 7
"""Trials before TPE learns from them, POINTS among them: those are better informed than random draws, of which Optuna
by itself would wait for 10, half of a small search."""
_POINT = "point"
"""The user attribute of an Optuna trial that names the point it was enqueued as."""


class OptunaSearcher(Searcher):
    """Draws trials from a space and records each in the ledger before Ray hears of it, `trials` in all, if that is a
    number. Those that the ledger has, and that have not ended, come first: they go on where they were."""

    def __init__(
        self, space: Space, problem: Problem, ledger: Ledger, halt: Halt, *, trials: int | None, seed: int
    ) -> None:
        super().__init__()
        self._space = space
        self._problem = problem
        self._ledger = ledger
        self._halt = halt
        self._trials = trials
        self._seed = seed
        self._asked: dict[str, tuple[str, optuna.Trial]] = {}
        """The name and Optuna's side of each trial, by Ray's id."""
        self.error: UserError | None = None
        """What the space did wrong in a draw. No trial is suggested after it, those that run go on to their end."""
        with quiet_optuna():
            self.study = optuna.create_study(direction="maximize")
            taken_up = {record.name: self._take_up(record) for record in ledger.records.values()}
            tried = {record.source for record in ledger.records.values()}
            for name, params in space.points.items():
                if _source(name) not in tried:
                    self.study.enqueue_trial(dict(params), user_attrs={_POINT: name})
        self._unfinished = deque((name, trial) for name, trial in taken_up.items() if trial is not None)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Ray's question for the next trial: its name and TrialConfig as a dictionary."""
        if self._halt.cause is not None:
            return Searcher.FINISHED  # Ray would wait minutes for a trial where none runs
        if self._unfinished:
            name, trial = self._unfinished.popleft()
        elif not self.has_more():
            return None if self._asked else Searcher.FINISHED  # one of those asked for may yet come back
        else:
            drawn = self._draw()
            if drawn is None:
                return Searcher.FINISHED
            name, trial = drawn
        self._asked[trial_id] = (name, trial)
        record = self._ledger.records[name]
        out_of_memory = any(retry.reason == "memory" for retry in record.retries)
        return {"trial": name, "config": dict(record.config), "micro_batches": 2 if out_of_memory else 1}

    def has_more(self) -> bool:
        """Whether there is a trial to go on with, or one to draw."""
        return bool(self._unfinished) or self._trials is None or len(self._ledger.records) < self._trials

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing to do: what a trial reported is in the ledger, and Optuna is told when the trial has ended."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Ray's word that it is done with a trial. How it ended is in the ledger, where the judge wrote it. Where it
        has not, since the process that was to take it up had died before, another one is to."""
        name, trial = self._asked.pop(trial_id)
        record = self._ledger.records[name]
        tell(self.study, trial, record)
        if record.state == "running":
            self._unfinished.append((name, trial))

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles a Tuner for its own restore, which is never used here, and a ledger can't be pickled."""
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: Ray's snapshot of a run is disposable, the study can be rebuilt from the ledger."""

    def _draw(self) -> tuple[str, optuna.Trial] | None:
        """A new trial, in the ledger; None where the space or the ledger's disk is at its end."""
        number = len(self._ledger.records)
        with quiet_optuna():
            self.study.sampler = new_sampler(self._seed, number)
            trial = self.study.ask()
            try:
                config = self._space.draw(trial, self._problem)
            except UserError as error:
                self.study.tell(trial, state=TrialState.FAIL)
                self.error = error
                return None
        point = trial.user_attrs.get(_POINT)
        suggested = Suggested(
            trial=f"t{number + 1:03d}",
            source="tpe" if point is None else _source(point),
            params=trial.params,
            distributions={n: json.loads(distribution_to_json(d)) for n, d in trial.distributions.items()},
            config=config.to_dict(),
        )
        try:
            self._ledger.append(suggested)
        except OSError as error:
            self._halt.for_error(error)
            return None
        return suggested.trial, trial

    def _take_up(self, record: TrialRecord) -> optuna.Trial | None:
        """Puts a trial of the ledger into the study; Optuna's side of it where it has not ended."""
        self.study.sampler = RandomSampler(seed=0)  # asked for nothing that is used
        self.study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=dict(record.params),
                distributions={n: json_to_distribution(json.dumps(d)) for n, d in record.distributions.items()},
            )
        )
        trial = optuna.Trial(self.study, self.study.get_trials(deepcopy=False)[-1]._trial_id)
        tell(self.study, trial, record)
        return trial if record.state == "running" else None


def new_sampler(seed: int, number: int) -> TPESampler:
    """The sampler of trial `number` (from 0) alone. Must be made without Optuna's warnings: `group` is experimental."""
    # Multivariate, since learning rates, depth and batch size depend on each other; grouped, since a space's parameters
    # are conditional; with the constant liar, since several trials are asked for before the first is told.
    return TPESampler(
        n_startup_trials=STARTUP_TRIALS,
        multivariate=True,
        group=True,
        constant_liar=True,
        seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
    )


def tell(study: optuna.Study, trial: optuna.Trial, record: TrialRecord) -> None:
    """Tells Optuna how `trial` ended."""
    if record.state in ("completed", "stopped"):
        for report in record.reports:
            trial.report(report.best, step=report.epoch)
    match record.state:
        case "completed":
            assert record.best is not None, "a completed trial has reported"
            study.tell(trial, record.best.overall, state=TrialState.COMPLETE)
        case "stopped" | "diverged":
            study.tell(trial, state=TrialState.PRUNED)
        case "failed":
            study.tell(trial, state=TrialState.FAIL)
        case "running":
            pass  # the run was interrupted: the trial has not ended


def _source(point: str) -> str:
    return f"point {point}"
