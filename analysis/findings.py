"""What the five papers found (analysis.published), as data, and whether it held in a run.

Most findings say that a change raises a score. One run has one seed, so a difference counts only beyond two standard
errors, which follow from the sizes of the dev sets: of an accuracy a on n examples the variance is a (1 - a) / n; of
Pearson's r it is (1 - r²)² / (n - 3), by Fisher's z = atanh r, which has 1 / (n - 3).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.published import FIGURES
from model.data.tasks import CS224N, Metric
from model.training.evaluate import TRAIN_SAMPLE, overall
from search.ledger import Report, TrialRecord

Verdict = Literal["held", "did not hold", "within noise", "not in this run"]
Quantity = Literal["overall", "sentiment", "paraphrase", "similarity"]
Sizes = Mapping[str, int]
"""Examples by task."""

LEAST_NOISE = 0.01
"""Of overall: another seed changes it by as much, however large the dev sets are."""
TIME_NOISE = 0.1
"""Share of the time of an epoch: trials share a machine."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run says to a finding."""

    figures: str
    verdict: Verdict


Measure = Callable[[TrialRecord, TrialRecord, Sizes], Outcome]
"""From the trials without and with what the finding is about, and the sizes of the dev sets."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a paper says to have found."""

    paper: str
    section: str
    claim: str
    points: tuple[str, str]
    """The configurations without and with what it is about."""
    published: str
    """The paper's own figures."""
    measure: Measure

    def outcome(self, trials: Mapping[str, TrialRecord], dev_size: Sizes) -> Outcome:
        """Measured on `trials`, by configuration: only those whose scores count."""
        missing = [point for point in self.points if point not in trials]
        if missing:
            return Outcome(figures=f"no scores of {' and '.join(missing)}", verdict="not in this run")
        without, with_it = (trials[point] for point in self.points)
        return self.measure(without, with_it, dev_size)


def rises(quantity: Quantity) -> Measure:
    """The score on dev, of each trial's best epoch, is higher."""

    def measure(without: TrialRecord, with_it: TrialRecord, dev_size: Sizes) -> Outcome:
        before, after = _best(without), _best(with_it)
        old, new = _value(quantity, before), _value(quantity, after)
        noise = 2 * math.sqrt(variance(quantity, before.scores, dev_size) + variance(quantity, after.scores, dev_size))
        if quantity == "overall":
            noise = max(noise, LEAST_NOISE)
        figures = f"{old:.3f} to {new:.3f} ({new - old:+.3f}, noise {noise:.3f})"
        return Outcome(figures=figures, verdict=judge(new - old, noise))

    return measure


def keeps(share: float) -> Measure:
    """At least `share` of overall is kept. This holds unless less is kept beyond noise."""

    def measure(without: TrialRecord, with_it: TrialRecord, dev_size: Sizes) -> Outcome:
        before, after = _best(without), _best(with_it)
        variances = share**2 * variance("overall", before.scores, dev_size), variance("overall", after.scores, dev_size)
        noise = max(2 * math.sqrt(sum(variances)), LEAST_NOISE)
        holds = after.overall >= share * before.overall - noise
        figures = f"{before.overall:.3f} to {after.overall:.3f} ({after.overall / before.overall:.1%} kept)"
        return Outcome(figures=figures, verdict="held" if holds else "did not hold")

    return measure


def saves_time(without: TrialRecord, with_it: TrialRecord, dev_size: Sizes) -> Outcome:
    """The training of an epoch, the median one, takes less time."""
    before, after = (
        statistics.median(report.train_seconds for report in record.reports) for record in (without, with_it)
    )
    saved = 1 - after / before
    figures = f"{before:.1f} s to {after:.1f} s an epoch ({after / before - 1:+.0%})"
    return Outcome(figures=figures, verdict=judge(saved, TIME_NOISE))


def narrows_gap(without: TrialRecord, with_it: TrialRecord, dev_size: Sizes) -> Outcome:
    """Overall on train is less far above overall on dev, after the last epoch that both trials have reached: the gap
    grows from epoch to epoch."""
    epoch = min(without.epoch, with_it.epoch)
    train_size = dict.fromkeys(dev_size, TRAIN_SAMPLE)
    gaps, variances = [], []
    for report in (without.reports[epoch - 1], with_it.reports[epoch - 1]):
        gaps.append(overall(CS224N, report.train_scores) - report.overall)
        variances.append(variance("overall", report.scores, dev_size))
        variances.append(variance("overall", report.train_scores, train_size))
    noise = max(2 * math.sqrt(sum(variances)), LEAST_NOISE)
    figures = f"train above dev by {gaps[0]:.3f} to {gaps[1]:.3f}, epoch {epoch} (noise {noise:.3f})"
    return Outcome(figures=figures, verdict=judge(gaps[0] - gaps[1], noise))


def judge(gain: float, noise: float) -> Verdict:
    """Of a claim that `gain` is positive."""
    if abs(gain) <= noise:
        return "within noise"
    return "held" if gain > 0 else "did not hold"


def variance(quantity: Quantity, scores: Mapping[str, float], sizes: Sizes) -> float:
    """Of a score, from the examples it is measured on. Overall is a mean in which r counts half (evaluate.overall)."""
    by_task = {task.name: _variance(task.metric, scores[task.name], sizes[task.name]) for task in CS224N}
    if quantity != "overall":
        return by_task[quantity]
    halved = [by_task[task.name] / 4 if task.metric == "pearson" else by_task[task.name] for task in CS224N]
    return sum(halved) / len(halved) ** 2


