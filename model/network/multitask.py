"""MultitaskBert: the one place where encoder, branches, adapters, common layers, task heads and the sharing graph are
put together.

Shapes: B examples; R sequences, B of them or, for bi-encoded pairs, 2 B, first sentences first; N tokens of all
sequences together; C hidden size of the encoder; W width of the representation, C unless the common layers have
another.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from model.config import EdgeConfig, EncoderConfig, HeadConfig, TaskConfig, TrialConfig
from model.data.batches import Batch
from model.data.tasks import Classes, Task
from model.network.adapters import Adapters
from model.network.bert import Bert, pool
from model.network.heads import HeadOutput, TaskHead, cosine, hidden_layers, pair_features, pair_width
from model.network.layer_drop import LayerDrop, remaining_layers
from model.network.packing import Packing
from model.network.pretrained import Encoder
from model.network.shape import BertShape
from model.network.sharing import fusion, scale_gradient

SHARED = "shared"
"""In place of a task's name: what all tasks share."""

Representation = tuple[Tensor, ...]
"""What stands for each example of a batch: one vector, or those of its two sentences where these are bi-encoded.
(B, W) each."""


class MultitaskBert(nn.Module):
    """One encoder, and a head for each task."""

    def __init__(self, config: TrialConfig, tasks: Iterable[Task], encoder: Encoder) -> None:
        super().__init__()
        tasks = tuple(tasks)
        encoder = without_removed_layers(config.encoder, encoder)
        self.config = config
        self.tasks = tasks
        self.bert = _build_bert(config.encoder, encoder)
        width, head = encoder.hidden_size, config.head
        self.pooled_norm = nn.LayerNorm(width, eps=1e-12) if head.pooled_layer_norm else nn.Identity()
        self.common = hidden_layers(
            width,
            head.width or width,
            head.common_layers,
            activation=head.activation,
            layer_norm=head.layer_norm,
            dropout=head.dropout,
        )
        self._outputs = {task.name: outputs_of(task, config.tasks[task.name]) for task in tasks}
        self._cosine_scales = {task.name: task.cosine_scale for task in tasks}
        representation = (head.width or width) if head.common_layers else width
        self.heads, self.fusions = _build_heads(config, tasks, self._outputs, representation, head.width or width)
        self.branches = _build_branches(self.bert, config.encoder, tasks)
        self.adapters = _build_adapters(config.encoder, tasks, encoder.shape)
        self.log_variances = nn.ParameterDict(
            {task.name: torch.zeros(()) for task in tasks}
            if config.optimization.task_weighting == "uncertainty"
            else {}
        )
        """By task, the logarithm of its learned uncertainty; of use in training alone. (Kendall et al. 2018)"""
        self.layer_drop = LayerDrop(config.encoder.layer_drop, config.encoder.layer_drop_growth, encoder.num_layers)

    def forward(self, task: str, batch: Batch, prefix: Tensor | None = None, *, whole: bool = False) -> Tensor:
        """The task's logits for a batch of its examples, (B, outputs). `prefix`: what `self.prefix` gives for it, where
        that is known. `whole`: see `trajectory`; the same logits, but for their random numbers in training."""
        return self.read(task, self.encode(task, batch, prefix, whole=whole))

    def encode(self, task: str, batch: Batch, prefix: Tensor | None = None, *, whole: bool = False) -> Representation:
        """What stands for each example of a batch; see `forward`."""
        hidden = self.prefix(batch) if prefix is None else prefix
        return self.represent(task, self.trajectory(task, hidden, batch.packing, whole=whole)[-1], batch.packing)

    def prefix(self, batch: Batch) -> Tensor:
        """The input of the first trainable layer, (N, C): the same for all tasks."""
        if batch.prefix is not None:
            return batch.prefix
        return self.bert.prefix(batch.ids, batch.segments, batch.packing)

    def trajectory(self, task: str, hidden: Tensor, packing: Packing, *, whole: bool = False) -> list[Tensor]:
        """From the prefix's output: itself, and the output of each layer above it as `task` sees them, (N, C). Of the
        last layer's no more than pooling reads, which may be (R, C), unless it is to be `whole`."""
        branch = self._branch(task)
        return self.bert.suffix(
            hidden,
            packing,
            branch=() if branch is None else branch.layers,
            adapters=self._adapters(task),
            skipped=self.layer_drop.draw(self.bert.prefix_depth) if self.training else (),
            first_only=self.config.encoder.pooling == "pooler" and not whole,
        )

    def represent(self, task: str, hidden: Tensor, packing: Packing) -> Representation:
        """From the last layer's output, (N, C), or (R, C) where pooling reads no more."""
        if self.config.encoder.pooling == "pooler":
            branch = self._branch(task)
            pooled = pool(self.bert.pooler if branch is None else branch.pooler, packing.first(hidden))
        else:
            pooled = packing.mean(hidden)
        vectors: Tensor = self.common(self.pooled_norm(pooled))  # (R, W)
        return vectors.chunk(2) if self.config.tasks[task].pair_encoding == "bi" else (vectors,)

    def read(self, task: str, representation: Representation) -> Tensor:
        """The logits of `task`'s head for a representation of any task's examples, (B, outputs)."""
        return self._read(task, representation).logits

    def _read(self, task: str, representation: Representation) -> HeadOutput:
        part, scale = self.config.tasks[task], self._cosine_scales[task]
        if part.cosine == "alone":
            first, second = representation
            similarity = cosine(first, second, scale)
            return HeadOutput(similarity, similarity)
        if len(representation) == 2:
            features = pair_features(*representation, part.pair_features)
        else:
            (features,) = representation
        if task in self.fusions:
            features = self.fusions[task](features, self._signals(task, representation))
        output = self.heads[task](features)
        if part.cosine == "added":
            first, second = representation
            output = output._replace(logits=output.logits + cosine(first, second, scale))
        return output

    def _signals(self, task: str, representation: Representation) -> list[Tensor]:
        """What the heads upstream of `task` say of the examples that `representation` stands for. (Grudzinski, 4)"""
        signals = []
        for edge in upstream_edges(self.config, task):
            # A head of bi-encoded pairs reads both sentences at once; any other one reads each vector by itself.
            reads_both = self.config.tasks[edge.upstream].pair_encoding == "bi"
            readings = [representation] if reads_both else [(vector,) for vector in representation]
            with torch.set_grad_enabled(torch.is_grad_enabled() and edge.gradient_scale > 0):
                outputs = [self._read(edge.upstream, reading) for reading in readings]
            signals += [scale_gradient(getattr(output, edge.signal), edge.gradient_scale) for output in outputs]
        return signals

    def _branch(self, task: str) -> Branch | None:
        return cast(Branch, self.branches[task]) if self.branches else None

    def _adapters(self, task: str) -> Adapters | None:
        if not self.adapters:
            return None
        return cast(Adapters, self.adapters[task if task in self.adapters else SHARED])

    def trainable_state(self) -> dict[str, Tensor]:
        """The weights that training changes, by name: with the encoder they started from, the whole model."""
        return {name: parameter.detach() for name, parameter in self.named_parameters() if parameter.requires_grad}

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """The inverse of `trainable_state`. Raises ValueError where the names differ."""
        expected = self.trainable_state().keys()
        if state.keys() != expected:
            difference = sorted(state.keys() ^ expected)
            raise ValueError(f"these weights belong to another configuration: {difference[0]!r} is in one of them only")
        for name, tensor in self.trainable_state().items():
            if state[name].shape != tensor.shape:
                shapes = f"{tuple(state[name].shape)}, not {tuple(tensor.shape)}"
                raise ValueError(f"these weights belong to another configuration: {name!r} has shape {shapes}")
        self.load_state_dict(state, strict=False)

    def trainable_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


