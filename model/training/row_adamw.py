"""AdamW for a matrix of which a step reads few rows: word embeddings. The rows that it does not read catch up when they
are read next, with all they have missed.

Decoupled Weight Decay Regularization (Loshchilov and Hutter 2019), https://arxiv.org/abs/1711.05101, algorithm 2. A row
without a gradient still moves there, by its momentum, and decays. Sparse optimizers leave that out; here it is summed
up: after k steps without a gradient the first moment is b1^k m and the root of the second b2^(k/2) sqrt(v), so that
their quotient, m / sqrt(v) times (b1 / sqrt(b2))^k, need not be known to sum its factors over the steps. What comes out
is dense AdamW, but for rounding, and for `eps`, which is taken as it was at the first of the missed steps.

Shapes: V rows of the matrix, C columns, U rows of one step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW


class RowAdamW(AdamW):
    """Fused AdamW; of `matrix`, a parameter with sparse gradients (`nn.Embedding.sparse`), row by row.

    Before rows are read, `catch_up`; before all of it is, `settle`. Its state is that of AdamW, once it is settled.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], matrix: Tensor) -> None:
        super().__init__(groups, fused=True)
        self._matrix = matrix
        (self._index,) = (i for i, g in enumerate(self.param_groups) if any(p is matrix for p in g["params"]))
        self._beta1, self._beta2 = self._group["betas"]
        # A scaler of losses, if there is one, is to unscale all gradients before the step: the fused step, which would
        # do it by itself, does not see the matrix's.
        self._step_supports_amp_scaling = False
        self._begin()

    @property
    def _group(self) -> dict[str, Any]:
        return self.param_groups[self._index]  # another one after a state was loaded

    def _begin(self) -> None:
        self._done = torch.zeros(len(self._matrix), dtype=torch.int64)  # (V,): up to which step each row is known
        self._steps = 0
        # Of a row that was last known after step s, at s: what its weights are multiplied by, and how often
        # m / (sqrt(v) + eps) is taken from them. float64, for they are products and sums of many.
        self._decay = torch.ones(1, dtype=torch.float64)
        self._pull = torch.zeros(1, dtype=torch.float64)
        self._eps = torch.zeros(0, dtype=torch.float64)

    @torch.no_grad()
    def catch_up(self, ids: Tensor) -> None:
        """Gives the rows `ids`, (n,), the values that they have now. They may be read then until the next step."""
        if self._steps:
            rows = ids.unique()
            self._move(rows[self._done[rows] < self._steps])

    @torch.no_grad()
    def settle(self) -> None:
        """Gives all rows the values that they have now."""
        for rows in torch.arange(len(self._matrix)).split(4096):
            self._move(rows[self._done[rows] < self._steps])
        self._begin()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of all parameters that have a gradient."""
        gradient, self._matrix.grad = self._matrix.grad, None  # not for the dense step
        super().step(closure)
        if gradient is not None:
            self._count_step()
            gradient = gradient.coalesce()
            self._update(gradient.indices()[0], gradient.values())

    def _state(self) -> dict[str, Tensor]:
        state = self.state[self._matrix]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(self._matrix) for _ in range(2))
        return state

    def _count_step(self) -> None:
        """Notes what the step does to rows without a gradient."""
        state, rate = self._state(), self._group["lr"]
        state["step"] += 1
        t, shrink = int(state["step"]), 1 - rate * self._group["weight_decay"]
        of_second = (1 - self._beta2**t) ** 0.5
        self._steps += 1
        since = torch.arange(self._steps, 0, -1, dtype=torch.float64)  # steps from each earlier one to this
        ratio = self._beta1 / self._beta2**0.5
        self._pull = self._pull * shrink + rate * of_second / (1 - self._beta1**t) * ratio**since
        self._decay = self._decay * shrink
        self._pull, self._decay = (
            torch.cat([x, x.new_tensor([new])]) for x, new in ((self._pull, 0), (self._decay, 1))
        )
        self._eps = torch.cat([self._eps, self._eps.new_tensor([self._group["eps"] * of_second])])

    def _move(self, rows: Tensor) -> None:
        """Takes `rows`, (U,), from where they are known through all steps since, in none of which they had a
        gradient."""
        if not len(rows):
            return
        state, known = self._state(), self._done[rows]
        first, second = state["exp_avg"][rows], state["exp_avg_sq"][rows]  # (U, C)
        decay, pull, eps = (_column(x[known]) for x in (self._decay, self._pull, self._eps))
        direction = first / (second.sqrt() + eps)
        self._matrix[rows] = self._matrix[rows] * decay - direction * pull
        since = (self._steps - known).double()
        state["exp_avg"][rows] = first * _column(self._beta1**since)
        state["exp_avg_sq"][rows] = second * _column(self._beta2**since)
        self._done[rows] = self._steps

    def _update(self, rows: Tensor, gradient: Tensor) -> None:
        """The step of `rows`, (U,), that have a `gradient`, (U, C), and were read: so they are known up to the step
        before."""
        state, rate = self._state(), self._group["lr"]
        t = int(state["step"])
        first = state["exp_avg"][rows].lerp_(gradient, 1 - self._beta1)
        second = state["exp_avg_sq"][rows].mul_(self._beta2).addcmul_(gradient, gradient, value=1 - self._beta2)
        denominator = second.sqrt().div_((1 - self._beta2**t) ** 0.5).add_(self._group["eps"])
        weights = self._matrix[rows].mul_(1 - rate * self._group["weight_decay"])
        self._matrix[rows] = weights.addcdiv_(first, denominator, value=-rate / (1 - self._beta1**t))
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = first, second
        self._done[rows] = self._steps


def _column(x: Tensor) -> Tensor:
    """(U,) to float32, (U, 1)."""
    return x.float().unsqueeze(1)
