"""minBERT: the whole encoder in one file, to be read from top to bottom.

BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding (Devlin et al. 2019),
https://arxiv.org/abs/1810.04805, with the shapes and the arithmetic of Hugging Face's `BertModel`, whose weights it
takes (`model.network.pretrained`).

Shapes: B sequences, T tokens, C hidden size, H attention heads, D = C / H.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.shape import ActivationName, BertShape

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

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, mask)))
        feed_forward = self.output(self.activation(self.intermediate(hidden)))
        return self.output_norm(hidden + self.dropout(feed_forward))


class Bert(nn.Module):
    """The encoder. Its lowest `freeze_depth` layers, and with them the embeddings, are the frozen prefix: not trained,
    always in evaluation mode, so that what it computes for a sentence never changes."""

    def __init__(
        self, shape: BertShape, *, hidden_dropout: float = 0.0, attention_dropout: float = 0.0, freeze_depth: int = 0
    ) -> None:
        super().__init__()
        self.embeddings = Embeddings(shape, hidden_dropout)
        self.layers = nn.ModuleList(Layer(shape, hidden_dropout, attention_dropout) for _ in range(shape.num_layers))
        self.pooler = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.freeze_depth = freeze_depth
        self._prefix = (self.embeddings, *self.layers[:freeze_depth]) if freeze_depth else ()
        for module in self._prefix:
            module.requires_grad_(False)

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
        return self.suffix(self.prefix(ids, segments, mask), mask)

    def prefix(self, ids: Tensor, segments: Tensor, mask: Tensor | None) -> Tensor:
        """The input of the first layer that is trained, (B, T, C)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._prefix):
            hidden = self.embeddings(ids, segments)
            for layer in self.layers[: self.freeze_depth]:
                hidden = layer(hidden, mask)
        return hidden

    def suffix(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """From the prefix's output, (B, T, C), to the last layer's."""
        for layer in self.layers[self.freeze_depth :]:
            hidden = layer(hidden, mask)
        return hidden

    def pool(self, hidden: Tensor) -> Tensor:
        """BERT's pooler: dense and tanh on [CLS]. (B, T, C) to (B, C)."""
        return torch.tanh(self.pooler(hidden[:, 0]))


def mean_pool(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over each sequence's tokens, padding left out. (B, T, C) to (B, C). (Reimers and Gurevych 2019, 3)"""
    if mask is None:
        return hidden.mean(dim=1)
    weights = mask.unsqueeze(-1).to(hidden.dtype)  # (B, T, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
