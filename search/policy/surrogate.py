"""A Gaussian process over learning curves: what a configuration would score after so many epochs.

After Freeze-Thaw Bayesian Optimization (Swersky, Snoek and Adams 2014, https://arxiv.org/abs/1406.3896). A score that a
trial reached is an observation at a point (x, s): the configuration, and the logarithm of the epochs. Two of them vary
together with

    k = k_x (a + b k_s) + [same trial] (c + d k_s) + e k_s + [same observation] noise

k_x: Matern 5/2 over the configurations, with a length for each parameter; k_s: squared exponential over the logarithm
of epochs. In words: configurations that are alike end alike (a) and rise alike (b), a trial is at the same height (c)
and rises as it did (d) whatever its neighbours do, and there is a curve common to all (e). Lengths, weights and noise
are those of the highest posterior density under lognormal priors, whose lengths grow with the square root of the number
of parameters (Hvarfner, Hellsten and Nardi 2024, https://arxiv.org/abs/2402.02229): one that is not shown to matter is
taken to matter little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

LENGTH = 0.25
"""What a parameter's length is before anything is known, times the square root of their number; ranges are 1."""
WEIGHTS = {"a": 1.0, "b": 0.5, "c": 0.1, "d": 0.3, "e": 0.3, "noise": 0.01}
"""What they are before anything is known, where observations vary by 1."""
SPREAD = 1.0
"""Standard deviation of each of their logarithms."""
CURVE_LENGTH = 0.4
"""Of k_s, where 0 is the first epoch and 1 the last."""
ITERATIONS = 20
"""Of the search for lengths and weights, at most."""


@dataclass(frozen=True)
class Points:
    """Where something was observed, or is asked for."""

    x: np.ndarray
    """Configurations, (n, columns): see `search.policy.encoding`."""
    s: np.ndarray
    """Logarithm of the epochs, (n,): 0 is the first epoch, 1 the last."""
    trial: np.ndarray
    """Whose they are, (n,): numbers, negative for trials that have not begun."""

    def __len__(self) -> int:
        return len(self.s)

    def __getitem__(self, which: np.ndarray) -> Points:
        return Points(self.x[which], self.s[which], self.trial[which])

    @classmethod
    def joined(cls, *parts: Points) -> Self:
        """One after the other."""
        return cls(
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.s for part in parts]),
            np.concatenate([part.trial for part in parts]),
        )


