"""Layers skipped by chance while training, and layers removed for good before it.

Skipped: Using Stochastic Layer Dropping as a Regularization Tool (Jetty, 4.3), one probability for all layers; growing
with depth as in Deep Networks with Stochastic Depth (Huang et al. 2016, https://arxiv.org/abs/1603.09382, equation 4);
growing with time as well as in Accelerating Training of Transformer-Based Language Models with Progressive Layer
Dropping (Zhang and He 2020, https://arxiv.org/abs/2010.13369, section 4.2). What a skipped layer would have read goes
to the next one as it is, for the whole batch; in evaluation no layer is skipped and nothing is scaled, since the
LayerNorm at a layer's end keeps its output in scale.

Removed: On the effect of dropping layers of pre-trained transformer models (Sajjad et al. 2023,
https://arxiv.org/abs/2004.03844, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from model.config import LayerDropGrowth, Removal

RISE = 100.0
"""How fast the probability grows with time: 1 - exp(-RISE * share of the training done). Zhang and He's gamma is 100
over the number of steps."""


class LayerDrop:
    """Draws the layers to skip in a training step."""

    def __init__(self, probability: float, growth: LayerDropGrowth, num_layers: int) -> None:
        self.probability = probability
        self.progress = 0.0
        """Share of the whole training that is done, 0 to 1; for the training loop to set."""
        self._factor = _FACTORS[growth]
        self._num_layers = num_layers

    def probability_at(self, layer: int) -> float:
        """Of skipping `layer` (from 0) now."""
        return self.probability * self._factor((layer + 1) / self._num_layers, self.progress)

    def draw(self, first: int) -> frozenset[int]:
        """Layers to skip, of those from `first` up. One random number for each, from torch's generator of the CPU; none
        where nothing is ever skipped."""
        if self.probability == 0:
            return frozenset()
        tosses = torch.rand(self._num_layers - first).tolist()
        return frozenset(i for i, toss in enumerate(tosses, start=first) if toss < self.probability_at(i))


_FACTORS: dict[LayerDropGrowth, Callable[[float, float], float]] = {
    "uniform": lambda depth, progress: 1.0,
    "depth": lambda depth, progress: depth,
    "time": lambda depth, progress: depth * (1 - math.exp(-RISE * progress)),
}
"""What the probability is multiplied by at a depth above 0 up to 1, after a share of the training."""


def remaining_layers(num_layers: int, removed: int, removal: Removal) -> list[int]:
    """The numbers (from 0) of the layers that stay where `removed` of `num_layers` are taken out."""
    match removal:
        case "top":
            out = range(num_layers - removed, num_layers)
        case "alternate":  # 11, 9, 7, ... of 12 counted from 1: the top layer stays
            out = range(num_layers - 2, num_layers - 2 - 2 * removed, -2)
        case "symmetric":  # as many stay at the top as at the bottom, or one more there
            start = (num_layers - removed + 1) // 2
            out = range(start, start + removed)
        case "bottom":
            out = range(removed)
    return [layer for layer in range(num_layers) if layer not in out]
