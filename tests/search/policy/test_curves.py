"""What is learned from trials: which epochs of theirs, of how many, and only by their ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from search.pareto import OBJECTIVES, nondominated
from search.policy.curves import AUGMENTED, OBSERVED, RUNGS, Curves
from search.policy.freeze_thaw import rungs
from search.records import End
from tests.search.events import report
from tests.search.scripted import DIVERGES, FAILS

EPOCHS = 40


def climbed(curves: Curves, trial: str, scores: Sequence[float], seconds: Sequence[float] | None = None) -> None:
    """Lets a trial report an epoch for each of `scores`."""
    best = -math.inf
    for epoch, score in enumerate(scores, 1):
        best = max(best, score)
        made = report(trial, epoch, score, best=best)
        curves.add(replace(made, seconds=seconds[epoch - 1]) if seconds else made)


def seen(curves: Curves, wanted: Sequence[str] = ()) -> list[tuple[str, int, float]]:
    found = curves.observations(EPOCHS, wanted)
    return list(zip(found.trials, found.epochs.astype(int).tolist(), found.values.tolist(), strict=True))


def places(curves: Curves, wanted: Sequence[str] = ()) -> list[tuple[str, int]]:
    return [(trial, epoch) for trial, epoch, _ in seen(curves, wanted)]


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(1, [1]), (2, [2]), (3, [2, 3]), (4, [2, 4]), (6, [2, 4, 6]), (20, [2, 4, 8, 16, 20]), (32, [2, 4, 8, 16, 32])],
)
def test_rungs_double_up_to_the_last_epoch(epochs: int, expected: list[int]) -> None:
    assert rungs(epochs) == expected


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(1, [1]), (2, [2]), (3, [2, 3]), (4, [2, 4]), (7, [2, 4, 7]), (8, [2, 4, 8]), (20, [4, 8, 16, 20])],
)
def test_of_a_trial_the_last_rungs_are_seen_and_where_it_is_now(epochs: int, expected: list[int]) -> None:
    curves = Curves(rungs(EPOCHS))
    climbed(curves, "t001", np.linspace(0.1, 0.9, epochs).tolist())
    assert places(curves) == [("t001", epoch) for epoch in expected]
    assert len(expected) <= RUNGS + 1


def test_at_a_rung_the_best_until_then_counts() -> None:
    curves = Curves(rungs(EPOCHS))
    climbed(curves, "t001", [0.5, 0.4, 0.6, 0.1])
    climbed(curves, "t002", [0.1, 0.55])
    values = {(trial, epoch): value for trial, epoch, value in seen(curves)}
    assert values[("t001", 2)] < values[("t002", 2)] < values[("t001", 4)]
    assert curves.best(2) == ["t001", "t002"]
    assert curves.best(1) == ["t001"]


def test_values_are_normal_quantiles_of_ranks() -> None:
    curves = Curves(rungs(EPOCHS))
    for number, score in enumerate((0.3, 0.9, 0.5), 1):
        climbed(curves, f"t{number:03d}", [score])
    quantile = 0.967421566101701  # of 5/6
    assert seen(curves) == [
        ("t002", 1, pytest.approx(quantile)), ("t003", 1, pytest.approx(0.0)), ("t001", 1, pytest.approx(-quantile)),
    ]  # fmt: skip


@pytest.mark.parametrize("scale", [lambda x: 1e6 * x + 7, lambda x: x**9, math.exp, lambda x: -1 / (x + 0.1)])
def test_neither_scale_nor_outliers_matter(scale: Callable[[float], float]) -> None:
    scores = np.random.default_rng(0).random((12, 5))
    plain, scaled = Curves(rungs(EPOCHS)), Curves(rungs(EPOCHS))
    for number, row in enumerate(scores.tolist()):
        climbed(plain, f"t{number:03d}", row)
        climbed(scaled, f"t{number:03d}", [scale(score) for score in row])
    assert seen(scaled) == seen(plain)
    assert len({value for _, _, value in seen(plain)}) > 20


def test_a_trial_that_failed_says_nothing_and_one_that_diverged_ranks_last() -> None:
    curves = Curves(rungs(EPOCHS))
    climbed(curves, "t001", [0.2, 0.3])
    climbed(curves, "t002", [0.9, 0.9])
    climbed(curves, "t003", [0.8, 0.8])
    climbed(curves, "t004", [0.1])
    assert len(curves) == 4
    curves.add(replace(DIVERGES, trial="t002"))
    curves.add(replace(FAILS, trial="t003"))
    curves.add(replace(DIVERGES, trial="t005"))  # before its first report
    assert len(curves) == 4
    assert curves.best(9) == ["t001", "t004"]
    *others, first, second = seen(curves)
    assert [(trial, epoch) for trial, epoch, _ in others] == [("t001", 2), ("t004", 1)]
    assert (first[:2], second[:2]) == (("t002", EPOCHS), ("t005", EPOCHS)), "after all epochs"
    assert first[2] == second[2] < min(value for _, _, value in others)


@pytest.mark.parametrize("state", ["completed", "stopped"])
def test_other_ends_change_nothing(state: str) -> None:
    curves = Curves(rungs(EPOCHS))
    climbed(curves, "t001", [0.2, 0.3])
    before = seen(curves)
    curves.add(End(trial="t001", state=state))  # type: ignore[arg-type]
    assert (seen(curves), len(curves), curves.best(1)) == (before, 1, ["t001"])


def test_of_many_trials_the_best_are_seen_and_some_of_the_others_and_those_asked_for() -> None:
    curves = Curves(rungs(EPOCHS))
    count = 3 * OBSERVED
    for number in range(count):
        climbed(curves, f"t{number:03d}", [1 - number / count])
    found = [trial for trial, _ in places(curves)]
    assert len(found) == OBSERVED
    numbers = [int(trial[1:]) for trial in found]
    assert numbers[: OBSERVED // 2] == list(range(OBSERVED // 2)), "the best half"
    assert numbers == sorted(numbers)
    assert numbers[-1] == count - 1, "up to the worst"
    assert max(np.diff(numbers)) <= math.ceil((count - OBSERVED // 2) / (OBSERVED // 2 - 1)), "evenly"
    left_out = next(f"t{number:03d}" for number in range(count) if number not in numbers)
    wanted = places(curves, [left_out, found[0]])
    assert len(wanted) == OBSERVED + 1
    assert (left_out, 1) in wanted


def test_the_first_epoch_of_several_is_not_timed() -> None:
    curves = Curves(rungs(EPOCHS))
    climbed(curves, "t001", [0.1] * 3, seconds=[30.0, 2.0, 4.0])
    climbed(curves, "t002", [0.1], seconds=[30.0])
    assert curves.seconds("t001") == 3.0
    assert curves.seconds("t002") == 30.0
    assert curves.seconds("t003") is None


# Several objectives ---------------------------------------------------------------------------------------------------


def told(rows: Sequence[Sequence[float]]) -> Curves:
    """Trials that reported one epoch each: overall, seconds of training, parameters."""
    curves = Curves(rungs(EPOCHS), OBJECTIVES)
    for number, (overall, seconds, parameters) in enumerate(rows):
        one = report(f"t{number:03d}", 1, overall)
        curves.add(replace(one, train_seconds=seconds, trainable_parameters=int(parameters)))
    return curves


ROWS = np.random.default_rng(3).integers(1, 12, (25, 3)).tolist()


def slow_scalars(rows: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    """Knowles' equation 2, of costs from 0 to 1 that are shares of trials before this one, equals counting half."""
    costs = []
    for row in rows:
        mine = [-row[0], *row[1:]]
        shares = []
        for place, value in enumerate(mine):
            others = [-other[0] if place == 0 else other[place] for other in rows]
            before, equal = sum(other < value for other in others), sum(other == value for other in others)
            shares.append((before + equal / 2) / len(rows))
        weighted = [weight * share for weight, share in zip(weights, shares, strict=True)]
        costs.append(max(weighted) + AUGMENTED * sum(weighted))
    return costs


@pytest.mark.parametrize("weights", [(0.2, 0.5, 0.3), (1.0, 0.0, 0.0), (0.0, 0.9, 0.1), None])
def test_several_objectives_are_the_chebyshev_function_of_their_ranks(weights: Sequence[float] | None) -> None:
    curves, given = told(ROWS), None if weights is None else np.array(weights)
    found = curves.observations(EPOCHS, weights=given)
    slow = slow_scalars(ROWS, weights or [1 / 3] * 3)
    ranks = rankdata(-np.round(slow, 12))
    expected = {f"t{number:03d}": norm.ppf((rank - 0.5) / len(ROWS)) for number, rank in enumerate(ranks)}
    assert dict(zip(found.trials, found.values, strict=True)) == pytest.approx(expected)
    best = curves.best(5, given)
    assert [expected[name] for name in best] == pytest.approx(sorted(expected.values(), reverse=True)[:5])
    assert set(curves.front()) >= {best[0]} or weights == (1.0, 0.0, 0.0)


def test_weights_say_which_objective_counts() -> None:
    curves = told([(0.9, 9, 5000), (0.5, 1, 5000), (0.4, 9, 10), (0.3, 9, 5000)])
    assert [curves.best(1, weights)[0] for weights in np.eye(3)] == ["t000", "t001", "t002"]
    assert curves.front() == ["t000", "t001", "t002"]


