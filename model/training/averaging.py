"""The mean of the weights at the ends of the last epochs.

Averaging Weights Leads to Wider Optima and Better Generalization (Izmailov et al. 2018,
https://arxiv.org/abs/1803.05407), over a window that moves along, so that every epoch has its own mean to be judged by.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from model.network.multitask import MultitaskBert


class EpochAverage:
    """Puts the mean of the last `epochs` epochs' weights into the model between epochs. Training itself goes on from
    the last epoch's own weights."""

    def __init__(self, model: MultitaskBert, epochs: int) -> None:
        self._model = model
        self._ends: deque[dict[str, Tensor]] = deque(maxlen=epochs)

    def begin_epoch(self) -> None:
        """Gives the model the weights that training goes on from."""
        if self._ends:
            self._model.load_trainable_state(self._ends[-1])

    def end_epoch(self) -> None:
        """Gives the model the mean."""
        if self._ends.maxlen == 1:  # the mean of one is what the model has
            return
        self._ends.append({name: tensor.clone() for name, tensor in self._model.trainable_state().items()})
        names = self._ends[-1].keys()
        self._model.load_trainable_state(
            {name: torch.stack([end[name] for end in self._ends]).mean(0) for name in names}
        )

    def state(self) -> dict[str, Tensor]:
        """What `load_state` takes: the weights of each epoch in the window."""
        return {f"{i}.{name}": tensor for i, end in enumerate(self._ends) for name, tensor in end.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes up what `state` gave."""
        ends: dict[int, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            number, name = key.split(".", 1)
            ends.setdefault(int(number), {})[name] = tensor.to(next(self._model.parameters()).device)
        self._ends.clear()
        self._ends.extend(ends[number] for number in sorted(ends))
