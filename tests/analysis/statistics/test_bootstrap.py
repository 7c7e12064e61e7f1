"""Resampled scores against the slow way: draw the examples, score what was drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import bootstrap
from analysis.statistics.bootstrap import resampled_overalls, resampled_scores
from model.data.scores import overall, score
from model.data.tasks import CS224N, Metric
from tests.analysis.known_truth import World

SIZES = {"sentiment": 30, "paraphrase": 50, "similarity": 20}


def slow_scores(
    metric: Metric, predicted: np.ndarray, labels: np.ndarray, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    found = []
    for _ in range(resamples):
        rows = rng.integers(len(labels), size=len(labels))
        found.append([score(metric, model[rows], labels[rows]) for model in predicted])
    return np.array(found)


def world() -> World:
    return World(rng=np.random.default_rng(0), offsets=np.zeros(3), seed_spread=np.full(3, 0.01), sizes=SIZES)


@pytest.mark.parametrize("chunk", [1, 1000, 2**22])
def test_overalls_are_those_of_the_drawn_examples(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(bootstrap, "_CHUNK", chunk)
    made = world()
    models = [made.train(at).predicted for at in (0, 1, 1, 2)]
    rng = np.random.default_rng(0)
    by_task = {
        task.name: slow_scores(
            task.metric, np.stack([model[task.name] for model in models]), made.labels[task.name], 40, rng
        )
        for task in CS224N
    }
    slow = [
        [overall(CS224N, {name: scores[at, model] for name, scores in by_task.items()}) for model in range(4)]
        for at in range(40)
    ]
    np.testing.assert_allclose(resampled_overalls(CS224N, made.labels, models, 40), slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "matthews", "pearson", "spearman"])
@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("chunk", [1, 2**22])
def test_every_metric_is_that_of_the_drawn_examples(
    monkeypatch: pytest.MonkeyPatch, metric: Metric, labels: int, chunk: int
) -> None:
    monkeypatch.setattr(bootstrap, "_CHUNK", chunk)
    rng = np.random.default_rng(labels)
    true = rng.integers(labels, size=25).astype(np.float32)
    guessed = rng.integers(labels, size=(4, 25)).astype(np.float32)
    predicted = np.where(rng.random((4, 25)) < 0.5, true, guessed)
    predicted[3] = 1.0
    fast = resampled_scores(metric, predicted, true, 60, np.random.default_rng(1))
    slow = slow_scores(metric, predicted, true, 60, np.random.default_rng(1))
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-9)


def test_predictions_that_are_all_the_same_correlate_with_nothing() -> None:
    labels = np.array([0.0, 1.0, 2.5, 5.0])
    predicted = np.array([[0.1, 0.1, 0.1, 0.1], [1.1, 1.1, 1.1, 2.0]], dtype=np.float32)
    fast = resampled_scores("pearson", predicted, labels, 500, np.random.default_rng(1))
    slow = slow_scores("pearson", predicted, labels, 500, np.random.default_rng(1))
    assert (fast[:, 0] == 0).all()
    assert (slow[:, 1] == 0).any(), "some resamples miss the one prediction that differs"
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-6)


def test_numbers_far_from_zero_lose_no_digits() -> None:
    rng = np.random.default_rng(2)
    labels = rng.normal(size=50)
    predicted = (labels + rng.normal(size=(2, 50))) * 1e-3 + 1e5
    fast = resampled_scores("pearson", predicted, labels, 50, np.random.default_rng(3))
    slow = slow_scores("pearson", predicted, labels, 50, np.random.default_rng(3))
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-8)


def test_the_standard_error_is_scipys() -> None:
    made = world()
    predicted, labels = made.train(0).predicted["similarity"], made.labels["similarity"]
    ours = resampled_scores("pearson", predicted[None], labels, 4000, np.random.default_rng(4)).std()
    theirs = stats.bootstrap(
        (predicted, labels),
        lambda x, y: np.corrcoef(x, y)[0, 1],
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(5),
    ).standard_error
    assert ours == pytest.approx(theirs, rel=0.1)


def test_the_same_data_gives_the_same_figures() -> None:
    made = world()
    models = [made.train(0).predicted]
    first = resampled_overalls(CS224N, made.labels, models, 20)
    np.testing.assert_array_equal(first, resampled_overalls(CS224N, made.labels, models, 20))
