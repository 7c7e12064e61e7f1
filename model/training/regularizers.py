"""Terms that keep predictions and layers steady: SMART, its proximal teacher, and noise stability.

SMART: Robust and Efficient Fine-Tuning for Pre-trained Natural Language Models through Principled Regularized
Optimization (Jiang et al. 2020, https://arxiv.org/abs/1911.03437): equations 1 and 2 with the ascent of algorithm 1,
and the moving average of equations 3 and 4, the momentum variant. Noise Stability Regularization for Improving BERT
Fine-tuning (Hua et al. 2021, https://arxiv.org/abs/2107.04835): equation 3. Both in Pandey and Narayan, 2.3 and 3.1.

Shapes: B examples, N tokens of all their sequences, C hidden units. What is perturbed is the input of the first
trainable layer. A move is kept in fp32, and so is what is perturbed by it: half precision would round a small one away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from model.config import Norm

_ASCENT_SCALE = 2.0**16
"""Factor on what SMART ascends, of which only the direction counts: else fp16 rounds most tokens' gradient to 0."""


class Replay:
    """The random numbers of one moment, to be drawn again.

    A perturbed pass must draw the dropout masks and skip the layers of the clean one: else most of the difference
    between the two would be chance. And what is drawn afterwards goes on as if it had not been.
    """

    def __init__(self, device: torch.device) -> None:
        """Notes where torch's generators stand: the CPU's and, where `device` is a GPU, its own."""
        self._device = device
        self._states = self._current()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Inside, the generators start from where they were noted; afterwards they are where they were before."""
        before = self._current()
        self._set(self._states)
        try:
            yield
        finally:
            self._set(before)

    def _current(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self._device))
        return states

    def _set(self, states: Sequence[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(states[1], self._device)


def smart(
    predict: Callable[[Tensor], Tensor],
    hidden: Tensor,
    logits: Tensor,
    divergence: Callable[[Tensor, Tensor], Tensor],
    *,
    steps: int,
    step_size: float,
    noise: float,
    epsilon: float,
    norm: Norm,
    generator: torch.Generator,
) -> Tensor:
    """How far the predictions go where `hidden` (N, C) is moved in the direction that changes them most, a scalar.

    `logits` (B, outputs) are those of `hidden` as it is, `predict` computes those of a moved one, with the same dropout
    masks (`Replay`), and `divergence` compares the two. The move starts at random (standard deviation `noise`, from
    `generator`, which is on `hidden`'s device), takes `steps` ascent steps of length `step_size`, and is never longer
    than `epsilon` after one: lengths are those of each token's move, its largest unit's (`linf`) or Euclidean (`l2`).
    (Jiang et al. 2020, equations 1 and 2, algorithm 1)

    The gradient flows into both predictions and, through both, into `hidden`; the ascent leaves none anywhere. Not
    under autocast where moves are below some 1e-2: what bfloat16 rounds in `predict` would be far more than the change.
    """
    start, target = hidden.detach().float(), logits.detach()
    move = noise * _normal(hidden, generator)
    for _ in range(steps):
        move.requires_grad_()
        (gradient,) = torch.autograd.grad(_ASCENT_SCALE * divergence(predict(start + move), target), move)
        move = _project(move.detach() + step_size * _direction(gradient, norm), epsilon, norm)
    return divergence(predict(hidden.float() + move), logits)


def noise_stability(
    trajectory: Callable[[Tensor], Sequence[Tensor]],
    hidden: Tensor,
    clean: Sequence[Tensor],
    *,
    noise: float,
    generator: torch.Generator,
) -> Tensor:
    """How far every layer's output goes where `hidden` (N, C) is moved at random, a scalar: the sum over the layers
    of the mean squared difference. (Hua et al. 2021, equation 3)

    `clean` are the layers' outputs (N, C) for `hidden` as it is, `trajectory` computes those of a moved one, with
    the same dropout masks (`Replay`). The mean is over the tokens and their hidden units. The paper has the
    sum: the mean has the same size for short sentences and long ones, narrow encoders and wide ones. The gradient
    flows into both. `generator` is on `hidden`'s device.
    """
    noisy = trajectory(hidden.float() + noise * _normal(hidden, generator))
    distances = [(a.float() - b.float()).square().mean() for a, b in zip(noisy, clean, strict=True)]
    return torch.stack(distances).sum()


class Teacher:
    """The moving average of the weights that the proximal point method holds the predictions to."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], momentum: float) -> None:
        """Starts as a copy of the trainable `parameters`, by name; `momentum` is the share of itself that it keeps."""
        self.weights = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        """By the parameters' names."""
        self._parameters = dict(parameters)
        self._momentum = momentum

    @torch.no_grad()
    def update(self) -> None:
        """Moves towards the parameters, after an optimizer step. (Jiang et al. 2020, the momentum variant of equation
        3, algorithm 1)"""
        for name, weight in self.weights.items():
            weight.lerp_(self._parameters[name], 1 - self._momentum)

    def state(self) -> dict[str, Tensor]:
        """What `load_state` needs to go on in the same bits: the weights themselves, not a copy."""
        return dict(self.weights)

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes up what `state` gave, of a teacher of the same parameters. Raises KeyError where one is missing."""
        for name, weight in self.weights.items():
            weight.copy_(state[name])


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=torch.float32)


def _length(move: Tensor, norm: Norm) -> Tensor:
    """Of each token's move (N, C): (N, 1)."""
    return torch.linalg.vector_norm(move, ord=torch.inf if norm == "linf" else 2, dim=-1, keepdim=True)


def _direction(gradient: Tensor, norm: Norm) -> Tensor:
    """`gradient` at length 1 for each token; 0 where it is 0."""
    return gradient / _length(gradient, norm).clamp(min=torch.finfo(gradient.dtype).tiny)


def _project(move: Tensor, epsilon: float, norm: Norm) -> Tensor:
    """The nearest move that is no longer than `epsilon` for any token."""
    if norm == "linf":
        return move.clamp(-epsilon, epsilon)
    return move * (epsilon / _length(move, norm).clamp(min=epsilon))