@dataclass(frozen=True)
class Surrogate:
    """The process, before it has seen anything. `owner` tells which parameter each column of x belongs to."""

    owner: np.ndarray
    lengths: np.ndarray
    """One for each parameter."""
    weights: np.ndarray
    """In the order of WEIGHTS."""

    @classmethod
    def prior(cls, owner: np.ndarray) -> Self:
        """What it is before anything is known."""
        count = int(owner.max(initial=-1)) + 1  # a space may vary nothing
        return cls(owner, np.full(count, LENGTH * math.sqrt(count)), np.array(list(WEIGHTS.values())))

    def fitted(self, points: Points, values: np.ndarray) -> Surrogate:
        """With the lengths and weights of the highest posterior density, given `values` (n,) observed at `points`."""
        centre = Surrogate.prior(self.owner)._logarithms()

        def loss(logarithms: np.ndarray) -> tuple[float, np.ndarray]:
            away = (logarithms - centre) / SPREAD
            likelihood, slope = self._at(logarithms)._likelihood(points, values)
            return float(0.5 * away @ away - likelihood), away / SPREAD - slope

        bounds = [(middle - 4 * SPREAD, middle + 4 * SPREAD) for middle in centre]
        found = minimize(
            loss, self._logarithms(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS}
        )
        return self._at(found.x)

    def given(self, points: Points, values: np.ndarray) -> Posterior:
        """What it expects elsewhere, having seen `values` (n,) at `points`."""
        covariance = self._covariance(points, points)
        covariance[np.diag_indices_from(covariance)] += self.weights[5]
        root = cholesky(covariance, lower=True)
        return Posterior(self, points, values, root, cho_solve((root, True), values))

    def _logarithms(self) -> np.ndarray:
        return np.log(np.concatenate([self.lengths, self.weights]))

    def _at(self, logarithms: np.ndarray) -> Surrogate:
        values = np.exp(logarithms)
        return Surrogate(self.owner, values[: len(self.lengths)], values[len(self.lengths) :])

    def _parts(self, one: Points, other: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The distance between configurations, in lengths; k_s; and whether both are of the same trial."""
        scale = self.lengths[self.owner]
        left, right = one.x / scale, other.x / scale
        squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
        apart = np.sqrt(5 * np.maximum(squares, 0.0))
        curve = np.exp(-0.5 * ((one.s[:, None] - other.s[None]) / CURVE_LENGTH) ** 2)
        return apart, curve, one.trial[:, None] == other.trial[None]

    def _covariance(self, one: Points, other: Points) -> np.ndarray:
        a, b, c, d, e, _ = self.weights
        apart, curve, same = self._parts(one, other)
        return _matern(apart) * (a + b * curve) + same * (c + d * curve) + e * curve

    def _variance(self) -> float:
        """Of a single value, without noise."""
        return float(self.weights[:5].sum())

    def _likelihood(self, points: Points, values: np.ndarray) -> tuple[float, np.ndarray]:
        """The logarithm of the density of `values`, and its derivatives by `_logarithms`."""
        a, b, c, d, e, noise = self.weights
        apart, curve, same = self._parts(points, points)
        near = _matern(apart)
        covariance = near * (a + b * curve) + same * (c + d * curve) + e * curve
        covariance[np.diag_indices_from(covariance)] += noise
        try:
            root = cholesky(covariance, lower=True)
        except LinAlgError:
            return -math.inf, np.zeros(len(self.lengths) + 6)
        solved = cho_solve((root, True), values)
        likelihood = -0.5 * values @ solved - np.log(np.diag(root)).sum()
        # d likelihood / d K = (solved solved^T - K^-1) / 2 (Rasmussen and Williams 2006, equation 5.9)
        slope = 0.5 * (np.outer(solved, solved) - cho_solve((root, True), np.eye(len(values))))
        by_curve, by_near = slope * curve, slope * near
        by_weight = np.array([
            a * by_near.sum(), b * (by_near * curve).sum(), c * slope[same].sum(), d * by_curve[same].sum(),
            e * by_curve.sum(), noise * np.trace(slope),
        ])  # fmt: skip
        # Matern 5/2 by the logarithm of a length: 5/3 (1 + r) exp(-r) times the squared distance along it; the sum of
        # M_ik (x_i - x_k)^2 over i and k, M symmetric, is 2 (sum of x_i^2 M_ik - x^T M x).
        by_square = slope * (a + b * curve) * (5 / 3) * (1 + apart) * np.exp(-apart)
        squares = 2 * (by_square.sum(1) @ points.x**2 - ((by_square @ points.x) * points.x).sum(0))
        by_length = np.bincount(self.owner, squares, len(self.lengths)) / self.lengths**2
        return float(likelihood), np.concatenate([by_length, by_weight])


@dataclass(frozen=True)
class Posterior:
    """The process, after what it has seen."""

    surrogate: Surrogate
    points: Points
    values: np.ndarray
    _root: np.ndarray
    _solved: np.ndarray

    def at(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation at each of them, (n,) both, of scores without noise."""
        covariance = self.surrogate._covariance(points, self.points)
        explained = solve_triangular(self._root, covariance.T, lower=True)
        variance = self.surrogate._variance() - (explained**2).sum(0)
        return covariance @ self._solved, np.sqrt(np.maximum(variance, 1e-12))

    def drawn(self, points: Points, generator: np.random.Generator) -> np.ndarray:
        """What might be observed at `points`, noise and all, (n,): one that is as likely as any other."""
        explained = solve_triangular(self._root, self.surrogate._covariance(points, self.points).T, lower=True)
        covariance = self.surrogate._covariance(points, points) - explained.T @ explained
        covariance[np.diag_indices_from(covariance)] += self.surrogate.weights[5]
        return self.at(points)[0] + cholesky(covariance, lower=True) @ generator.normal(size=len(points))

    def believing(self, points: Points) -> Posterior:
        """As if what is expected at `points` had been observed (the Kriging believer of Ginsbourger, Le Riche and
        Carraro 2010): trials that run will tell of these places themselves."""
        if not len(points):
            return self
        return self.surrogate.given(
            Points.joined(self.points, points), np.concatenate([self.values, self.at(points)[0]])
        )


def _matern(apart: np.ndarray) -> np.ndarray:
    """Matern 5/2, for a distance times the square root of 5."""
    return (1 + apart + apart**2 / 3) * np.exp(-apart)
