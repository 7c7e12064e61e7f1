"""Which of a search's best configurations to choose, and what its score is worth without the luck that made it win.

A score on dev is a configuration's worth plus two kinds of luck: of the seed, and of the examples that dev happens to
hold. A search picks the luckiest of many. The finalists are trained again with fresh seeds, whose mean takes most of
the seed's luck away; the examples' stays, for dev is the same. So they are told apart:

    a training's score = worth of its configuration
                         + examples' luck of all configurations + of this configuration + of this training alone
                         + seed's luck

The examples' luck follows from the paired bootstrap (statistics.bootstrap): what trainings of one configuration share,
and what those of different ones do. Seeds are too few to be resampled: three drawn with replacement lose a third of
their variance. Theirs is the variance between the trainings of a configuration, which holds the last two terms, pooled
over the finalists, and counts with Student's t at the degrees of freedom that it has; it is never taken to be less than
the first of the two, which the bootstrap knows.

One kind of luck stays in: each training is judged by its best epoch on dev. Where all of three epochs are equally good,
that left the corrected score 0.002 too high (tests/analysis/statistics/test_selection.py); test figures are free of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.statistics.bootstrap import RESAMPLES, Predictions, resampled_overalls
from analysis.statistics.intervals import CONFIDENCE, SeedNoise, estimate, of_score, overall_of
from analysis.statistics.shrinkage import shrunk
from analysis.winner.results import Estimate, Finalist, Retrained, Selection
from model.data.tasks import Task
from model.errors import UserError

_DRAWS = 5000
"""Of the finalists' luck: the critical value that they give is good to 2%."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One of the search's best trials, trained again."""

    trial: str
    source: str
    epochs: int
    """How many the search had trained it for."""
    most_epochs: int
    """How many it might have had there, and each seed had."""
    seeds: Sequence[Retrained]
    """Without those that diverged or failed."""
    predicted: Sequence[Predictions]
    """Of each of `seeds`, on dev."""
    lost: int
    """How many seeds diverged or failed."""
    train_seconds: float
    """Mean over the seeds."""
    trainable_parameters: int


@dataclass(frozen=True)
class Luck:
    """How far the means of k contenders over their seeds may lie from their configurations' worth."""

    means: np.ndarray
    """(k,): overall on dev."""
    seeds: np.ndarray
    """(k,): how many trainings each mean is over."""
    examples: np.ndarray
    """(k, k): covariance of what dev's examples do to the configurations, whatever the seed."""
    training: float
    """Variance between the trainings of a configuration."""
    alone: float
    """The part of `training` that is what the examples do to one training alone."""
    freedom: int
    """Degrees of freedom of `training`."""

    def of_difference(self, a: int, b: int) -> tuple[float, float]:
        """Variance of the difference of two means: from the examples, from the trainings."""
        examples = self.examples[a, a] + self.examples[b, b] - 2 * self.examples[a, b]
        return max(float(examples), 0.0), self.training * float(1 / self.seeds[a] + 1 / self.seeds[b])


def select(
    tasks: Sequence[Task],
    labels: Predictions,
    contenders: Sequence[Contender],
    searched: Mapping[str, float],
    prefer: Literal["score", "cheap"],
    resamples: int = RESAMPLES,
) -> tuple[Selection, SeedNoise]:
    """Chooses the contender with the best mean over its seeds, or the cheapest of those not told apart from that one;
    and how much trainings of the contenders' configurations differ by their seed.

    `labels` are dev's. `searched` holds the highest overall on dev of every trial of the search, the contenders'
    included. Raises UserError where no contender has a seed left.
    """
    alive = _alive(contenders)
    luck = _luck(tasks, labels, alive, searched, resamples)
    best, behind = int(luck.means.argmax()), _behind(luck)
    tied = [at for at, distance in enumerate(behind) if distance is None or distance.low <= 0]
    chosen = best if prefer == "score" else min(tied, key=lambda at: alive[at].train_seconds)
    order = np.argsort(-luck.means, kind="stable").tolist()
    ranked = [_finalist(alive[at], searched, mean=_mean(luck, at), behind=behind[at], tied=at in tied) for at in order]
    lost = [
        _finalist(contender, searched, mean=None, behind=None, tied=False)
        for contender in contenders
        if not contender.seeds
    ]
    selection = Selection(
        finalists=ranked + lost,
        chosen=alive[chosen].trial,
        prefer=prefer,
        searched=max(searched.values()),
        corrected=_corrected([contender.trial for contender in alive], luck, searched, chosen),
    )
    return selection, SeedNoise(luck.training - max(luck.alone, 0.0), luck.training, luck.freedom)


