"""Soups, and ensembles beside a slow twin that looks at every example in every round."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special

from analysis.winner.ensemble import (
    choose_members,
    combined,
    gain,
    halves,
    kept,
    overall_on,
    soup,
)
from analysis.winner.results import Estimate, Kind
from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert
from model.training.evaluate import decide, overall, score
from tests.support import refused, tiny_config, tiny_encoder

SIZE = {"sentiment": 90, "paraphrase": 120, "similarity": 70}
LABELS = {
    "sentiment": np.random.default_rng(0).integers(5, size=SIZE["sentiment"]).astype(np.float32),
    "paraphrase": np.random.default_rng(1).integers(2, size=SIZE["paraphrase"]).astype(np.float32),
    "similarity": np.random.default_rng(2).uniform(0, 5, size=SIZE["similarity"]).astype(np.float32),
}


def model(seed: int, noise: float = 2.0) -> dict[str, np.ndarray]:
    """Outputs that tell of the labels through noise of the model's own."""
    rng = np.random.default_rng([9, seed])
    logits = 2 * np.eye(5)[LABELS["sentiment"].astype(int)] + noise * rng.normal(size=(SIZE["sentiment"], 5))
    said = {
        "sentiment": special.softmax(logits, axis=1),
        "paraphrase": special.expit(4 * LABELS["paraphrase"] - 2 + 2 * noise * rng.normal(size=SIZE["paraphrase"])),
        "similarity": LABELS["similarity"] + noise * rng.normal(size=SIZE["similarity"]),
    }
    return {task: values.astype(np.float32) for task, values in said.items()}


def library(count: int, noise: float = 2.0) -> dict[str, dict[str, np.ndarray]]:
    return {f"t{seed:03}": model(seed, noise) for seed in range(count)}


EVERY_ROW = {task: np.arange(size) for task, size in SIZE.items()}


# ------------------------------------------------------------------------------------------------------------ soup


def test_a_soup_is_the_mean_of_the_weights() -> None:
    states = []
    for seed in range(3):
        torch.manual_seed(seed)
        states.append(MultitaskBert(tiny_config(), CS224N, tiny_encoder(seed)).trainable_state())
    mean = soup(states)
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, (states[0][name] + states[1][name] + states[2][name]) / 3)
    MultitaskBert(tiny_config(), CS224N, tiny_encoder()).load_trainable_state(mean)
    alone = soup(states[:1])
    assert all(torch.equal(alone[name], tensor) for name, tensor in states[0].items())


@pytest.mark.parametrize("other", [{"b": torch.ones(2)}, {"a": torch.ones(3)}, {}])
def test_a_soup_of_different_configurations(other: dict[str, torch.Tensor]) -> None:
    with refused("these weights belong to different configurations", ValueError):
        soup([{"a": torch.ones(2)}, other])


# -------------------------------------------------------------------------------------------------------- ensemble


def test_outputs_are_averaged_as_often_as_a_member_counts() -> None:
    outputs = library(3)
    said = combined(outputs, ["t000", "t002", "t000"])
    for task in SIZE:
        mean = (2 * outputs["t000"][task].astype(float) + outputs["t002"][task]) / 3
        assert said[task].dtype == np.float32
        np.testing.assert_allclose(said[task], mean, rtol=1e-6)
        np.testing.assert_array_equal(combined(outputs, ["t000", "t000", "t002"])[task], said[task])
        np.testing.assert_array_equal(combined(outputs, ["t001", "t001"])[task], outputs["t001"][task])


