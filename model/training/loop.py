"""train(): the only training loop there is. Search, refit and tests all call it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.config import TrialConfig
from model.data.batches import Batch, Plan, Step, sequence_lengths
from model.data.corpus import Split
from model.data.scores import clean_overall, overall
from model.data.tokens import Tokens
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder
from model.training import evaluate
from model.training.averaging import EpochAverage
from model.training.checkpoint import load_newest, save_state
from model.training.gradients import Projected, Summed, clip
from model.training.inputs import Assembled, Inputs, Wanted
from model.training.optimizer import build_optimizer, set_step_size
from model.training.precision import ConcretePrecision, Precision, resolve_precision
from model.training.prefix_cache import CachedInputs, is_cacheable
from model.training.prefix_store import PrefixStore, Unavailable
from model.training.row_adamw import RowAdamW
from model.training.state import TrialState
from model.training.step_loss import StepLoss


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch of training came to."""

    number: int
    """From 1."""
    scores: dict[str, float]
    """Each task's own metric on dev, by task name."""
    overall: float
    """The mean of the metrics, each on 0 to 1."""
    clean_scores: dict[str, float]
    """As `scores`, without the dev examples that stand in train too; equal to them where there are none. A task of
    which every dev example stands in train is left out."""
    clean_overall: float | None
    """The mean of `clean_scores`, each on 0 to 1; None where a task is left out of them."""
    train_scores: dict[str, float]
    """Each task's own metric on some of its training examples, always the same ones: far above `scores`, the model has
    learned them by heart."""
    losses: dict[str, float]
    """Mean training loss an example, before task weights and regularizers, by task name."""
    examples: int
    """Training examples seen in this epoch."""
    train_seconds: float
    """Wall-clock time of the training steps."""
    seconds: float
    """Wall-clock time of training and evaluation, and of what had to be computed once before."""
    trainable_parameters: int
    note: str | None = None
    """Why it took longer than it should have, for people to read."""


@dataclass(frozen=True)
class Restored:
    """What `Training.restore` found beside the state."""

    values: dict[str, Any]
    """What `Training.save` was given."""
    passed_over: list[str]
    """What is damaged of each newer state, newest first; empty where nothing is."""


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
    micro_batches: int = 1,
    on_step: Callable[[], None] | None = None,
    store: PrefixStore | None = None,
) -> Training:
    """Trains `config` from `encoder` on the `train` split of `tokens`, an epoch at each step of the iteration.

    `epochs` is the trial's full budget, which schedules end at; `epoch_examples` training examples make an
    epoch, whatever the task mix. On a CPU the same arguments and the same number of threads give the same bits.
    `config` must fit the tasks and the encoder (`model.problem.check`).

    `micro_batches` cuts each batch into so many parts, which go through the model one after the other and make one
    step together: less memory for the same losses and gradients, up to rounding and random numbers. But for two terms
    that look at a batch as a whole, of which each part is one then: multiple negatives ranking finds a partner among
    fewer sentences, and noise stability's mean over tokens is one of each part. `on_step` is called after each
    optimizer step and each batch of an evaluation: a sign of life. What frozen layers put out is kept in `store` and
    read from there, rounded to `precision`: the bits may differ then by what the store holds already, and whether it
    has room. None: it is computed anew in each step.
    """
    torch.manual_seed(_mixed(seed, 0))
    model = MultitaskBert(config, tokens.tasks, encoder).to(device)
    lengths = {
        task.name: sequence_lengths(
            tokens.splits[task.name]["train"], config.tasks[task.name].pair_encoding, tokens.max_length
        )
        for task in tokens.tasks
    }
    optimization = config.optimization
    plan = Plan(
        lengths,
        optimization.task_mix,
        optimization.batch_size,
        epoch_examples,
        seed,
        epochs=epochs,
        tasks_per_step=optimization.tasks_per_step,
    )
    concrete = resolve_precision(precision, torch.device(device))
    inputs: Inputs = Assembled(config, tokens)
    if store is not None and is_cacheable(config):
        inputs = CachedInputs(model, tokens, encoder, concrete, store)
    return Training(
        model,
        tokens,
        plan,
        inputs,
        precision=concrete,
        micro_batches=micro_batches,
        on_step=on_step,
    )