class Branch(nn.Module):
    """One task's own copy of the encoder's top: layers, and the pooler."""

    def __init__(self, layers: nn.ModuleList, pooler: nn.Linear) -> None:
        super().__init__()
        self.layers = layers
        self.pooler = pooler


def outputs_of(task: Task, config: TaskConfig) -> int:
    """The logits of a task's output layer: one a class, or one alone."""
    if isinstance(task.label, Classes):
        return task.label.count
    return 2 if config.loss == "cross_entropy" else 1


def upstream_edges(config: TrialConfig, task: str) -> list[EdgeConfig]:
    """The edges of the sharing graph that lead to `task`."""
    return [edge for edge in config.sharing.edges if edge.downstream == task] if config.sharing else []


def without_removed_layers(config: EncoderConfig, encoder: Encoder) -> Encoder:
    """`encoder` as fine-tuning starts from it."""
    if config.removed_layers == 0:
        return encoder
    return encoder.keeping(remaining_layers(encoder.num_layers, config.removed_layers, config.removal))


def _build_bert(config: EncoderConfig, encoder: Encoder) -> Bert:
    with torch.device("meta"):  # random weights take longer to draw than the encoder's to copy
        bert = Bert(
            encoder.shape,
            hidden_dropout=config.hidden_dropout,
            attention_dropout=config.attention_dropout,
            freeze_depth=config.freeze_depth,
            prefix_depth=config.prefix_depth,
        )
    encoder.load_into(bert)
    if config.pooling != "pooler":
        bert.pooler.requires_grad_(False)  # unused, hence neither trained, counted nor saved
    return bert


