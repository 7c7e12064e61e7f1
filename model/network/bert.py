"""minBERT: the whole encoder in one file, to be read from top to bottom.

BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding (Devlin et al. 2019),
https://arxiv.org/abs/1810.04805, with the shapes and the arithmetic of Hugging Face's `BertModel`, whose weights it
takes (`model.network.pretrained`).

The sequences of a batch lie one after the other, without padding (`model.network.packing`).

Shapes: R sequences, T tokens of the longest, N tokens of all together, inside the encoder a few idle ones among them, C
hidden size, H attention heads, D = C / H.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.dropout import Dropout, dropout
from model.network.packing import Packing
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
        self.dropout = Dropout(dropout)

    def forward(self, ids: Tensor, segments: Tensor, packing: Packing) -> Tensor:
        summed = self.word(ids) + self.segment(segments) + self.position(packing.positions)
        return self.dropout(self.norm(summed))  # (N, C)


SHORT = 128
"""Tokens up to which the scores of all heads, (R, H, T, T), are quicker made on a CPU than gone around."""


def attend(query: Tensor, key: Tensor, value: Tensor, packing: Packing, num_heads: int, p: float = 0.0) -> Tensor:
    """Multi-head scaled dot-product attention of tokens to all those of their own sequence, with dropout `p` of the
    weights: (N, C), or, where `query` is of each sequence's first token alone, (R, C). `key` and `value` are (N, C)."""
    of_all = len(query) == len(key)
    q = packing.heads(query, num_heads) if of_all else query.unflatten(-1, (num_heads, 1, -1))  # (R, H, T or 1, D)
    k, v = packing.heads(key, num_heads), packing.heads(value, num_heads)
    mask = None if packing.mask is None else packing.mask[:, None, None, :]  # (R, 1, 1, T): over the keys
    if query.device.type == "cpu" and (p or packing.longest <= SHORT):
        context = _attend_on_cpu(q, k, v, mask, p)
    else:
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p)
    return packing.pack(context, len(query)) if of_all else context.flatten(1)


def _attend_on_cpu(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float) -> Tensor:
    """As `F.scaled_dot_product_attention`, which takes several times as long for short sequences, above all with
    dropout and in bf16: the softmax is in fp32, the products are in what autocast says."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (R, H, T, T)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if mask is not None:
        scores = scores + torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(~mask, -torch.inf)
    return dropout(scores.softmax(dim=-1).to(v.dtype), p) @ v  # (R, H, T, D)


class SelfAttention(nn.Module):
    """Multi-head attention, and the output projection."""

    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.query = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.key = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.value = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.output = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.dropout = dropout

    def forward(self, hidden: Tensor, asking: Tensor, packing: Packing) -> Tensor:
        """What the tokens `asking`, which are those of `hidden`, (N, C), or the first ones, (R, C), hear from all."""
        query, key, value = self.query(asking), self.key(hidden), self.value(hidden)
        return self.output(attend(query, key, value, packing, self.num_heads, self.dropout if self.training else 0.0))


class Layer(nn.Module):
    """One encoder layer: attention, then feed-forward, each with dropout, skip connection and LayerNorm after it."""

    def __init__(self, shape: BertShape, hidden_dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(shape, attention_dropout)
        self.attention_norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.intermediate = nn.Linear(shape.hidden_size, shape.intermediate_size)
        self.output = nn.Linear(shape.intermediate_size, shape.hidden_size)
        self.output_norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.dropout = Dropout(hidden_dropout)
        self.activation = ACTIVATIONS[shape.activation]

    def forward(
        self, hidden: Tensor, packing: Packing, adapter: LayerAdapter | None = None, *, first_only: bool = False
    ) -> Tensor:
        """(N, C) to the same; with `first_only` to each sequence's first token, (R, C), which is all that is computed
        then, but for the keys and values of the others."""
        asking = packing.first(hidden) if first_only else hidden
        attended = self.attention_norm(asking + self.dropout(self.attention(hidden, asking, packing)))
        units = self.activation(self.intermediate(attended))
        if adapter is None:
            return self.output_norm(attended + self.dropout(self.output(units)))
        feed_forward = adapter.on_feed_forward(self.dropout(self.output(adapter.on_units(units))))
        return adapter.on_output(self.output_norm(adapter.on_skip(attended, hidden, packing) + feed_forward))


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

    def forward(self, ids: Tensor, segments: Tensor, packing: Packing) -> Tensor:
        """The last layer's output, (N, C), of `ids` and `segments`, (N,) whole numbers."""
        return self.suffix(self.prefix(ids, segments, packing), packing)[-1]

    def prefix(self, ids: Tensor, segments: Tensor, packing: Packing) -> Tensor:
        """The input of the first layer that is trained, (N, C)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._prefix):
            hidden = self.embeddings(ids, segments, packing)
            if not self.prefix_depth:
                return hidden
            hidden = packing.widen(hidden)
            for layer in self.layers[: self.prefix_depth]:
                hidden = layer(hidden, packing)
            return packing.narrow(hidden)

    def suffix(
        self,
        hidden: Tensor,
        packing: Packing,
        *,
        branch: Iterable[nn.Module] = (),
        adapters: Adapters | None = None,
        skipped: Collection[int] = (),
        first_only: bool = False,
    ) -> list[Tensor]:
        """The prefix's output, (N, C), and after it the output of each layer above, the last layer's last.

        `branch` goes on where the encoder's own layers end. Layers in `skipped`, by number from 0 at the bottom, hand
        on what they read. With `first_only` the last layer's output is that of each sequence's first token, (R, C).
        """
        outputs, layers = [hidden], (*self.layers[self.prefix_depth :], *branch)
        hidden = packing.widen(hidden)
        for number, layer in enumerate(layers, start=self.prefix_depth):
            if number not in skipped:
                only = first_only and len(outputs) == len(layers)
                hidden = layer(hidden, packing, None if adapters is None else adapters.at(number), first_only=only)
            outputs.append(packing.narrow(hidden))
        return outputs


def pool(pooler: nn.Module, first: Tensor) -> Tensor:
    """BERT's pooler: dense and tanh on [CLS], (R, C) to the same."""
    return torch.tanh(pooler(first))
