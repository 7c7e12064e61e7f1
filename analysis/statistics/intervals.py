"""How far a model's score on a sample of examples may lie from its score on all sentences of that kind.

A task's metric has an interval of its own, and the overall, their mean, combines them by MOVER (Zou and Donner 2008,
Construction of confidence limits about effect measures: a general approach). The bootstrap's intervals cover as often
with a thousand examples a task, and too rarely with sixty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.statistics.bootstrap import RESAMPLES, Predictions, resampled_overalls
from analysis.winner.results import Estimate
from model.data.scores import overall, score
from model.data.tasks import Metric, Task

CONFIDENCE = 0.95


@dataclass(frozen=True)
class SeedNoise:
    """How much the scores of a configuration's trainings differ, each on all sentences of dev's kind."""

    variance: float
    """Of one training's overall."""
    on_dev: float
    """The same on dev itself, whose examples favour one training more than the other."""
    freedom: int
    """Degrees of freedom that they were estimated with."""

    @property
    def luck(self) -> float:
        """The share of a difference on dev between trainings of a configuration that is dev's doing."""
        return 1 - self.variance / self.on_dev if self.on_dev else 1.0


def metric_interval(metric: Metric, predicted: np.ndarray, labels: np.ndarray) -> Estimate:
    """A model's metric on one task, with its interval over the examples; `predicted` and `labels` are (N,).

    Accuracy: Wilson's score interval. Pearson's r: Fisher's z with a variance that does not take labels and predictions
    for normal.
    """
    value = score(metric, predicted, labels)
    if metric == "accuracy":
        correct = int(np.count_nonzero(predicted == labels))
        interval = stats.binomtest(correct, len(labels)).proportion_ci(CONFIDENCE, method="wilson")
        return Estimate(value, float(interval.low), float(interval.high))
    return _correlation_interval(value, predicted.astype(np.float64), labels.astype(np.float64))


def metric_intervals(tasks: Sequence[Task], labels: Predictions, predicted: Predictions) -> dict[str, Estimate]:
    """`metric_interval` of each task, by name."""
    return {task.name: metric_interval(task.metric, predicted[task.name], labels[task.name]) for task in tasks}


def overall_interval(tasks: Sequence[Task], by_task: Mapping[str, Estimate]) -> Estimate:
    """A model's overall (model.data.scores.overall) with its interval over the examples, from `metric_intervals`.

    MOVER: the tasks' examples are independent of each other, so their distances to the limits add up as squares.
    """
    parts = [_on_unit_scale(task.metric, by_task[task.name]) for task in tasks]
    value = math.fsum(part.value for part in parts) / len(parts)
    below = math.sqrt(math.fsum((part.value - part.low) ** 2 for part in parts)) / len(parts)
    above = math.sqrt(math.fsum((part.high - part.value) ** 2 for part in parts)) / len(parts)
    return Estimate(value, value - below, value + above)


def gain(
    tasks: Sequence[Task],
    labels: Predictions,
    predicted: Predictions,
    above: Predictions,
    seeds: SeedNoise | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """How much higher a model's overall is than that of another, `above`, on the same examples.

    By the paired bootstrap. The interval is for the two models as they are; with `seeds`, which
    analysis.statistics.selection.select finds, for their configurations, each trained once.
    """
    both = resampled_overalls(tasks, labels, (predicted, above), resamples)
    value = overall_of(tasks, labels, predicted) - overall_of(tasks, labels, above)
    variance = float(np.var(both[:, 0] - both[:, 1], ddof=1))
    if seeds is None:
        return estimate(value, variance, 0.0, 1)
    return estimate(value, variance, 2 * seeds.variance, seeds.freedom)


def overall_of(tasks: Sequence[Task], labels: Predictions, predicted: Predictions) -> float:
    """A model's overall (model.data.scores.overall) on the examples that `labels` are of."""
    return overall(tasks, {task.name: score(task.metric, predicted[task.name], labels[task.name]) for task in tasks})


def estimate(value: float, from_examples: float, from_seeds: float, freedom: int) -> Estimate:
    """A value with its interval, of the variances that examples and seeds give it; the latter is itself estimated with
    `freedom` degrees of freedom, which makes the sum's Satterthwaite's (1946)."""
    variance = from_examples + from_seeds
    effective = freedom * (variance / from_seeds) ** 2 if from_seeds > 0 else math.inf
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, effective)) * math.sqrt(variance)
    return Estimate(value, value - half, value + half)


def _on_unit_scale(metric: Metric, estimate: Estimate) -> Estimate:
    if metric == "accuracy":
        return estimate
    return Estimate((estimate.value + 1) / 2, (estimate.low + 1) / 2, (estimate.high + 1) / 2)


def _correlation_interval(r: float, x: np.ndarray, y: np.ndarray) -> Estimate:
    """Fisher's z = artanh r, whose variance is that of r's influence function over (1 - r^2)^2 (Devlin, Gnanadesikan
    and Kettenring 1975): 1 / N for normal data, made 1 / (N - 3) as Fisher does."""
    size = len(x)
    if size < 4 or abs(r) > 1 - 1e-12:
        return Estimate(r, -1.0, 1.0)  # z's variance, or z itself, is infinite
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        influence = np.ones(size)  # r is 0 by definition; the interval is that of two unrelated normal values
    else:
        x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
        influence = (x * y - r * (x * x + y * y) / 2) / (1 - r * r)
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * math.sqrt(np.mean(influence**2) / (size - 3))
    return Estimate(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))
