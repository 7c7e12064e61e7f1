"""A trial that is drawn and not run: what a space may ask of it is what it may ask of Optuna's own.

Those keep a record of all they are asked, which takes longer than the space itself; a choice compares some hundred.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

CHANGES = 2.4
"""Choices of a neighbour that would be drawn anew, on average, if all parameters were choices,"""
MOST_CHANGED = 0.5
"""and the highest probability of that for each, where there are few."""
STEP = 0.2
"""Standard deviation of the step from a parent's number to its neighbour's, of the range. Every number takes one: the
best of what was tried may lie far from a good one in several of them at once."""

Numeric = FloatDistribution | IntDistribution

# A draw asks for some dozens of distributions, and they are always the same: made once, they are equal by being one.
_float, _int = lru_cache(FloatDistribution), lru_cache(IntDistribution)


@lru_cache(typed=True)  # True is not 1
def _categorical(*choices: Any) -> CategoricalDistribution:
    return CategoricalDistribution(choices)


class Drawing(FixedTrial):
    """Draws what it is asked for at random, with `parent` near that configuration, and what is `fixed` as it is."""

    def __init__(
        self,
        generator: np.random.Generator,
        *,
        parent: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__({})
        self._generator = generator
        self._parent = parent or {}
        self._keeps = 1 - min(MOST_CHANGED, CHANGES / max(1, len(self._parent)))
        self._fixed = fixed or {}
        self._drawn: dict[str, tuple[Any, BaseDistribution]] = {}

    @property
    def params(self) -> dict[str, Any]:
        """What was drawn, by name."""
        return {name: value for name, (value, _) in self._drawn.items()}

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """And what from."""
        return {name: distribution for name, (_, distribution) in self._drawn.items()}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self._asked(name, _float(low, high, log=log, step=step))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._asked(name, _int(low, high, log=log, step=step))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._asked(name, _categorical(*choices))

    def _asked(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._drawn:
            if name in self._fixed:  # as Optuna does: 3.0 for a whole number is 3
                value = distribution.to_external_repr(distribution.to_internal_repr(self._fixed[name]))
            else:
                value = self._draw(name, distribution)
            self._drawn[name] = (value, distribution)
        return self._drawn[name][0]

    def _draw(self, name: str, distribution: BaseDistribution) -> Any:
        if isinstance(distribution, CategoricalDistribution):
            inherits = name in self._parent and self._parent[name] in distribution.choices
            if inherits and self._generator.random() < self._keeps:
                return self._parent[name]
            return distribution.choices[int(self._generator.integers(len(distribution.choices)))]
        assert isinstance(distribution, Numeric)
        value = self._parent.get(name)
        if not isinstance(value, int | float) or not distribution.low <= value <= distribution.high:
            return _uniform(distribution, self._generator)
        return _near(value, distribution, self._generator)


def _uniform(distribution: Numeric, generator: np.random.Generator) -> Any:
    """Any number of a range, as likely as any other; with a logarithmic scale on that."""
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is not None and not distribution.log:
        places = round((high - low) / step)
        return _rounded(distribution, low + step * int(generator.integers(places + 1)))
    half = 0.5 if isinstance(distribution, IntDistribution) else 0.0  # the ends, too, are rounded to from both sides
    return _rounded(
        distribution, generator.uniform(_scaled(distribution, low - half), _scaled(distribution, high + half))
    )


def _near(value: float, distribution: Numeric, generator: np.random.Generator) -> Any:
    low, high = _scaled(distribution, distribution.low), _scaled(distribution, distribution.high)
    spread = STEP * (high - low)
    if distribution.step is not None and not distribution.log:
        spread = max(spread, distribution.step)  # or it would be rounded to where it was
    moved = generator.normal(_scaled(distribution, value), spread)
    return _rounded(distribution, min(max(moved, low), high))


def _scaled(distribution: Numeric, value: float) -> float:
    return math.log(value) if distribution.log else value


def _rounded(distribution: Numeric, scaled: float) -> Any:
    """A number of the range, from one on its scale."""
    low, high, step = distribution.low, distribution.high, distribution.step
    value = math.exp(scaled) if distribution.log else scaled
    if step is not None:
        value = low + round((value - low) / step) * step
    value = min(max(value, low), high)
    return round(value) if isinstance(distribution, IntDistribution) else float(value)
