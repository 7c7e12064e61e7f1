"""From the pooled encoder output to a task's predictions.

Shapes: B examples, W width of the pooled output.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import Activation, PairFeatures
from model.network.dropout import Dropout

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


def hidden_layers(
    input_width: int, width: int, count: int, *, activation: Activation, layer_norm: bool, dropout: float
) -> nn.Sequential:
    """`count` layers of dropout, linear, LayerNorm (Naeem, 4) and activation: (B, `input_width`) to (B, `width`)."""
    modules: list[nn.Module] = []
    for i in range(count):
        modules += [Dropout(dropout), dense(width if i else input_width, width)]
        if layer_norm:
            modules.append(nn.LayerNorm(width))
        modules.append(ACTIVATIONS[activation]())
    return nn.Sequential(*modules)


class HeadOutput(NamedTuple):
    """What a head says."""

    logits: Tensor
    """(B, outputs)"""
    hidden: Tensor
    """What its output layer reads: (B, width of its last hidden layer)."""


class TaskHead(nn.Module):
    """A task's own hidden layers and output layer: dropout, linear, and dropout of logits (Grudzinski, 4)."""

    def __init__(
        self, hidden: nn.Sequential, hidden_width: int, outputs: int, *, dropout: float, output_dropout: float
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.output = nn.Sequential(Dropout(dropout), dense(hidden_width, outputs), nn.Dropout(output_dropout))

    def forward(self, features: Tensor) -> HeadOutput:
        hidden = self.hidden(features)
        return HeadOutput(self.output(hidden), hidden)


def pair_features(u: Tensor, v: Tensor, features: PairFeatures) -> Tensor:
    """What a bi-encoded pair hands to its head: (B, W) twice to (B, `pair_width` times W).

    (Reimers and Gurevych 2019, table 6)
    """
    match features:
        case "concat":
            return torch.cat((u, v), dim=-1)
        case "difference":
            return torch.cat((u, v, (u - v).abs()), dim=-1)
        case "product":
            return torch.cat((u, v, (u - v).abs(), u * v), dim=-1)


def pair_width(features: PairFeatures) -> int:
    """How many times the width of one sentence `pair_features` returns."""
    return {"concat": 2, "difference": 3, "product": 4}[features]


def cosine(u: Tensor, v: Tensor, scale: float) -> Tensor:
    """`scale` times the cosine of u and v, (B, W) each: (B, 1), in fp32. (Naeem, 4)"""
    return scale * F.cosine_similarity(u.float(), v.float(), dim=-1).unsqueeze(-1)


def dense(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Initialized as BERT's own dense layers are (Devlin et al. 2019): normal with standard deviation 0.02, bias 0."""
    linear = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(linear.weight, std=0.02)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear
