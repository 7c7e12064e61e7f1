"""How far fine-tuning moved an encoder from what it was pretrained to: its weights, and what its layers say.

Before is the encoder as fine-tuning started from it, without the layers that were removed; what is left keeps the
number that it was pretrained with. A frozen layer has moved by exactly 0. Where each task has its own copy of the top
layers, their weights are taken together, and each task's outputs are those of its own copy. Adapters have no weights to
compare, but what they change is in the outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.winner.results import Drift
from model.data.batches import Batch, assemble, sequence_lengths
from model.data.tasks import Task
from model.data.tokens import Tokens
from model.network.bert import Bert
from model.network.layer_drop import remaining_layers
from model.network.multitask import Branch, MultitaskBert, without_removed_layers
from model.network.pretrained import Encoder
from model.training.evaluate import BATCH_SIZE

SAMPLE = 256
"""Examples of dev that each task's outputs are compared on."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "embeddings": ("word.", "position.", "segment."),
    "query": ("attention.query.",),
    "key": ("attention.key.",),
    "value": ("attention.value.",),
    "attention output": ("attention.output.",),
    "feed-forward in": ("intermediate.",),
    "feed-forward out": ("output.",),
    "LayerNorm": ("norm.", "attention_norm.", "output_norm."),
    "pooler": ("weight", "bias"),
}
"""The beginnings of a kind's names, weights and biases, inside the embeddings, a layer or the pooler."""


def drift(model: MultitaskBert, encoder: Encoder, tokens: Tokens) -> Drift:
    """How far `model` has moved from `encoder`, which it was built on, and whose tokenizer `tokens` were made with.
    Outputs are compared on dev, in fp32.

    Raises ValueError for a model with other layers, such as one that was read back after some had been removed."""
    removal = model.config.encoder
    started_from = without_removed_layers(removal, encoder)
    stacks = [_stack(model, task) for task in model.config.tasks]
    if len(stacks[0]) != started_from.num_layers + 2:
        raise ValueError("this model was not built on this encoder")
    before = Bert(started_from.shape).to(next(model.parameters()).device).eval()
    started_from.load_into(before)
    numbers = remaining_layers(encoder.num_layers, removal.removed_layers, removal.removal)
    return Drift(
        layers=["embeddings", *(f"layer {number + 1}" for number in numbers), "pooler"],
        weights=_weights(stacks, [before.embeddings, *before.layers, before.pooler]),
        outputs={task.name: _outputs(model, before, tokens, task) for task in tokens.tasks},
    )


def _stack(model: MultitaskBert, task: str) -> list[nn.Module]:
    """What a task's sentences go through, from the embeddings to the pooler."""
    bert = model.bert
    if not model.branches:
        return [bert.embeddings, *bert.layers, bert.pooler]
    own = cast(Branch, model.branches[task])
    return [bert.embeddings, *bert.layers, *own.layers, own.pooler]


def _weights(stacks: Sequence[Sequence[nn.Module]], before: Sequence[nn.Module]) -> dict[str, list[float | None]]:
    """By kind of weight, then from the bottom up; `stacks` are the tasks'."""
    places = [(old, list(dict.fromkeys(new))) for old, *new in zip(before, *stacks, strict=True)]
    return {kind: [_moved(old, copies, names) for old, copies in places] for kind, names in KINDS.items()}


def _moved(old: nn.Module, copies: Sequence[nn.Module], beginnings: tuple[str, ...]) -> float | None:
    """||after - before|| / ||before|| of the weights of one kind; None where there are none. Of several tasks' copies,
    all their weights make one vector."""
    weights = {name: weight for name, weight in old.named_parameters() if name.startswith(beginnings)}
    if not weights:
        return None
    squares = [_square(copy.get_parameter(name) - weight) for copy in copies for name, weight in weights.items()]
    return math.sqrt(math.fsum(squares) / (len(copies) * math.fsum(map(_square, weights.values()))))


def _square(weight: Tensor) -> float:
    return torch.linalg.vector_norm(weight.detach(), dtype=torch.float64).item() ** 2


@torch.no_grad()
def _outputs(model: MultitaskBert, before: Bert, tokens: Tokens, task: Task) -> list[float]:
    """1 - mean cosine between the token states before and after, of the embeddings and of each layer."""
    model.eval()
    examples, pairs = tokens.splits[task.name]["dev"], model.config.tasks[task.name].pair_encoding
    rows = np.random.default_rng(0).permutation(len(examples))[:SAMPLE]
    rows = rows[np.argsort(sequence_lengths(examples, pairs, tokens.max_length)[rows], kind="stable")]
    apart, count = np.zeros(len(before.layers) + 1), 0
    for at in range(0, len(rows), BATCH_SIZE):
        batch = assemble(tokens, examples, rows[at : at + BATCH_SIZE], pairs).to(next(model.parameters()).device)
        old = before.suffix(before.prefix(batch.ids, batch.segments, batch.packing), batch.packing)
        apart += [float(_apart(o, n).sum()) for o, n in zip(old, _states(model, task, batch), strict=True)]
        count += len(batch.ids)
    return (apart / count).tolist()


def _states(model: MultitaskBert, task: Task, batch: Batch) -> list[Tensor]:
    """What the embeddings and each layer say of every token, (N, C) each."""
    hidden = model.bert.embeddings(batch.ids, batch.segments, batch.packing)
    states, packing = [hidden], batch.packing
    wide = packing.widen(hidden)  # as the encoder itself does, so that equal weights give equal bits
    for layer in model.bert.layers[: model.bert.prefix_depth]:
        wide = layer(wide, packing)
        states.append(packing.narrow(wide))
    return states + model.trajectory(task.name, states[-1], packing, whole=True)[1:]


def _apart(u: Tensor, v: Tensor) -> Tensor:
    """1 - cosine, (N,) of (N, C), as half the squared distance of the vectors at length 1: exactly 0 for equal
    ones, and precise where they are close."""
    return (F.normalize(u, dim=-1) - F.normalize(v, dim=-1)).square().sum(dim=-1).double() / 2
