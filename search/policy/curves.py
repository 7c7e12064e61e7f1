"""What trials have told so far: the best score at each of their rungs, how long epochs take, who diverged.

Several objectives become one as in ParEGO (Knowles 2006, "ParEGO: a hybrid algorithm with on-line landscape
approximation for expensive multiobjective optimization problems", IEEE Transactions on Evolutionary Computation 10(1)):
by the augmented Chebyshev function of its equation 2, with other weights for each choice that is made.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import ge

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from search.pareto import OVERALL_ALONE, Objective, nondominated, values
from search.records import End, Report

OBSERVED = 100
"""Trials that are learned from, at most: a choice takes as long however many there are."""
RUNGS = 3
"""Of each of them, the last ones that it reached, and where it is now."""
AUGMENTED = 0.05
"""Weight of the sum of all objectives beside the worst of them: Knowles' rho."""


@dataclass(frozen=True)
class Observations:
    """What is learned from: one value for a trial and an epoch, n in all."""

    trials: list[str]
    epochs: np.ndarray
    values: np.ndarray
    """Normal quantiles of the ranks of the best overall until then, the highest last; with several objectives, of what
    all of them come to."""


class Curves:
    """Takes up reports and ends in the ledger's order. Where `weights` are asked for, they are those of the objectives,
    in their order; None: equal ones."""

    def __init__(self, rungs: Sequence[int], objectives: Sequence[Objective] = OVERALL_ALONE) -> None:
        self._rungs = rungs
        self._objectives = objectives
        self._best: dict[str, dict[int, float]] = {}
        """By trial and epoch, at rungs and where it is now."""
        self._reached: dict[str, tuple[float, ...]] = {}
        """By trial, of each objective, the best score so far first."""
        self._places: dict[str, int] = {}
        """In the order of first reports."""
        self._by_overall: list[tuple[float, int, str]] = []
        """As `_ranked`, for overall alone: kept sorted, since sorting takes the longer the more trials there are."""
        self._front: list[str] | None = []
        """None where it is to be found anew."""
        self._seconds: dict[str, list[float]] = {}
        self._train_seconds: dict[str, list[float]] = {}
        self._diverged: dict[str, None] = {}

    def __len__(self) -> int:
        """Trials that have told anything."""
        return len(self._best) + len(self._diverged)

    def add(self, outcome: Report | End) -> None:
        """One more."""
        name = outcome.trial
        if isinstance(outcome, Report):
            best = self._best.setdefault(name, {})
            if best and (newest := next(reversed(best))) not in self._rungs:
                del best[newest]
            best[outcome.epoch] = outcome.best
            self._seconds.setdefault(name, []).append(outcome.seconds)
            self._train_seconds.setdefault(name, []).append(outcome.train_seconds)
            self._moves(name, values(
                self._objectives, overall=outcome.best, train_seconds=self._train_seconds[name],
                parameters=outcome.trainable_parameters,
            ))  # fmt: skip
        elif outcome.state in ("diverged", "failed"):
            self._best.pop(name, None)
            self._moves(name, None)
            if outcome.state == "diverged":
                self._diverged[name] = None

    def best(self, count: int, weights: np.ndarray | None = None) -> list[str]:
        """The trials with the highest scores, best first; of several objectives, those that come to most."""
        return [name for _, _, name in self._ranked(weights)[:count]]

    def front(self) -> list[str]:
        """The trials that no other one beats: of overall alone, the best one."""
        if self._front is None:
            self._front = nondominated(self._reached)
        return self._front

    def score(self, trial: str) -> float:
        """The best so far of a trial that has reported; of others, below all."""
        return self._reached.get(trial, (-math.inf,))[0]

    def seconds(self, trial: str) -> float | None:
        """Of an epoch, without the first one, which may fill a cache, if there are more; None before any."""
        known = self._seconds.get(trial)
        return None if known is None else float(np.mean(known[1:] or known))

    def observations(
        self, epochs: int, wanted: Collection[str] = (), weights: np.ndarray | None = None
    ) -> Observations:
        """Those of the best trials, of some of the others, spread evenly from the best to the worst, and of `wanted`.

        A diverged trial counts as behind all others after `epochs` epochs."""
        ranked = self._ranked(weights)
        if len(ranked) > OBSERVED:
            rest = np.linspace(OBSERVED // 2, len(ranked) - 1, OBSERVED - OBSERVED // 2).astype(int).tolist()
            asked = set(wanted)
            others = [*(ranked[place] for place in rest), *(one for one in ranked if one[-1] in asked)]
            ranked = sorted({*ranked[: OBSERVED // 2], *others})
        found = [
            (name, epoch, best) for _, _, name in ranked for epoch, best in list(self._best[name].items())[-RUNGS - 1 :]
        ]
        reached = [(best, *self._reached[name][1:]) for name, _, best in found]
        diverged = list(self._diverged)[-OBSERVED // 2 :]
        reached += [(-math.inf,) * len(self._objectives)] * len(diverged)
        ranks = rankdata(self._scalar(reached, weights))
        return Observations(
            trials=[*(name for name, _, _ in found), *diverged],
            epochs=np.array([*(epoch for _, epoch, _ in found), *(epochs for _ in diverged)], dtype=np.float64),
            values=ndtri((ranks - 0.5) / max(1, len(ranks))),
        )

    def _moves(self, trial: str, reached: tuple[float, ...] | None) -> None:
        """A trial has come to other values, or no longer counts. Others can come to the front only where one that is on
        it has become worse in something, or is gone."""
        before = self._reached.get(trial, ())
        if before:
            del self._by_overall[bisect_left(self._by_overall, (-before[0], self._places[trial], trial))]
        if reached is None:
            self._reached.pop(trial, None)
        else:
            self._reached[trial] = reached
            insort(self._by_overall, (-reached[0], self._places.setdefault(trial, len(self._places)), trial))
        if self._front is None:
            return
        if trial in self._front and (reached is None or not all(map(ge, reached, before))):
            self._front = None
        elif reached is not None:
            near = sorted({*self._front, trial}, key=self._places.__getitem__)  # of equal ones, the first that reported
            self._front = nondominated({name: self._reached[name] for name in near})

    def _ranked(self, weights: np.ndarray | None) -> list[tuple[float, int, str]]:
        """All that count, best first, among equals the first that reported: what decides, place and name of each."""
        if len(self._objectives) == 1:
            return self._by_overall
        scalar = self._scalar(list(self._reached.values()), weights)
        return sorted(
            (-value, self._places[name], name) for value, name in zip(scalar.tolist(), self._reached, strict=True)
        )

    def _scalar(self, reached: Sequence[tuple[float, ...]], weights: np.ndarray | None) -> np.ndarray:
        """What values of the objectives come to, (n,), higher is better: the augmented Chebyshev function of their
        ranks. Of one objective, it has the same order."""
        rows = np.array(reached).reshape(-1, len(self._objectives))
        behind = (len(rows) + 0.5 - rankdata(rows, axis=0)) / max(1, len(rows))  # of the ideal: 0 to 1
        weighted = behind * (np.full(rows.shape[1], 1 / rows.shape[1]) if weights is None else weights)
        return -(weighted.max(1) + AUGMENTED * weighted.sum(1))
