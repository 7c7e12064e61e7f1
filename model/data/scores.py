"""What predictions are worth: each task's metric, and their means. Known without torch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from model.data.tasks import Metric, Task


def score(metric: Metric, predicted: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy, 0 to 1, or Pearson's r, -1 to 1; r is 0 where all predictions are the same, which predicts nothing."""
    match metric:
        case "accuracy":
            return float(np.mean(predicted == labels))
        case "pearson":
            predicted, labels = predicted.astype(np.float64), labels.astype(np.float64)
            if np.ptp(predicted) == 0 or np.ptp(labels) == 0:
                return 0.0
            return float(np.corrcoef(predicted, labels)[0, 1])


def overall(tasks: Sequence[Task], by_task: Mapping[str, float]) -> float:
    """The mean of the tasks' metrics, each put on 0 to 1: r enters as (r + 1) / 2. For the three tasks of CS224N, its
    leaderboard's formula of 2024."""
    return statistics.fmean(
        (by_task[task.name] + 1) / 2 if task.metric == "pearson" else by_task[task.name] for task in tasks
    )


def clean_overall(tasks: Sequence[Task], by_task: Mapping[str, float]) -> float | None:
    """`overall` of what `clean_scores` found; None where it left a task out: a mean of the others would be another
    figure."""
    return overall(tasks, by_task) if len(by_task) == len(tasks) else None


def overall_2023(tasks: Sequence[Task], by_task: Mapping[str, float]) -> float:
    """The leaderboard's formula of 2023: the mean of the metrics as they are."""
    return statistics.fmean(by_task[task.name] for task in tasks)