def _build_branches(bert: Bert, config: EncoderConfig, tasks: Iterable[Task]) -> nn.ModuleDict:
    """Moves the top layers of `bert` into a branch for each task, all equal at the start."""
    if config.branch_layers == 0:
        return nn.ModuleDict()
    shared = len(bert.layers) - config.branch_layers
    top = Branch(nn.ModuleList(bert.layers[shared:]), bert.pooler)
    branches = nn.ModuleDict({task.name: copy.deepcopy(top) for task in tasks})
    del bert.layers[shared:]
    bert.pooler.requires_grad_(False)
    return branches


def _build_adapters(config: EncoderConfig, tasks: Iterable[Task], shape: BertShape) -> nn.ModuleDict:
    adapter = config.adapter
    if adapter is None:
        return nn.ModuleDict()
    lowest = 0 if adapter.layers == "all" else config.freeze_depth
    return nn.ModuleDict(
        {
            name: Adapters(
                shape,
                range(lowest, shape.num_layers),
                bottleneck=adapter.bottleneck,
                bottleneck_size=adapter.bottleneck_size,
                pal_size=adapter.pal_size,
                lhuc=adapter.lhuc,
            )
            for name in ([task.name for task in tasks] if adapter.per_task else [SHARED])
        }
    )


def _build_heads(
    config: TrialConfig, tasks: Iterable[Task], outputs: dict[str, int], representation: int, width: int
) -> tuple[nn.ModuleDict, nn.ModuleDict]:
    """Heads, and what takes in the signals from upstream, both by the name of each task that has them.

    `representation` is the width of what they read, `width` that of their hidden layers.
    """
    heads, fusions = nn.ModuleDict(), nn.ModuleDict()
    for task in tasks:
        part = config.tasks[task.name]
        if part.cosine == "alone":
            continue
        bi_encoded = part.pair_encoding == "bi"
        input_width = representation * (pair_width(part.pair_features) if bi_encoded else 1)
        edges = upstream_edges(config, task.name)
        if edges:
            assert config.sharing is not None, "it has edges"
            signals = []
            for edge in edges:
                reads_both = config.tasks[edge.upstream].pair_encoding == "bi"
                signal = outputs[edge.upstream] if edge.signal == "logits" else width
                signals += [signal] * (2 if bi_encoded and not reads_both else 1)
            fusions[task.name] = fused = fusion(config.sharing.fusion, input_width, signals)
            input_width = fused.width
        heads[task.name] = _build_head(part, config.head, input_width, width, outputs[task.name])
    return heads, fusions


def _build_head(part: TaskConfig, head: HeadConfig, input_width: int, width: int, outputs: int) -> TaskHead:
    dropout = head.dropout if part.dropout is None else part.dropout
    hidden = hidden_layers(
        input_width,
        width,
        part.task_layers - 1,
        activation=part.activation or head.activation,
        layer_norm=head.layer_norm,
        dropout=dropout,
    )
    hidden_width = width if part.task_layers > 1 else input_width
    return TaskHead(hidden, hidden_width, outputs, dropout=dropout, output_dropout=head.output_dropout)
