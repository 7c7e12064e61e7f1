"""What trials have told so far: the best score at each of their milestones, how long epochs take, who diverged."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from search.records import End, Report

OBSERVED = 100
"""Trials that are learned from, at most: a choice takes as long however many there are."""
MILESTONES = 3
"""Of each of them, the last ones that it reached, and where it is now."""


@dataclass(frozen=True)
class Observations:
    """What is learned from: one value for a trial and an epoch, n in all."""

    trials: list[str]
    epochs: np.ndarray
    values: np.ndarray
    """Normal quantiles of the ranks of the best overall until then, the highest last."""


class Curves:
    """Takes up reports and ends in the ledger's order."""

    def __init__(self, milestones: Sequence[int]) -> None:
        self._milestones = milestones
        self._best: dict[str, dict[int, float]] = {}
        """By trial and epoch, at milestones and where it is now."""
        self._score: dict[str, float] = {}
        """The best so far, by trial."""
        self._seconds: dict[str, list[float]] = {}
        self._diverged: dict[str, None] = {}

    def __len__(self) -> int:
        """Trials that have told anything."""
        return len(self._best) + len(self._diverged)

    def add(self, outcome: Report | End) -> None:
        """One more."""
        name = outcome.trial
        if isinstance(outcome, Report):
            best = self._best.setdefault(name, {})
            if best and (newest := next(reversed(best))) not in self._milestones:
                del best[newest]
            best[outcome.epoch] = self._score[name] = outcome.best
            self._seconds.setdefault(name, []).append(outcome.seconds)
        elif outcome.state in ("diverged", "failed"):
            self._best.pop(name, None)
            self._score.pop(name, None)
            if outcome.state == "diverged":
                self._diverged[name] = None

    def best(self, count: int) -> list[str]:
        """The trials with the highest scores, best first."""
        return heapq.nlargest(count, self._score, key=self._score.__getitem__)

    def score(self, trial: str) -> float:
        """The best so far of a trial that has reported; of others, below all."""
        return self._score.get(trial, -math.inf)

    def seconds(self, trial: str) -> float | None:
        """Of an epoch, without the first one, which may fill a cache, if there are more; None before any."""
        known = self._seconds.get(trial)
        return None if known is None else float(np.mean(known[1:] or known))

    def observations(self, epochs: int, wanted: Collection[str] = ()) -> Observations:
        """Those of the best trials, of some of the others, spread evenly from the best to the worst, and of `wanted`.

        A diverged trial counts as behind all others after `epochs` epochs."""
        ranked = sorted(self._score, key=self._score.__getitem__, reverse=True)
        if len(ranked) > OBSERVED:
            rest = np.linspace(OBSERVED // 2, len(ranked) - 1, OBSERVED - OBSERVED // 2).astype(int)
            chosen = {*ranked[: OBSERVED // 2], *(ranked[place] for place in rest), *wanted}
            ranked = [name for name in ranked if name in chosen]
        found = [
            (name, epoch, best) for name in ranked for epoch, best in list(self._best[name].items())[-MILESTONES - 1 :]
        ]
        found += [(name, epochs, -np.inf) for name in list(self._diverged)[-OBSERVED // 2 :]]
        values = np.array([best for _, _, best in found])
        return Observations(
            trials=[name for name, _, _ in found],
            epochs=np.array([epoch for _, epoch, _ in found], dtype=np.float64),
            values=ndtri((rankdata(values) - 0.5) / max(1, len(values))),
        )
