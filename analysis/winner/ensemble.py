"""Several models as one, kept only where that helps.

Soup: the mean of the weights of several seeds of one configuration. Model soups: averaging weights of multiple
fine-tuned models improves accuracy without increasing inference time (Wortsman et al. 2022,
https://arxiv.org/abs/2203.05482, the uniform soup). There all models start from one head; here each seed draws its own,
so the mean of the heads may be worse than any of them. As cheap as a single model.

Ensemble: the mean of the outputs of some of a run's models, taken in one by one, each as often as it helps. Ensemble
Selection from Libraries of Models (Caruana et al. 2004, https://doi.org/10.1145/1015330.1015432, sections 2 and 2.1).
As dear as its members together.

The ensemble is chosen on one half of dev; on the other half each of both is judged against the single model. Neither is
kept unless the whole 95% interval of its gain there lies above 0: what may as well be chance is not worth the compute
of an ensemble, nor a soup's giving up the weights that were trained. All models have been picked for their scores on
both halves, the single one most of all, which is to its advantage here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from analysis.statistics.bootstrap import resampled_overalls
from analysis.winner.results import Estimate, Kind
from model.data.tasks import Task
from model.training.evaluate import decide, overall, score

ROUNDS = 25
"""Members taken in, with repetition: then the weights are multiples of 1/25 or coarser."""
_SEED = 0
"""Of the halves: the same data is always cut in the same way."""

ByTask = Mapping[str, np.ndarray]
"""Labels, (N,); rows, (n,); or a model's outputs (model.training.evaluate.outputs): (N, classes) or (N,)."""


