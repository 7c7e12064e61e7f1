"""What a step minimizes on a batch of one task: its loss, weighted, and a term for each regularizer that is on.

The one place where the regularizers of a TrialConfig are put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from model.config import NoiseStabilityConfig, ProximalConfig, SmartConfig
from model.data.batches import Batch
from model.data.tasks import Task
from model.network.multitask import MultitaskBert, Representation
from model.training.gradients import uncertainty_weighted
from model.training.losses import Objective, objective, ranking_loss, together
from model.training.precision import ConcretePrecision, autocast
from model.training.regularizers import Replay, Teacher, noise_stability, smart


@dataclass(frozen=True)
class Pass:
    """One forward pass of a batch, and what it takes to repeat parts of it with the same dropout."""

    task: str
    batch: Batch
    trajectory: list[Tensor]
    """See `MultitaskBert.trajectory`."""
    representation: Representation
    logits: Tensor
    replay: Replay
    """The random numbers of all of it."""
    replay_above: Replay
    """The random numbers above the prefix."""


Term = Callable[[Pass], Tensor]
"""A scalar to add to the loss of a batch."""


class StepLoss:
    """Forward passes in training, and what is to be minimized of them."""

    def __init__(self, model: MultitaskBert, tasks: Iterable[Task], precision: ConcretePrecision) -> None:
        config = model.config
        self._model = model
        self._precision: ConcretePrecision = precision
        self._device = next(model.parameters()).device
        self._objectives = {task.name: objective(task, config.tasks[task.name]) for task in tasks}
        self._generator = torch.Generator(self._device)
        self._teacher = _teacher(model, config.proximal)
        self._weighted = {task.name: self._weighting(task.name) for task in tasks}
        self._terms = {task.name: self._terms_of(task) for task in tasks}
        # Noise stability looks at every token of every layer. All passes of a step do then, for they have to draw the
        # same dropout masks.
        self._whole = config.noise_stability is not None

    def begin_epoch(self, seed: int) -> None:
        """The noise of an epoch is drawn apart from dropout, and is a function of `seed`."""
        self._generator.manual_seed(seed)

    def __call__(self, task: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """The task's own mean loss, and what is to be minimized; both scalars."""
        with autocast(self._precision, self._device):
            done = self._forward(task, batch)
        loss = self._objectives[task].batch_loss(done.logits, batch.labels)
        total = self._weighted[task](loss)
        for term in self._terms[task]:
            total = total + term(done)
        return loss.detach(), total

    def after_step(self) -> None:
        """To be called after each step of the optimizer."""
        if self._teacher is not None:
            self._teacher.update()

    def state(self) -> dict[str, Tensor]:
        """What has to be kept for training to go on in the same bits."""
        return {} if self._teacher is None else self._teacher.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes up what `state` gave."""
        if self._teacher is not None:
            self._teacher.load_state(state)

    def _forward(self, task: str, batch: Batch) -> Pass:
        model, replay = self._model, Replay(self._device)
        hidden = model.prefix(batch)
        replay_above = Replay(self._device)
        trajectory = model.trajectory(task, hidden, batch.packing, whole=self._whole)
        representation = model.represent(task, trajectory[-1], batch.packing)
        logits = model.read(task, representation)
        return Pass(task, batch, trajectory, representation, logits, replay, replay_above)

    def _weighting(self, task: str) -> Callable[[Tensor], Tensor]:
        if task not in self._model.log_variances:
            weight = self._model.config.tasks[task].weight
            return lambda loss: loss * weight
        log_variance, regression = self._model.log_variances[task], self._objectives[task].is_regression
        return lambda loss: uncertainty_weighted(loss, log_variance, regression=regression)

    def _terms_of(self, task: Task) -> list[Term]:
        config, terms = self._model.config, list[Term]()
        weight = config.tasks[task.name].ranking_weight
        if weight:
            terms.append(_ranking(task, weight))
        if config.smart is not None:
            terms.append(self._smart(config.smart, self._objectives[task.name]))
        if self._teacher is not None and config.proximal is not None:
            terms.append(self._proximal(config.proximal, self._teacher, self._objectives[task.name]))
        if config.noise_stability is not None:
            terms.append(self._noise_stability(config.noise_stability))
        return terms

    def _smart(self, config: SmartConfig, read_as: Objective) -> Term:
        def term(done: Pass) -> Tensor:
            def predict(hidden: Tensor) -> Tensor:
                with done.replay_above(), autocast(self._precision, self._device):
                    return self._model(done.task, done.batch, hidden, whole=self._whole)

            return config.weight * smart(
                predict,
                done.trajectory[0],
                done.logits,
                read_as.divergence,
                steps=config.steps,
                step_size=config.step_size,
                noise=config.noise,
                epsilon=config.epsilon,
                norm=config.norm,
                generator=self._generator,
            )

        return term

    def _proximal(self, config: ProximalConfig, teacher: Teacher, read_as: Objective) -> Term:
        def term(done: Pass) -> Tensor:
            # What is frozen below is the same for the teacher, and draws no random numbers.
            known = done.trajectory[0] if self._model.bert.prefix_is_frozen else None
            with torch.no_grad(), done.replay(), autocast(self._precision, self._device):
                taught = functional_call(
                    self._model, teacher.weights, (done.task, done.batch, known), {"whole": self._whole}
                )
            return config.weight * read_as.divergence(done.logits, taught)

        return term

    def _noise_stability(self, config: NoiseStabilityConfig) -> Term:
        def term(done: Pass) -> Tensor:
            def trajectory(hidden: Tensor) -> list[Tensor]:
                with done.replay_above(), autocast(self._precision, self._device):
                    return self._model.trajectory(done.task, hidden, done.batch.packing, whole=self._whole)[1:]

            return config.weight * noise_stability(
                trajectory,
                done.trajectory[0],
                done.trajectory[1:],
                noise=config.noise,
                generator=self._generator,
            )

        return term


def _ranking(task: Task, weight: float) -> Term:
    def term(done: Pass) -> Tensor:
        first, second = done.representation
        return weight * ranking_loss(first, second, together(task, done.batch.labels))

    return term


def _teacher(model: MultitaskBert, config: ProximalConfig | None) -> Teacher | None:
    if config is None:
        return None
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return Teacher(trained, config.momentum)
