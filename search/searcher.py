"""Optuna behind Ray Tune's Searcher: the space's POINTS first, then TPE, told the truth about every trial.

Ray's own OptunaSearch tells the last score of a stopped trial as that of a complete one, ignores a seed beside a
sampler and enqueues its first points anew at every restart. Here each trial ends in Optuna as it ended in the ledger:

    completed  COMPLETE  with the best overall it reached
    stopped    PRUNED    with the best overall so far after each of its epochs as intermediate values
    diverged   PRUNED    without intermediate values: TPE ranks pruned trials by how far they came, and one with no
                         value at all behind every other (optuna `_get_pruned_trial_score`), whatever it scored before
    failed     FAIL      TPE leaves it out: an error says nothing about the parameters
"""

from __future__ import annotations

import json
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.samplers import TPESampler
from optuna.trial import TrialState
from ray.tune.search import Searcher

from model.errors import UserError
from model.problem import Problem
from search.ledger import Ledger, Suggested, TrialRecord
from search.space import Space, quiet_optuna

STARTUP_TRIALS = 7
"""Trials before TPE learns from them, POINTS among them: those are better informed than random draws, of which Optuna
by itself would wait for 10, half of a small search."""
_POINT = "point"
"""The user attribute of an Optuna trial that names the point it was enqueued as."""


class OptunaSearcher(Searcher):
    """Draws trials from a space and records each in the ledger before Ray hears of it."""

    def __init__(self, space: Space, problem: Problem, ledger: Ledger, seed: int) -> None:
        super().__init__()
        self._space = space
        self._problem = problem
        self._ledger = ledger
        self._asked: dict[str, tuple[str, optuna.Trial]] = {}
        """The name and Optuna's side of each trial, by Ray's id."""
        self.error: UserError | None = None
        """What the space did wrong in a draw. No trial is suggested after it, those that run go on to their end."""
        with quiet_optuna():
            self.study = new_study(seed)
            for name, params in space.points.items():
                self.study.enqueue_trial(dict(params), user_attrs={_POINT: name})

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        """Ray's question for the next trial: its name and TrialConfig as a dictionary."""
        with quiet_optuna():
            trial = self.study.ask()
            try:
                config = self._space.draw(trial, self._problem)
            except UserError as error:
                self.study.tell(trial, state=TrialState.FAIL)
                self.error = error
                return Searcher.FINISHED
        name = f"t{len(self._ledger.records) + 1:03d}"
        point = trial.user_attrs.get(_POINT)
        suggested = Suggested(
            trial=name,
            source="tpe" if point is None else f"point {point}",
            params=trial.params,
            distributions={n: json.loads(distribution_to_json(d)) for n, d in trial.distributions.items()},
            config=config.to_dict(),
        )
        self._ledger.append(suggested)
        self._asked[trial_id] = (name, trial)
        return {"trial": name, "config": config.to_dict()}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing to do: what a trial reported is in the ledger, and Optuna is told when the trial has ended."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Ray's word that a trial is over. How it ended is in the ledger, where the scheduler wrote it."""
        name, trial = self._asked.pop(trial_id)
        tell(self.study, trial, self._ledger.records[name])

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles a Tuner for its own restore, which is never used here, and a ledger can't be pickled."""
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: Ray's snapshot of a run is disposable, the study can be rebuilt from the ledger."""


def new_study(seed: int) -> optuna.Study:
    """A study that maximizes, in memory. Must be made without Optuna's warnings: `group` is marked as experimental."""
    # Multivariate, since learning rates, depth and batch size depend on each other; grouped, since a space's parameters
    # are conditional; with the constant liar, since several trials are asked for before the first is told.
    sampler = TPESampler(n_startup_trials=STARTUP_TRIALS, multivariate=True, group=True, constant_liar=True, seed=seed)
    return optuna.create_study(direction="maximize", sampler=sampler)


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
