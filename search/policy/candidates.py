"""Configurations that a search could begin next: fresh draws from the space, and neighbours of the best trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.config import TrialConfig
from model.errors import UserError
from model.problem import Problem
from search.policy.drawing import Drawing
from search.policy.encoding import Drawn
from search.space import Space, quiet_optuna

POOL = 128
"""Fresh draws to choose among."""
BATCH = 16
"""Of them are drawn anew for each trial that is begun, in place of the oldest."""
NEIGHBOURS = 32
"""Drawn around the best trials for each choice."""


@dataclass(frozen=True)
class Candidate(Drawn):
    """A configuration that can be begun."""

    config: TrialConfig


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
            return self.drawn(Drawing(np.random.default_rng([self._seed, 0]), fixed=self._space.points[name]))

    def fresh(self, begun: int) -> list[Candidate]:
        """Draws from the space, those of the newest batches, when `begun` trials have begun."""
        wanted = range(begun, begun + POOL // BATCH)  # the first choice has a whole pool
        self._batches = {number: self._batches.get(number) or self._batch(number) for number in wanted}
        return [candidate for batch in self._batches.values() for candidate in batch]

    def near(self, parents: Sequence[Mapping[str, Any]], number: int) -> list[Candidate]:
        """Draws from the space that share most choices with one of `parents`, the parameters of trials, and are a step
        away in all numbers; others for another `number`."""
        if not parents:
            return []
        generator = np.random.default_rng([self._seed, 1, number])
        chosen = [parents[place] for place in generator.integers(len(parents), size=NEIGHBOURS).tolist()]
        return self._sound(Drawing(generator, parent=parent) for parent in chosen)

    def drawn(self, drawing: Drawing) -> Candidate:
        """What the space makes of a drawing."""
        config = self._space.draw(drawing, self._problem)
        return Candidate(drawing.params, drawing.distributions, config)

    def _batch(self, number: int) -> list[Candidate]:
        generator = np.random.default_rng([self._seed, 2, number])
        return self._sound(Drawing(generator) for _ in range(BATCH))

    def _sound(self, drawings: Iterable[Drawing]) -> list[Candidate]:
        """Those that the space makes a configuration of. Raises its UserError where it makes none: a search meets many
        more draws than it trains, and should not end by one that it would not."""
        found, errors = list[Candidate](), list[UserError]()
        with quiet_optuna():
            for drawing in drawings:
                try:
                    found.append(self.drawn(drawing))
                except UserError as error:
                    errors.append(error)
        if not found and errors:
            raise errors[0]
        return found
