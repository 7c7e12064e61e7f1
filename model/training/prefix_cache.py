"""The frozen prefix computed once: what it puts out for a sentence never changes, so it is kept and read again.

Nautilus: An Optimized System for Deep Transfer Learning over Evolving Training Datasets (Nakandala and Kumar, SIGMOD
2022, https://doi.org/10.1145/3514221.3517846), materialized intermediate layers. Here a sequence is added to the store
when the first trial reads it, so that a short search pays for no more than it uses; a deeper prefix goes on from a
shallower one that is there.

States are kept in what the trial computes in, bf16 where that is bf16, and are rounded to it after each layer: so a
prefix that went on from a shallower one is what it would be from the beginning. (In the last bit there may still be
what a matrix product does to a row among other ones.)

Shapes: R sequences, N tokens of all together, C hidden size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from model.config import TrialConfig
from model.data.batches import Batch, assemble, sequence_lengths
from model.data.corpus import Split
from model.data.tokens import TokenizedSplit, Tokens
from model.network.multitask import MultitaskBert
from model.network.packing import Packing, ranges
from model.network.pretrained import Encoder
from model.training.inputs import Wanted
from model.training.precision import ConcretePrecision, autocast
from model.training.prefix_store import Entry, PrefixStore, Unavailable

_GROUP_TOKENS = 8192
"""Of one pass through the prefix, at most."""
_FORMAT = 2
"""To be changed with whatever changes the states that a key stands for."""

Form = Literal["first", "second", "pair", "turned pair"]
"""Which sequence of an example: one of its sentences by itself, or both as one, in their order or turned round."""
Kept = Literal["tokens", "first token", "mean"]
"""What of a sequence: every token's vector, or the one that is all that pooling reads."""