def test_one_that_diverged_is_behind_all_in_every_objective() -> None:
    curves = told([(0.9, 9, 5000), (0.1, 5, 900), (0.5, 1, 10)])
    curves.add(replace(DIVERGES, trial="t002"))
    for weights in [*np.random.default_rng(0).dirichlet(np.ones(3), 20), np.ones(3) / 3]:
        values = curves.observations(EPOCHS, weights=weights)
        assert values.trials[-1] == "t002"
        assert values.values[-1] < values.values[:-1].min()
    assert curves.front() == ["t000", "t001"]


def test_of_one_objective_weights_change_nothing() -> None:
    """With ties: the order is that of the scores, the first that reported before its equals."""
    scores = np.random.default_rng(1).integers(0, 9, 40).tolist()
    curves = Curves(rungs(EPOCHS))
    for number, score in enumerate(scores):
        climbed(curves, f"t{number:03d}", [score / 10, score / 10, (score + number % 3) / 10])
    names = sorted((f"t{number:03d}" for number in range(len(scores))), key=curves.score, reverse=True)
    assert curves.best(40) == curves.best(40, np.array([0.7])) == names
    assert curves.front() == names[:1]
    found = curves.observations(EPOCHS)
    assert found.values.tolist() == curves.observations(EPOCHS, weights=np.array([1.0])).values.tolist()
    raw = np.array([curves._best[name][epoch] for name, epoch in zip(found.trials, found.epochs, strict=True)])
    assert found.values.tolist() == norm.ppf((rankdata(raw) - 0.5) / len(raw)).tolist()


def test_the_front_is_kept_up_as_trials_report_improve_worsen_and_diverge() -> None:
    generator = np.random.default_rng(3)
    objectives = ("overall", "seconds", "parameters")
    curves = Curves([1, 2, 4], objectives)
    epochs: dict[str, int] = {}
    for _ in range(400):
        name = f"t{generator.integers(40):03d}"
        if epochs.get(name) == -1:
            continue
        if generator.random() < 0.03 and name in epochs:
            curves.add(End(trial=name, state="diverged"))
            epochs[name] = -1
            continue
        epochs[name] = epochs.get(name, 0) + 1
        best = round(curves.score(name) if generator.random() < 0.5 and epochs[name] > 1 else generator.random(), 1)
        made = report(name, epochs[name], overall=best, best=max(best, curves.score(name)))
        curves.add(replace(made, train_seconds=float(generator.integers(1, 5)), trainable_parameters=len(name) % 2))
        assert curves.front() == nondominated(curves._reached)
    assert len(curves.front()) > 1


def test_trials_are_ranked_as_by_sorting_them_anew() -> None:
    """Whatever they report, and whoever is gone."""
    generator = np.random.default_rng(0)
    curves, best = Curves(rungs(EPOCHS)), dict[str, float]()
    gone = set[str]()
    for number in range(300):
        name = f"t{number % 40:03d}"
        if generator.random() < 0.05:
            curves.add(End(trial=name, state="failed"))
            best.pop(name, None)
            gone.add(name)
        if name in gone:
            continue
        score = float(generator.integers(10)) / 10  # with ties
        best[name] = max(best.get(name, 0.0), score)
        curves.add(report(name, number // 40 + 1, score, best=best[name]))
        assert curves.best(len(best)) == sorted(best, key=best.__getitem__, reverse=True)  # which is stable
    assert 10 < len(best) < 40
