"""Drawn parameters as columns of numbers, such that two configurations lie as far apart as they differ.

A number is put on 0 to 1 by its range, on a logarithmic scale where it was drawn on one. A choice gets a column for
each of its values, the squared distance of two being 1. A parameter that only some configurations have is in the middle
for the others, and has one column more that tells so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from search.records import TrialRecord

Numeric = FloatDistribution | IntDistribution


@dataclass(frozen=True)
class Drawn:
    """A configuration's parameters."""

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    """What each was drawn from."""

    @classmethod
    def of(cls, record: TrialRecord) -> Drawn:
        """A trial's."""
        return Drawn(record.params, {n: _distribution(json.dumps(d)) for n, d in record.distributions.items()})


_distribution = lru_cache(json_to_distribution)
"""From JSON: one for all trials that were drawn from the same."""


class Encoding:
    """Columns for all parameters that occur in what was drawn."""

    def __init__(self, drawn: Sequence[Drawn]) -> None:
        self._ranges: dict[str, BaseDistribution] = {}
        for one in drawn:
            for name, distribution in one.distributions.items():
                known = self._ranges.get(name)
                if known is None:
                    self._ranges[name] = distribution
                elif known is not distribution:
                    self._ranges[name] = _widened(known, distribution)
        owner = [j for j, d in enumerate(self._ranges.values()) for _ in range(_columns(d))]
        self.owner = np.array(owner, dtype=np.int64)
        """Which parameter each column belongs to, by its place in `names`."""

    @property
    def names(self) -> list[str]:
        """The parameters."""
        return list(self._ranges)

    def __call__(self, drawn: Sequence[Drawn]) -> np.ndarray:
        """(configurations, columns)"""
        encoded = np.zeros((len(drawn), len(self.owner)))
        column = 0
        for name, known in self._ranges.items():
            if isinstance(known, CategoricalDistribution):
                place = _places(known)
                for row, one in enumerate(drawn):
                    if name in one.params:
                        value = one.params[name]
                        found = place.get((type(value), value))
                        if found is None:  # 1 for 1.0, say, as Optuna takes it in a point
                            found = known.choices.index(value)
                        encoded[row, column + found] = math.sqrt(0.5)
            else:
                assert isinstance(known, Numeric)
                values = np.array([one.params.get(name, math.nan) for one in drawn], dtype=np.float64)
                encoded[:, column] = np.nan_to_num(_on_range(known, values), nan=0.5)
                encoded[:, column + 1] = 0.5 * ~np.isnan(values)
            column += _columns(known)
        return encoded


def _columns(distribution: BaseDistribution) -> int:
    return len(distribution.choices) if isinstance(distribution, CategoricalDistribution) else 2


def _places(distribution: CategoricalDistribution) -> dict[tuple[type, Any], int]:
    """Of its values, each with its type: True is not 1 here."""
    return {(type(value), value): place for place, value in enumerate(distribution.choices)}


def _on_range(distribution: Numeric, values: np.ndarray) -> np.ndarray:
    """Of those that are not there, NaN."""
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        low, high, values = math.log(low), math.log(high), np.log(values)
    return (values - low) / (high - low) if high > low else np.where(np.isnan(values), math.nan, 0.5)


def _widened(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """Of both ranges: that of a number may differ between draws."""
    if isinstance(one, CategoricalDistribution) or one == other:
        return one
    assert isinstance(one, Numeric)
    assert isinstance(other, Numeric)
    return type(one)(min(one.low, other.low), max(one.high, other.high), log=one.log)  # type: ignore[arg-type]