_DTYPES: dict[ConcretePrecision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def is_cacheable(config: TrialConfig) -> bool:
    """Whether a model has frozen layers, with nothing that is trained inside or below them."""
    return config.encoder.prefix_depth > 0


class CachedInputs:
    """Batches with the prefix's output in place of tokens (`Batch.prefix`)."""

    def __init__(
        self,
        model: MultitaskBert,
        tokens: Tokens,
        encoder: Encoder,
        precision: ConcretePrecision,
        store: PrefixStore,
    ) -> None:
        """`encoder` is what `model`, whose configuration is cacheable, was built from."""
        self._config, self._tokens, self._store = model.config, tokens, store
        self._prefix = Prefix(model, encoder, precision)
        self._sets: dict[tuple[str, Split, Form], SequenceSet] = {}

    def prepare(self, split: Split, wanted: Sequence[Wanted], while_waiting: Callable[[], None]) -> None:
        """Computes what of these is not in the store. Raises `prefix_store.Unavailable`."""
        try:
            for one in wanted:
                for form, places in self._forms(one.task, one.rows, one.swapped):
                    rows = np.unique(one.rows[places % len(one.rows)])
                    self._set(one.task, split, form).add(rows, while_waiting)
        except Unavailable:
            self._sets.clear()  # for another try: the folder may be there again, or have room
            raise

    def batch(self, task: str, split: Split, rows: np.ndarray, swapped: np.ndarray | None) -> Batch:
        """The examples `rows`, (B,), which were prepared; see `model.data.batches.assemble`."""
        parts = [
            (self._set(task, split, form), places, rows[places % len(rows)])
            for form, places in self._forms(task, rows, swapped)
        ]
        count = sum(len(places) for _, places, _ in parts)  # R
        lengths = np.empty(count, dtype=np.int64)
        for sequences, places, own in parts:
            lengths[places] = sequences.lengths[own]
        starts = np.cumsum(lengths) - lengths
        states = torch.empty(int(lengths.sum()), self._prefix.width, dtype=self._prefix.dtype)  # (N, C)
        for sequences, places, own in parts:
            states[torch.from_numpy(ranges(starts[places], lengths[places]))] = sequences.read(own)
        nothing = torch.empty(0, dtype=torch.int64)
        labels = torch.from_numpy(self._tokens.splits[task][split].labels[rows])
        return Batch(nothing, nothing, Packing.of(lengths), labels, states)

    def _forms(self, task: str, rows: np.ndarray, swapped: np.ndarray | None) -> list[tuple[Form, np.ndarray]]:
        """The forms that a batch of `rows`, (B,), reads, and where in it their sequences stand, (n,): below B, or below
        2 B for the second half of bi-encoded pairs, so that the example is the place modulo B."""
        turned = np.zeros(len(rows), dtype=bool) if swapped is None else swapped
        place = np.arange(len(rows))
        if self._config.tasks[task].pair_encoding == "cross":
            forms: list[tuple[Form, np.ndarray]] = [("pair", place[~turned]), ("turned pair", place[turned])]
            return [(form, places) for form, places in forms if len(places)]
        if self._config.tasks[task].pair_encoding == "bi":
            return [("first", place + len(rows) * turned), ("second", place + len(rows) * ~turned)]
        return [("first", place)]

    def _set(self, task: str, split: Split, form: Form) -> SequenceSet:
        key = (task, split, form)
        if key not in self._sets:
            examples = self._tokens.splits[task][split]
            self._sets[key] = SequenceSet(self._tokens, examples, form, self._prefix, self._store)
        return self._sets[key]


class Prefix:
    """The frozen layers of one model."""

    def __init__(self, model: MultitaskBert, encoder: Encoder, precision: ConcretePrecision) -> None:
        self.depth = model.bert.prefix_depth
        self.width = encoder.hidden_size
        self.dtype = _DTYPES[precision]
        self.kept: Kept = _kept(model)
        self._bert = model.bert
        self._precision: ConcretePrecision = precision
        part = model.config.encoder
        device = next(model.parameters()).device.type
        self._of = [encoder.fingerprint(), part.removed_layers, part.removal, precision, device, torch.__version__]

    def key(self, depth: int, kept: Kept, sequences: str) -> str:
        """What tells the states of `sequences` from all others."""
        text = json.dumps([_FORMAT, *self._of, depth, kept, sequences])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def embedded(self, batch: Batch) -> Tensor:
        """What the lowest layer reads, (N, C)."""
        device = next(self._bert.parameters()).device
        with torch.no_grad(), autocast(self._precision, device):
            moved = batch.to(device)
            return self._bert.embeddings(moved.ids, moved.segments, moved.packing).to(self.dtype)

    def through(self, hidden: Tensor, packing: Packing, depth: int, after_layer: Callable[[], None]) -> Tensor:
        """From what `depth` layers put out, (N, C), to what is kept of the prefix's output, (N, C) or (R, C). On the
        CPU. `after_layer` is called after each layer."""
        device = next(self._bert.parameters()).device
        hidden, packing = hidden.to(device), packing.to(device)
        with torch.no_grad(), autocast(self._precision, device):
            for layer in self._bert.layers[depth : self.depth]:
                hidden = layer(hidden.float(), packing).to(self.dtype)
                after_layer()
        if self.kept == "first token":
            hidden = packing.first(hidden)
        elif self.kept == "mean":
            hidden = packing.mean(hidden.float()).to(self.dtype)
        return hidden.cpu()


class SequenceSet:
    """One sequence for each example of a split, and what a prefix puts out for it."""

    def __init__(self, tokens: Tokens, split: TokenizedSplit, form: Form, prefix: Prefix, store: PrefixStore) -> None:
        self._tokens, self._prefix, self._store = tokens, prefix, store
        self._pairs: Literal["cross"] | None = "cross" if form in ("pair", "turned pair") else None
        self._turned = form == "turned pair"
        place = {"first": slice(0, 1), "second": slice(1, 2)}.get(form, slice(0, 2))
        self._split = replace(split, sentences=split.sentences[place])
        self._whole = sequence_lengths(self._split, self._pairs, tokens.max_length)
        self.lengths = self._whole if prefix.kept == "tokens" else np.ones_like(self._whole)
        """Vectors of each, (N,)."""
        self._what = json.dumps([form, self._split.fingerprint, tokens.cls_id, tokens.sep_id, tokens.max_length])
        self._entry = store.entry(prefix.key(prefix.depth, prefix.kept, self._what), *self._layout)

    @property
    def _layout(self) -> tuple[int, int, torch.dtype]:
        return len(self._split), self._prefix.width, self._prefix.dtype

    def add(self, rows: np.ndarray, while_waiting: Callable[[], None]) -> None:
        """Sees to it that `rows`, (n,), can be read. Raises `prefix_store.Unavailable`."""

        def compute(missing: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
            depth, source = self._nearest(missing)
            for group in self._groups(missing):
                lengths = self._whole[group]
                hidden = self._embedded(group) if source is None else source.read(group, lengths)
                yield group, self._prefix.through(hidden, Packing.of(lengths), depth, while_waiting)

        self._entry.add(rows, lambda missing: int(self.lengths[missing].sum()), compute, while_waiting)

    def read(self, rows: np.ndarray) -> Tensor:
        """What is kept of `rows`, (n,), one sequence after the other: (N, C)."""
        return self._entry.read(rows, self.lengths[rows])

    def _nearest(self, rows: np.ndarray) -> tuple[int, Entry | None]:
        """The deepest prefix below this one, or of this depth but with every token, that holds `rows`."""
        deepest = self._prefix.depth - (1 if self._prefix.kept == "tokens" else 0)
        for depth in range(deepest, 0, -1):
            entry = self._store.find(self._prefix.key(depth, "tokens", self._what), *self._layout)
            if entry is not None and entry.has(rows).all():
                return depth, entry
        return 0, None

    def _groups(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """`rows` in groups of equal length, the shortest first."""
        lengths = self._whole[rows]
        for length in np.unique(lengths):
            alike = rows[lengths == length]
            size = max(1, _GROUP_TOKENS // int(length))
            yield from (alike[at : at + size] for at in range(0, len(alike), size))

    def _embedded(self, rows: np.ndarray) -> Tensor:
        turned = np.full(len(rows), self._turned)
        return self._prefix.embedded(assemble(self._tokens, self._split, rows, self._pairs, turned))


def _kept(model: MultitaskBert) -> Kept:
    config = model.config
    everything = model.bert.prefix_depth == len(model.bert.layers) and not model.branches
    if not everything or config.smart is not None:  # SMART moves every token's vector
        return "tokens"
    return "mean" if config.encoder.pooling == "mean" else "first token"
