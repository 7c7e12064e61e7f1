"""Parameters whose best values lie at the edge of the range that was searched: better ones may lie outside."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from analysis.why.importance import JUDGED
from search.records import TrialRecord, is_fit, leaderboard, winner

WITHIN = 0.05
"""How near to the edge is at it, as a share of the range on its own scale."""
BEST_SHARE = 0.2
LEAST_BEST = 3
"""Of the trials that have the parameter, the best: a fifth, and at least so many."""
LEAST_VALUES = 3
"""Of two values each is at an edge."""

Side = Literal["lower", "upper"]


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A parameter that may want a wider range."""

    param: str
    side: Side
    value: float
    """The winner's."""
    low: float
    high: float
    near: int
    """How many of the best trials that have it, drawn or prescribed by a point, lie there too."""
    best: int
    """Of how many."""

    @property
    def words(self) -> str:
        """The finding as a sentence."""
        return (
            f"{self.param} {self.value:.3g} lies at the {self.side} edge of {self.low:g} to {self.high:g}, as in "
            f"{self.near} of the {self.best} best trials that have it: a wider range may be better"
        )


@dataclass(frozen=True)
class _Scale:
    """A range from which a number was drawn."""

    low: float
    high: float
    log: bool
    whole: bool

    def is_at(self, side: Side, value: float) -> bool:
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        distance = at - low if side == "lower" else high - at
        return distance <= WITHIN * (high - low)

    def can_be_wider(self, side: Side) -> bool:
        """Not below zero, nor below one where things are counted, nor above one for what begins at zero: a share."""
        if side == "lower":
            return self.low > (1 if self.whole else 0)
        return not (self.low == 0 and self.high == 1)


def edges(records: Sequence[TrialRecord]) -> list[Edge]:
    """The parameters for which the winner, and most of the best trials that have it, lie within a few percent of an end
    of the range, by name. Of choices only numbers in ascending order have edges."""
    won = winner(records)
    if won is None:
        return []
    found = [_edge(param, won, records) for param in sorted(won.params)]
    return [edge for edge in found if edge is not None]


def _edge(param: str, won: TrialRecord, records: Sequence[TrialRecord]) -> Edge | None:
    drawn_from, value = won.distributions[param], won.params[param]
    scale = _scale(json_to_distribution(json.dumps(drawn_from)))
    if scale is None:
        return None
    alike = [
        record
        for record in leaderboard(records)
        if is_fit(record) and record.state in JUDGED and record.distributions.get(param) == drawn_from
    ]
    best = alike[: max(LEAST_BEST, math.ceil(BEST_SHARE * len(alike)))]
    sides: tuple[Side, ...] = ("lower", "upper")
    for side in sides:
        near = sum(scale.is_at(side, record.params[param]) for record in best)
        if scale.can_be_wider(side) and scale.is_at(side, value) and len(best) >= LEAST_BEST and near > len(best) / 2:
            return Edge(param=param, side=side, value=value, low=scale.low, high=scale.high, near=near, best=len(best))
    return None


def _scale(distribution: BaseDistribution) -> _Scale | None:
    """None where there is none, or too few values on it."""
    if isinstance(distribution, CategoricalDistribution):
        numbers = [c for c in distribution.choices if isinstance(c, int | float) and not isinstance(c, bool)]
        if len(numbers) < max(LEAST_VALUES, len(distribution.choices)) or numbers != sorted(numbers):
            return None
        whole = all(isinstance(number, int) for number in numbers)
        return _Scale(numbers[0], numbers[-1], log=False, whole=whole)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    values = math.inf if step is None else round((high - low) / step) + 1
    if values < LEAST_VALUES or distribution.single():
        return None
    return _Scale(low, high, distribution.log, isinstance(distribution, IntDistribution))
