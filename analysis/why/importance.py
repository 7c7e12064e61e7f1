"""How much each parameter of a space decides whether a trial is among the best: conditional PED-ANOVA.

Watanabe, Bansal and Hutter, PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces
(IJCAI 2023, https://arxiv.org/abs/2304.10255): a parameter is important where its density among the best trials p_top
differs from its density among all trials p_all. The measure is Pearson's divergence, the sum over values of
p_all (p_top / p_all - 1)^2.

Baba, Ozaki and Watanabe, Conditional PED-ANOVA (KDD 2026, https://arxiv.org/abs/2601.20800), theorem 4.2: of a
parameter that only some trials have, the densities are those among the trials that have it, its regime, and the
divergence is weighted by alpha^2 / beta, the regime's share of the best trials and of all. What the regime itself is
worth counts for the parameter that opens it, its parent, and not once more for each child.

Optuna's PedAnovaImportanceEvaluator is the same estimator, number by number. What is added here is chance. A dozen
best trials differ from all by luck alone, the more so the finer a parameter's scale and the fewer trials have it, which
lifts dead parameters above weak ones. So the same is computed for as many trials drawn at random from the regime, and a
parameter's importance is what it has above the mean of that (Altmann et al., Permutation importance, Bioinformatics
2010). Hundreds of draws take Optuna's evaluator minutes; here they are one array.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from scipy.special import ndtr

from search.records import State, TrialRecord, leaderboard

BEST_SHARE = 0.2
"""Of all trials, how many count as the best: more than the paper's tenth, since a search has tens of trials."""
LEAST_BEST = 5
"""Optuna's advice for PED-ANOVA."""
LEAST_TRIALS = 10
"""With fewer that have a parameter nothing can be said of it."""
LIKELY_CHANCE = 0.05
JUDGED: tuple[State, ...] = ("completed", "stopped", "paused", "diverged")
"""The states of trials that count: of one that runs nobody knows yet, and a failed one says nothing."""
DRAWS = 499
_GRID = 50
"""Steps that a continuous range is divided into, as in Optuna."""
_LEAST_REGIME = 2
"""Trials in a regime, as in Optuna."""


@dataclass(frozen=True, kw_only=True)
class Importance:
    """What one parameter of the space matters."""

    param: str
    trials: int
    """Those that have it, drawn or prescribed by a point, and count."""
    share: float | None
    """Of the importance of all parameters, which adds up to 1 unless none has any; None where trials are too few."""
    chance: float | None
    """How likely a parameter without any effect shows as much; None where trials are too few."""

    @property
    def warning(self) -> str | None:
        """Why not to rely on it, in words; None where there is nothing to warn of."""
        if self.chance is None:
            return "too few trials"
        return "may be chance" if self.chance > LIKELY_CHANCE else None


def importances(records: Sequence[TrialRecord]) -> list[Importance]:
    """Every parameter that was drawn: those beyond chance, then those that may be chance, each the most important
    first; those with too few trials last. A fine scale differs much by luck alone, and would lead before a coarse one
    that truly matters.

    The best trials are picked by the scores of trials that had their full budget: others do not compare. Stopped and
    diverged trials are among those that the best are held against, which needs no score of theirs. Where only survivors
    were, whatever the scheduler weeds out early would look unimportant. Running and failed trials are left out.
    """
    judged, best = held_against(records)
    drawn = sorted({param for record in judged for param in record.params})
    counts = {param: sum(param in record.params for record in judged) for param in drawn}
    rng = np.random.default_rng(0)
    measured = {
        param: _above_chance(divergences(param, judged, best, rng))
        for param in drawn
        if counts[param] >= LEAST_TRIALS and best
    }
    total = sum(max(0.0, above) for above, _ in measured.values())
    found = [
        Importance(param=param, trials=counts[param], share=max(0.0, above) / total if total else 0.0, chance=chance)
        for param, (above, chance) in sorted(measured.items(), key=_rank)
    ]
    few = sorted((param for param in drawn if param not in measured), key=lambda param: -counts[param])
    return found + [Importance(param=param, trials=counts[param], share=None, chance=None) for param in few]


def _rank(item: tuple[str, tuple[float, float]]) -> tuple[bool, float]:
    _, (above, chance) = item
    return chance > LIKELY_CHANCE, -above


def held_against(records: Sequence[TrialRecord]) -> tuple[list[TrialRecord], set[str]]:
    """The trials that count, and the names of the best among them: fewer where fewer had their full budget."""
    judged = [record for record in leaderboard(records) if record.state in JUDGED]
    completed = [record.name for record in judged if record.state == "completed"]
    return judged, set(completed[: max(LEAST_BEST, math.ceil(BEST_SHARE * len(judged)))])