def soup(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of trained weights, by name (`MultitaskBert.trainable_state`). Raises ValueError where they are not of
    one configuration."""
    first = states[0]
    shapes = {name: tensor.shape for name, tensor in first.items()}
    if any({name: tensor.shape for name, tensor in state.items()} != shapes for state in states):
        raise ValueError("these weights belong to different configurations")
    return {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in first}


def combined(outputs: Mapping[str, ByTask], members: Sequence[str]) -> dict[str, np.ndarray]:
    """The outputs of an ensemble: the mean over `members`, names in `outputs`, with repetition. float32.

    The order of `members` makes no difference, not even in rounding."""
    counts = sorted(Counter(members).items())
    weights = np.array([count / len(members) for _, count in counts])
    stacked = {task: np.stack([outputs[name][task] for name, _ in counts]) for task in outputs[members[0]]}
    return {task: np.tensordot(weights, values, axes=1).astype(np.float32) for task, values in stacked.items()}


def halves(labels: ByTask) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The rows to choose an ensemble on, and those to judge on, by task: each a random half, in order."""
    rng = np.random.default_rng(_SEED)
    drawn = {task: rng.permutation(len(labels[task])) for task in labels}
    middle = {task: (len(rows) + 1) // 2 for task, rows in drawn.items()}
    return (
        {task: np.sort(rows[: middle[task]]) for task, rows in drawn.items()},
        {task: np.sort(rows[middle[task] :]) for task, rows in drawn.items()},
    )


def overall_on(tasks: Sequence[Task], labels: ByTask, said: ByTask, rows: ByTask) -> float:
    """The overall of a model's outputs on `rows`."""
    predicted, true = _decided(tasks, said, rows), _at(labels, rows)
    return overall(tasks, {task.name: score(task.metric, predicted[task.name], true[task.name]) for task in tasks})


def choose_members(
    tasks: Sequence[Task], labels: ByTask, outputs: Mapping[str, ByTask], rows: ByTask, rounds: int = ROUNDS
) -> list[str]:
    """The members of the ensemble of `outputs`' models, by name, that is best on `rows`, with repetition. All
    tasks have the same members.

    It grows from nothing, each time by the model with which its overall is highest, the first of equals, whether that
    is higher than before or not; of the ensembles passed on the way, the first of the best is returned. So one member
    alone is the best single model. Raises ValueError for outputs that are not finite.
    """
    names = list(outputs)
    libraries = []
    for task in tasks:
        at = rows[task.name]
        library = _Correlations if task.metric == "pearson" else _Accuracies
        stacked = np.stack([outputs[name][task.name][at] for name in names])
        if not np.isfinite(stacked).all():
            raise ValueError(f"{task.name}: outputs that are not finite can be of no ensemble")
        libraries.append(library(task, stacked, labels[task.name][at]))
    counts, members, best, size = np.zeros(len(names), dtype=np.int64), list[str](), -np.inf, 0
    for _ in range(rounds):
        overalls = np.mean([library.scores_with_each(counts) for library in libraries], axis=0)
        taken = int(overalls.argmax())
        counts[taken] += 1
        members.append(names[taken])
        if overalls[taken] > best:
            best, size = overalls[taken], len(members)
    return members[:size]


def gain(tasks: Sequence[Task], labels: ByTask, single: ByTask, other: ByTask, rows: ByTask) -> Estimate:
    """How much higher the overall of `other`'s outputs is on `rows` than that of `single`'s, with its paired bootstrap
    interval over the rows."""
    value = overall_on(tasks, labels, other, rows) - overall_on(tasks, labels, single, rows)
    models = [_decided(tasks, said, rows) for said in (single, other)]
    overalls = resampled_overalls(tasks, _at(labels, rows), models)
    low, high = np.quantile(overalls[:, 1] - overalls[:, 0], (0.025, 0.975)).tolist()
    return Estimate(value, low, high)


def kept(gains: Mapping[Kind, Estimate]) -> Kind | None:
    """Whose gain over the single model is the highest, of those above chance; None: the single model is kept."""
    above: list[Kind] = [kind for kind, one in gains.items() if one.low > 0]
    return max(above, key=lambda kind: gains[kind].value, default=None)


class _Accuracies:
    """Accuracies of ensembles of M models."""

    def __init__(self, task: Task, outputs: np.ndarray, labels: np.ndarray) -> None:
        """`outputs` (M, N, classes) or (M, N), `labels` (N,)."""
        self._task, self._outputs, self._labels = task, outputs.astype(np.float64), labels

    def scores_with_each(self, counts: np.ndarray) -> np.ndarray:
        """Of the ensemble of each model `counts` (M,) times and, in turn, each model once more: (M,)."""
        together = np.tensordot(counts, self._outputs, axes=1) + self._outputs
        mean = (together / (counts.sum() + 1)).astype(np.float32)
        return (decide(self._task, mean) == self._labels).mean(axis=1)


class _Correlations:
    """Pearson's r of ensembles of M models, on 0 to 1. The covariance with the labels is linear in how often each model
    counts, and the variance is quadratic: no round looks at the examples again."""

    def __init__(self, task: Task, outputs: np.ndarray, labels: np.ndarray) -> None:
        """`outputs` (M, N), `labels` (N,)."""
        centered = outputs.astype(np.float64) - outputs.mean(axis=1, keepdims=True, dtype=np.float64)
        true = labels.astype(np.float64) - labels.mean(dtype=np.float64)
        self._covariance, self._gram, self._variance = centered @ true, centered @ centered.T, true @ true

    def scores_with_each(self, counts: np.ndarray) -> np.ndarray:
        """As of `_Accuracies`."""
        covariance = counts @ self._covariance + self._covariance
        crossed = self._gram @ counts
        variance = (counts @ crossed + 2 * crossed + self._gram.diagonal()) * self._variance
        varies = variance > 0
        return (np.where(varies, covariance / np.sqrt(np.where(varies, variance, 1)), 0) + 1) / 2


def _at(values: ByTask, rows: ByTask) -> dict[str, np.ndarray]:
    return {task: array[rows[task]] for task, array in values.items()}


def _decided(tasks: Sequence[Task], said: ByTask, rows: ByTask) -> dict[str, np.ndarray]:
    return {task.name: decide(task, said[task.name][rows[task.name]]) for task in tasks}
