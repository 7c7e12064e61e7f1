"""Curves that nobody trained: like those of the run that they were learned from."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution, distribution_to_json

from benchmarks.learned_curves import LEARNED_FROM, LearnedCurves
from search.policy.encoding import Drawn
from search.records import TrialRecord
from tests.search.events import report

UNIT = FloatDistribution(0.0, 1.0)
EPOCHS = 4


def drawn(x: float, y: float, **more: BaseDistribution) -> Drawn:
    return Drawn({"x": x, "y": y, **dict.fromkeys(more, 1)}, {"x": UNIT, "y": UNIT, **more})


def overall(x: float, epoch: int) -> float:
    return 0.3 + 0.4 * math.sin(3 * x) * (1 - math.exp(-epoch))


def trained(number: int, one: Drawn, epochs: int = EPOCHS) -> TrialRecord:
    """One axis decides what it scores, the other how long it takes."""
    name = f"t{number:03d}"
    distributions = {name: json.loads(distribution_to_json(d)) for name, d in one.distributions.items()}
    record = TrialRecord(name=name, source="random", params=one.params, distributions=distributions, config={})
    record.reports = [
        replace(report(name, epoch, overall(one.params["x"], epoch)), seconds=10 ** one.params["y"])
        for epoch in range(1, epochs + 1)
    ]
    return record


RECORDS = [
    trained(number, drawn(x, y), epochs=2 + 2 * (number % 3 == 0))
    for number, (x, y) in enumerate(np.random.default_rng(0).random((30, 2)).tolist())
]
CURVES = LearnedCurves(RECORDS, epochs=EPOCHS, seed=0)
NEW = [drawn(x, y) for x, y in np.random.default_rng(1).random((60, 2)).tolist()]


def test_new_ones_score_and_take_what_others_like_them_did() -> None:
    curves = [CURVES.of(one) for one in NEW]
    expected = [[overall(one.params["x"], epoch) for epoch in range(1, EPOCHS + 1)] for one in NEW]
    assert np.array([curve.overall for curve in curves]) == pytest.approx(np.array(expected), abs=0.1)
    took = np.array([curve.seconds for curve in curves]) / [[10 ** one.params["y"]] for one in NEW]
    assert 0.5 < took.min() < took.max() < 2
    assert took.mean() == pytest.approx(1.0, abs=0.05)


def test_what_was_trained_is_repeated_and_drawn_from_there_on() -> None:
    for record in RECORDS:
        curve = CURVES.of(Drawn.of(record))
        assert curve.overall[: record.epoch].tolist() == [told.overall for told in record.reports]
        assert curve.seconds[: record.epoch].tolist() == [told.seconds for told in record.reports]
        assert curve.overall[-1] == pytest.approx(overall(record.params["x"], EPOCHS), abs=0.1)


def test_a_configuration_has_one_curve_for_each_seed() -> None:
    again, other = (LearnedCurves(RECORDS, epochs=EPOCHS, seed=seed) for seed in (0, 1))
    for one in NEW[:5]:
        assert again.of(one).overall.tolist() == CURVES.of(one).overall.tolist()
        assert other.of(one).seconds.tolist() != CURVES.of(one).seconds.tolist()


def test_it_learns_as_much_doubt_as_there_is() -> None:
    """Where nothing that is known decides, curves lie as far apart as those of the run."""
    rng = np.random.default_rng(2)
    records = [trained(number, drawn(0.5, 0.5 + 1e-9 * number)) for number in range(40)]
    for record in records:
        factor = math.exp(rng.normal(0, 0.5))
        record.reports = [replace(told, seconds=factor * told.seconds) for told in record.reports]
    curves = LearnedCurves(records, epochs=EPOCHS, seed=0)
    logarithms = np.log([curves.of(drawn(0.5, 0.4 + 1e-6 * number)).seconds.mean() for number in range(200)])
    assert logarithms.std() == pytest.approx(0.5, rel=0.3)


def test_a_parameter_that_the_run_had_not_is_no_obstacle() -> None:
    one = drawn(0.2, 0.3, layers=IntDistribution(1, 3))
    curve = LearnedCurves(RECORDS, epochs=EPOCHS, seed=0).of(one)
    assert np.isfinite(curve.overall).all()
    assert (curve.seconds > 0).all()


def test_scores_stay_on_their_scale() -> None:
    records = [trained(number, drawn(0.1 * number, 0.5)) for number in range(9)]
    for record, value in zip(records, [0.0, 1.0, *7 * [0.99]], strict=True):
        record.reports = [replace(told, overall=value) for told in record.reports]
    curves = LearnedCurves(records, epochs=EPOCHS, seed=0)
    for one in NEW[:10]:
        assert ((curves.of(one).overall >= 0) & (curves.of(one).overall <= 1)).all()
        assert curves.of(one).seconds == pytest.approx(10**0.5), "all take as long"


def test_of_a_long_run_a_part_is_learned_from() -> None:
    assert len(CURVES._trials) == sum(record.epoch for record in RECORDS)
    many = [trained(number, drawn(number / 150, 0.5)) for number in range(150)]
    curves = LearnedCurves(many, epochs=EPOCHS, seed=0)
    assert LEARNED_FROM / 2 <= len(curves._trials) <= LEARNED_FROM
