"""Configurations to choose among: the same ones in a search that was resumed, near ones inside the ranges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import IntDistribution

from model.config import TrialConfig
from model.errors import UserError
from model.problem import Problem
from search.policy.candidates import BATCH, NEIGHBOURS, POOL, Candidate, Candidates
from search.policy.drawing import CHANGES, MOST_CHANGED, Drawing
from search.space import Space, load_space
from tests.search.test_space import GOOD
from tests.search.test_spaces import FILES, problem_of
from tests.support import PROBLEM

POINTS = 'POINTS = {"first": {"depth": 1, "rate": 1e-4, "pooling": "mean", "common": 0}, "second": {"depth": 2}}\n'


@pytest.fixture
def space(tmp_path: Path) -> Space:
    (tmp_path / "space.py").write_text(GOOD + POINTS)
    return load_space(tmp_path / "space.py", PROBLEM)


KEPT = 1 - MOST_CHANGED
"""Where a parent has few parameters."""


def params(candidates: list[Candidate]) -> list[dict[str, object]]:
    return [dict(candidate.params) for candidate in candidates]


def test_a_search_that_was_resumed_has_the_same(space: Space, problem: Problem) -> None:
    live = Candidates(space, problem, seed=1)
    parents = [candidate.params for candidate in live.fresh(0)[:3]]
    fresh = [live.fresh(begun) for begun in range(4)][-1]
    resumed = Candidates(space, problem, seed=1)
    assert resumed.fresh(3) == fresh
    assert resumed.near(parents, 7) == live.near(parents, 7)
    assert resumed.point("second") == live.point("second")
    other = Candidates(space, problem, seed=2)
    assert params(other.fresh(3)) != params(fresh)
    assert params(other.near(parents, 7)) != params(live.near(parents, 7))
    assert params(live.near(parents, 8)) != params(live.near(parents, 7))


def test_each_trial_that_is_begun_brings_new_draws_in_place_of_the_oldest(space: Space, problem: Problem) -> None:
    candidates = Candidates(space, problem, seed=1)
    before, after = candidates.fresh(0), candidates.fresh(1)
    assert len(before) == len(after) == POOL
    assert after[:-BATCH] == before[BATCH:]
    assert not any(draw in params(before) for draw in params(after[-BATCH:]))
    assert candidates.fresh(1) == after
    assert candidates.fresh(0) == before, "whatever was asked before"


def test_a_draw_is_what_the_space_makes_of_its_parameters(space: Space, problem: Problem) -> None:
    for candidate in Candidates(space, problem, seed=1).fresh(0)[:20]:
        trial = optuna.trial.FixedTrial(dict(candidate.params))
        assert space.draw(trial, problem) == candidate.config
        assert candidate.distributions == trial.distributions


def test_a_point_is_as_the_space_has_it_and_what_it_leaves_open_is_drawn(space: Space, problem: Problem) -> None:
    candidates = Candidates(space, problem, seed=1)
    assert list(candidates.points) == ["first", "second"]
    assert candidates.point("first").params == {"depth": 1, "rate": 1e-4, "pooling": "mean", "common": 0}
    second = candidates.point("second").params
    assert second["depth"] == 2
    assert set(second) >= {"depth", "rate", "pooling", "common"}


def test_without_parents_there_are_no_neighbours(space: Space, problem: Problem) -> None:
    assert Candidates(space, problem, seed=1).near([], 3) == []


def test_neighbours_are_near_one_parent(space: Space, problem: Problem) -> None:
    candidates = Candidates(space, problem, seed=1)
    parents = [
        {"depth": 0, "rate": 2e-5, "pooling": "mean", "common": 0},
        {"depth": 2, "rate": 7e-4, "pooling": "pooler", "common": 2, "activation": "tanh"},
    ]
    drawn = [one for number in range(20) for one in candidates.near(parents, number)]
    assert len(drawn) == 20 * NEIGHBOURS
    rates = np.array([one.params["rate"] for one in drawn])
    of_first = [one for one in drawn if one.params["rate"] < 4e-5]
    assert 0.2 < len(of_first) / len(drawn) < 0.6
    # Of two poolings, the other one comes by chance in half of the draws that do not keep it.
    assert np.mean([one.params["pooling"] == "mean" for one in of_first]) == pytest.approx(1 - (1 - KEPT) / 2, abs=0.08)
    logarithms = np.abs(np.log(rates[:, None] / [2e-5, 7e-4]) / np.log(100)).min(1)
    assert 0.05 < np.median(logarithms) < 0.2, "a step is of a fifth of the range, on its scale"
    assert np.mean(np.isin(rates, [2e-5, 7e-4])) < 0.02, "every number takes one"
    of_second = [one for one in drawn if one.params["rate"] > 3e-4]
    assert {one.params["activation"] for one in of_second if one.params["common"]} == {"relu", "tanh"}


def drawn_near(suggest: Callable[[Drawing], object], parent: object, count: int = 400) -> list[object]:
    """Values of the parameter `x` around a parent with another one."""
    generator = np.random.default_rng(0)
    return [suggest(Drawing(generator, parent={"x": parent})) for _ in range(count)]


def test_steps_stay_on_their_grid() -> None:
    found = drawn_near(lambda trial: trial.suggest_int("x", 2, 14, step=4), 14)
    assert {10, 14} <= set(found) <= {2, 6, 10, 14}
    assert found.count(10) > 20, "a step is never too small to be one"
    assert all(type(value) is int for value in found)
    found = drawn_near(lambda trial: trial.suggest_float("x", 0.1, 0.7, step=0.2), 0.3)
    assert {round(float(str(value)), 9) for value in found} == {0.1, 0.3, 0.5, 0.7}


def test_numbers_on_a_logarithmic_scale_stay_inside() -> None:
    whole = drawn_near(lambda trial: trial.suggest_int("x", 1, 64, log=True), 64)
    assert set(whole) <= set(range(1, 65))
    assert 64 in whole
    assert 1 < np.median(np.array(whole, dtype=float)) < 64, "steps of a fifth down"
    rates = np.array(drawn_near(lambda trial: trial.suggest_float("x", 1e-5, 1e-2, log=True), 1e-5), dtype=float)
    assert rates.min() == 1e-5
    assert 1e-5 < np.median(rates[rates > 1e-5]) < 5e-5


@pytest.mark.parametrize("parent", [0.9, -1.0, None])
def test_a_parents_value_that_does_not_fit_is_drawn_anew(parent: float | None) -> None:
    found = np.array(drawn_near(lambda trial: trial.suggest_float("x", 0.0, 0.5), parent), dtype=float)
    assert 0 <= found.min() < 0.05
    assert 0.45 < found.max() <= 0.5
    assert len(set(found)) == len(found), "none is kept"
    choices = drawn_near(lambda trial: trial.suggest_categorical("x", ["a", "b"]), parent)
    assert 150 < choices.count("a") < 250


def test_of_many_choices_few_change() -> None:
    names = [f"p{number}" for number in range(60)]
    generator = np.random.default_rng(0)
    drawings = [Drawing(generator, parent=dict.fromkeys(names, 7)) for _ in range(100)]
    changed = [sum(drawing.suggest_categorical(name, range(99)) != 7 for name in names) for drawing in drawings]
    assert np.mean(changed) == pytest.approx(CHANGES, abs=0.5)


def test_of_a_choice_the_parents_value_is_kept_even_where_it_is_none() -> None:
    found = drawn_near(lambda trial: trial.suggest_categorical("x", [None, 1, True]), None)
    assert found.count(None) / len(found) == pytest.approx(KEPT + (1 - KEPT) / 3, abs=0.08)


def test_a_drawing_draws_as_often_as_it_should_over_the_whole_range() -> None:
    generator = np.random.default_rng(0)
    drawings = [Drawing(generator) for _ in range(600)]
    whole = [drawing.suggest_int("layers", 0, 3) for drawing in drawings]
    assert np.bincount(whole) / 600 == pytest.approx([0.25] * 4, abs=0.06)
    drawn = [drawing.suggest_float("rate", 1e-6, 1e-2, log=True) for drawing in drawings]
    steps = [drawing.suggest_float("step", 0.0, 0.4, step=0.1) for drawing in drawings]
    assert np.bincount([round(10 * step) for step in steps]) / 600 == pytest.approx([0.2] * 5, abs=0.06), "ends too"
    rates = np.log10(drawn)
    assert (rates.min(), rates.mean(), rates.max()) == pytest.approx((-6, -4, -2), abs=0.15)
    choices = [drawing.suggest_categorical("pooling", ["mean", None]) for drawing in drawings]
    assert choices.count(None) / 600 == pytest.approx(0.5, abs=0.06)
    assert drawings[0].suggest_int("layers", 0, 3) == whole[0], "asked again, it says the same"
    assert drawings[0].params == {"layers": whole[0], "rate": drawn[0], "step": steps[0], "pooling": choices[0]}
    assert drawings[0].distributions["layers"] == IntDistribution(0, 3)


def test_a_space_that_breaks_in_a_draw_says_so(problem: Problem) -> None:
    def breaks(trial: optuna.Trial, problem: Problem) -> TrialConfig:
        raise ZeroDivisionError("as the space has it")

    candidates = Candidates(Space(Path("space.py"), "", breaks, {}), problem, seed=0)
    with pytest.raises(UserError, match=r"space\.py: ZeroDivisionError: as the space has it"):
        candidates.fresh(0)


def test_draws_that_the_space_makes_nothing_of_are_left_out(problem: Problem, space: Space) -> None:
    def picky(trial: Any, problem: Problem) -> TrialConfig:
        if trial.suggest_categorical("odd", [True, False]):
            raise ValueError("odd")
        return space.function(trial, problem)

    candidates = Candidates(Space(Path("space.py"), "", picky, {}), problem, seed=0)
    drawn = [*candidates.fresh(0), *candidates.near([{"odd": False}], 1)]
    assert 20 < len(drawn) < POOL + NEIGHBOURS
    assert {one.params["odd"] for one in drawn} == {False}


def test_a_point_is_taken_as_optuna_takes_it(problem: Problem, space: Space) -> None:
    odd = Space(space.path, space.source, space.function, {"odd": {"depth": 1.0, "rate": 1e-4}})
    depth = Candidates(odd, problem, seed=0).point("odd").params["depth"]
    assert (depth, type(depth)) == (1, int)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_neighbours_in_every_space_are_inside_it(path: Path) -> None:
    space = load_space(path, PROBLEM)
    candidates = Candidates(space, problem_of(12, 768, 12), seed=0)
    parents = [candidates.point(name).params for name in list(space.points)[:2]]
    parents += [candidate.params for candidate in candidates.fresh(0)[:3]]
    neighbours = candidates.near(parents, 1)
    assert len(neighbours) == NEIGHBOURS
    for one in neighbours:
        for name, distribution in one.distributions.items():
            assert distribution._contains(distribution.to_internal_repr(one.params[name])), name
    kept = [max(len(one.params.items() & parent.items()) for parent in parents) for one in neighbours]
    assert np.mean([count / len(one.params) for count, one in zip(kept, neighbours, strict=True)]) > 0.4
