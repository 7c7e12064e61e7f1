"""train(): the only training loop there is. Search, refit and tests all call it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from model.config import TrialConfig
from model.data.batches import Plan, assemble, sequence_lengths
from model.data.tokens import Tokens
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder
from model.training import evaluate
from model.training.checkpoint import load_state, save_state
from model.training.losses import batch_loss
from model.training.optimizer import build_optimizer, set_step_size
from model.training.precision import ConcretePrecision, Precision, autocast, resolve_precision


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch of training came to."""

    number: int
    """From 1."""
    scores: dict[str, float]
    """Each task's own metric on dev, by task name."""
    overall: float
    """The mean of the metrics, each on 0 to 1."""
    losses: dict[str, float]
    """Mean training loss an example, before task weights, by task name."""
    examples: int
    """Training examples seen in this epoch."""
    train_seconds: float
    """Wall-clock time of the training steps."""
    seconds: float
    """Wall-clock time of training and evaluation."""
    trainable_parameters: int


class Diverged(Exception):
    """Training left the finite numbers; nothing that follows would mean anything."""

    def __init__(self, epoch: int, what: str) -> None:
        super().__init__(epoch, what)
        self.epoch = epoch
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} not finite in epoch {self.epoch}"


def train(
    config: TrialConfig,
    tokens: Tokens,
    encoder: Encoder,
    *,
    epochs: int,
    epoch_examples: int,
    seed: int,
    precision: Precision = "auto",
    device: torch.device | str = "cpu",
) -> Training:
    """Trains `config` from `encoder` on the `train` split of `tokens`, an epoch at each step of the iteration.

    `epochs` is the trial's full budget, which the linear schedule ends at; `epoch_examples` training examples make an
    epoch, whatever the task mix. On a CPU the same arguments and the same number of threads give the same bits.
    `config` must fit the tasks and the encoder (`model.problem.check`).
    """
    torch.manual_seed(_mixed(seed, 0))
    model = MultitaskBert(config, tokens.tasks, encoder).to(device)
    lengths = {
        task.name: sequence_lengths(
            tokens.splits[task.name]["train"], config.tasks[task.name].pair_encoding, tokens.max_length
        )
        for task in tokens.tasks
    }
    plan = Plan(lengths, config.optimization.task_mix, config.optimization.batch_size, epoch_examples, seed)
    return Training(
        model, tokens, plan, epochs=epochs, seed=seed, precision=resolve_precision(precision, torch.device(device))
    )


class Training(Iterator[Epoch]):
    """A trial being trained: an iterator of Epoch whose whole state can be saved and restored.

    Besides weights and optimizer the state is one number, the epochs done: data order, step sizes and random numbers
    are functions of the seed and the epoch. So a trial that was interrupted ends in the same bits, on a CPU, as one
    that was not.
    """

    def __init__(
        self, model: MultitaskBert, tokens: Tokens, plan: Plan, *, epochs: int, seed: int, precision: ConcretePrecision
    ) -> None:
        self.model = model
        self.epochs_done = 0
        self._tokens = tokens
        self._plan = plan
        self._epochs = epochs
        self._seed = seed
        self._device = next(model.parameters()).device
        self._precision: ConcretePrecision = precision
        self._optimizer = build_optimizer(model, model.config.optimization)
        # fp16 gradients underflow without a scale; with any other precision the scaler does nothing.
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._precision == "fp16")

    def __next__(self) -> Epoch:
        """Trains one epoch and evaluates it on dev. Raises Diverged where losses or predictions are not finite."""
        if self.epochs_done >= self._epochs:
            raise StopIteration
        number = self.epochs_done + 1
        start = time.perf_counter()
        losses = self._train_epoch(number)
        trained = time.perf_counter()
        predicted = evaluate.predict(self.model, self._tokens, "dev", self._precision)
        for what, values in (("loss", losses), ("prediction", predicted)):
            for task, value in values.items():
                if not np.isfinite(value).all():
                    raise Diverged(number, f"{task} {what}")
        scores = evaluate.scores(self._tokens, "dev", predicted)
        self.epochs_done = number
        return Epoch(
            number=number,
            scores=scores,
            overall=evaluate.overall(self._tokens.tasks, scores),
            losses=losses,
            examples=self._plan.epoch_examples,
            train_seconds=trained - start,
            seconds=time.perf_counter() - start,
            trainable_parameters=self.model.trainable_parameters(),
        )

    def save_model(self, folder: Path) -> None:
        """Writes the trained weights alone: with configuration and encoder, the model of this epoch."""
        save_state(folder, self.model.trainable_state(), {"epoch": self.epochs_done})

    def save(self, folder: Path) -> None:
        """Writes the whole state, for `restore`."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.trainable_state().items()}
        for index, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        save_state(folder, tensors, {"epoch": self.epochs_done, "scaler": self._scaler.state_dict()})

    def restore(self, folder: Path) -> None:
        """Takes up the state that `save` wrote, of a trial that was begun with the same arguments."""
        tensors, values = load_state(folder)
        model = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        self.model.load_trainable_state(model)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})
        self._scaler.load_state_dict(values["scaler"])
        self.epochs_done = values["epoch"]

    def _train_epoch(self, number: int) -> dict[str, float]:
        """Mean loss an example by task; losses stay on the device until the epoch's end, so that no step waits."""
        torch.manual_seed(_mixed(self._seed, number))
        self.model.train()
        steps = self._plan.epoch(number)
        sums, counts = ({task: torch.zeros((), device=self._device) for task in self._plan.lengths} for _ in range(2))
        first_step = self.epochs_done * len(steps)
        for step, (task, rows) in enumerate(steps):
            set_step_size(self._optimizer, self.model.config.optimization, first_step + step, len(steps), self._epochs)
            loss = self._step(task, rows)
            # In fp16 a batch may overflow: the scaler skips its step, and it does not count.
            counted = loss.isfinite() if self._scaler.is_enabled() else torch.ones_like(loss, dtype=torch.bool)
            sums[task] += torch.where(counted, loss, 0) * len(rows)
            counts[task] += counted * len(rows)
        shares = self._plan.examples_by_task()
        return {task: float(total / counts[task]) for task, total in sums.items() if shares[task]}

    def _step(self, task: str, rows: np.ndarray) -> torch.Tensor:
        """One optimizer step on one batch of one task. Its mean loss, a scalar."""
        part, optimization = self.model.config.tasks[task], self.model.config.optimization
        batch = assemble(self._tokens, self._tokens.splits[task]["train"], rows, part.pair_encoding)
        batch = batch.to(self._device)
        with autocast(self._precision, self._device):
            logits = self.model(task, batch)
        loss = batch_loss(part.loss, logits, batch.labels)
        self._scaler.scale(loss * part.weight).backward()
        if optimization.max_grad_norm is not None:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), optimization.max_grad_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.detach()


def _mixed(seed: int, epoch: int) -> int:
    """A seed of its own for each epoch of each trial."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