class Training(Iterator[Epoch]):
    """A trial being trained: an iterator of Epoch whose whole state can be saved and restored.

    Besides weights, optimizer and the regularizers' own weights the state is one number, the epochs done: data order,
    step sizes and random numbers are functions of the seed and the epoch. So a trial that was interrupted ends in the
    same bits, on a CPU, as one that was not.
    """

    def __init__(
        self,
        model: MultitaskBert,
        tokens: Tokens,
        plan: Plan,
        inputs: Inputs,
        *,
        precision: ConcretePrecision,
        micro_batches: int,
        on_step: Callable[[], None] | None,
    ) -> None:
        self.model = model
        self.epochs_done = 0
        self._tokens = tokens
        self._plan = plan
        self._inputs = inputs
        self._at_hand: Inputs = inputs
        """What batches are read from: `inputs`, or, where these could not be made ready, tokens alone."""
        self._note: str | None = None
        self._train_sample = evaluate.train_sample(tokens)
        self._device = next(model.parameters()).device
        self._precision: ConcretePrecision = precision
        self._micro_batches = micro_batches
        self._on_step = on_step or (lambda: None)
        self._optimizer = build_optimizer(model, model.config.optimization)
        self._step_loss = StepLoss(model, tokens.tasks, precision)
        trained = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        self._gradients = (Projected if model.config.optimization.gradient_surgery else Summed)(trained)
        self._average = EpochAverage(model, model.config.optimization.averaged_epochs)
        self._state = TrialState(model, self._optimizer, self._step_loss, self._average)
        # fp16 gradients underflow without a scale; with any other precision the scaler does nothing.
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._precision == "fp16")

    def __next__(self) -> Epoch:
        """Trains one epoch and evaluates it on dev. Raises Diverged where losses or predictions are not finite."""
        if self.epochs_done >= self._plan.epochs:
            raise StopIteration
        number = self.epochs_done + 1
        begun = time.perf_counter()
        self._average.begin_epoch()
        steps = self._plan.epoch(number)
        swaps = {task: self._swaps(task, number) for task in self._plan.lengths}
        self._note = None
        self._prepare(steps, swaps)
        start = time.perf_counter()
        losses = self._train_epoch(number, steps, swaps)
        self._average.end_epoch()
        trained = time.perf_counter()
        predicted, sample = self._predict("dev"), self._train_sample
        learned = self._predict("train", sample)
        for what, values in (("loss", losses), ("prediction", predicted), ("prediction on train", learned)):
            for task, value in values.items():
                if not np.isfinite(value).all():
                    raise Diverged(number, f"{task} {what}")
        scores = evaluate.scores(self._tokens, "dev", predicted)
        clean = evaluate.clean_scores(self._tokens, "dev", predicted)
        self.epochs_done = number
        return Epoch(
            number=number,
            scores=scores,
            overall=overall(self._tokens.tasks, scores),
            clean_scores=clean,
            clean_overall=clean_overall(self._tokens.tasks, clean),
            train_scores=evaluate.scores(self._tokens, "train", learned, sample),
            losses=losses,
            examples=self._plan.epoch_examples,
            train_seconds=trained - start,
            seconds=time.perf_counter() - begun,
            trainable_parameters=self.model.trainable_parameters(),
            note=self._note,
        )

    def rehearse(self) -> None:
        """Takes a step on each task's longest examples, and predicts the longest of dev: what takes the most memory.
        The training is of no use after it."""
        self.model.train()
        longest = tuple(
            (task, np.argsort(lengths, kind="stable")[-self._plan.batch_size :])
            for task, lengths in self._plan.lengths.items()
        )
        together = self.model.config.optimization.tasks_per_step == "all"
        steps: list[Step] = [longest] if together else [(part,) for part in longest]
        swaps = {task: self._swaps(task, 1) for task in self._plan.lengths}
        self._step_loss.begin_epoch(0)
        self._prepare(steps, swaps)
        for parts in steps:
            self._step(parts, swaps, np.random.default_rng(0))
        rows = {}
        for task in self._tokens.tasks:
            pairs = self.model.config.tasks[task.name].pair_encoding
            lengths = sequence_lengths(self._tokens.splits[task.name]["dev"], pairs, self._tokens.max_length)
            rows[task.name] = np.argsort(lengths, kind="stable")[-evaluate.BATCH_SIZE :]
        self._predict("dev", rows)

    def steps_in(self, number: int) -> int:
        """Optimizer steps of epoch `number`, from 1."""
        return self._plan.steps_in(number)

    def save_model(self, folder: Path) -> None:
        """Writes the trained weights alone: with configuration and encoder, the model of this epoch."""
        save_state(folder, self.model.trainable_state(), {"epoch": self.epochs_done})

    def save(self, folder: Path, values: Mapping[str, Any] | None = None) -> None:
        """Writes the whole state and `values`, of JSON's kinds, for `restore`; the state before it is kept, too.

        Raises OSError where it can't be written: what was saved before is still there then.
        """
        own = {"epoch": self.epochs_done, "scaler": self._scaler.state_dict(), "values": dict(values or {})}
        save_state(folder, self._state.tensors(), own, keep_before=True)

    def restore(self, folder: Path) -> Restored:
        """Takes up the newest whole state that `save` wrote, of a trial that was begun with the same arguments.

        Where it raises, nothing is changed: FileNotFoundError where no state was saved, `checkpoint.Damaged` where none
        is whole, ValueError where its weights are of another configuration.
        """
        newest = load_newest(folder)
        self._state.load(newest.tensors, newest.values["epoch"])
        if newest.values["scaler"]:  # there is none where it was saved in another precision
            self._scaler.load_state_dict(newest.values["scaler"])
        self.epochs_done = newest.values["epoch"]
        return Restored(newest.values["values"], newest.passed_over)

    def _train_epoch(self, number: int, steps: list[Step], swaps: Mapping[str, np.ndarray | None]) -> dict[str, float]:
        """Mean loss an example by task; losses stay on the device until the epoch's end, so that no step waits."""
        torch.manual_seed(_mixed(self._plan.seed, number))
        self._step_loss.begin_epoch(_mixed(self._plan.seed, number, 1))
        surgery = np.random.default_rng([self._plan.seed, number, 2])
        self.model.train()
        sums, counts = ({task: torch.zeros((), device=self._device) for task in self._plan.lengths} for _ in range(2))
        total = self._plan.total_steps
        for step, parts in enumerate(steps, start=self._plan.first_step(number)):
            set_step_size(self._optimizer, self.model.config.optimization, step, total, number)
            self.model.layer_drop.progress = step / total
            for task, loss, examples in self._step(parts, swaps, surgery):
                # In fp16 a batch may overflow: the scaler skips its step, and it does not count.
                counted = loss.isfinite() if self._scaler.is_enabled() else torch.ones_like(loss, dtype=torch.bool)
                sums[task] += torch.where(counted, loss, 0) * examples
                counts[task] += counted * examples
            self._on_step()
        if isinstance(self._optimizer, RowAdamW):
            self._optimizer.settle()
        shares = self._plan.examples_by_task(number)
        return {task: float(summed / counts[task]) for task, summed in sums.items() if shares[task]}

    def _predict(self, split: Split, rows: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        def predicted(inputs: Inputs) -> dict[str, np.ndarray]:
            model, precision = self.model, self._precision
            return evaluate.predict(model, self._tokens, split, precision, rows, self._on_step, inputs)

        try:
            return predicted(self._inputs)
        except Unavailable as why:
            return predicted(self._without(why))

    def _prepare(self, steps: list[Step], swaps: Mapping[str, np.ndarray | None]) -> None:
        """Makes ready what the steps of an epoch read."""
        wanted = []
        for task, turned in swaps.items():
            rows = [rows for parts in steps for name, rows in parts if name == task]
            if rows:
                joined = np.concatenate(rows)
                wanted.append(Wanted(task, joined, None if turned is None else turned[joined]))
        try:
            self._inputs.prepare("train", wanted, self._on_step)
            self._at_hand = self._inputs
        except Unavailable as why:
            self._at_hand = self._without(why)

    def _without(self, why: Unavailable) -> Inputs:
        """What frozen layers put out is computed in each step then, until there is an epoch for which it is there."""
        self._note = f"frozen layers are computed anew in every step: {why}"
        return Assembled(self.model.config, self._tokens)

    def _step(
        self, parts: Step, swaps: Mapping[str, np.ndarray | None], surgery: np.random.Generator
    ) -> list[tuple[str, torch.Tensor, int]]:
        """One optimizer step, on a batch of each task in `parts`. Each micro-batch's task, mean loss and size."""
        done = []
        for task, rows in parts:
            # Backward one by one: the gradient of their sum, with the memory of one.
            for part in np.array_split(rows, min(self._micro_batches, len(rows))):
                batch = self._batch(task, part, swaps[task])
                if isinstance(self._optimizer, RowAdamW):
                    self._optimizer.catch_up(batch.ids)
                loss, minimized = self._step_loss(task, batch)
                if len(part) < len(rows):
                    minimized = minimized * (len(part) / len(rows))
                if minimized.requires_grad:  # not where every trained layer was skipped
                    self._scaler.scale(minimized).backward()
                done.append((task, loss, len(part)))
            self._gradients.after_backward()
        if self._gradients.combine(surgery):
            self._update()
        return done

    def _update(self) -> None:
        limit = self.model.config.optimization.max_grad_norm
        if limit is not None:
            self._scaler.unscale_(self._optimizer)
            clip(self.model.parameters(), limit)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._step_loss.after_step()
        self._optimizer.zero_grad(set_to_none=True)

    def _batch(self, task: str, rows: np.ndarray, swaps: np.ndarray | None) -> Batch:
        swapped = None if swaps is None else swaps[rows]
        return self._at_hand.batch(task, "train", rows, swapped).to(self._device)

    def _swaps(self, task: str, number: int) -> np.ndarray | None:
        """Which of the task's training pairs are turned round in this epoch; None: none ever."""
        return self._plan.swaps(task, number) if self.model.config.tasks[task].pair_order == "both" else None


def _mixed(*numbers: int) -> int:
    """A seed of its own for each purpose, of each epoch, of each trial."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
