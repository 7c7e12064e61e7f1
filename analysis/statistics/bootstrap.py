"""Scores under resampling of the examples: the same resamples for all models, so that their scores can be compared.

Efron and Tibshirani 1993, An Introduction to the Bootstrap; paired over models as in Berg-Kirkpatrick, Burkett and
Klein 2012, An Empirical Investigation of Statistical Significance in NLP. A resample is a row of counts, how often
each example was drawn, and a metric is a function of weighted sums, so that all models and resamples of a task are a
few matrix products. Each task's examples are drawn apart from the others', as they were collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from model.data.scores import SIGNED
from model.data.tasks import Metric, Task

RESAMPLES = 1000
"""Leaves a standard error uncertain by 2%: 1 / sqrt(2 RESAMPLES)."""
_SEED = 0
"""The same data gives the same figures."""
_CHUNK = 2**22
"""Counts held at once: 32 MiB."""

Predictions = Mapping[str, np.ndarray]
"""By task, (N,): class numbers, 0 or 1, or numbers on the task's scale."""


def resampled_overalls(
    tasks: Sequence[Task], labels: Predictions, predicted: Sequence[Predictions], resamples: int = RESAMPLES
) -> np.ndarray:
    """Overall (model.data.scores.overall) of each of M models in each resample, (resamples, M).

    `labels` is by task, (N,); `predicted` holds M models' predictions for the same examples in the same order.
    """
    rng = np.random.default_rng(_SEED)
    total = np.zeros((resamples, len(predicted)))
    for task in tasks:
        together = np.stack([model[task.name] for model in predicted])
        scores = resampled_scores(task.metric, together, labels[task.name], resamples, rng)
        total += (scores + 1) / 2 if task.metric in SIGNED else scores
    return total / len(tasks)


def resampled_scores(
    metric: Metric, predicted: np.ndarray, labels: np.ndarray, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """One task's metric (model.data.scores.score) in each resample, (resamples, M), of M models' predictions,
    (M, N), for examples with `labels`, (N,)."""
    scores_of = _OF_COUNTS[metric]
    return np.concatenate([scores_of(counts, predicted, labels) for counts in _counts(len(labels), resamples, rng)])


def _counts(size: int, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each of `size` examples is drawn in each resample, some resamples at a time: (some, N)."""
    rows = max(1, _CHUNK // size)
    for start in range(0, resamples, rows):
        some = min(rows, resamples - start)
        drawn = rng.integers(size, size=(some, size)) + size * np.arange(some)[:, None]
        yield np.bincount(drawn.ravel(), minlength=some * size).reshape(some, size).astype(np.float64)


def _accuracies(counts: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return counts @ (predicted == labels).T / len(labels)


def _macro_f1(counts: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    total, occurring = np.zeros((len(counts), len(predicted))), np.zeros((len(counts), len(predicted)))
    for right, said, true in _by_class(counts, predicted, labels):
        total += 2 * right / np.maximum(said + true, 1)
        occurring += said + true > 0
    return total / occurring


def _matthews(counts: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    shape, size = (len(counts), len(predicted)), len(labels)
    trace, both, said_squared, true_squared = (np.zeros(shape) for _ in range(4))
    for right, said, true in _by_class(counts, predicted, labels):
        trace += right
        both += said * true
        said_squared += said**2
        true_squared += true**2
    spread = (size**2 - said_squared) * (size**2 - true_squared)
    return np.where(spread > 0, (trace * size - both) / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)


def _by_class(
    counts: np.ndarray, predicted: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each class, how many examples are rightly said to be of it, said to be, and are: (R, M), (R, M), (R, 1)."""
    for label in np.unique(np.concatenate([labels, predicted.ravel()])):
        said, true = predicted == label, labels == label
        yield counts @ (said & true).T, counts @ said.T, (counts @ true)[:, None]


def _correlations(counts: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    x, y = _standardized(predicted), _standardized(labels[None])  # (M, N), (1, N): moments that lose no digits
    size = len(labels)
    mean_x, mean_y = counts @ x.T / size, counts @ y.T / size
    var_x, var_y = counts @ (x * x).T / size - mean_x**2, counts @ (y * y).T / size - mean_y**2
    covariance = counts @ (x * y).T / size - mean_x * mean_y
    # A resample in which all predictions are the same has r = 0, as in model.data.scores.score.
    varies = (var_x > 1e-12) & (var_y > 1e-12)
    return np.where(varies, covariance / np.sqrt(np.where(varies, var_x * var_y, 1.0)), 0.0)


def _rank_correlations(counts: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    true = _ranks(counts, labels)
    return np.stack([_weighted_correlation(counts, _ranks(counts, model), true) for model in predicted], axis=1)


def _ranks(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each example's rank in each resample, less a constant, equal values sharing the mean of theirs: (R, N)."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    within = np.add.reduceat(counts[:, order], starts, axis=1)  # (R, groups)
    return (np.cumsum(within, axis=1) - within / 2)[:, group]


def _weighted_correlation(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of the rows of x and y, (R, N) each: (R,)."""
    size = weights.sum(axis=1, keepdims=True)
    x, y = (values - (weights * values).sum(axis=1, keepdims=True) / size for values in (x, y))
    covariance, spread = (weights * x * y).sum(axis=1), (weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1)
    return np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)


_OF_COUNTS: dict[Metric, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": _accuracies,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _correlations,
    "spearman": _rank_correlations,
}
"""From counts (R, N), predictions (M, N) and labels (N,) to scores (R, M)."""


def _standardized(values: np.ndarray) -> np.ndarray:
    """Each row with mean 0 and standard deviation 1; zeros where all of it is the same."""
    values = values.astype(np.float64)
    spread = np.where(np.ptp(values, axis=1, keepdims=True) == 0, np.inf, values.std(axis=1, keepdims=True))
    return (values - values.mean(axis=1, keepdims=True)) / spread
