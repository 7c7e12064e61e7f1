"""Adapters: small trained modules that are attached to the encoder's layers.

- Bottleneck: Parameter-Efficient Transfer Learning for NLP (Houlsby et al. 2019), https://arxiv.org/abs/1902.00751,
  section 2.1: x + W^D gelu(W^E x + b_E) + b_D. (Pandey and Narayan, 3.2 and 3.3)
- ProjectedAttention: BERT and PALs: Projected Attention Layers for Efficient Adaptation in Multi-Task Learning
  (Stickland and Murray 2019), https://arxiv.org/abs/1902.02671, equations 4 and 5: TS(h) = V^D g(V^E h) and
  h' = LN(h + SA(h) + TS(h)).
- UnitScales: Learning Hidden Unit Contributions for Unsupervised Speaker Adaptation of Neural Network Acoustic Models
  (Swietojanski and Renals 2014), https://doi.org/10.1109/SLT.2014.7078569: each unit times 2 sigmoid(r).

All of them start at, or very near, what the layer computes without them.

Shapes: R sequences, N tokens of all together, C hidden size, I intermediate size, S width of an adapter. Where the
layer computes each sequence's first token alone, N is R.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import BottleneckPlace
from model.network.bert import attend
from model.network.packing import Packing
from model.network.shape import BertShape


class Bottleneck(nn.Module):
    """Down to `size`, GELU, up again, and a skip connection: (N, `width`) to the same."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, size)
        self.up = nn.Linear(size, width)
        for linear in (self.down, self.up):
            _start_near_zero(linear)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(F.gelu(self.down(x)))


class Projections(nn.Module):
    """V^E and V^D, from the hidden size to that of the projected attention and back. All layers share them, which is
    what leaves the budget for attention. (Stickland and Murray 2019)"""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.encode = nn.Linear(width, size, bias=False)  # V^E
        self.decode = nn.Linear(size, width, bias=False)  # V^D
        _start_as_bert(self.encode)
        _start_near_zero(self.decode)  # hence TS is near 0


class ProjectedAttention(nn.Module):
    """TS(h) = V^D g(V^E h): multi-head attention g of a narrow width, without an output projection.

    Queries, keys and values are the layer's own; `projections` belong to whoever holds the layers.
    """

    def __init__(self, projections: Projections, num_heads: int) -> None:
        super().__init__()
        self._projections = (projections,)  # inside a tuple it is no submodule, and is saved with its owner only
        self.num_heads = num_heads
        size = projections.encode.out_features
        self.query = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(size, size, bias=False)
        self.value = nn.Linear(size, size, bias=False)
        for linear in (self.query, self.key, self.value):
            _start_as_bert(linear)

    def forward(self, hidden: Tensor, packing: Packing, *, first_only: bool = False) -> Tensor:
        """(N, C) to the same, or, with `first_only`, to that of each sequence's first token, (R, C)."""
        (projections,) = self._projections
        narrow = projections.encode(hidden)  # (N, S)
        query = self.query(packing.first(narrow) if first_only else narrow)
        key, value = self.key(narrow), self.value(narrow)
        return projections.decode(attend(query, key, value, packing, self.num_heads))


class UnitScales(nn.Module):
    """LHUC: a learned factor between 0 and 2 for each hidden unit, 1 at the start. (N, `units`) to the same."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(units))  # r, of which the factor is 2 sigmoid(r)

    def forward(self, units: Tensor) -> Tensor:
        return units * (2 * self.scale.sigmoid()).to(units.dtype)  # in half precision, half the memory


class LayerAdapter(nn.Module):
    """What is attached to one layer. The layer hands each method what it has at that place, and goes on with what it
    gets back: the same where that kind of adapter is absent."""

    def __init__(
        self,
        shape: BertShape,
        projections: Projections | None,
        *,
        bottleneck: BottleneckPlace | None,
        bottleneck_size: int,
        lhuc: bool,
    ) -> None:
        super().__init__()
        self.bottleneck_place = bottleneck
        self.bottleneck = None if bottleneck is None else Bottleneck(shape.hidden_size, bottleneck_size)
        self.projected_attention = None if projections is None else ProjectedAttention(projections, shape.num_heads)
        self.lhuc = UnitScales(shape.intermediate_size) if lhuc else None

    def on_units(self, units: Tensor) -> Tensor:
        """The feed-forward's hidden units, (N, I), after their activation."""
        return units if self.lhuc is None else self.lhuc(units)

    def on_feed_forward(self, feed_forward: Tensor) -> Tensor:
        """The feed-forward's output, (N, C), before its skip connection. (Pandey and Narayan, figure 1)"""
        return self._bottleneck_at("after_feed_forward", feed_forward)

    def on_skip(self, attended: Tensor, hidden: Tensor, packing: Packing) -> Tensor:
        """The skip connection around the feed-forward, (N, C): `attended`, the attention's output after its
        LayerNorm. TS stands beside all that the layer computes of its input, `hidden`, of which it reads all tokens
        also where `attended` is of the first ones alone."""
        if self.projected_attention is None:
            return attended
        first_only = len(attended) < len(hidden)
        return attended + self.projected_attention(hidden, packing, first_only=first_only)

    def on_output(self, output: Tensor) -> Tensor:
        """The layer's output, (N, C), after its LayerNorm. (Pandey and Narayan, figure 2)"""
        return self._bottleneck_at("after_layer_norm", output)

    def _bottleneck_at(self, place: BottleneckPlace, x: Tensor) -> Tensor:
        return x if self.bottleneck is None or self.bottleneck_place != place else self.bottleneck(x)


class Adapters(nn.Module):
    """The adapters of one encoder: of one task, or of all of them. `layers` are the numbers, from 0, of the encoder's
    layers that get one.

    `bottleneck` None, `pal_size` 0 and `lhuc` False each leave that kind out; `pal_size` is a multiple of the encoder's
    attention heads.
    """

    def __init__(
        self,
        shape: BertShape,
        layers: Iterable[int],
        *,
        bottleneck: BottleneckPlace | None,
        bottleneck_size: int,
        pal_size: int,
        lhuc: bool,
    ) -> None:
        super().__init__()
        self.projections = Projections(shape.hidden_size, pal_size) if pal_size else None
        self.layers = nn.ModuleDict(
            {
                str(layer): LayerAdapter(
                    shape, self.projections, bottleneck=bottleneck, bottleneck_size=bottleneck_size, lhuc=lhuc
                )
                for layer in layers
            }
        )

    def at(self, layer: int) -> LayerAdapter | None:
        """What is attached to that layer; None where nothing is."""
        return cast(LayerAdapter, self.layers[str(layer)]) if str(layer) in self.layers else None


def _start_near_zero(linear: nn.Linear) -> None:
    """Normal with standard deviation 1e-3, cut off at two of them. (Houlsby et al. 2019; Pandey and Narayan, 3.3)"""
    nn.init.trunc_normal_(linear.weight, std=1e-3, a=-2e-3, b=2e-3)  # a and b are values, not deviations


def _start_as_bert(linear: nn.Linear) -> None:
    """Normal with standard deviation 0.02. (Devlin et al. 2019's own code)"""
    nn.init.normal_(linear.weight, std=0.02)
