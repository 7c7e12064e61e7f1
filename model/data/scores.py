"""What predictions are worth: each task's metric, and their means. Known without torch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from model.data.tasks import CS224N, Metric, Task

SIGNED: tuple[Metric, ...] = ("matthews", "pearson", "spearman")
"""Metrics from -1 to 1, 0 for what predicts nothing; the others are from 0 to 1."""


def score(metric: Metric, predicted: np.ndarray, labels: np.ndarray) -> float:
    """A task's metric of predictions, (N,), for examples with `labels`, (N,). Of classes, a prediction that is not a
    number is wrong. Correlations, that of Matthews among them, are 0 where all predictions are the same."""
    match metric:
        case "accuracy":
            return float(np.mean(predicted == labels))
        case "macro_f1":
            return macro_f1(confusion(predicted, labels))
        case "matthews":
            return matthews(confusion(predicted, labels))
        case "pearson":
            return _pearson(predicted.astype(np.float64), labels.astype(np.float64))
        case "spearman":
            return _pearson(rankdata(predicted), rankdata(labels))


def confusion(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How often each class was taken for which: (true, predicted), both of the classes that occur in either."""
    classes = np.unique(np.concatenate([labels, predicted]))  # what is not a number is the last one
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, (np.searchsorted(classes, labels), np.searchsorted(classes, predicted)), 1)
    return table


def macro_f1(table: np.ndarray) -> float:
    """Of a `confusion`, the harmonic mean of precision and recall, in the mean over the classes that occur."""
    sizes = table.sum(axis=0) + table.sum(axis=1)
    return float(np.mean(2 * table.diagonal()[sizes > 0] / sizes[sizes > 0]))


def matthews(table: np.ndarray) -> float:
    """Of a `confusion`, Matthews' correlation, for any number of classes. (Gorodkin 2004,
    https://doi.org/10.1016/j.compbiolchem.2004.09.006, equation 8)"""
    true, predicted, size = table.sum(axis=1), table.sum(axis=0), table.sum()
    spread = (size**2 - predicted @ predicted) * (size**2 - true @ true)
    return float((table.trace() * size - true @ predicted) / np.sqrt(spread)) if spread > 0 else 0.0


def on_unit_scale(metric: Metric, value: float) -> float:
    """A metric's value on 0 to 1: (x + 1) / 2 of a correlation x."""
    return (value + 1) / 2 if metric in SIGNED else value


def overall(tasks: Sequence[Task], by_task: Mapping[str, float]) -> float:
    """The mean of the tasks' metrics, each put on 0 to 1. For the three tasks of CS224N, its leaderboard's formula of
    2024."""
    return statistics.fmean(on_unit_scale(task.metric, by_task[task.name]) for task in tasks)


def clean_overall(tasks: Sequence[Task], by_task: Mapping[str, float]) -> float | None:
    """`overall` of what `clean_scores` found; None where it left a task out: a mean of the others would be another
    figure."""
    return overall(tasks, by_task) if len(by_task) == len(tasks) else None


def overall_2023(tasks: Sequence[Task], by_task: Mapping[str, float]) -> float | None:
    """CS224N's formula of 2023: the mean of the metrics as they are. None for other tasks than its own."""
    return statistics.fmean(by_task.values()) if tuple(tasks) == CS224N else None


def constant_score(metric: Metric, labels: np.ndarray) -> float:
    """The best that one and the same prediction for all examples scores, the most frequent label: nothing learned."""
    if metric in SIGNED:
        return 0.0
    found, counts = np.unique(labels, return_counts=True)
    return score(metric, np.full(len(labels), found[counts.argmax()]), labels)


def _pearson(predicted: np.ndarray, labels: np.ndarray) -> float:
    if np.ptp(predicted) == 0 or np.ptp(labels) == 0:
        return 0.0
    return float(np.corrcoef(predicted, labels)[0, 1])
