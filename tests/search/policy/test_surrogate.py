"""The Gaussian process over curves: beside a slow twin, its gradient, what it learns and what it takes for given."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from search.policy.surrogate import CURVE_LENGTH, LENGTH, WEIGHTS, Points, Surrogate

OWNER = np.array([0, 0, 0, 1, 1, 2, 2])
"""Of seven columns: a choice of three, and two numbers."""


def points_of(count: int, seed: int, trials: int = 4) -> Points:
    rng = np.random.default_rng(seed)
    trial = rng.integers(0, trials, count)
    return Points(rng.random((trials, len(OWNER)))[trial], rng.random(count), trial)


def surrogate(seed: int = 0) -> Surrogate:
    rng = np.random.default_rng(seed)
    return Surrogate(OWNER, rng.uniform(0.3, 2.0, 3), rng.uniform(0.1, 1.0, 6))


def covariance(of: Surrogate, one: Points, other: Points) -> np.ndarray:
    """Of values without noise, pair by pair, as the head of the module has it."""
    a, b, c, d, e, _ = of.weights
    found = np.zeros((len(one), len(other)))
    for i in range(len(one)):
        for j in range(len(other)):
            apart = math.sqrt(
                sum(((one.x[i, k] - other.x[j, k]) / of.lengths[owner]) ** 2 for k, owner in enumerate(of.owner))
            )
            k_x = (1 + math.sqrt(5) * apart + 5 / 3 * apart**2) * math.exp(-math.sqrt(5) * apart)
            k_s = math.exp(-((one.s[i] - other.s[j]) ** 2) / (2 * CURVE_LENGTH**2))
            same = one.trial[i] == other.trial[j]
            found[i, j] = k_x * (a + b * k_s) + (c + d * k_s if same else 0.0) + e * k_s
    return found


def test_it_expects_what_its_twin_does() -> None:
    of, seen, asked = surrogate(), points_of(12, seed=1), points_of(9, seed=2, trials=6)
    values = np.random.default_rng(3).normal(size=12)
    mean, deviation = of.given(seen, values).at(asked)
    noisy = covariance(of, seen, seen) + of.weights[5] * np.eye(12)
    across = covariance(of, asked, seen)
    rest = covariance(of, asked, asked) - across @ np.linalg.solve(noisy, across.T)
    assert mean == pytest.approx(across @ np.linalg.solve(noisy, values), rel=1e-8)
    assert deviation == pytest.approx(np.sqrt(np.diag(rest)), rel=1e-8)


def test_its_likelihood_is_that_of_a_normal_distribution() -> None:
    of, seen = surrogate(), points_of(12, seed=1)
    one, other = np.random.default_rng(3).normal(size=(2, 12))
    noisy = covariance(of, seen, seen) + of.weights[5] * np.eye(12)

    def density(values: np.ndarray) -> float:
        return -0.5 * float(values @ np.linalg.solve(noisy, values)) - 0.5 * np.linalg.slogdet(noisy)[1]

    for values in (one, other):
        assert of._likelihood(seen, values)[0] == pytest.approx(density(values), rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_the_slope_of_its_likelihood_is_that_of_finite_differences(seed: int) -> None:
    of, seen = surrogate(seed), points_of(15, seed=seed + 10)
    values = np.random.default_rng(seed).normal(size=15)
    at, step = of._logarithms(), 1e-5
    expected = [
        (of._at(at + move)._likelihood(seen, values)[0] - of._at(at - move)._likelihood(seen, values)[0]) / (2 * step)
        for move in step * np.eye(len(at))
    ]
    slope = of._likelihood(seen, values)[1]
    assert len(slope) == 3 + len(WEIGHTS)
    assert slope == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert np.abs(slope).min() > 1e-4, "each matters here, or it would not be tested"


def test_what_it_draws_varies_together_as_its_twin_says() -> None:
    of, seen, asked = surrogate(), points_of(12, seed=1), points_of(4, seed=2, trials=6)
    posterior = of.given(seen, np.random.default_rng(3).normal(size=12))
    noisy = covariance(of, seen, seen) + of.weights[5] * np.eye(12)
    across = covariance(of, asked, seen)
    rest = covariance(of, asked, asked) - across @ np.linalg.solve(noisy, across.T) + of.weights[5] * np.eye(4)

    def drawn(normals: np.ndarray) -> np.ndarray:
        return posterior.drawn(asked, cast(np.random.Generator, SimpleNamespace(normal=lambda size: normals)))

    mean = posterior.at(asked)[0]
    assert drawn(np.zeros(4)) == pytest.approx(mean)
    root = np.array([drawn(one) - mean for one in np.eye(4)])
    assert root.T @ root == pytest.approx(rest, rel=1e-8)


def test_what_it_believes_changes_no_mean_there_and_leaves_less_doubt() -> None:
    seen, asked = points_of(12, seed=1), points_of(5, seed=2, trials=6)
    before = surrogate().given(seen, np.random.default_rng(3).normal(size=12))
    after = before.believing(asked)
    mean, deviation = before.at(asked)
    believed, sure = after.at(asked)
    assert believed == pytest.approx(mean, abs=1e-8)
    assert (sure < 0.9 * deviation).all()
    elsewhere = points_of(20, seed=4, trials=6)
    assert after.at(elsewhere)[0] == pytest.approx(before.at(elsewhere)[0], abs=1e-8)
    assert (after.at(elsewhere)[1] <= before.at(elsewhere)[1] + 1e-9).all()
    assert before.believing(asked[np.zeros(5, dtype=bool)]) is before


def test_a_trial_is_known_by_its_own_curve_more_than_by_its_neighbours() -> None:
    x = np.full((2, len(OWNER)), 0.5)
    seen = Points(x[:1], np.array([0.5]), np.array([0]))
    asked = Points(x, np.array([1.0, 1.0]), np.array([0, -1]))
    mean, deviation = Surrogate.prior(OWNER).given(seen, np.array([2.0])).at(asked)
    assert mean[0] > mean[1] > 0, "a new trial of the same configuration may lie elsewhere"
    assert deviation[0] < deviation[1]


@pytest.mark.parametrize("matters", range(4))
def test_it_finds_which_parameter_matters(matters: int) -> None:
    rng = np.random.default_rng(matters)
    x = rng.random((40, 4))
    points = Points(x, np.ones(40), np.arange(40))
    values = np.sin(4 * x[:, matters]) + 0.05 * rng.normal(size=40)
    values = (values - values.mean()) / values.std()
    prior = Surrogate.prior(np.arange(4))
    assert prior.lengths == pytest.approx([LENGTH * 2] * 4)
    fitted = prior.fitted(points, values)
    others = np.delete(fitted.lengths, matters)
    assert fitted.lengths[matters] < 0.5 * others.min()
    assert fitted._likelihood(points, values)[0] > prior._likelihood(points, values)[0] + 5


def test_a_covariance_that_is_none_is_given_up() -> None:
    seen = points_of(12, seed=1)
    broken = Surrogate(OWNER, np.ones(3), np.array([1.0, 0.5, 0.1, 0.3, 0.3, -10.0]))
    likelihood, slope = broken._likelihood(seen, np.ones(12))
    assert likelihood == -math.inf
    assert slope.tolist() == [0.0] * 9
