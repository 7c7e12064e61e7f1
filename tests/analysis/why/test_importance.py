"""Importance of parameters: what was planted is found, conditional or not; number by number Optuna's estimator."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.importance import PedAnovaImportanceEvaluator

from analysis.why.importance import Importance, divergences, importances
from search.records import State, TrialRecord
from tests.analysis.simulated import simulated_record

SEEDS = range(5)
RUNS = 16


class Draw:
    """Optuna's define-by-run trial, at random, in little."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def number(self, name: str) -> float:
        """Evenly from 0.001 to 1 on a logarithmic scale; its place there, 0 to 1."""
        place = self._rng.uniform()
        self.params[name] = 1e-3 ** (1 - place)
        self.distributions[name] = FloatDistribution(1e-3, 1.0, log=True)
        return place

    def count(self, name: str) -> int:
        self.params[name] = int(self._rng.integers(0, 5))
        self.distributions[name] = IntDistribution(0, 4)
        return self.params[name]

    def numbers_of_all_kinds(self) -> None:
        """Each with a grid of its own."""
        for name, distribution in {
            "few steps": FloatDistribution(0.0, 1.0, step=0.25),
            "many steps": IntDistribution(0, 990, step=10),
            "powers": IntDistribution(1, 1000, log=True),
            "two": IntDistribution(1, 2),
            "one": IntDistribution(3, 3),
        }.items():
            self.distributions[name] = distribution
            steps = (
                1 if distribution.step is None else round((distribution.high - distribution.low) / distribution.step)
            )
            step = distribution.step or 1
            self.params[name] = distribution.low + step * int(self._rng.integers(0, steps + 1))

    def choice(self, name: str, *choices: str) -> str:
        self.params[name] = str(self._rng.choice(choices))
        self.distributions[name] = CategoricalDistribution(choices)
        return self.params[name]


Objective = Callable[[Draw], float]


def simulate(objective: Objective, seed: int, trials: int, state: State = "completed") -> list[TrialRecord]:
    """A run at random whose scores are the objective and noise."""
    rng = np.random.default_rng(seed)
    records = []
    for number in range(1, trials + 1):
        draw = Draw(rng)
        score = objective(draw) + rng.normal(0, 0.03)
        distributions = {name: json.loads(distribution_to_json(d)) for name, d in draw.distributions.items()}
        name = f"t{number:03d}"
        records.append(simulated_record(name, [score], state, params=draw.params, distributions=distributions))
    return records


def others(draw: Draw) -> float:
    """Parameters that matter, but less than the important one."""
    by_choice = {"none": 0.0, "some": 0.1, "much": 0.32}[draw.choice("middling choice", "none", "some", "much")]
    return by_choice + 0.065 * draw.count("middling count")


def plain(draw: Draw) -> float:
    important = -1.5 * abs(draw.number("important") - 0.7)
    draw.number("dead")
    return important + others(draw)


def dead_is_conditional(draw: Draw) -> float:
    important = -1.0 * abs(draw.number("important") - 0.7)
    switched = draw.choice("parent", "on", "off") == "on"
    if switched:
        draw.number("dead")
    return important + others(draw) + 0.25 * switched


def important_is_conditional(draw: Draw) -> float:
    draw.number("dead")
    if draw.choice("parent", "on", "off") == "off":
        return others(draw) - 0.5
    return others(draw) - 1.5 * abs(draw.number("important") - 0.7)


def both_are_conditional(draw: Draw) -> float:
    if draw.choice("parent", "on", "off") == "off":
        return others(draw) - 0.5
    draw.number("dead")
    return others(draw) - 1.5 * abs(draw.number("important") - 0.7)


@pytest.mark.parametrize("objective", [plain, dead_is_conditional, important_is_conditional, both_are_conditional])
def test_a_planted_important_parameter_is_first_and_a_dead_one_last(objective: Objective) -> None:
    runs = [importances(simulate(objective, seed, trials=200)) for seed in range(RUNS)]
    assert sum(run[0].param == "important" for run in runs) >= RUNS - 1
    assert sum(run[-1].param == "dead" for run in runs) >= RUNS - 1
    for run in runs:
        assert sum(one.share for one in run if one.share is not None) == pytest.approx(1)
        assert {one.param: one.warning for one in run}["important"] is None


def test_a_parameter_without_effect_seldom_seems_to_have_one() -> None:
    """Of many dead ones, one in twenty lies below the threshold."""

    def nothing(draw: Draw) -> float:
        return sum(0 * draw.number(f"dead {number}") for number in range(25))

    found = [one for seed in SEEDS for one in importances(simulate(nothing, seed, trials=40))]
    assert len(found) == 125
    assert 0.01 <= np.mean([one.warning is None for one in found]) <= 0.1


