"""What trials and new configurations are expected to come to, and how long an epoch of theirs takes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from threadpoolctl import ThreadpoolController

from search.policy.curves import Curves
from search.policy.encoding import Drawn, Encoding
from search.policy.surrogate import Points, Posterior, Surrogate

FIRST_FIT = 8
"""Trials that have told something when lengths and weights are fitted for the first time,"""
GROWTH = 1.3
"""and again when there are so many times as many."""

_in_one_thread = ThreadpoolController().wrap(limits=1, user_api="blas")
"""Of matrices of some hundred rows, threads take longer to share the work than to do it, above all where trials keep
all cores busy."""


@dataclass(frozen=True)
class Curve:
    """A trial, or a configuration that may become one."""

    drawn: Drawn
    trial: str | None
    """None before it has begun."""


@dataclass
class Learned:
    """Lengths and weights of a surrogate, which outlive the encoding that they were fitted with."""

    lengths: dict[str, float] = field(default_factory=dict)
    weights: np.ndarray | None = None

    def fit(self, encoding: Encoding, points: Points, values: np.ndarray) -> None:
        fitted = Surrogate.prior(encoding.owner).fitted(points, values)
        self.lengths = dict(zip(encoding.names, fitted.lengths.tolist(), strict=True))
        self.weights = fitted.weights

    def surrogate(self, encoding: Encoding) -> Surrogate:
        """A parameter that was not there yet has the length that it has before anything is known."""
        prior = Surrogate.prior(encoding.owner)
        if self.weights is None:
            return prior
        known = zip(encoding.names, prior.lengths, strict=True)
        lengths = np.array([self.lengths.get(name, length) for name, length in known])
        return Surrogate(encoding.owner, lengths, self.weights)


class Forecaster:
    """Learns from the curves of trials. Its fits depend on what was known when there were 8, 11, 15, ... trials: a
    search that was resumed has the same."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._scores, self._seconds = Learned(), Learned()
        self._due = FIRST_FIT

    def is_due(self, curves: Curves) -> bool:
        """Whether it is time to fit. Asked once for each outcome."""
        if len(curves) < self._due:
            return False
        self._due = math.ceil(len(curves) * GROWTH)
        return True

    @_in_one_thread
    def fit(self, curves: Curves, drawn: Mapping[str, Drawn]) -> None:
        """Learns which parameters matter, and how much of a curve the configuration tells: of several objectives, for
        equal weights."""
        data = _Data(curves, drawn, self._epochs)
        encoding = Encoding(data.drawn)
        self._scores.fit(encoding, data.points(encoding), data.seen.values)
        self._seconds.fit(encoding, data.timed(encoding), data.log_seconds)

    @_in_one_thread
    def forecast(
        self,
        curves: Curves,
        drawn: Mapping[str, Drawn],
        busy: Sequence[tuple[Curve, int]],
        asked: Sequence[Curve],
        weights: np.ndarray | None = None,
    ) -> Forecast:
        """Of `asked`, as if those that are `busy` had come to the epoch beside them as expected; with these `weights`
        of the objectives (None: equal ones)."""
        everyone = [*(curve for curve, _ in busy), *asked]
        names = [curve.trial for curve in everyone if curve.trial is not None]
        data = _Data(curves, drawn, self._epochs, names, weights)
        encoding = Encoding([*data.drawn, *(curve.drawn for curve in everyone)])
        posterior = self._scores.surrogate(encoding).given(data.points(encoding), data.seen.values)
        if busy:
            ends = np.array([end for _, end in busy], dtype=np.float64)
            posterior = posterior.believing(data.more(encoding, [curve for curve, _ in busy], ends))
        points = data.more(encoding, asked, np.full(len(asked), self._epochs, dtype=np.float64))
        alone = dataclasses.replace(points, s=np.zeros(len(asked)))
        mean, _ = self._seconds.surrogate(encoding).given(data.timed(encoding), data.log_seconds).at(alone)
        measured = [None if curve.trial is None else curves.seconds(curve.trial) for curve in asked]
        seconds = [
            math.exp(expected + data.middle) if known is None else known
            for expected, known in zip(mean, measured, strict=True)
        ]
        return Forecast(float(data.seen.values.max()), np.array(seconds), posterior, points, self._epochs)


@dataclass(frozen=True)
class Forecast:
    """What is expected of some curves, n in all."""

    top: float
    """The best that was reached, as `scores` counts."""
    seconds: np.ndarray
    """Of an epoch, (n,)."""
    _posterior: Posterior
    _points: Points
    _epochs: int

    @_in_one_thread
    def scores(self, epochs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each after so many `epochs`, (n,), as normal quantiles of ranks."""
        return self._posterior.at(dataclasses.replace(self._points, s=scaled(epochs, self._epochs)))


class _Data:
    """What curves have told, those of the trials `wanted` among them, as points and values."""

    def __init__(
        self,
        curves: Curves,
        drawn: Mapping[str, Drawn],
        epochs: int,
        wanted: Collection[str] = (),
        weights: np.ndarray | None = None,
    ) -> None:
        self.seen = curves.observations(epochs, wanted, weights)
        self._epochs = epochs
        names = dict.fromkeys(self.seen.trials)
        self._numbers = {name: number for number, name in enumerate(names)}
        self._unborn = count(-1, -1)
        self.drawn = [drawn[name] for name in names]
        self._times = {name: seconds for name in names if (seconds := curves.seconds(name)) is not None}
        logarithms = np.log(np.maximum(list(self._times.values()), 1e-6))
        self.middle = float(logarithms.mean()) if len(logarithms) else 0.0  # where all have diverged at once
        self.log_seconds = logarithms - self.middle
        """Of an epoch, less `middle`; one for each trial that is timed."""
        self._of = drawn

    def points(self, encoding: Encoding) -> Points:
        """Where `seen.values` were observed."""
        return self.more(encoding, [Curve(self._of[name], name) for name in self.seen.trials], self.seen.epochs)

    def timed(self, encoding: Encoding) -> Points:
        """Where `log_seconds` were."""
        curves = [Curve(self._of[name], name) for name in self._times]
        return self.more(encoding, curves, np.ones(len(curves)))

    def more(self, encoding: Encoding, curves: Sequence[Curve], epochs: np.ndarray) -> Points:
        """Others, after so many epochs."""
        numbers = [
            next(self._unborn) if curve.trial is None else self._numbers.setdefault(curve.trial, len(self._numbers))
            for curve in curves
        ]
        x = encoding([curve.drawn for curve in curves])
        return Points(x, scaled(epochs, self._epochs), np.array(numbers, dtype=np.int64))


def scaled(epochs: np.ndarray, last: int) -> np.ndarray:
    """The logarithm of `epochs`, from 0 for the first to 1 for the last."""
    return np.log(epochs) / math.log(last) if last > 1 else np.zeros(len(epochs))
