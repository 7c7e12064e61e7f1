"""How far apart configurations lie, as the surrogate sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.policy.encoding import Drawn, Encoding

LAYERS = IntDistribution(0, 10)
RATE = FloatDistribution(1e-6, 1e-2, log=True)
DROPOUT = FloatDistribution(0.0, 0.5)
POOLING = CategoricalDistribution(("cls", "mean", None, True))


def made(distributions: Mapping[str, BaseDistribution], **params: Any) -> Drawn:
    return Drawn(params, {name: distributions[name] for name in params})


def apart(one: Drawn, other: Drawn, *others: Drawn) -> float:
    """The squared distance of two, among others."""
    left, right, *_ = Encoding([one, other, *others])([one, other])
    return float(((left - right) ** 2).sum())


@pytest.mark.parametrize("other", ["cls", None, True])
def test_choices_lie_1_apart_whichever_they_are(other: Any) -> None:
    space = {"pooling": POOLING}
    assert apart(made(space, pooling="mean"), made(space, pooling=other)) == pytest.approx(1.0)
    assert apart(made(space, pooling=other), made(space, pooling=other)) == 0.0


def test_numbers_lie_apart_by_their_share_of_the_range() -> None:
    space = {"layers": LAYERS, "dropout": DROPOUT}
    one = made(space, layers=2, dropout=0.5)
    assert apart(one, made(space, layers=5, dropout=0.5)) == pytest.approx(0.3**2)
    assert apart(one, made(space, layers=2, dropout=0.1)) == pytest.approx(0.8**2)
    assert apart(one, made(space, layers=5, dropout=0.1)) == pytest.approx(0.3**2 + 0.8**2)


def test_what_was_drawn_on_a_logarithmic_scale_lies_apart_by_ratios() -> None:
    space = {"rate": RATE}
    thousandth, hundredth, millionth = (made(space, rate=rate) for rate in (1e-3, 1e-2, 1e-6))
    assert apart(hundredth, thousandth) == pytest.approx(0.25**2)
    assert apart(millionth, thousandth) == pytest.approx(0.75**2)


def test_a_parameter_that_only_one_has_tells_them_apart_and_lies_in_the_middle() -> None:
    space = {"layers": LAYERS, "dropout": DROPOUT, "pooling": POOLING}
    without = made(space, layers=2)
    assert apart(without, made(space, layers=2, dropout=0.25)) == pytest.approx(0.5**2)
    assert apart(without, made(space, layers=2, dropout=0.5)) == pytest.approx(0.5**2 + 0.5**2)
    assert apart(without, made(space, layers=2, pooling="mean")) == pytest.approx(0.5)
    assert apart(without, without, made(space, layers=2, dropout=0.5)) == 0.0


def test_a_range_that_differs_between_draws_is_the_widest() -> None:
    narrow, wide = {"layers": IntDistribution(2, 4)}, {"layers": IntDistribution(1, 6)}
    low = {"layers": IntDistribution(-4, 3)}
    assert apart(made(narrow, layers=2), made(narrow, layers=4)) == pytest.approx(1.0)
    assert apart(made(narrow, layers=2), made(narrow, layers=4), made(wide, layers=6)) == pytest.approx(0.4**2)
    assert apart(made(narrow, layers=2), made(wide, layers=4), made(low, layers=0)) == pytest.approx(0.2**2)
    rates = [{"rate": FloatDistribution(low, high, log=True)} for low, high in ((1e-4, 1e-3), (1e-5, 1e-4))]
    assert apart(made(rates[0], rate=1e-3), made(rates[1], rate=1e-4)) == pytest.approx(0.5**2)


def test_a_range_of_one_value_tells_nothing() -> None:
    space = {"layers": IntDistribution(3, 3), "dropout": DROPOUT}
    encoded = Encoding([made(space, layers=3, dropout=0.1)])([made(space, layers=3, dropout=0.1)])
    assert encoded == pytest.approx(np.array([[0.5, 0.5, 0.2, 0.5]]))


def test_each_column_has_its_parameter() -> None:
    space = {"layers": LAYERS, "pooling": POOLING, "rate": RATE}
    encoding = Encoding([made(space, layers=1), made(space, pooling="cls", rate=1e-3)])
    assert encoding.names == ["layers", "pooling", "rate"]
    assert encoding.owner.tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    assert encoding([made(space, rate=1e-2)]).shape == (1, 8)


def test_true_is_not_1_but_1_is_as_good_as_1_0() -> None:
    both, one = CategoricalDistribution([1, True]), CategoricalDistribution([0.5, 1.0])
    drawn = [Drawn({"x": value}, {"x": both}) for value in (1, True)]
    assert not np.array_equal(*Encoding(drawn)(drawn))
    drawn = [Drawn({"x": value}, {"x": one}) for value in (1, 1.0)]
    assert np.array_equal(*Encoding(drawn)(drawn))
