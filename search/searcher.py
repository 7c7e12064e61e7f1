"""Optuna behind Ray Tune's Searcher: the space's POINTS first, then a sampler's draws, told the truth about each trial.

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
from collections.abc import Callable

import numpy as np
import optuna
from optuna.distributions import distribution_to_json
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from model.errors import UserError
from model.problem import Problem
from search.halt import Halt
from search.ledger import Ledger
from search.ledger_searcher import LedgerSearcher
from search.policy.encoding import Drawn
from search.records import POINT, Suggested, TrialRecord
from search.space import Space, quiet_optuna

STARTUP_TRIALS = 7
"""Trials before TPE learns from them, POINTS among them: those are better informed than random draws, of which Optuna
by itself would wait for 10, half of a small search."""
SamplerFor = Callable[[int], BaseSampler]
"""Makes the sampler of one draw alone from its seed."""
_POINT = "point"
"""The user attribute of an Optuna trial that names the point it was enqueued as."""


class OptunaSearcher(LedgerSearcher):
    """Draws trials from a space and records each in the ledger before Ray hears of it, `trials` in all, if that is a
    number. Those that the ledger has, and that have not ended, come first: they go on where they were."""

    def __init__(
        self,
        space: Space,
        problem: Problem,
        ledger: Ledger,
        halt: Halt,
        sampler: SamplerFor,
        *,
        source: str,
        trials: int | None,
        seed: int,
    ) -> None:
        super().__init__(ledger, halt)
        self._space = space
        self._problem = problem
        self._sampler = sampler
        self._source = source
        self._trials = trials
        self._seed = seed
        self._live: dict[str, optuna.Trial] = {}
        """Optuna's side of each trial that this process began or took up, by name."""
        with quiet_optuna():
            self.study = optuna.create_study(direction="maximize")
            for record in ledger.records.values():
                self._take_up(record)
            tried = {record.source for record in ledger.records.values()}
            for name, params in space.points.items():
                if _source(name) not in tried:
                    self.study.enqueue_trial(dict(params), user_attrs={_POINT: name})
        self._unfinished.extend(self._live)

    def _is_left(self) -> bool:
        return self._trials is None or len(self._ledger.records) < self._trials

    def _on_done(self, name: str) -> None:
        tell(self.study, self._live[name], self._ledger.records[name])

    def _next(self) -> str | None:
        """A new trial, in the ledger; None where the space or the ledger's disk is at its end."""
        number = len(self._ledger.records)
        with quiet_optuna():
            self.study.sampler = self._sampler(_seed(self._seed, number))
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
            source=self._source if point is None else _source(point),
            params=trial.params,
            distributions={n: json.loads(distribution_to_json(d)) for n, d in trial.distributions.items()},
            config=config.to_dict(),
        )
        try:
            self._ledger.append(suggested)
        except OSError as error:
            self._halt.for_error(error)
            return None
        self._live[suggested.trial] = trial
        return suggested.trial

    def _take_up(self, record: TrialRecord) -> None:
        """Puts a trial of the ledger into the study."""
        self.study.sampler = RandomSampler(seed=0)  # asked for nothing that is used
        self.study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=dict(record.params),
                distributions=dict(Drawn.of(record).distributions),
            )
        )
        trial = optuna.Trial(self.study, self.study.get_trials(deepcopy=False)[-1]._trial_id)
        tell(self.study, trial, record)
        if record.state == "running":
            self._live[record.name] = trial


def random(seed: int) -> RandomSampler:
    """Draws that learn nothing."""
    return RandomSampler(seed=seed)


def tpe(seed: int) -> TPESampler:
    """Tree-structured Parzen estimators. Must be made without Optuna's warnings: `group` is experimental."""
    # Multivariate, since learning rates, depth and batch size depend on each other; grouped, since a space's parameters
    # are conditional; with the constant liar, since several trials are asked for before the first is told.
    return TPESampler(
        n_startup_trials=STARTUP_TRIALS,
        multivariate=True,
        group=True,
        constant_liar=True,
        seed=seed,
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


def _seed(seed: int, number: int) -> int:
    """Of the draw of trial `number`, from 0 on, alone."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _source(point: str) -> str:
    return f"{POINT}{point}"
