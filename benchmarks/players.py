"""Ways to search that a replay can play: the project's own, by the very classes that searches use, and its peers'.

Each is told where the rows are that it got. What is proposed by freeze-thaw, which compares some hundred draws, is the
best of rows; what its peers propose is a point, and they get the row next to it. Peers have no word for a trial that
diverged: they are told the table's lowest score, and that it has ended.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import BaseTrial, FrozenTrial, TrialState
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.driver import Driver, Parts, no_limit, report_on
from benchmarks.replay import Player, Rows
from model.config import TaskConfig, TrialConfig
from model.data.tasks import CS224N
from model.problem import Problem
from search.judge import Decider, Judge
from search.ledger import Ledger
from search.ledger_searcher import LedgerSearcher
from search.policy.candidates import Candidate, Candidates
from search.policy.drawing import Drawing
from search.policy.freeze_thaw import FreezeThaw
from search.policy.rungs import Rungs
from search.policy_searcher import PolicySearcher
from search.records import End
from search.searcher import OptunaSearcher
from search.space import Space, quiet_optuna
from search.strategy import SAMPLERS

Place = tuple[str, np.ndarray]
"""A trial's name, and where it is in the unit cube."""


class RandomSearch:
    """Each trial in full."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._axes = rows.table.places.shape[1]
        self._rows = rows
        self._begun = 0

    def start(self) -> Place:
        self._begun += 1
        return str(self._begun), self._rows.next_to(self._generator.random(self._axes))

    def report(self, trial: str, epoch: int, score: float) -> bool:
        return True

    def diverged(self, trial: str, epoch: int) -> None:
        pass


class Ours:
    """A strategy of the project's own: searcher, scheduler and ledger as in a search, but for the disk and Ray."""

    def __init__(self, rows: Rows, seed: int, search: str) -> None:
        with TemporaryDirectory() as folder, _Unwritten(Path(folder) / "ledger.jsonl") as self._ledger:
            pass  # it is closed, and keeps on listening
        halt = no_limit(self._ledger)
        self._axes = [f"x{axis}" for axis in range(rows.table.places.shape[1])]
        space = Space(Path("cube.py"), "", self._draw, {})
        if search in SAMPLERS:
            decider: Decider = Rungs(rows.table.epochs, early_stopping=True)
            searcher: LedgerSearcher = OptunaSearcher(
                space, _PROBLEM, self._ledger, halt, lambda one: Snapped(SAMPLERS[search](one), rows),
                source=search, trials=None, seed=seed,
            )  # fmt: skip
        else:
            decider = FreezeThaw(
                _RowCandidates(space, rows, seed), self._ledger.history,
                epochs=rows.table.epochs, trials=None, seed=seed, early_stopping=True,
            )  # fmt: skip
            searcher = PolicySearcher(decider, self._ledger, halt)
        self._driver = Driver(Parts(self._ledger, halt, Judge(self._ledger, rows.table.epochs, decider), searcher))

    def start(self) -> Place | None:
        record = self._driver.start()
        return None if record is None else (record.name, np.array([record.params[axis] for axis in self._axes]))

    def report(self, trial: str, epoch: int, score: float) -> bool:
        return self._driver.tell(report_on(self._ledger.records[trial], score))

    def diverged(self, trial: str, epoch: int) -> None:
        self._driver.tell(End(trial=trial, state="diverged"))

    def _draw(self, trial: BaseTrial, problem: Problem) -> TrialConfig:
        for axis in self._axes:
            trial.suggest_float(axis, 0.0, 1.0)
        return _ANY


_ANY = TrialConfig(tasks={CS224N[0].name: TaskConfig()})
"""A replay trains nothing: what stands for a row is its parameters."""
_PROBLEM = Problem(tasks=CS224N[:1], num_layers=1, hidden_size=1, num_heads=1, train_size={}, dev_size={})


class _Unwritten(Ledger):
    """Keeps nothing on disk."""

    def _write(self, line: bytes) -> None:
        pass