def test_halves() -> None:
    fit, judge = halves(LABELS)
    for task, size in SIZE.items():
        assert sorted([*fit[task], *judge[task]]) == list(range(size))
        assert len(fit[task]) == (size + 1) // 2
        assert 0 < np.mean(fit[task] < size // 2) < 1, "not just the first rows"
        np.testing.assert_array_equal(fit[task], halves(LABELS)[0][task])


def slow_choice(outputs: dict[str, dict[str, np.ndarray]], rows: dict[str, np.ndarray], rounds: int) -> list[str]:
    members: list[str] = []
    found: list[tuple[float, list[str]]] = []
    for _ in range(rounds):
        tried = []
        for name in outputs:
            said = combined(outputs, [*members, name])
            by_task = {
                task.name: score(
                    task.metric,
                    decide(task, said[task.name])[rows[task.name]],
                    LABELS[task.name][rows[task.name]],
                )
                for task in CS224N
            }
            tried.append((overall(CS224N, by_task), name))
        best = max(tried, key=lambda one: one[0])
        members = [*members, best[1]]
        found.append((best[0], members))
    return max(found, key=lambda one: one[0])[1]


@pytest.mark.parametrize("noise", [1.0, 3.0])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_members_are_those_of_the_slow_twin(count: int, noise: float) -> None:
    outputs, (fit, _) = library(count, noise), halves(LABELS)
    chosen = choose_members(CS224N, LABELS, outputs, fit, rounds=9)
    assert chosen == slow_choice(outputs, fit, rounds=9)
    assert chosen[0] == max(outputs, key=lambda name: overall_on(CS224N, LABELS, outputs[name], fit))


def test_models_that_err_apart_are_better_together() -> None:
    outputs, (fit, judge) = library(8), halves(LABELS)
    members = choose_members(CS224N, LABELS, outputs, fit)
    assert len(set(members)) > 2
    best = max(outputs, key=lambda name: overall_on(CS224N, LABELS, outputs[name], fit))
    got = gain(CS224N, LABELS, outputs[best], combined(outputs, members), judge)
    assert got.value > 0.05
    assert got.low > 0


def test_copies_of_one_model_are_no_ensemble() -> None:
    outputs = {name: model(0) for name in ("a", "b", "c")}
    assert choose_members(CS224N, LABELS, outputs, EVERY_ROW) == ["a"]


def test_a_model_that_is_perfect_stays_alone() -> None:
    outputs = {**library(3), "perfect": model(0, noise=0.0)}
    assert choose_members(CS224N, LABELS, outputs, EVERY_ROW) == ["perfect"]


def test_a_model_that_says_the_same_of_all_predicts_nothing() -> None:
    same = {"sentiment": np.full((90, 5), 0.2), "paraphrase": np.full(120, 0.5), "similarity": np.full(70, 2.5)}
    outputs = {"same": {task: values.astype(np.float32) for task, values in same.items()}, "t000": model(0)}
    assert choose_members(CS224N, LABELS, outputs, EVERY_ROW, rounds=1) == ["t000"]
    assert choose_members(CS224N, LABELS, {"same": outputs["same"]}, EVERY_ROW) == ["same"]


def test_outputs_that_are_not_finite() -> None:
    outputs = library(2)
    outputs["t001"]["similarity"][3] = np.nan
    with refused("similarity: outputs that are not finite can be of no ensemble", ValueError):
        choose_members(CS224N, LABELS, outputs, EVERY_ROW)


# ------------------------------------------------------------------------------------------------------------ kept


def test_a_gain_is_the_difference_on_the_rows_it_is_judged_on() -> None:
    one, other, (_, judge) = model(0, noise=3.0), model(1, noise=0.5), halves(LABELS)
    got = gain(CS224N, LABELS, one, other, judge)
    difference = overall_on(CS224N, LABELS, other, judge) - overall_on(CS224N, LABELS, one, judge)
    assert got.value == pytest.approx(difference)
    assert 0 < got.low < got.value < got.high
    back = gain(CS224N, LABELS, other, one, judge)
    assert (back.value, back.low, back.high) == pytest.approx((-got.value, -got.high, -got.low))
    assert gain(CS224N, LABELS, one, one, judge) == Estimate(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ({}, None),
        ({"soup": Estimate(0.01, -0.001, 0.02), "ensemble": Estimate(0.02, 0.0, 0.04)}, None),
        ({"soup": Estimate(0.01, 0.001, 0.02), "ensemble": Estimate(0.02, -0.001, 0.05)}, "soup"),
        ({"soup": Estimate(0.01, 0.005, 0.02), "ensemble": Estimate(0.02, 0.001, 0.04)}, "ensemble"),
    ],
)
def test_only_what_helps_beyond_chance_is_kept(gains: dict[Kind, Estimate], expected: Kind | None) -> None:
    assert kept(gains) == expected
