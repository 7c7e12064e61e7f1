"""minBERT: the whole encoder in one file, to be read from top to bottom.

BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding (Devlin et al. 2019),
https://arxiv.org/abs/1810.04805, with the shapes and the arithmetic of Hugging Face's `BertModel`, whose weights it
takes (`model.network.pretrained`).

Shapes: B sequences, T tokens, C hidden size, H attention heads, D = C / H.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.shape import ActivationName, BertShape

if TYPE_CHECKING:
    from model.network.adapters import Adapters, LayerAdapter

ACTIVATIONS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": functools.partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": functools.partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}
"""By the name that `hidden_act` has in Hugging Face's config.json."""


class Embeddings(nn.Module):
    """Word, position and segment embeddings, summed and normalized."""

    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.word = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.position = nn.Embedding(shape.max_positions, shape.hidden_size)
        self.segment = nn.Embedding(shape.num_segments, shape.hidden_size)
        self.norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, segments: Tensor) -> Tensor:
        positions = self.position.weight[: ids.shape[1]]  # (T, C)
        return self.dropout(self.norm(self.word(ids) + self.segment(segments) + positions))  # (B, T, C)


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention over the tokens that are not padding."""

    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.query = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.key = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.value = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.output = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.dropout = dropout

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, T, D)

        context = F.scaled_dot_product_attention(
            heads(self.query(hidden)),
            heads(self.key(hidden)),
            heads(self.value(hidden)),
            attn_mask=None if mask is None else mask[:, None, None, :],  # (B, 1, 1, T): over the keys
            dropout_p=self.dropout if self.training else 0.0,
        )  # (B, H, T, D)
        return self.output(context.transpose(1, 2).flatten(2))  # (B, T, C)


class Layer(nn.Module):
    """One encoder layer: attention, then feed-forward, each with dropout, skip connection and LayerNorm after it."""

    def __init__(self, shape: BertShape, hidden_dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(shape, attention_dropout)
        self.attention_norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.intermediate = nn.Linear(shape.hidden_size, shape.intermediate_size)
        self.output = nn.Linear(shape.intermediate_size, shape.hidden_size)
        self.output_norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.dropout = nn.Dropout(hidden_dropout)
        self.activation = ACTIVATIONS[shape.activation]

    def forward(self, hidden: Tensor, mask: Tensor | None, adapter: LayerAdapter | None = None) -> Tensor:
        attended = self.attention_norm(hidden + self.dropout(self.attention(hidden, mask)))
        units = self.activation(self.intermediate(attended))  # (B, T, I)
        if adapter is None:
            return self.output_norm(attended + self.dropout(self.output(units)))
        feed_forward = adapter.on_feed_forward(self.dropout(self.output(adapter.on_units(units))))
        return adapter.on_output(self.output_norm(adapter.on_skip(attended, hidden, mask) + feed_forward))


class Bert(nn.Module):
    """The encoder. Its lowest `freeze_depth` layers, and with them the embeddings, are not trained.

    What lies below the first trainable parameter is the frozen prefix: always in evaluation mode, so that what it
    computes for a sentence never changes. It ends above `freeze_depth` layers, or, where adapters are trained inside
    frozen layers, above `prefix_depth` of them.
    """

    def __init__(
        self,
        shape: BertShape,
        *,
        hidden_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        freeze_depth: int = 0,
        prefix_depth: int | None = None,
    ) -> None:
        super().__init__()
        self.embeddings = Embeddings(shape, hidden_dropout)
        self.layers = nn.ModuleList(Layer(shape, hidden_dropout, attention_dropout) for _ in range(shape.num_layers))
        self.pooler = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.prefix_depth = freeze_depth if prefix_depth is None else prefix_depth
        self._prefix = (self.embeddings, *self.layers[: self.prefix_depth]) if freeze_depth else ()
        if freeze_depth:
            for module in (self.embeddings, *self.layers[:freeze_depth]):
                module.requires_grad_(False)
        self.train()

    @property
    def prefix_is_frozen(self) -> bool:
        """False where even the embeddings are trained."""
        return bool(self._prefix)

    def train(self, mode: bool = True) -> Bert:
        super().train(mode)
        for module in self._prefix:
            module.eval()
        return self

    def forward(self, ids: Tensor, segments: Tensor, mask: Tensor | None) -> Tensor:
        """The last layer's output, (B, T, C).

        `ids` and `segments` are (B, T) whole numbers; `mask` is (B, T), True where there is a token, or None where no
        sequence is padded.
        """
        return self.suffix(self.prefix(ids, segments, mask), mask)[-1]

    def prefix(self, ids: Tensor, segments: Tensor, mask: Tensor | None) -> Tensor:
        """The input of the first layer that is trained, (B, T, C)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._prefix):
            hidden = self.embeddings(ids, segments)
            for layer in self.layers[: self.prefix_depth]:
                hidden = layer(hidden, mask)
        return hidden

    def suffix(
        self,
        hidden: Tensor,
        mask: Tensor | None,
        *,
        branch: Iterable[nn.Module] = (),
        adapters: Adapters | None = None,
        skipped: Collection[int] = (),
    ) -> list[Tensor]:
        """The prefix's output, (B, T, C), and after it the output of each layer above, the last layer's last.

        `branch` goes on where the encoder's own layers end. Layers in `skipped`, by number from 0 at the bottom, hand
        on what they read.
        """
        outputs = [hidden]
        for number, layer in enumerate((*self.layers[self.prefix_depth :], *branch), start=self.prefix_depth):
            if number not in skipped:
                hidden = layer(hidden, mask, None if adapters is None else adapters.at(number))
            outputs.append(hidden)
        return outputs


def pool(pooler: nn.Module, hidden: Tensor) -> Tensor:
    """BERT's pooler: dense and tanh on [CLS]. (B, T, C) to (B, C)."""
    return torch.tanh(pooler(hidden[:, 0]))


def mean_pool(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over each sequence's tokens, padding left out. (B, T, C) to (B, C). (Reimers and Gurevych 2019, 3)"""
    if mask is None:
        return hidden.mean(dim=1)
    weights = mask.unsqueeze(-1).to(hidden.dtype)  # (B, T, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