def _alive(contenders: Sequence[Contender]) -> list[Contender]:
    alive = [contender for contender in contenders if contender.seeds]
    if not alive:
        names = ", ".join(contender.trial for contender in contenders)
        raise UserError(f"every seed of every finalist ({names}) diverged or failed: there is none to choose")
    return alive


def _finalist(
    contender: Contender, searched: Mapping[str, float], *, mean: Estimate | None, behind: Estimate | None, tied: bool
) -> Finalist:
    return Finalist(
        trial=contender.trial,
        source=contender.source,
        searched=searched[contender.trial],
        epochs=contender.epochs,
        most_epochs=contender.most_epochs,
        seeds=list(contender.seeds),
        lost=contender.lost,
        mean=mean,
        behind=behind,
        tied=tied,
        train_seconds=contender.train_seconds,
        trainable_parameters=contender.trainable_parameters,
    )


def _luck(
    tasks: Sequence[Task],
    labels: Predictions,
    alive: Sequence[Contender],
    searched: Mapping[str, float],
    resamples: int,
) -> Luck:
    scores = [[overall_of(tasks, labels, one) for one in contender.predicted] for contender in alive]
    seeds = np.array([len(values) for values in scores])
    every = [predicted for contender in alive for predicted in contender.predicted]
    covariance = np.atleast_2d(np.cov(resampled_overalls(tasks, labels, every, resamples), rowvar=False))  # (M, M)
    examples, alone = _shared(covariance, seeds)
    training, freedom = _training_variance(scores, [searched[contender.trial] for contender in alive])
    # Few seeds may lie near each other by luck; what the examples do to a training alone is known better than that.
    training = max(training, alone)
    return Luck(np.array([np.mean(values) for values in scores]), seeds, examples, training, alone, freedom)


def _shared(covariance: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, float]:
    """Of the covariance between M trainings, (M, M), of k contenders with `seeds`, (k,), trainings each: that between
    contenders, (k, k), its diagonal being between different trainings of one; and the variance of a training alone.

    A training's variance and what it shares with another of its contender differ by the latter. Where no contender has
    two, it can't be seen, and all is taken to be shared.
    """
    owner = np.repeat(np.eye(len(seeds)), seeds, axis=1)  # (k, M)
    sums, own = owner @ covariance @ owner.T, owner @ np.diag(covariance)
    examples = sums / np.outer(seeds, seeds)
    several = seeds > 1
    shared = own / seeds
    if not several.any():
        np.fill_diagonal(examples, shared)
        return examples, 0.0
    between = (np.diag(sums) - own)[several] / (seeds * (seeds - 1))[several]
    alone = float(np.mean(shared[several] - between))
    shared[several] = between
    shared[~several] -= alone
    np.fill_diagonal(examples, np.maximum(shared, 0.0))
    return examples, alone


def _training_variance(scores: Sequence[Sequence[float]], searched: Sequence[float]) -> tuple[float, int]:
    """Variance of a configuration's scores between its trainings, and its degrees of freedom.

    With one seed each, the search's own training is the other one: picked for its luck, it errs on the wide side.
    """
    freedom = sum(len(values) - 1 for values in scores)
    if freedom:
        return math.fsum(float(np.var(values)) * len(values) for values in scores) / freedom, freedom
    gaps = np.array([values[0] for values in scores]) - np.array(searched)
    return float(np.mean(gaps**2)) / 2, len(scores)


def _mean(luck: Luck, at: int) -> Estimate:
    """A contender's mean as it is: as far as dev's examples favoured it in the search, they still do."""
    from_seeds = luck.training / int(luck.seeds[at])
    return of_score(estimate(float(luck.means[at]), float(luck.examples[at, at]), from_seeds, luck.freedom))