class _RowCandidates(Candidates):
    """Rows next to what is drawn."""

    def __init__(self, space: Space, rows: Rows, seed: int) -> None:
        super().__init__(space, _PROBLEM, seed=seed)
        self._rows = rows

    def drawn(self, drawing: Drawing) -> Candidate:
        candidate = super().drawn(drawing)
        place = self._rows.next_to(np.array(list(candidate.params.values())))
        return replace(candidate, params=dict(zip(candidate.params, place.tolist(), strict=True)))


class Snapped(BaseSampler):
    """An Optuna sampler whose proposals become the rows next to them."""

    def __init__(self, inner: BaseSampler, rows: Rows) -> None:
        self._inner = inner
        self._rows = rows

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {f"x{axis}": FloatDistribution(0.0, 1.0) for axis in range(self._rows.table.places.shape[1])}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        related = self._inner.infer_relative_search_space(study, trial)
        drawn = self._inner.sample_relative(study, trial, related)
        place = [
            drawn[axis] if axis in drawn else self._inner.sample_independent(study, trial, axis, distribution)
            for axis, distribution in search_space.items()
        ]
        return dict(zip(search_space, self._rows.next_to(np.array(place)).tolist(), strict=True))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise AssertionError(f"{param_name} is drawn with all others")

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._inner.after_trial(study, trial, state, values)


class RayAsha:
    """Ray Tune's ASHA with its defaults, and its OptunaSearch, whose default is TPE."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self._axes = [f"x{axis}" for axis in range(rows.table.places.shape[1])]
        self._worst = float(rows.table.scores[np.isfinite(rows.table.scores)].min())
        logging.getLogger("ray.tune.search.optuna").setLevel(logging.ERROR)
        with quiet_optuna(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._searcher = OptunaSearch(
                {axis: FloatDistribution(0.0, 1.0) for axis in self._axes},
                metric="score",
                mode="max",
                sampler=Snapped(TPESampler(seed=seed), rows),  # what it takes by default
            )
        self._scheduler = AsyncHyperBandScheduler(metric="score", mode="max", max_t=rows.table.epochs)
        self._trials: dict[str, Any] = {}
        self._last = 0

    def start(self) -> Place:
        self._last += 1
        name = str(self._last)
        self._trials[name] = trial = SimpleNamespace(trial_id=name)
        with quiet_optuna():
            config = self._searcher.suggest(name)
        assert isinstance(config, dict)
        self._scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
        return name, np.array([config[axis] for axis in self._axes])

    def report(self, trial: str, epoch: int, score: float) -> bool:
        result = {"training_iteration": epoch, "score": score, "time_total_s": float(epoch)}
        with quiet_optuna():
            self._searcher.on_trial_result(trial, result)
            action = self._scheduler.on_trial_result(None, self._trials[trial], result)  # type: ignore[arg-type]
            if action == TrialScheduler.CONTINUE:
                return True
            self._scheduler.on_trial_complete(None, self._trials[trial], result)  # type: ignore[arg-type]
            self._searcher.on_trial_complete(trial, result)
        return False

    def diverged(self, trial: str, epoch: int) -> None:
        result = {"training_iteration": epoch, "score": self._worst, "time_total_s": float(epoch)}
        with quiet_optuna():
            self._searcher.on_trial_result(trial, result)
            self._scheduler.on_trial_result(None, self._trials[trial], result)  # type: ignore[arg-type]
            self._scheduler.on_trial_complete(None, self._trials[trial], result)  # type: ignore[arg-type]
            self._searcher.on_trial_complete(trial, result)


class OptunaHyperband:
    """Optuna's TPE with its Hyperband pruner, both with their defaults."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self._axes = [f"x{axis}" for axis in range(rows.table.places.shape[1])]
        self._epochs = rows.table.epochs
        self._worst = float(rows.table.scores[np.isfinite(rows.table.scores)].min())
        with quiet_optuna():
            self._study = optuna.create_study(
                direction="maximize",
                sampler=Snapped(TPESampler(seed=seed), rows),
                pruner=optuna.pruners.HyperbandPruner(max_resource=rows.table.epochs),
                study_name=f"replay {seed}",  # by which a trial's bracket is chosen
            )
        self._trials: dict[str, optuna.Trial] = {}

    def start(self) -> Place:
        with quiet_optuna():
            trial = self._study.ask()
            place = np.array([trial.suggest_float(axis, 0.0, 1.0) for axis in self._axes])
        self._trials[str(trial.number)] = trial
        return str(trial.number), place

    def report(self, trial: str, epoch: int, score: float) -> bool:
        one = self._trials[trial]
        with quiet_optuna():
            one.report(score, epoch)
            if epoch == self._epochs:
                self._study.tell(one, score)
            elif one.should_prune():
                self._study.tell(one, state=TrialState.PRUNED)
            else:
                return True
        return False

    def diverged(self, trial: str, epoch: int) -> None:
        with quiet_optuna():
            self._study.tell(self._trials[trial], self._worst)


