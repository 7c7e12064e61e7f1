"""Whether what a paper says of some configurations holds of their trials.

Most findings say that a change raises a score. One run has one seed, so a difference counts only beyond two standard
errors, which follow from the sizes of the dev sets: of an accuracy a on n examples the variance is a (1 - a) / n; of
Pearson's r it is (1 - r²)² / (n - 3), by Fisher's z = atanh r, which has 1 / (n - 3).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from model.data.scores import overall
from model.data.tasks import CS224N, Metric
from model.training.evaluate import TRAIN_SAMPLE
from search.records import Report, TrialRecord

Verdict = Literal["held", "did not hold", "within noise", "nothing learned", "not ended", "no scores"]
Quantity = Literal["overall", "sentiment", "paraphrase", "similarity"]
Sizes = Mapping[str, int]
"""Examples by task."""

LEAST_NOISE = 0.01
"""Of overall: another seed changes it by as much, however large the dev sets are."""
LEAST_TASK_NOISE = 0.02
"""Of one task's score: overall is a mean of three, which moves less."""
TIME_NOISE = 0.1
"""Share of the time of an epoch: trials share a machine."""


@dataclass(frozen=True, kw_only=True)
class DevSets:
    """What the scores of a run were measured on."""

    size: Sizes
    chance: Mapping[str, float]
    """By task, the score of one and the same prediction for all examples."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run says to a finding."""

    figures: str
    verdict: Verdict


Measure = Callable[[Sequence[TrialRecord], DevSets], Outcome]
"""From the trials that a finding is about, all trained to their end."""


def rises(quantity: Quantity) -> Measure:
    """The score on dev, of each trial's best epoch, is higher in the second trial than in the first."""
    return _compares(quantity, lambda gain: gain)


def rises_in_any(quantity: Quantity) -> Measure:
    """The score is higher in at least one of the other trials than in the first: in the best of them."""

    def measure(trials: Sequence[TrialRecord], dev: DevSets) -> Outcome:
        best = max(trials[1:], key=lambda record: _value(quantity, _best(record)))
        return rises(quantity)([trials[0], best], dev)

    return measure


def differs(quantity: Quantity) -> Measure:
    """The scores of the two trials lie apart, whichever is higher."""
    return _compares(quantity, abs)


def _compares(quantity: Quantity, claimed: Callable[[float], float]) -> Measure:
    """What is `claimed` of the second trial's gain over the first is positive."""

    def measure(trials: Sequence[TrialRecord], dev: DevSets) -> Outcome:
        before, after = map(_best, trials)
        gain, noise, figures = _difference(quantity, before, after, dev)
        verdict = judge(claimed(gain), noise) if learned(quantity, (before, after), dev) else "nothing learned"
        return Outcome(figures=figures, verdict=verdict)

    return measure


def keeps(share: float) -> Measure:
    """At least `share` of overall is kept. This holds unless less is kept beyond noise."""

    def measure(trials: Sequence[TrialRecord], dev: DevSets) -> Outcome:
        before, after = map(_best, trials)
        variances = share**2 * variance("overall", before.scores, dev.size), variance("overall", after.scores, dev.size)
        noise = max(2 * math.sqrt(sum(variances)), LEAST_NOISE)
        figures = f"{before.overall:.3f} to {after.overall:.3f} ({after.overall / before.overall:.1%} kept)"
        if not learned("overall", (before, after), dev):
            return Outcome(figures=figures, verdict="nothing learned")
        holds = after.overall >= share * before.overall - noise
        return Outcome(figures=figures, verdict="held" if holds else "did not hold")

    return measure


def saves_time(trials: Sequence[TrialRecord], dev: DevSets) -> Outcome:
    """The training of an epoch, the median one, takes less time."""
    before, after = (statistics.median(report.train_seconds for report in record.reports) for record in trials)
    saved = 1 - after / before
    figures = f"{before:.1f} s to {after:.1f} s an epoch ({after / before - 1:+.0%})"
    return Outcome(figures=figures, verdict=judge(saved, TIME_NOISE))


def narrows_gap(trials: Sequence[TrialRecord], dev: DevSets) -> Outcome:
    """Overall on train is less far above overall on dev, after the last epoch: the gap grows from epoch to epoch."""
    train_size = dict.fromkeys(dev.size, TRAIN_SAMPLE)
    reports = [record.reports[-1] for record in trials]
    before, after = (overall(CS224N, report.train_scores) - report.overall for report in reports)
    variances = [variance("overall", report.scores, dev.size) for report in reports]
    variances += [variance("overall", report.train_scores, train_size) for report in reports]
    noise = max(2 * math.sqrt(sum(variances)), LEAST_NOISE)
    figures = f"train above dev by {before:.3f} to {after:.3f} (noise {noise:.3f})"
    verdict = judge(before - after, noise) if learned("overall", reports, dev) else "nothing learned"
    return Outcome(figures=figures, verdict=verdict)


def judge(gain: float, noise: float) -> Verdict:
    """Of a claim that `gain` is positive."""
    if abs(gain) <= noise:
        return "within noise"
    return "held" if gain > 0 else "did not hold"


def learned(quantity: Quantity, reports: Sequence[Report], dev: DevSets) -> bool:
    """Whether any of `reports` is above chance by more than noise; for overall, in any task. Where none is, models
    that all predict the same keep each other's scores, and nothing can be told from it."""
    tasks = [task for task in CS224N if quantity in ("overall", task.name)]
    return any(
        report.scores[task.name] - dev.chance[task.name]
        > max(2 * math.sqrt(_variance(task.metric, report.scores[task.name], dev.size[task.name])), LEAST_TASK_NOISE)
        for task in tasks
        for report in reports
    )


def variance(quantity: Quantity, scores: Mapping[str, float], sizes: Sizes) -> float:
    """Of a score, from the examples it is measured on. Overall is a mean in which r counts half."""
    by_task = {task.name: _variance(task.metric, scores[task.name], sizes[task.name]) for task in CS224N}
    if quantity != "overall":
        return by_task[quantity]
    halved = [by_task[task.name] / 4 if task.metric == "pearson" else by_task[task.name] for task in CS224N]
    return sum(halved) / len(halved) ** 2


def _variance(metric: Metric, score: float, examples: int) -> float:
    if metric == "pearson":
        return (1 - score**2) ** 2 / (examples - 3)
    return score * (1 - score) / examples  # accuracy: CS224N has no other


def _difference(quantity: Quantity, before: Report, after: Report, dev: DevSets) -> tuple[float, float, str]:
    """How much more `after` has, the noise of that, and both in words."""
    old, new = _value(quantity, before), _value(quantity, after)
    variances = variance(quantity, before.scores, dev.size), variance(quantity, after.scores, dev.size)
    noise = max(2 * math.sqrt(sum(variances)), LEAST_NOISE if quantity == "overall" else LEAST_TASK_NOISE)
    return new - old, noise, f"{old:.3f} to {new:.3f} ({new - old:+.3f}, noise {noise:.3f})"


def _value(quantity: Quantity, report: Report) -> float:
    return report.overall if quantity == "overall" else report.scores[quantity]


def _best(record: TrialRecord) -> Report:
    assert record.best is not None, "a completed trial has a report"
    return record.best
