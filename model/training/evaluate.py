"""What a model says of whole splits, what that comes to as predictions, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from model.data.batches import sequence_lengths
from model.data.corpus import Split
from model.data.scores import score
from model.data.tasks import Binary, Classes, Number, Task
from model.data.tokens import Tokens
from model.network.multitask import MultitaskBert
from model.training.inputs import Assembled, Inputs, Wanted
from model.training.losses import BINARY_THRESHOLD, objective
from model.training.precision import ConcretePrecision, autocast

BATCH_SIZE = 128
"""Examples at once: no gradients are kept, so larger than a training batch, and sorted by length."""


TRAIN_SAMPLE = 256
"""Training examples of a task that are evaluated after an epoch: enough to see overfitting, at little cost."""


@torch.no_grad()
def outputs(
    model: MultitaskBert,
    tokens: Tokens,
    split: Split,
    precision: ConcretePrecision,
    rows: Mapping[str, np.ndarray] | None = None,
    on_batch: Callable[[], None] | None = None,
    inputs: Inputs | None = None,
) -> dict[str, np.ndarray]:
    """What `model` says of every task's examples of `split`, or those at `rows`, in their order; by task, float32.

    Probabilities of classes, (N, classes); the probability of the label 1, (N,); or numbers on the task's scale, (N,):
    see `Objective.outputs`. Not a number where the model's logits are not finite. `on_batch` is called after each
    batch. `inputs` are those of `tokens` that the model is trained with, where these know what frozen layers put out.
    On a CPU the same examples in the same order, and the same number of threads, give the same bits.
    """
    device = next(model.parameters()).device
    model.eval()
    inputs = inputs or Assembled(model.config, tokens)
    on_batch = on_batch or _nothing
    said = {}
    for task in tokens.tasks:
        part, examples = model.config.tasks[task.name], tokens.splits[task.name][split]
        read_as = objective(task, part)
        chosen = np.arange(len(examples)) if rows is None else rows[task.name]
        order = np.argsort(sequence_lengths(examples, part.pair_encoding, tokens.max_length)[chosen], kind="stable")
        both = part.pair_order == "both"
        turns = (False, True) if both and part.pair_encoding == "cross" else (False,)
        asked = [Wanted(task.name, chosen, np.full(len(chosen), turned)) for turned in turns]
        inputs.prepare(split, asked, on_batch)
        batches = []
        for at in range(0, len(order), BATCH_SIZE):
            batch_rows = chosen[order[at : at + BATCH_SIZE]]
            logits = []
            for turned in turns:
                batch = inputs.batch(task.name, split, batch_rows, np.full(len(batch_rows), turned)).to(device)
                with autocast(precision, device):
                    represented = model.encode(task.name, batch)
                    logits.append(model.read(task.name, represented).float())
                    if both and part.pair_encoding == "bi":  # which sentence comes first is for the head alone
                        logits.append(model.read(task.name, represented[::-1]).float())
            batches.append(read_as.outputs(torch.stack(logits).mean(dim=0)))
            on_batch()
        shape = (len(order), task.label.count) if isinstance(task.label, Classes) else (len(order),)
        said[task.name] = np.empty(shape, dtype=np.float32)
        if batches:
            said[task.name][order] = torch.cat(batches).cpu().numpy()
    return said


def _nothing() -> None:
    pass


def decide(task: Task, said: np.ndarray) -> np.ndarray:
    """What a task's outputs, as `outputs` or a mean of several models gives them, come to: class numbers, 0 or 1, or
    numbers on the task's scale, (N,) float32; not a number where an output is not finite."""
    finite = np.isfinite(said)
    match task.label:
        case Classes():
            decided, finite = said.argmax(axis=-1), finite.all(axis=-1)
        case Binary():
            decided = said > BINARY_THRESHOLD
        case Number():
            decided = said
    return np.where(finite, decided, np.nan).astype(np.float32)


def predict(
    model: MultitaskBert,
    tokens: Tokens,
    split: Split,
    precision: ConcretePrecision,
    rows: Mapping[str, np.ndarray] | None = None,
    on_batch: Callable[[], None] | None = None,
    inputs: Inputs | None = None,
) -> dict[str, np.ndarray]:
    """What `outputs` comes to, by task, (N,): see `decide`."""
    said = outputs(model, tokens, split, precision, rows, on_batch, inputs)
    return {task.name: decide(task, said[task.name]) for task in tokens.tasks}


def train_sample(tokens: Tokens) -> dict[str, np.ndarray]:
    """By task, the training examples that every trial is evaluated on after each epoch; always the same ones."""
    return {
        task.name: np.random.default_rng(0).permutation(len(tokens.splits[task.name]["train"]))[:TRAIN_SAMPLE]
        for task in tokens.tasks
    }


def scores(
    tokens: Tokens,
    split: Split,
    predicted: Mapping[str, np.ndarray],
    rows: Mapping[str, np.ndarray] | None = None,
) -> dict[str, float]:
    """Each task's own metric on `split`, or on its examples at `rows`, by task name."""
    found = {}
    for task in tokens.tasks:
        labels = tokens.splits[task.name][split].labels
        labels = labels if rows is None else labels[rows[task.name]]
        found[task.name] = score(task.metric, predicted[task.name], labels)
    return found


def clean_scores(tokens: Tokens, split: Split, predicted: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Each task's own metric on the examples of `split` that do not stand in train nor, of test, in dev, by task name.
    `predicted` is of all of them. A task of which every example does is left out."""
    found = {}
    for task in tokens.tasks:
        examples = tokens.splits[task.name][split]
        clean = ~examples.contaminated
        if clean.any():
            found[task.name] = score(task.metric, predicted[task.name][clean], examples.labels[clean])
    return found
