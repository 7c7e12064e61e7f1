"""Soups, and ensembles beside a slow twin that looks at every example in every round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import special

from analysis.winner.ensemble import choose_members, combined, ensemble_helps, halves, soup, soup_helps
from analysis.winner.results import Estimate
from model.data.scores import score
from model.data.tasks import CS224N, Task
from model.network.multitask import MultitaskBert
from model.training.evaluate import decide
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
    said = combined(outputs, {task: {"t000": 2, "t002": 1} for task in SIZE})
    turned = combined(outputs, {task: {"t002": 1, "t000": 2} for task in SIZE})
    for task in SIZE:
        mean = (2 * outputs["t000"][task].astype(float) + outputs["t002"][task]) / 3
        assert said[task].dtype == np.float32
        np.testing.assert_allclose(said[task], mean, rtol=1e-6)
        np.testing.assert_array_equal(turned[task], said[task])
        np.testing.assert_array_equal(combined(outputs, {task: {"t001": 3}})[task], outputs["t001"][task])


def test_each_task_has_members_of_its_own() -> None:
    outputs = library(2)
    said = combined(outputs, {"sentiment": {"t000": 1}, "similarity": {"t001": 1}})
    assert list(said) == ["sentiment", "similarity"]
    np.testing.assert_array_equal(said["sentiment"], outputs["t000"]["sentiment"])
    np.testing.assert_array_equal(said["similarity"], outputs["t001"]["similarity"])


def test_halves() -> None:
    fit, judge = halves(LABELS)
    for task, size in SIZE.items():
        assert sorted([*fit[task], *judge[task]]) == list(range(size))
        assert len(fit[task]) == (size + 1) // 2
        assert 0 < np.mean(fit[task] < size // 2) < 1, "not just the first rows"
        np.testing.assert_array_equal(fit[task], halves(LABELS)[0][task])


def chosen(task: Task, outputs: dict[str, dict[str, np.ndarray]], rows: np.ndarray, rounds: int = 25) -> dict[str, int]:
    of_task = {name: said[task.name] for name, said in outputs.items()}
    return choose_members(task, LABELS[task.name], of_task, rows, rounds)


def score_of(task: Task, outputs: dict[str, dict[str, np.ndarray]], members: list[str], rows: np.ndarray) -> float:
    said = combined(outputs, {task.name: {name: members.count(name) for name in members}})[task.name]
    return score(task.metric, decide(task, said)[rows], LABELS[task.name][rows])


def slow_choice(task: Task, outputs: dict[str, dict[str, np.ndarray]], rows: np.ndarray, rounds: int) -> dict[str, int]:
    members: list[str] = []
    found: list[tuple[float, list[str]]] = []
    for _ in range(rounds):
        tried = [(score_of(task, outputs, [*members, name], rows), name) for name in outputs]
        best = max(tried, key=lambda one: one[0])
        members = [*members, best[1]]
        found.append((best[0], members))
    best_members = max(found, key=lambda one: one[0])[1]
    return {name: best_members.count(name) for name in best_members}


OTHER_METRICS = [
    replace(task, metric=metric) for task, metric in zip(CS224N, ("macro_f1", "matthews", "spearman"), strict=True)
]


@pytest.mark.parametrize("task", [*CS224N, *OTHER_METRICS], ids=lambda task: task.metric)
@pytest.mark.parametrize("noise", [1.0, 3.0])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_members_are_those_of_the_slow_twin(task: Task, count: int, noise: float) -> None:
    outputs, rows = library(count, noise), halves(LABELS)[0][task.name]
    found = chosen(task, outputs, rows, rounds=9)
    assert found == slow_choice(task, outputs, rows, rounds=9)
    assert next(iter(found)) == max(outputs, key=lambda name: score_of(task, outputs, [name], rows))


@pytest.mark.parametrize("task", CS224N, ids=lambda task: task.name)
def test_models_that_err_apart_are_better_together(task: Task) -> None:
    outputs, (fit, judge) = library(8), halves(LABELS)
    members = [name for name, count in chosen(task, outputs, fit[task.name]).items() for _ in range(count)]
    assert len(set(members)) > 2
    best = max(outputs, key=lambda name: score_of(task, outputs, [name], fit[task.name]))
    rows = judge[task.name]
    assert score_of(task, outputs, members, rows) > score_of(task, outputs, [best], rows) + 0.02


@pytest.mark.parametrize("task", CS224N, ids=lambda task: task.name)
def test_copies_of_one_model_are_no_ensemble(task: Task) -> None:
    outputs = {name: model(0) for name in ("a", "b", "c")}
    assert chosen(task, outputs, EVERY_ROW[task.name]) == {"a": 1}


@pytest.mark.parametrize("task", CS224N, ids=lambda task: task.name)
def test_a_model_that_is_perfect_stays_alone(task: Task) -> None:
    outputs = {**library(3), "perfect": model(0, noise=0.0)}
    assert chosen(task, outputs, EVERY_ROW[task.name]) == {"perfect": 1}


@pytest.mark.parametrize("task", CS224N, ids=lambda task: task.name)
def test_a_model_that_says_the_same_of_all_predicts_nothing(task: Task) -> None:
    same = {"sentiment": np.full((90, 5), 0.2), "paraphrase": np.full(120, 0.5), "similarity": np.full(70, 2.5)}
    outputs = {"same": {name: values.astype(np.float32) for name, values in same.items()}, "t000": model(0)}
    assert chosen(task, outputs, EVERY_ROW[task.name], rounds=1) == {"t000": 1}
    assert chosen(task, {"same": outputs["same"]}, EVERY_ROW[task.name]) == {"same": 1}


def test_outputs_that_are_not_finite() -> None:
    outputs = library(2)
    outputs["t001"]["similarity"][3] = np.nan
    with refused("similarity: outputs that are not finite can be of no ensemble", ValueError):
        chosen(CS224N[2], outputs, EVERY_ROW["similarity"])


# ------------------------------------------------------------------------------------------------------------ kept


def test_an_ensemble_is_kept_beyond_chance_alone_and_a_soup_for_any_gain() -> None:
    beyond, chance, loss = Estimate(0.02, 0.001, 0.04), Estimate(0.01, -0.001, 0.02), Estimate(-0.01, -0.03, 0.01)
    assert [soup_helps(one) for one in (beyond, chance, loss)] == [True, True, False]
    assert [ensemble_helps(one) for one in (beyond, chance, loss)] == [True, False, False]
