"""Configurations that a search could begin next: fresh draws from the space, and neighbours of the best trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from model.problem import Problem
from search.space import Space, quiet_optuna

POOL = 128
"""Fresh draws to choose among."""
BATCH = 16
"""Of them are drawn anew for each trial that is begun, in place of the oldest."""
NEIGHBOURS = 32
"""Drawn around the best trials for each choice."""
KEPT = 0.7
"""Probability that a neighbour has a parameter's value from its parent."""
STEP = 0.1
"""Standard deviation of a number that is near its parent's instead, of its range."""


@dataclass(frozen=True)
class Candidate:
    """A configuration that was drawn and not tried."""

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    config: Mapping[str, Any]


class Candidates:
    """What could be begun next. A function of the seed, the number of trials begun, and the best of them: a resumed
    search has the same."""

    def __init__(self, space: Space, problem: Problem, *, seed: int) -> None:
        self._space = space
        self._problem = problem
        self._seed = seed
        self._batches: dict[int, list[Candidate]] = {}

    @property
    def points(self) -> Iterable[str]:
        """The names of the space's POINTS."""
        return self._space.points

    def point(self, name: str) -> Candidate:
        """One of the space's POINTS; what it leaves open is drawn."""
        with quiet_optuna():
            study = optuna.create_study(sampler=RandomSampler(seed=self._seed))
            study.enqueue_trial(dict(self._space.points[name]))
            return self.drawn(study)

    def fresh(self, begun: int) -> list[Candidate]:
        """Draws from the space, those of the newest batches, when `begun` trials have begun."""
        newest = POOL // BATCH + begun  # the first choice has a whole pool
        wanted = range(begun, newest)
        self._batches = {number: self._batches.get(number) or self._batch(number) for number in wanted}
        return [candidate for batch in self._batches.values() for candidate in batch]

    def near(self, parents: Sequence[Mapping[str, Any]], number: int) -> list[Candidate]:
        """Draws from the space that share most values with one of `parents`, the parameters of trials; others for
        another `number`."""
        if not parents:
            return []
        with quiet_optuna():
            sampler = _Near(parents, np.random.default_rng([self._seed, 1, number]))
            study = optuna.create_study(sampler=sampler)
            return [self.drawn(study) for _ in range(NEIGHBOURS)]

    def _batch(self, number: int) -> list[Candidate]:
        seed = int(np.random.SeedSequence([self._seed, 0, number]).generate_state(1)[0])
        with quiet_optuna():
            study = optuna.create_study(sampler=RandomSampler(seed=seed))
            return [self.drawn(study) for _ in range(BATCH)]

    def drawn(self, study: Study) -> Candidate:
        """What the study's sampler proposes."""
        trial = study.ask()
        config = self._space.draw(trial, self._problem)
        return Candidate(trial.params, trial.distributions, config.to_dict())


class _Near(BaseSampler):
    """Draws that share most values with a parent."""

    def __init__(self, parents: Sequence[Mapping[str, Any]], generator: np.random.Generator) -> None:
        self._parents = parents
        self._generator = generator
        self._parent: Mapping[str, Any] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._parent = self._parents[int(self._generator.integers(len(self._parents)))]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The parent's value, one near it, or, where it has none that fits, any."""
        value, generator = self._parent.get(param_name), self._generator
        match param_distribution:
            case CategoricalDistribution(choices=choices):
                fits = param_name in self._parent and value in choices
                return value if fits and generator.random() < KEPT else choices[generator.integers(len(choices))]
            case FloatDistribution() | IntDistribution():
                return self._number(value, param_distribution)
        raise TypeError(param_distribution)

    def _number(self, value: Any, distribution: FloatDistribution | IntDistribution) -> Any:
        low, high = distribution.low, distribution.high
        if value is not None and low <= value <= high and self._generator.random() < KEPT:
            return value
        scale = (np.log, np.exp) if distribution.log else (float, float)
        start, end = scale[0](low), scale[0](high)
        if value is None or not low <= value <= high:
            found = self._generator.uniform(start, end)
        else:
            found = self._generator.normal(scale[0](value), STEP * (end - start))
        number = float(np.clip(scale[1](np.clip(found, start, end)), low, high))
        if distribution.step:
            number = low + round((number - low) / distribution.step) * distribution.step
        return int(number) if isinstance(distribution, IntDistribution) else float(min(number, high))