def _behind(luck: Luck) -> list[Estimate | None]:
    """How far each contender is behind the best one, None for that; told apart from it where `low` is above 0.

    Multiple comparisons with the best (Hsu 1981, Simultaneous confidence intervals for all distances from the "best"):
    the critical value is Dunnett's one-sided one with the contender itself as the control. So the contender that truly
    is best is among those not told apart in 95 of 100 cases, however many they are and whichever came out best.
    `low` is the distance less the critical one; `high`, as far on the other side, makes no 95% interval of the two.
    """
    best = int(luck.means.argmax())
    found: list[Estimate | None] = []
    for at, critical in enumerate(_critical_values(luck)):
        distance = float(luck.means[best] - luck.means[at])
        half = critical * math.sqrt(sum(luck.of_difference(at, best)))
        found.append(None if at == best else Estimate(distance, distance - half, distance + half))
    return found


def _critical_values(luck: Luck) -> list[float]:
    """For each contender: how many standard errors, themselves estimated, luck alone brings the luckiest of the others
    above it, no more in 95 of 100 cases. By drawing that luck."""
    k, rng = len(luck.seeds), np.random.default_rng(0)
    values, vectors = np.linalg.eigh(luck.examples)
    errors = rng.normal(size=(_DRAWS, k)) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    errors += rng.normal(size=(_DRAWS, k)) * np.sqrt(luck.training / luck.seeds)
    estimated = rng.chisquare(luck.freedom, _DRAWS) / luck.freedom  # the variance between trainings, over the true one
    found = []
    for control in range(k):
        leads = [np.zeros(_DRAWS)]  # no lead at all, where two contenders always predict the same
        for other in range(k):
            from_examples, from_training = luck.of_difference(other, control)
            if other != control and from_examples + from_training > 0:
                error = np.sqrt(from_examples + from_training * estimated)
                leads.append((errors[:, other] - errors[:, control]) / error)
        found.append(float(np.quantile(np.max(leads, axis=0), CONFIDENCE)))
    return found


def _corrected(trials: Sequence[str], luck: Luck, searched: Mapping[str, float], chosen: int) -> Estimate:
    """The chosen contender's worth, `trials` being the contenders' names.

    Empirical Bayes over all trials, which no selection misleads (Efron 2011, Tweedie's Formula and Selection Bias): a
    trial's luck, apart from what dev's examples do to all alike, makes the best look better than they are, the more so
    the less their worth differs. A trial is seen through its score in the search, a contender through the mean of that
    and its fresh ones.

    It may lie above the contender's score in the search, as in one of eight simulated searches. There it is too high:
    by some 0.003 with 3 seeds each and 0.002 with 10, and a bound at the search's score, some 0.002 lower, is nearer
    (tests/analysis/statistics/test_selection.py). It is not held below that all the same: the bound is one training's
    score, which fresh seeds do not make truer, and with many of them, better than it in the mean, it would be too low.

    The interval has the width of that mean's, before it was shrunk: the posterior's takes the spread of the trials'
    worth for known, which it isn't, and covers the truth too rarely.
    """
    own = float(np.mean(np.diag(luck.examples)))
    k = len(trials)
    # Of a single contender it can't be seen what the examples do to it and not to all; it is taken as none.
    common = float(luck.examples.sum() - np.trace(luck.examples)) / (k * (k - 1)) if k > 1 else own
    of_configuration = max(own - common, 0.0)
    values = dict(searched)
    variances = dict.fromkeys(searched, of_configuration + luck.training)
    for trial, mean, seeds in zip(trials, luck.means.tolist(), luck.seeds.tolist(), strict=True):
        values[trial] = (seeds * mean + searched[trial]) / (seeds + 1)
        variances[trial] = of_configuration + luck.training / (seeds + 1)
    worths = shrunk(np.array(list(values.values())), np.array(list(variances.values())))
    worth = dict(zip(values, worths.tolist(), strict=True))[trials[chosen]]
    return of_score(estimate(worth, own, luck.training / (int(luck.seeds[chosen]) + 1), luck.freedom))
