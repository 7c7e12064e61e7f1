"""Where a trial's batches come from: put together anew each time, or with what frozen layers put out already known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from model.config import PairEncoding, TrialConfig
from model.data.batches import Batch, assemble
from model.data.corpus import Split
from model.data.tokens import Tokens


@dataclass(frozen=True)
class Wanted:
    """Examples that batches will be asked of."""

    task: str
    rows: np.ndarray
    """(n,), of a split."""
    swapped: np.ndarray | None
    """(n,) bool: whose second sentence comes first; None: nobody's."""


class Inputs(Protocol):
    """Batches of one trial's tasks, on the CPU."""

    def prepare(self, split: Split, wanted: Sequence[Wanted], while_waiting: Callable[[], None]) -> None:
        """Makes ready what can be computed once for all batches of these examples. What takes long calls
        `while_waiting` now and then."""
        ...

    def batch(self, task: str, split: Split, rows: np.ndarray, swapped: np.ndarray | None) -> Batch:
        """The examples `rows`, (B,), of a split; see `model.data.batches.assemble`."""
        ...


class Assembled:
    """Batches of tokens, for the whole model to read."""

    def __init__(self, config: TrialConfig, tokens: Tokens) -> None:
        self._pairs: dict[str, PairEncoding | None] = {name: task.pair_encoding for name, task in config.tasks.items()}
        self._tokens = tokens

    def prepare(self, split: Split, wanted: Sequence[Wanted], while_waiting: Callable[[], None]) -> None:
        """There is nothing to prepare."""

    def batch(self, task: str, split: Split, rows: np.ndarray, swapped: np.ndarray | None) -> Batch:
        """See `Inputs`."""
        return assemble(self._tokens, self._tokens.splits[task][split], rows, self._pairs[task], swapped)