class SyneTune:
    """One of Syne Tune's schedulers with its defaults."""

    def __init__(self, rows: Rows, seed: int, name: str) -> None:
        baselines = importlib.import_module("syne_tune.optimizer.baselines")
        uniform = importlib.import_module("syne_tune.config_space").uniform
        self._trial = importlib.import_module("syne_tune.backend.trial_status").Trial
        self._axes = [f"x{axis}" for axis in range(rows.table.places.shape[1])]
        self._worst = float(rows.table.scores[np.isfinite(rows.table.scores)].min())
        np.random.seed(seed)
        self._scheduler = getattr(baselines, name)(
            config_space={axis: uniform(0.0, 1.0) for axis in self._axes},
            metric="score",
            time_attr="epoch",
            max_t=rows.table.epochs,
            do_minimize=False,
            random_seed=seed,
        )
        self._rows = rows
        self._trials: dict[str, Any] = {}

    def start(self) -> Place | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        assert suggestion.spawn_new_trial_id, "none of these schedulers resumes a trial"
        place = self._rows.next_to(np.array([suggestion.config[axis] for axis in self._axes]))
        config = dict(zip(self._axes, place.tolist(), strict=True))
        name = str(len(self._trials))
        self._trials[name] = trial = self._trial(trial_id=len(self._trials), config=config, creation_time=0)
        self._scheduler.on_trial_add(trial)
        return name, place

    def report(self, trial: str, epoch: int, score: float) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action = self._scheduler.on_trial_result(self._trials[trial], {"score": score, "epoch": epoch})
        if action == "CONTINUE":
            return True
        self._scheduler.on_trial_remove(self._trials[trial])
        return False

    def diverged(self, trial: str, epoch: int) -> None:
        self._scheduler.on_trial_result(self._trials[trial], {"score": self._worst, "epoch": epoch})
        self._scheduler.on_trial_remove(self._trials[trial])


PLAYERS: Mapping[str, Callable[[Rows, int], Player]] = {
    "freeze-thaw (ours, default)": lambda rows, seed: Ours(rows, seed, "freeze-thaw"),
    "tpe (ours)": lambda rows, seed: Ours(rows, seed, "tpe"),
    "random (ours)": lambda rows, seed: Ours(rows, seed, "random"),
    "Ray Tune: ASHA, OptunaSearch": RayAsha,
    "Optuna: TPE, Hyperband": OptunaHyperband,
    "Syne Tune: ASHA": lambda rows, seed: SyneTune(rows, seed, "ASHA"),
    "Syne Tune: ASHA, CQR": lambda rows, seed: SyneTune(rows, seed, "ASHACQR"),
    "Syne Tune: BOHB": lambda rows, seed: SyneTune(rows, seed, "BOHB"),
    "random search": RandomSearch,
}