def _above_chance(divergence: np.ndarray) -> tuple[float, float]:
    """How far the first one lies above the mean of the others, and the share of them that reach it."""
    # The best trials may be shuffled onto themselves, whose divergence then differs by rounding alone.
    reached = divergence[1:] >= divergence[0] * (1 - 1e-9)
    return float(divergence[0] - divergence[1:].mean()), float((1 + reached.sum()) / len(divergence))


def divergences(
    param: str, judged: Sequence[TrialRecord], best: set[str], rng: np.random.Generator, draws: int = DRAWS
) -> np.ndarray:
    """Of the trials named in `best` from all that are `judged`, (1 + draws,): as it is, then for as many trials
    drawn at random from each regime as the best are there."""
    total = np.zeros(1 + draws)
    for distribution, regime in _regimes(param, judged):
        is_best = np.array([record.name in best for record in regime])
        if not is_best.any() or distribution.single():
            continue
        order = rng.permuted(np.tile(np.arange(len(regime)), (1 + draws, 1)), axis=1)
        order[0] = np.argsort(~is_best)
        cells, size = _cells([record.params[param] for record in regime], distribution)
        density = _choice_density if isinstance(distribution, CategoricalDistribution) else _number_density
        top = density(cells[order[:, : is_best.sum()]], size)  # (1 + draws, size)
        everywhere = density(cells[None], size)  # (1, size)
        pearson = (everywhere * (top / everywhere - 1) ** 2).sum(axis=1)
        alpha, beta = is_best.sum() / len(best), len(regime) / len(judged)
        total += alpha**2 / beta * pearson
    return total * (len(best) / len(judged)) ** 2


def _regimes(param: str, records: Sequence[TrialRecord]) -> list[tuple[BaseDistribution, list[TrialRecord]]]:
    """The records with `param`, by what it was drawn from."""
    regimes: dict[BaseDistribution, list[TrialRecord]] = defaultdict(list)
    for record in records:
        if param in record.params:
            regimes[json_to_distribution(json.dumps(record.distributions[param]))].append(record)
    return [(distribution, regime) for distribution, regime in regimes.items() if len(regime) >= _LEAST_REGIME]


def _cells(values: Sequence[Any], distribution: BaseDistribution) -> tuple[np.ndarray, int]:
    """Where each value lies on the grid of its range, or among its choices, and how many cells there are."""
    if isinstance(distribution, CategoricalDistribution):
        return np.array([int(distribution.to_internal_repr(value)) for value in values]), len(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    size = _GRID
    if isinstance(distribution, IntDistribution) and distribution.log:
        size = min(size, math.ceil(math.log2(distribution.high - distribution.low + 1)) + 1)
    elif distribution.step is not None:
        size = min(size, round((distribution.high - distribution.low) / distribution.step) + 1)
    scale = np.log if distribution.log else np.asarray
    low, high, at = (scale(value) for value in (distribution.low, distribution.high, values))
    cells = np.ceil((at - low) / ((high - low) / (size - 1)) - 0.5).astype(int)
    return np.clip(cells, 0, size - 1), size


_NEVER = 1e-12
"""Added to densities, as in Optuna: none is zero."""


def _number_density(cells: np.ndarray, size: int) -> np.ndarray:
    """Of cells (B, k), (B, size): the mean of k Gaussians of one width, by Scott's rule, and one as wide as the range,
    each cut off at its ends."""
    k = cells.shape[1]
    at = np.sort(cells, axis=1).astype(float)
    deviation = np.sqrt(((at - at.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) / max(1, k - 1))
    quartiles = at[:, min(k - 1, 3 * k // 4)] - at[:, max(0, k // 4 - 1)]
    narrowest = 0.5 / 1.64  # nine tenths of it in one cell
    width = np.maximum(narrowest, 1.059 * k**-0.2 * np.minimum(deviation, quartiles / 1.34))
    wide = _mass_by_cell(np.array([[(size - 1) / 2]]), np.array([float(size)]), size)
    return (_mass_by_cell(at, width, size) + wide) / (k + 1) + _NEVER


def _mass_by_cell(centres: np.ndarray, width: np.ndarray, size: int) -> np.ndarray:
    """Of Gaussians around centres (B, k) of widths (B,), added up over k: (B, size)."""
    ends = np.arange(size + 1) - 0.5
    below = ndtr((ends - centres[:, :, None]) / width[:, None, None])
    return (np.diff(below) / (below[:, :, -1:] - below[:, :, :1])).sum(axis=1)


def _choice_density(cells: np.ndarray, size: int) -> np.ndarray:
    """Of cells (B, k), (B, size): how often each choice is there, smoothed towards all being equally likely."""
    k = cells.shape[1]
    counts = (cells[:, :, None] == np.arange(size)).sum(axis=1)
    smoothing = 1 / (1 + (counts > 0).sum(axis=1, keepdims=True))
    return ((counts + k * smoothing) / (1 + size * smoothing) + 1 / size) / (k + 1) + _NEVER
