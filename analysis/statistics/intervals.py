"""How far a model's score on a sample of examples may lie from its score on all sentences of that kind.

A task's metric has an interval of its own, and the overall, their mean, combines them by MOVER (Zou and Donner 2008,
Construction of confidence limits about effect measures: a general approach). The bootstrap's intervals cover as often
with a thousand examples a task, and too rarely with sixty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.statistics.bootstrap import RESAMPLES, Predictions, resampled_overalls
from analysis.winner.results import Estimate
from model.data.scores import confusion, macro_f1, matthews, on_unit_scale, overall, score
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

    Accuracy: Wilson's score interval; macro F1 and Matthews' correlation: the same with another size of the sample.
    Pearson's r and Spearman's rho: Fisher's z with the variance that labels and predictions have, normal or not. The
    interval of macro F1 is too narrow where a class has few rows: it covers the truth in 70 to 87% with 4 of 200, in
    93% with 20 of 1,000.
    """
    value = score(metric, predicted, labels)
    match metric:
        case "accuracy":
            return Estimate(value, *_wilson(value, len(labels)))
        case "macro_f1":
            table = confusion(predicted, labels)
            return Estimate(value, *_wilson(value, _effective_size(value, _jackknifed(table, macro_f1), len(labels))))
        case "matthews":
            share, variance = (value + 1) / 2, _jackknifed(confusion(predicted, labels), matthews) / 4
            low, high = _wilson(share, _effective_size(share, variance, len(labels)))
            return Estimate(value, 2 * low - 1, 2 * high - 1)
        case "pearson":
            return _correlation_interval(value, predicted.astype(np.float64), labels.astype(np.float64))
        case "spearman":
            return _rank_correlation_interval(value, predicted, labels)


def metric_intervals(tasks: Sequence[Task], labels: Predictions, predicted: Predictions) -> dict[str, Estimate]:
    """`metric_interval` of each task, by name."""
    return {task.name: metric_interval(task.metric, predicted[task.name], labels[task.name]) for task in tasks}


def overall_interval(tasks: Sequence[Task], by_task: Mapping[str, Estimate]) -> Estimate:
    """A model's overall (model.data.scores.overall) with its interval over the examples, from `metric_intervals`.

    MOVER: the tasks' examples are independent of each other, so their distances to the limits add up as squares.
    """
    parts = [
        Estimate(*(on_unit_scale(task.metric, end) for end in (one.value, one.low, one.high)))
        for task in tasks
        for one in [by_task[task.name]]
    ]
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


def of_score(found: Estimate) -> Estimate:
    """An `estimate` of an overall, kept on its scale, 0 to 1: none lies outside, so that the interval holds the truth
    as often."""
    return Estimate(*(min(max(end, 0.0), 1.0) for end in (found.value, found.low, found.high)))


def _wilson(share: float, size: float) -> tuple[float, float]:
    """Wilson's score interval of a share seen in a sample. (Wilson 1927)"""
    square = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) ** 2
    middle = (share + square / (2 * size)) / (1 + square / size)
    half = math.sqrt(square * (share * (1 - share) / size + square / (4 * size**2))) / (1 + square / size)
    return max(0.0, middle - half), min(1.0, middle + half)


def _effective_size(share: float, variance: float, size: int) -> float:
    """The size of the sample in which a plain share would vary as much. (Korn and Graubard 1998) Where none is seen to
    vary, the sample's own."""
    return share * (1 - share) / variance if variance > 0 and 0 < share < 1 else size


def _jackknifed(table: np.ndarray, metric: Callable[[np.ndarray], float]) -> float:
    """The variance of a metric of a `confusion` over the examples: the jackknife's, of which those in one cell are all
    alike. (Efron and Tibshirani 1993, chapter 11)"""
    size = table.sum()
    if size < 3:
        return 0.0
    cells = [(row, column) for row, column in np.argwhere(table).tolist()]
    counts, without = np.array([table[cell] for cell in cells]), []
    for cell in cells:
        less = table.copy()
        less[cell] -= 1
        without.append(metric(less))
    left = np.array(without)
    return float((size - 1) / size * (counts @ (left - counts @ left / size) ** 2))


def _correlation_interval(r: float, x: np.ndarray, y: np.ndarray) -> Estimate:
    """Fisher's z of Pearson's r, with the variance of r's influence function over (1 - r^2)^2 (Devlin, Gnanadesikan and
    Kettenring 1975), which is 1 for normal data."""
    if abs(r) > 1 - 1e-12 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return _fishers(r, 1.0, len(x))  # r is 1, or 0 by definition: as of two unrelated normal values
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    influence = (x * y - r * (x * x + y * y) / 2) / (1 - r * r)
    return _fishers(r, float(np.mean(influence**2)), len(x))


def _rank_correlation_interval(rho: float, x: np.ndarray, y: np.ndarray) -> Estimate:
    """Fisher's z of Spearman's rho, with the variance of rho's influence function over (1 - rho^2)^2 (Croux and Dehon
    2010, Influence functions of the Spearman and Kendall correlation measures).

    With u and v the standardised ranks of x and y, among which ties share theirs, s_u and s_v their deviations as
    shares of the sample, and k(a, b) 1 for a < b, 1/2 for a = b, else 0:
    influence = u v - rho (u^2 + v^2) / 2 + E[k(x, X) (V - rho U)] / s_u + E[k(y, Y) (U - rho V)] / s_v + constant.
    The expectations are what an example does to the ranks of all others. Without ties it is Croux and Dehon's
    12 (F(x) G(y) + E[F(X) 1(y <= Y)] + E[G(Y) 1(x <= X)]) - 3 rho - 9.
    """
    if abs(rho) > 1 - 1e-12 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return _fishers(rho, 1.0, len(x))  # as of Pearson's r
    u, v = stats.rankdata(x) / len(x), stats.rankdata(y) / len(y)
    s_u, s_v = u.std(), v.std()
    u, v = (u - u.mean()) / s_u, (v - v.mean()) / s_v
    influence = u * v - rho * (u * u + v * v) / 2
    influence += _mean_above(x, v - rho * u) / s_u + _mean_above(y, u - rho * v) / s_v
    variance = float(np.var(influence)) / (1 - rho * rho) ** 2
    seen = variance > 1e-9  # not in some samples of four or six
    return _fishers(rho, variance if seen else 1.0, len(x))


def _mean_above(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """For each of `values` (N,), the mean over all N of the `weights` of those above it, and half those equal to it."""
    _, place = np.unique(values, return_inverse=True)
    by_value = np.bincount(place, weights)
    return (by_value.sum() - np.cumsum(by_value) + by_value / 2)[place] / len(values)


def _fishers(r: float, variance: float, size: int) -> Estimate:
    """The interval of a correlation from that of z = artanh r, whose variance is `variance` / (size - 3), where 3 is
    Fisher's."""
    if size < 4 or abs(r) > 1 - 1e-12:
        return Estimate(r, -1.0, 1.0)  # z's variance, or z itself, is infinite
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * math.sqrt(variance / (size - 3))
    return Estimate(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))
