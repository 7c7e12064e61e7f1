"""Curves of configurations that nobody trained, learned from those of a run: what they score, how long epochs take.

By the Gaussian process over learning curves that searches themselves use (search.policy.surrogate), one for the logit
of overall and one for the logarithm of an epoch's seconds. A new configuration's curve is drawn from what they expect
of it, as uncertain as they are, and with the noise that they found: a configuration has one curve, whoever asks, but
two that are alike may differ by more than they would. What the run trained is repeated as it was, and drawn from where
it ended. No curve diverges.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from search.policy.encoding import Drawn, Encoding
from search.policy.forecast import Learned, scaled
from search.policy.surrogate import Points
from search.records import Report, TrialRecord

LEARNED_FROM = 500
"""Reports at most: the time for a curve grows with their square."""
NEW = -1
"""The number of a configuration that the run did not train."""


@dataclass(frozen=True)
class Curve:
    """Of one configuration, a value for each epoch."""

    overall: np.ndarray
    seconds: np.ndarray


class LearnedCurves:
    """Of all configurations, from a run's `records` of trials of at most `epochs` epochs."""

    def __init__(self, records: Sequence[TrialRecord], *, epochs: int, seed: int) -> None:
        self._epochs = epochs
        self._seed = seed
        self._trained = {_key(record.params): record for record in records}
        self._numbers = {key: number for number, key in enumerate(self._trained)}
        self._drawn = [Drawn.of(record) for record in self._trained.values()]
        told = [(number, report) for number, record in enumerate(self._trained.values()) for report in record.reports]
        told = told[:: math.ceil(len(told) / LEARNED_FROM)]
        self._trials = np.array([number for number, _ in told])
        self._s = scaled(np.array([report.epoch for _, report in told], dtype=np.float64), epochs)
        self._encoding = Encoding(self._drawn)
        overall = np.clip([report.overall for _, report in told], 1e-3, 1 - 1e-3)
        seconds = np.maximum([report.seconds for _, report in told], 1e-6)
        seen = self._seen()
        self._overall = _Quantity(logit(overall), self._encoding, seen)
        self._seconds = _Quantity(np.log(seconds), self._encoding, seen)

    def of(self, drawn: Drawn) -> Curve:
        """That of a configuration."""
        if not drawn.params.keys() <= set(self._encoding.names):  # the run had none of a parameter
            self._encoding = Encoding([*self._drawn, drawn])
            self._overall.see(self._encoding, self._seen())
            self._seconds.see(self._encoding, self._seen())
        key = _key(drawn.params)
        known: Sequence[Report] = self._trained[key].reports if key in self._trained else ()
        asked = Points(
            np.repeat(self._encoding([drawn]), self._epochs, axis=0),
            scaled(np.arange(1.0, self._epochs + 1), self._epochs),
            np.full(self._epochs, self._numbers.get(key, NEW)),
        )
        generator = np.random.default_rng([self._seed, zlib.crc32(key.encode())])
        overall = expit(self._overall.drawn(asked, generator))
        seconds = np.exp(self._seconds.drawn(asked, generator))
        overall[: len(known)] = [report.overall for report in known]
        seconds[: len(known)] = [report.seconds for report in known]
        return Curve(overall, seconds)

    def _seen(self) -> Points:
        return Points(self._encoding(self._drawn)[self._trials], self._s, self._trials)


class _Quantity:
    """Something that trials told after each epoch, on a scale on which it is about normal."""

    def __init__(self, values: np.ndarray, encoding: Encoding, seen: Points) -> None:
        self._middle = float(values.mean())
        self._spread = float(values.std()) or 1.0
        self._values = (values - self._middle) / self._spread
        self._learned = Learned()
        self._learned.fit(encoding, seen, self._values)
        self.see(encoding, seen)

    def see(self, encoding: Encoding, seen: Points) -> None:
        """The same values, where there are more parameters."""
        self._posterior = self._learned.surrogate(encoding).given(seen, self._values)

    def drawn(self, asked: Points, generator: np.random.Generator) -> np.ndarray:
        """What a trial might tell, (n,)."""
        return self._middle + self._spread * self._posterior.drawn(asked, generator)


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True)
