"""Batches of like lengths, and how the tasks take turns.

What a trial sees in an epoch is a pure function of (seed, epoch): a trial that goes on after an interruption needs no
more than the epoch's number to find its place in the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.config import PairEncoding, TaskMix
from model.data.tokens import Ragged, TokenizedSplit, Tokens

CHUNK = 64
"""Batches whose examples are sorted by length together: the more, the less padding and the less chance in who meets
whom in a batch."""


@dataclass(frozen=True)
class Batch:
    """Examples of one task, ready for the encoder. R is the number of sequences: that of examples, or, for bi-encoded
    pairs, twice as many, first sentences first."""

    ids: Tensor
    """(R, T), int64."""
    segments: Tensor
    """(R, T), int64: 0, and 1 for the second sentence of a cross-encoded pair."""
    mask: Tensor | None
    """(R, T), True where there is a token; None where nothing is padded."""
    labels: Tensor
    """(B,), float32."""

    def to(self, device: torch.device) -> Batch:
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        ids, segments, labels = (t.to(device, non_blocking=True) for t in (self.ids, self.segments, self.labels))
        return Batch(ids, segments, mask, labels)


def sequence_lengths(split: TokenizedSplit, pairs: PairEncoding | None, max_length: int) -> np.ndarray:
    """Tokens of each example's longest sequence, special ones included. (N,)"""
    lengths = [sentence.lengths for sentence in split.sentences]
    longest = lengths[0] + lengths[1] + 3 if pairs == "cross" else np.maximum.reduce(lengths) + 2
    return np.minimum(longest, max_length)


def assemble(tokens: Tokens, split: TokenizedSplit, rows: np.ndarray, pairs: PairEncoding | None) -> Batch:
    """The examples `rows` of `split` as one padded batch."""
    if pairs == "cross":
        first, second = split.sentences
        sequences = [_cross_encode(tokens, first[i], second[i]) for i in rows]
    else:
        sequences = [_encode(tokens, sentence, i) for sentence in split.sentences for i in rows]
    lengths = np.array([len(ids) for ids, _ in sequences])
    width = int(lengths.max())
    ids = np.full((len(sequences), width), tokens.pad_id, dtype=np.int64)
    segments = np.zeros_like(ids)
    for row, (sequence, second_at) in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        segments[row, second_at : len(sequence)] = 1
    mask = None if (lengths == width).all() else torch.from_numpy(np.arange(width) < lengths[:, None])
    return Batch(torch.from_numpy(ids), torch.from_numpy(segments), mask, torch.from_numpy(split.labels[rows]))


def _encode(tokens: Tokens, sentences: Ragged, i: int) -> tuple[np.ndarray, int]:
    """[CLS] a [SEP], and where the second segment begins: nowhere."""
    ids = np.concatenate(([tokens.cls_id], sentences[i][: tokens.max_length - 2], [tokens.sep_id]))
    return ids, len(ids)


def _cross_encode(tokens: Tokens, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, int]:
    """[CLS] a [SEP] b [SEP], and where the second segment begins. What is too long loses from its longer sentence."""
    room = tokens.max_length - 3
    if len(a) + len(b) > room:
        half = (room + (len(a) > len(b))) // 2  # the longer one gets the odd token, as in Hugging Face's tokenizers
        a, b = a[: max(half, room - len(b))], b[: max(room - half, room - len(a))]
    ids = np.concatenate(([tokens.cls_id], a, [tokens.sep_id], b, [tokens.sep_id]))
    return ids, len(a) + 2


@dataclass(frozen=True)
class Plan:
    """Which examples of which task make up the steps of every epoch of a trial."""

    lengths: Mapping[str, np.ndarray]
    """By task, the sequence length of each training example. (N,)"""
    mix: TaskMix
    batch_size: int
    epoch_examples: int
    seed: int

    def examples_by_task(self) -> dict[str, int]:
        """How an epoch's examples are shared out: whole numbers that sum to `epoch_examples`."""
        exponent = {"in_turn": 0.0, "proportional": 1.0, "square_root": 0.5}[self.mix]
        weights = np.array([len(lengths) ** exponent for lengths in self.lengths.values()])
        # Rounding the running sum, not each share, keeps the total exact.
        edges = np.round(np.concatenate(([0.0], np.cumsum(weights / weights.sum()))) * self.epoch_examples)
        return dict(zip(self.lengths, np.diff(edges).astype(int).tolist(), strict=True))

    def steps_per_epoch(self) -> int:
        return sum(self._batches(count) for count in self.examples_by_task().values())

    def epoch(self, number: int) -> list[tuple[str, np.ndarray]]:
        """The steps of epoch `number` (from 1): for each the task, and the rows of its training set.

        Each task's batches are spread evenly over the epoch: with equal shares the tasks take strict turns.
        """
        steps: list[tuple[float, int, str, np.ndarray]] = []
        for index, (task, count) in enumerate(self.examples_by_task().items()):
            rng = np.random.default_rng([self.seed, 1, index, number])
            batches = self._cut(task, self._draw(index, task, (number - 1) * count, count), rng)
            steps += [((turn + 0.5) / len(batches), index, task, rows) for turn, rows in enumerate(batches)]
        return [(task, rows) for _, _, task, rows in sorted(steps, key=lambda step: step[:2])]

    def _batches(self, count: int) -> int:
        return -(-count // self.batch_size)

    def _draw(self, index: int, task: str, start: int, count: int) -> np.ndarray:
        """Examples `start` to `start + count` of the task's endless stream: one shuffle of its set after the other, so
        that every example comes up once before any comes up again."""
        size, drawn = len(self.lengths[task]), []
        while count:
            turn, offset = divmod(start, size)
            shuffled = np.random.default_rng([self.seed, 0, index, turn]).permutation(size)
            part = shuffled[offset : offset + count]
            drawn.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(drawn) if drawn else np.empty(0, dtype=np.int64)

    def _cut(self, task: str, rows: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """`rows` as batches of like lengths, in random order."""
        if not len(rows):
            return []
        span = CHUNK * self.batch_size
        chunks = [rows[at : at + span] for at in range(0, len(rows), span)]
        ordered = np.concatenate([chunk[np.argsort(self.lengths[task][chunk], kind="stable")] for chunk in chunks])
        batches = np.array_split(ordered, self._batches(len(rows)))
        return [batches[i] for i in rng.permutation(len(batches))]
