"""What is expected of trials and of new configurations: learned from curves, and from times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from scipy.stats import rankdata

from search.policy.curves import Curves
from search.policy.encoding import Drawn, Encoding
from search.policy.forecast import FIRST_FIT, Curve, Forecaster
from search.policy.freeze_thaw import rungs
from search.policy.surrogate import Surrogate
from search.records import End
from tests.search.events import report

EPOCHS = 8
UNIT = FloatDistribution(0.0, 1.0)


def made(x: float, y: float) -> Drawn:
    return Drawn({"x": x, "y": y}, {"x": UNIT, "y": UNIT})


def height(one: Drawn) -> float:
    return math.sin(3 * one.params["x"])


class Told:
    """Trials that have trained, and a forecaster that was fitted when it was due."""

    def __init__(self, count: int, *, epochs: int = 4, seed: int = 0) -> None:
        self.curves, self.forecaster = Curves(rungs(EPOCHS)), Forecaster(EPOCHS)
        self.drawn: dict[str, Drawn] = {}
        self.fits: list[int] = []
        for x, y in np.random.default_rng(seed).random((count, 2)).tolist():
            self.tells(made(x, y), epochs)

    def tells(self, one: Drawn, epochs: int, seconds: float | None = None) -> str:
        name = f"t{len(self.drawn) + 1:03d}"
        self.drawn[name] = one
        for epoch in range(1, epochs + 1):
            score = height(one) * (1 - math.exp(-epoch / 2))
            took = 10 ** one.params["y"] if seconds is None else seconds
            self.curves.add(replace(report(name, epoch, score), seconds=took))
            if self.forecaster.is_due(self.curves):
                self.forecaster.fit(self.curves, self.drawn)
                self.fits.append(len(self.curves))
        return name

    def expects(
        self, asked: Sequence[Curve], epochs: Sequence[int], busy: Sequence[tuple[Curve, int]] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.forecaster.forecast(self.curves, self.drawn, busy, asked).scores(np.array(epochs, dtype=float))


NEW = [Curve(made(x, y), None) for x, y in np.random.default_rng(9).random((30, 2)).tolist()]


def test_it_is_fitted_when_there_are_a_third_more_trials() -> None:
    assert Told(32, epochs=2).fits == [8, 11, 15, 20, 26]
    assert FIRST_FIT == 8


def test_what_is_expected_of_new_configurations_is_what_they_come_to() -> None:
    told = Told(20)
    truth = [height(one.drawn) for one in NEW]
    mean, deviation = told.expects(NEW, [4] * len(NEW))
    assert np.corrcoef(rankdata(mean), rankdata(truth))[0, 1] > 0.95
    lengths = told.forecaster._scores.lengths
    assert lengths["x"] < 0.7 * lengths["y"], "y does not matter"
    _, doubt = told.expects(NEW, [EPOCHS] * len(NEW))
    assert (doubt > deviation).all(), "no trial has come so far"


def test_seconds_are_those_measured_or_those_of_configurations_like_it() -> None:
    told = Told(20)
    slow = told.tells(made(0.5, 0.1), 2, seconds=50.0)
    forecast = told.forecaster.forecast(told.curves, told.drawn, [], [*NEW, Curve(told.drawn[slow], slow)])
    assert forecast.seconds[-1] == 50.0
    off = np.abs(np.log10(forecast.seconds[:-1]) - [one.drawn.params["y"] for one in NEW])
    assert np.median(off) < 0.1


def test_a_trial_that_runs_counts_as_if_it_had_come_to_where_it_goes() -> None:
    told = Told(10)
    one, other = Curve(made(0.9, 0.9), None), Curve(made(0.88, 0.88), None)
    mean, deviation = told.expects([one], [4])
    believed, sure = told.expects([one], [4], busy=[(other, 4)])
    assert sure[0] < 0.9 * deviation[0]
    assert believed[0] == pytest.approx(mean[0], abs=1e-6)
    name = "t003"
    _, ahead = told.expects([Curve(told.drawn[name], name)], [EPOCHS])
    _, there = told.expects([Curve(told.drawn[name], name)], [EPOCHS], busy=[(Curve(told.drawn[name], name), EPOCHS)])
    assert there[0] < 0.6 * ahead[0], "nearly all that there is to know"


def test_a_trial_is_expected_to_go_on_as_it_did() -> None:
    """Of two of one configuration, the one that was better."""
    told = Told(10)
    names = [told.tells(made(0.4, 0.4), 1) for _ in range(2)]
    told.curves.add(report(names[0], 2, 0.1))
    told.curves.add(report(names[1], 2, 0.9))
    mean, _ = told.expects([Curve(told.drawn[name], name) for name in names], [EPOCHS] * 2)
    assert mean[1] > mean[0] + 0.5


def test_the_top_is_the_highest_that_was_reached() -> None:
    told = Told(6)
    forecast = told.forecaster.forecast(told.curves, told.drawn, [], NEW[:1])
    assert forecast.top == told.curves.observations(EPOCHS).values.max() > 1


def test_a_parameter_that_was_not_there_when_it_was_fitted_is_taken_in() -> None:
    told = Told(FIRST_FIT)
    known = dict(told.forecaster._scores.lengths)
    assert set(known) == {"x", "y"}
    choice = CategoricalDistribution(("a", "b"))
    for value in ("a", "b"):
        told.tells(Drawn({"x": 0.5, "z": value}, {"x": UNIT, "z": choice}), 2, seconds=1.0)
    encoding = Encoding(list(told.drawn.values()))
    assert encoding.names == ["x", "y", "z"]
    surrogate = told.forecaster._scores.surrogate(encoding)
    untold = Surrogate.prior(encoding.owner)
    assert surrogate.lengths.tolist() == [known["x"], known["y"], untold.lengths[2]]
    assert surrogate.weights is told.forecaster._scores.weights
    mean, deviation = told.expects([Curve(one, None) for one in (*told.drawn.values(), NEW[0].drawn)], [2] * 11)
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()
    assert told.forecaster._scores.lengths == known, "two more are not enough for another fit"


@pytest.mark.parametrize("epochs", [1, EPOCHS])
def test_where_all_diverged_before_they_told_anything_all_is_open(epochs: int) -> None:
    curves, forecaster, drawn = Curves(rungs(epochs)), Forecaster(epochs), {}
    for number in range(FIRST_FIT):
        drawn[f"t{number}"] = made(number / FIRST_FIT, 0.5)
        curves.add(End(trial=f"t{number}", state="diverged"))
        if forecaster.is_due(curves):
            forecaster.fit(curves, drawn)
    forecast = forecaster.forecast(curves, drawn, [], NEW)
    mean, deviation = forecast.scores(np.full(len(NEW), epochs, dtype=float))
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()
    assert forecast.seconds.tolist() == [1.0] * len(NEW)
