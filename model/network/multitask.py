"""MultitaskBert: the one place where encoder, common layers and task heads are put together."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from model.config import HeadConfig, TaskConfig, TrialConfig
from model.data.batches import Batch
from model.data.tasks import Classes, Task
from model.network.bert import Bert, mean_pool
from model.network.heads import hidden_layers, output_layer, pair_features, pair_width
from model.network.pretrained import Encoder


class MultitaskBert(nn.Module):
    """One encoder, common layers, and a head for each task."""

    def __init__(self, config: TrialConfig, tasks: Iterable[Task], encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(
            encoder.shape,
            hidden_dropout=config.encoder.hidden_dropout,
            attention_dropout=config.encoder.attention_dropout,
            freeze_depth=config.encoder.freeze_depth,
        )
        encoder.load_into(self.bert)
        if config.encoder.pooling != "pooler":
            self.bert.pooler.requires_grad_(False)  # unused, hence neither trained, counted nor saved
        width, head = encoder.hidden_size, config.head
        self.common = hidden_layers(
            width,
            width,
            head.common_layers,
            activation=head.activation,
            layer_norm=head.layer_norm,
            dropout=head.dropout,
        )
        self.heads = nn.ModuleDict(
            {task.name: _task_head(task, config.tasks[task.name], head, width) for task in tasks}
        )

    def forward(self, task: str, batch: Batch) -> Tensor:
        """The task's logits for a batch of its examples, (B, outputs)."""
        part = self.config.tasks[task]
        hidden = self.bert(batch.ids, batch.segments, batch.mask)  # (R, T, C)
        pooled = self.bert.pool(hidden) if self.config.encoder.pooling == "pooler" else mean_pool(hidden, batch.mask)
        pooled = self.common(pooled)  # (R, C)
        if part.pair_encoding == "bi":
            first, second = pooled.chunk(2)
            pooled = pair_features(first, second, part.pair_features)  # (B, 2 to 4 times C)
        return self.heads[task](pooled)

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


def outputs_of(task: Task, config: TaskConfig) -> int:
    """The logits of a task's output layer: one a class, or one alone."""
    if isinstance(task.label, Classes):
        return task.label.count
    return 2 if config.loss == "cross_entropy" else 1


def _task_head(task: Task, config: TaskConfig, head: HeadConfig, width: int) -> nn.Sequential:
    input_width = width * (pair_width(config.pair_features) if config.pair_encoding == "bi" else 1)
    hidden = hidden_layers(
        input_width,
        width,
        config.task_layers - 1,
        activation=head.activation,
        layer_norm=head.layer_norm,
        dropout=head.dropout,
    )
    final_width = width if config.task_layers > 1 else input_width
    return nn.Sequential(*hidden, *output_layer(final_width, outputs_of(task, config), dropout=head.dropout))
