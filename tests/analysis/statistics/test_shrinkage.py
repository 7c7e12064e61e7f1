"""Empirical Bayes without a shape, against the priors it has to find."""

import numpy as np
import pytest

from analysis.statistics.shrinkage import shrunk


def test_values_that_differ_by_noise_alone_come_to_the_same() -> None:
    values = 0.7 + 0.01 * np.random.default_rng(0).normal(size=200)
    found = shrunk(values, np.full(200, 0.01**2))
    assert np.ptp(found) < 0.2 * np.ptp(values)
    np.testing.assert_allclose(found, values.mean(), atol=0.005)


def test_normal_values_are_shrunk_about_as_well_as_a_normal_prior_would() -> None:
    rng = np.random.default_rng(1)
    worth = rng.normal(0, 2.0, 2000)
    values = worth + rng.normal(0, 1.0, 2000)
    found = shrunk(values, np.ones(2000))
    top = values > 0
    assert np.mean((found - worth)[top] ** 2) < 0.84, "0.8 for whoever knows the prior, 1 where nothing is shrunk"


def test_bad_values_do_not_widen_the_prior_of_the_good() -> None:
    rng = np.random.default_rng(2)
    good = 0.7 + 0.01 * rng.normal(size=15)
    bad = rng.uniform(0.4, 0.6, 35)
    found = shrunk(np.concatenate([good, bad]), np.full(50, 0.01**2))
    assert found[:15].max() - 0.7 < 0.5 * (good.max() - 0.7)
    far = bad < good.max() - 0.1
    np.testing.assert_array_equal(found[15:][far], bad[far])


def test_one_far_above_the_others_stays_there() -> None:
    values = np.array([0.5, 0.51, 0.49, 0.7])
    assert shrunk(values, np.full(4, 0.01**2))[3] == pytest.approx(0.7, abs=0.002)


def test_what_is_known_better_is_shrunk_less() -> None:
    values = np.array([0.02, 0.02, -0.02, -0.01, 0.0, 0.01, -0.01, 0.0, 0.01, 0.03])
    variances = np.full(10, 0.01**2)
    variances[0] /= 9
    found = shrunk(values, variances)
    assert found[0] > found[1] + 0.001


def test_without_noise_nothing_is_shrunk() -> None:
    values = np.array([0.1, 0.3])
    np.testing.assert_array_equal(shrunk(values, np.zeros(2)), values)
