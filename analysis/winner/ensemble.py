"""Several models as one, kept only where that helps.

Soup: the mean of the weights of several seeds of one configuration. Model soups: averaging weights of multiple
fine-tuned models improves accuracy without increasing inference time (Wortsman et al. 2022,
https://arxiv.org/abs/2203.05482, the uniform soup). There all models start from one head; here each seed draws its own,
so the mean of the heads may be worse than any of them. As cheap as a single model.

Ensemble: for each task the mean of the outputs of some of a run's models, taken in one by one, each as often as it
helps. Ensemble Selection from Libraries of Models (Caruana et al. 2004, https://doi.org/10.1145/1015330.1015432,
sections 2 and 2.1). As dear as its members together.

A soup is judged on all of dev, which it was not fitted to, and kept if it is better there: it costs nothing more. An
ensemble is chosen on each half of dev and judged on the other, where it must beat the better of the two by more than
chance explains: what may as well be chance is not worth its compute. The one that is kept is the sum of both.

The single model was picked of its seeds for its score on dev. How much of its lead over their mean is luck is known
(analysis.statistics.selection), and counts for those that it is compared with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from analysis.winner.results import Estimate
from model.data.scores import score
from model.data.tasks import Task
from model.training.evaluate import decide

ROUNDS = 25
"""Members taken in, with repetition: then the weights are multiples of 1/25 or coarser."""
_ROUNDING = 1e-12
"""Scores that are no further apart are equal: copies of one model are no ensemble."""
_SEED = 0
"""Of the halves: the same data is always cut in the same way."""

ByTask = Mapping[str, np.ndarray]
"""Labels, (N,); rows, (n,); or a model's outputs (model.training.evaluate.outputs): (N, classes) or (N,)."""
Counts = Mapping[str, Mapping[str, int]]
"""By task, then a model's name: how often its outputs count there."""


def soup(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of trained weights, by name (`MultitaskBert.trainable_state`). Raises ValueError where they are not of
    one configuration."""
    first = states[0]
    shapes = {name: tensor.shape for name, tensor in first.items()}
    if any({name: tensor.shape for name, tensor in state.items()} != shapes for state in states):
        raise ValueError("these weights belong to different configurations")
    return {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in first}


def combined(outputs: Mapping[str, ByTask], counts: Counts) -> dict[str, np.ndarray]:
    """What an ensemble says of each task in `counts`: the mean of its models' `outputs`, which are by name. float32."""
    return {task: _mean({name: outputs[name][task] for name in of_task}, of_task) for task, of_task in counts.items()}


def _mean(outputs: Mapping[str, np.ndarray], counts: Mapping[str, int]) -> np.ndarray:
    names = sorted(counts)  # their order makes no difference, not even in rounding
    weights = np.array([counts[name] for name in names]) / sum(counts.values())
    return np.tensordot(weights, np.stack([outputs[name] for name in names]), axes=1).astype(np.float32)


def halves(labels: ByTask) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Two halves of the rows, by task: drawn at random, each in order."""
    rng = np.random.default_rng(_SEED)
    drawn = {task: rng.permutation(len(labels[task])) for task in labels}
    middle = {task: (len(rows) + 1) // 2 for task, rows in drawn.items()}
    return (
        {task: np.sort(rows[: middle[task]]) for task, rows in drawn.items()},
        {task: np.sort(rows[middle[task] :]) for task, rows in drawn.items()},
    )


def cross_fitted(
    task: Task, labels: np.ndarray, outputs: Mapping[str, np.ndarray], halves: tuple[np.ndarray, np.ndarray]
) -> tuple[dict[str, int], np.ndarray]:
    """The sum of the ensembles that are best at `task` on each of both `halves`; and what each of them says of the
    other half, which it was not chosen on, so of all of dev together. Other arguments as `choose_members`'."""
    total, said = Counter[str](), np.empty_like(next(iter(outputs.values())))
    for chosen_on, judged_on in (halves, halves[::-1]):
        counts = choose_members(task, labels, outputs, chosen_on)
        total.update(counts)
        said[judged_on] = _mean(outputs, counts)[judged_on]
    return dict(total), said


def choose_members(
    task: Task, labels: np.ndarray, outputs: Mapping[str, np.ndarray], rows: np.ndarray, rounds: int = ROUNDS
) -> dict[str, int]:
    """The ensemble of models that is best at `task` on `rows`: how often each model counts, by name.

    `labels` are all of dev's, (N,), and `outputs` what each model says of dev. It grows from nothing, each time by the
    model with which its score is highest, the first of equals, whether that is higher than before or not; of the
    ensembles passed on the way, the first of the best is returned. So one member alone is the best single model. Raises
    ValueError for outputs that are not finite.
    """
    names = list(outputs)
    stacked = np.stack([outputs[name][rows] for name in names])
    if not np.isfinite(stacked).all():
        raise ValueError(f"{task.name}: outputs that are not finite can be of no ensemble")
    library = (_Correlations if task.metric == "pearson" else _Scores)(task, stacked, labels[rows])
    counts, members, best, size = np.zeros(len(names), dtype=np.int64), list[str](), -np.inf, 0
    for _ in range(rounds):
        scores = library.scores_with_each(counts)
        taken = int(scores.argmax())
        counts[taken] += 1
        members.append(names[taken])
        if scores[taken] > best + _ROUNDING:
            best, size = scores[taken], len(members)
    return dict(Counter(members[:size]))


def soup_helps(gain: Estimate) -> bool:
    """Whether to keep a soup rather than the single model that it gains so much over."""
    return gain.value > 0


def ensemble_helps(gain: Estimate) -> bool:
    """Whether to keep an ensemble rather than the model that it gains so much over."""
    return gain.is_above(0)


class _Scores:
    """The task's metric of ensembles of M models."""

    def __init__(self, task: Task, outputs: np.ndarray, labels: np.ndarray) -> None:
        """`outputs` (M, N, classes) or (M, N), `labels` (N,)."""
        self._task, self._outputs, self._labels = task, outputs.astype(np.float64), labels

    def scores_with_each(self, counts: np.ndarray) -> np.ndarray:
        """Of the ensemble of each model `counts` (M,) times and, in turn, each model once more: (M,)."""
        together = np.tensordot(counts, self._outputs, axes=1) + self._outputs
        means = (together / (counts.sum() + 1)).astype(np.float32)
        return np.array([score(self._task.metric, decide(self._task, mean), self._labels) for mean in means])


class _Correlations:
    """Pearson's r of ensembles of M models, on 0 to 1. The covariance with the labels is linear in how often each model
    counts, and the variance is quadratic: no round looks at the examples again."""

    def __init__(self, task: Task, outputs: np.ndarray, labels: np.ndarray) -> None:
        """`outputs` (M, N), `labels` (N,)."""
        centered = outputs.astype(np.float64) - outputs.mean(axis=1, keepdims=True, dtype=np.float64)
        true = labels.astype(np.float64) - labels.mean(dtype=np.float64)
        self._covariance, self._gram, self._variance = centered @ true, centered @ centered.T, true @ true

    def scores_with_each(self, counts: np.ndarray) -> np.ndarray:
        """As of `_Scores`."""
        covariance = counts @ self._covariance + self._covariance
        crossed = self._gram @ counts
        variance = (counts @ crossed + 2 * crossed + self._gram.diagonal()) * self._variance
        varies = variance > 0
        return (np.where(varies, covariance / np.sqrt(np.where(varies, variance, 1)), 0) + 1) / 2