def _variance(metric: Metric, score: float, examples: int) -> float:
    match metric:
        case "accuracy":
            return score * (1 - score) / examples
        case "pearson":
            return (1 - score**2) ** 2 / (examples - 3)


def _value(quantity: Quantity, report: Report) -> float:
    return report.overall if quantity == "overall" else report.scores[quantity]


def _best(record: TrialRecord) -> Report:
    assert record.best is not None, "a trial whose scores count has a report"
    return record.best


def _printed(quantity: Quantity, without: str, with_it: str) -> str:
    """The papers' own figures for a rise."""
    old, new = FIGURES[without], FIGURES[with_it]
    assert old is not None, f"{without} has figures"
    assert new is not None, f"{with_it} has figures"
    if quantity == "overall":
        return f"{old.overall:.3f} to {new.overall:.3f}"
    return f"{old.scores[quantity]:.3f} to {new.scores[quantity]:.3f}"


def _rise(paper: str, section: str, claim: str, quantity: Quantity, without: str, with_it: str) -> Finding:
    """A finding that a score rises, of which the paper prints both figures."""
    return Finding(
        paper=paper,
        section=section,
        claim=claim,
        points=(without, with_it),
        published=_printed(quantity, without, with_it),
        measure=rises(quantity),
    )


GAMARRA, GRUDZINSKI, JETTY = "Gamarra Lafuente and Udash", "Grudzinski", "Jetty"
NAEEM, PANDEY = "Naeem", "Pandey and Narayan"

FINDINGS = (
    Finding(
        paper=GAMARRA,
        section="4",
        claim="similarity gains where both sentences meet the encoder as one sequence",
        points=("gamarra-udash-similarity-apart", "gamarra-udash-baseline"),
        published='"roughly 10 percent" more',
        measure=rises("similarity"),
    ),
    Finding(
        paper=GAMARRA,
        section="5.4.1",
        claim="with two top layers trained, 97% of overall is kept",
        points=("gamarra-udash-unfrozen", "gamarra-udash-baseline"),
        published="97% kept",
        measure=keeps(0.97),
    ),
    Finding(
        paper=GAMARRA,
        section="5.4.1",
        claim="with two top layers trained, an epoch takes less time",
        points=("gamarra-udash-unfrozen", "gamarra-udash-baseline"),
        published="-52%",
        measure=saves_time,
    ),
    _rise(
        GAMARRA,
        "5.4.5",
        "the final model beats the baseline on dev",
        "overall",
        "gamarra-udash-baseline",
        "gamarra-udash-final",
    ),
    _rise(
        GRUDZINSKI,
        "5.4",
        "the sharing graph, frozen, raises overall",
        "overall",
        "grudzinski-baseline",
        "grudzinski-final",
    ),
    _rise(
        GRUDZINSKI,
        "5.4",
        "the sharing graph, frozen, raises similarity",
        "similarity",
        "grudzinski-baseline",
        "grudzinski-final",
    ),
    Finding(
        paper=GRUDZINSKI,
        section="6",
        claim="the upstream heads must be frozen: overall",
        points=("grudzinski-free-edges", "grudzinski-final"),
        published='"really only started working well" then',
        measure=rises("overall"),
    ),
    Finding(
        paper=GRUDZINSKI,
        section="5.2",
        claim="with the upstream heads frozen, an epoch takes less time",
        points=("grudzinski-free-edges", "grudzinski-final"),
        published="+400% where they are free",
        measure=saves_time,
    ),
    Finding(
        paper=JETTY,
        section="5.4",
        claim="layer drop and a shared layer narrow the gap between train and dev",
        points=("jetty-multitask", "jetty-regularized"),
        published='"much closer"',
        measure=narrows_gap,
    ),
    _rise(
        JETTY,
        "5.4",
        "layer drop and a shared layer raise overall",
        "overall",
        "jetty-multitask",
        "jetty-regularized",
    ),
    _rise(
        JETTY,
        "5.4",
        "both sentences as one sequence raise overall further",
        "overall",
        "jetty-regularized",
        "jetty-final",
    ),
    _rise(NAEEM, "5.4", "the cosine raises paraphrase", "paraphrase", "naeem-baseline", "naeem-cosine"),
    _rise(NAEEM, "5.4", "the cosine raises similarity", "similarity", "naeem-baseline", "naeem-cosine"),
    _rise(NAEEM, "5.4", "everything together beats the cosine alone", "overall", "naeem-cosine", "naeem-final"),
    _rise(
        PANDEY,
        "4.4",
        "SMART helps the small set, similarity",
        "similarity",
        "pandey-narayan-baseline",
        "pandey-narayan-smart",
    ),
    _rise(
        PANDEY,
        "4.4",
        "adapters before LayerNorm raise similarity",
        "similarity",
        "pandey-narayan-baseline",
        "pandey-narayan-adapter-before",
    ),
    _rise(
        PANDEY,
        "4.3",
        "adapters before LayerNorm beat those after it: similarity",
        "similarity",
        "pandey-narayan-adapter-after",
        "pandey-narayan-adapter-before",
    ),
)
