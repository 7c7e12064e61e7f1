"""How the losses and the gradients of several tasks become one step.

Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics (Kendall et al. 2018,
https://arxiv.org/abs/1705.07115): equations 7 and 10. Gradient Surgery for Multi-Task Learning (Yu et al. 2020,
https://arxiv.org/abs/2001.06782): algorithm 1, PCGrad. Naeem, 5.4, names both.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn


def uncertainty_weighted(loss: Tensor, log_variance: Tensor, *, regression: bool) -> Tensor:
    """`loss` weighted by the learned variance of the task's noise, a scalar.

    `log_variance` is a scalar that is trained along, 0 at first. Of a loss on numbers (`regression`) half counts, as in
    the likelihood of a normal distribution, whose loss is the squared error; other losses on numbers are treated alike.
    The second summand keeps the variance from growing for ever. (Kendall et al. 2018, equations 7 and 10; their log
    sigma is half the log variance, which is what they train)
    """
    precision = torch.exp(-log_variance)
    return (precision / 2 if regression else precision) * loss + log_variance / 2


def clip(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Scales the gradients down to the norm `limit` where that of all together is larger, sparse ones among them.
    (Pascanu et al. 2013, https://arxiv.org/abs/1211.5063, algorithm 1)"""
    trained = [parameter for parameter in parameters if parameter.grad is not None]
    sparse = [parameter for parameter in trained if parameter.grad.is_sparse]  # type: ignore[union-attr]
    for parameter in sparse:
        parameter.grad = parameter.grad.coalesce()  # type: ignore[union-attr]
    dense = [parameter for parameter in trained if not parameter.grad.is_sparse]  # type: ignore[union-attr]
    values = [parameter.grad.values() for parameter in sparse]  # type: ignore[union-attr]
    total = nn.utils.get_total_norm([*(p.grad for p in dense if p.grad is not None), *values])
    nn.utils.clip_grads_with_norm_(dense, limit, total)
    for value in values:
        value.mul_((limit / (total + 1e-6)).clamp(max=1))  # as torch does


class Summed:
    """The gradients of a step's tasks, added up as they come."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = parameters

    def after_backward(self) -> None:
        """To be called after the backward pass of each task."""

    def combine(self, generator: np.random.Generator) -> bool:
        """To be called after the last task: leaves one gradient in each parameter. Whether there is any."""
        return any(parameter.grad is not None for parameter in self._parameters)


class Projected(Summed):
    """The same without their conflicts: PCGrad. (Yu et al. 2020, algorithm 1)"""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__(parameters)
        self._by_task: list[list[Tensor | None]] = []

    def after_backward(self) -> None:
        self._by_task.append([parameter.grad for parameter in self._parameters])
        for parameter in self._parameters:
            parameter.grad = None

    def combine(self, generator: np.random.Generator) -> bool:
        combined = project_conflicts(self._by_task, generator)
        for parameter, gradient in zip(self._parameters, combined, strict=True):
            parameter.grad = gradient
        self._by_task.clear()
        return super().combine(generator)


def project_conflicts(
    gradients: Sequence[Sequence[Tensor | None]], generator: np.random.Generator
) -> list[Tensor | None]:
    """The tasks' gradients in one, where none loses by another: PCGrad. (Yu et al. 2020, algorithm 1)

    `gradients[task][parameter]` is None where a task does not reach a parameter, and so is the result where none does.
    Each task's gradient is taken through the others in random order (from `generator`); where it points against one of
    them, it loses that component. The results are summed. The paper projects the gradients of the shared parameters;
    here these are the ones that at least two tasks reach. All others keep the gradient they have, the same tensor.

    Every projected gradient is a sum of the tasks' own ones. So the algorithm runs on its coefficients, and all that is
    computed of the gradients themselves is their dot products, once: exact, and one pass over the weights for each pair
    of tasks. Nothing waits for the device.
    """
    columns = [dict(_reaching(column)) for column in zip(*gradients, strict=True)]
    shared = [column for column in columns if len(column) > 1]
    weights = _surgery(_dot_products(shared, len(gradients)), generator).unbind() if shared else ()
    return [
        _weighted_sum(column, weights) if len(column) > 1 else next(iter(column.values()), None) for column in columns
    ]


def _reaching(column: Sequence[Tensor | None]) -> Iterator[tuple[int, Tensor]]:
    """The tasks that reach a parameter, with their gradients of it."""
    return ((task, gradient) for task, gradient in enumerate(column) if gradient is not None)


def _dot_products(shared: Sequence[Mapping[int, Tensor]], count: int) -> Tensor:
    """Of the gradients of `count` tasks, which stand by task for each `shared` parameter; those that a task does not
    reach are 0. (count, count)"""
    zero = torch.zeros((), device=next(iter(shared[0].values())).device)
    rows = [[zero] * count for _ in range(count)]
    for i, j in itertools.combinations_with_replacement(range(count), 2):
        both = [torch.dot(column[i].reshape(-1), column[j].reshape(-1)) for column in shared if {i, j} <= column.keys()]
        rows[i][j] = rows[j][i] = torch.stack([zero, *both]).sum()
    return torch.stack([torch.stack(row) for row in rows])


def _surgery(dots: Tensor, generator: np.random.Generator) -> Tensor:
    """Algorithm 1 on coefficients: what each task's own gradient has in the sum of the projected ones, (tasks,).

    `dots` (tasks, tasks) are the dot products of the tasks' own gradients.
    """
    coefficients = torch.eye(len(dots), device=dots.device)  # row i: the projected gradient of task i
    for i, row in enumerate(coefficients):
        for j in generator.permutation([task for task in range(len(dots)) if task != i]).tolist():
            # How much of j's own gradient is in it; only a conflict, below 0, is taken out. A gradient of 0 conflicts
            # with none: the least positive number keeps 0 / 0 away.
            share = row.dot(dots[j]) / dots[j, j].clamp(min=torch.finfo(dots.dtype).tiny)
            row[j] -= share.clamp(max=0)
    return coefficients.sum(dim=0)


def _weighted_sum(column: Mapping[int, Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Of the gradients of one parameter, by task."""
    (first, gradient), *others = column.items()
    total = weights[first] * gradient
    for task, gradient in others:
        total.addcmul_(weights[task], gradient)
    return total