@pytest.mark.parametrize("best_count", [5, 12])
@pytest.mark.parametrize("seed", SEEDS)
def test_number_by_number_optunas_estimator(seed: int, best_count: int) -> None:
    def mixed(draw: Draw) -> float:
        draw.numbers_of_all_kinds()
        return both_are_conditional(draw)

    records = simulate(mixed, seed, trials=40)
    ranked = sorted(records, key=lambda record: -overall(record))
    best = {record.name for record in ranked[:best_count]}
    theirs = optunas(records, best_count / len(records))
    ours = {param: divergences(param, records, best, np.random.default_rng(0), draws=1)[0] for param in theirs}
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def optunas(records: Sequence[TrialRecord], quantile: float) -> dict[str, float]:
    study = optuna.create_study(direction="maximize")
    for record in records:
        distributions = {name: json_to_distribution(json.dumps(d)) for name, d in record.distributions.items()}
        study.add_trial(
            optuna.trial.create_trial(params=dict(record.params), distributions=distributions, value=overall(record))
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `normalize` is experimental; small regimes
        return optuna.importance.get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile), normalize=False
        )


def overall(record: TrialRecord) -> float:
    assert record.best is not None
    return record.best.overall


def test_stopped_and_diverged_trials_are_held_against_the_best_whatever_they_scored() -> None:
    """The best at full budget have it on; what was stopped has it off, with higher scores in its first epochs."""

    def switch(value: str) -> Objective:
        def objective(draw: Draw) -> float:
            draw.params["switch"] = value
            draw.distributions["switch"] = CategoricalDistribution(("on", "off"))
            draw.number("dead")
            return 0.0 if value == "on" else 1.0

        return objective

    completed = simulate(switch("on"), 1, trials=12)
    stopped = simulate(switch("off"), 2, trials=20, state="stopped")
    diverged = simulate(switch("off"), 3, trials=4, state="diverged")
    left_out = simulate(switch("off"), 4, trials=9, state="failed") + simulate(switch("off"), 5, 9, state="running")
    for part, records in enumerate((stopped, diverged, left_out)):
        for record in records:
            record.name = f"{part}-{record.name}-{record.state}"
    found = importances([*completed, *stopped, *diverged, *left_out])
    assert (found[0].param, found[0].trials, found[0].warning) == ("switch", 36, None)
    alone = {one.param: one for one in importances(completed)}
    assert alone["switch"].share == 0.0, "all that completed have the same"


def test_what_is_beyond_chance_comes_before_what_only_looks_important() -> None:
    """With few trials a fine scale differs more by luck than a switch does by its effect."""

    def switched(draw: Draw) -> float:
        return (draw.choice("switch", "on", "off") == "on") + sum(
            0 * draw.number(f"dead {number}") for number in range(9)
        )

    surpassed = 0
    for seed in range(RUNS):
        found = importances(simulate(switched, seed, trials=24))
        assert [one.warning is not None for one in found] == sorted(one.warning is not None for one in found)
        for some in ([one.share for one in found if (one.warning is None) == sure] for sure in (True, False)):
            assert some == sorted(some, key=lambda share: -(share or 0))
        sure = [one.share or 0 for one in found if one.warning is None]
        surpassed += bool(sure) and max((one.share or 0 for one in found if one.warning), default=0) > min(sure)
    assert surpassed, "the order is not that of the shares alone"


def test_paused_trials_count_as_those_that_were_stopped() -> None:
    def found(state: State) -> list[Importance]:
        others = simulate(plain, 2, trials=20, state=state)
        for record in others:
            record.name = f"other-{record.name}"
        return importances([*simulate(plain, 1, trials=12), *others])

    assert found("paused") == found("stopped") != found("running")


def test_too_few_trials_say_nothing() -> None:
    assert importances([]) == []
    found = importances(simulate(both_are_conditional, 0, trials=9))
    assert {one.warning for one in found} == {"too few trials"}
    assert [one.trials for one in found] == sorted((one.trials for one in found), reverse=True)
    rare = importances(simulate(both_are_conditional, 0, trials=12))
    parent = next(one for one in rare if one.param == "parent")
    assert parent.share is not None
    few = Importance(param="important", trials=rare[-1].trials, share=None, chance=None)
    assert few in rare[-2:]
    assert few.trials < 10


def test_no_trial_at_full_budget_says_nothing() -> None:
    found = importances(simulate(plain, 0, trials=20, state="stopped"))
    assert {one.warning for one in found} == {"too few trials"}
