"""Batches of like lengths, and how the tasks take turns.

A step trains on a batch of one task, or on one of each (Naeem, 4). The tasks' shares of an epoch may change from epoch
to epoch: "BERT and PALs: Projected Attention Layers for Efficient Adaptation in Multi-Task Learning", Asa Cooper
Stickland and Iain Murray, 2019, https://arxiv.org/abs/1902.02671, section 4.1.

What a trial sees in an epoch is a pure function of (seed, epoch): a trial that goes on after an interruption needs no
more than the epoch's number to find its place in the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.config import PairEncoding, TaskMix, TasksPerStep
from model.data.tokens import Ragged, TokenizedSplit, Tokens
from model.network.packing import Packing, ranges

Step = tuple[tuple[str, np.ndarray], ...]
"""The batches of one optimizer step, each of another task: its name, and the rows of its training set, (B,)."""

CHUNK = 64
"""Batches whose examples are sorted by length together: the more, the less padding and the less chance in who meets
whom in a batch."""
ANNEALING = 0.8
"""How far the exponent of the annealed mix falls from 1, in the first epoch, to the last. (Stickland and Murray 2019,
4.1)"""


@dataclass(frozen=True)
class Batch:
    """Examples of one task, ready for the encoder. R is the number of sequences: that of examples, or, for bi-encoded
    pairs, twice as many, first sentences first; N that of all their tokens, C the encoder's width."""

    ids: Tensor
    """(N,), int64: the sequences one after the other."""
    segments: Tensor
    """(N,), int64: 0, and 1 for the second sentence of a cross-encoded pair."""
    packing: Packing
    """Where each sequence lies in them."""
    labels: Tensor
    """(B,), float32."""
    prefix: Tensor | None = None
    """(N, C): what the encoder's frozen prefix puts out, where that is known; `ids` and `segments` are empty then.
    (R, C), with sequences of one token each, where no more than one vector of each is read. float32 once it was moved
    to a device."""

    def to(self, device: torch.device) -> Batch:
        ids, segments, labels = (t.to(device, non_blocking=True) for t in (self.ids, self.segments, self.labels))
        # Half the bytes on the way, and then what the prefix itself would have put out: LayerNorm gives fp32.
        prefix = None if self.prefix is None else self.prefix.to(device, non_blocking=True).float()
        return Batch(ids, segments, self.packing.to(device), labels, prefix)


def sequence_lengths(split: TokenizedSplit, pairs: PairEncoding | None, max_length: int) -> np.ndarray:
    """Tokens of each example's longest sequence, special ones included. (N,)"""
    lengths = [sentence.lengths for sentence in split.sentences]
    longest = lengths[0] + lengths[1] + 3 if pairs == "cross" else np.maximum.reduce(lengths) + 2
    return np.minimum(longest, max_length)


def assemble(
    tokens: Tokens,
    split: TokenizedSplit,
    rows: np.ndarray,
    pairs: PairEncoding | None,
    swapped: np.ndarray | None = None,
) -> Batch:
    """The examples `rows` (B,) of `split` as one batch.

    `swapped`, (B,) bool, says whose second sentence comes first; None: nobody's.
    """
    turned = np.zeros(len(rows), dtype=bool) if swapped is None else swapped
    build = _cross_encoded if pairs == "cross" else _encoded
    ids, segments, lengths = build(tokens, split.sentences, rows, turned)
    labels = torch.from_numpy(split.labels[rows])
    return Batch(torch.from_numpy(ids), torch.from_numpy(segments), Packing.of(lengths), labels)


def _encoded(
    tokens: Tokens, sentences: tuple[Ragged, ...], rows: np.ndarray, turned: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[CLS] a [SEP] for each sentence: ids and segments, (N,), and lengths, (R,)."""
    lengths = np.empty(len(sentences) * len(rows), dtype=np.int64)
    places = [np.arange(len(rows)) + len(rows) * (turned != bool(slot)) for slot in range(len(sentences))]
    for place, sentence in zip(places, sentences, strict=True):
        lengths[place] = np.minimum(_lengths(sentence, rows), tokens.max_length - 2)
    ids, starts = _blank(tokens, lengths + 2)
    for place, sentence in zip(places, sentences, strict=True):
        _fill(ids, starts[place] + 1, lengths[place], sentence, rows)
    return ids, np.zeros_like(ids), lengths + 2


def _cross_encoded(
    tokens: Tokens, sentences: tuple[Ragged, ...], rows: np.ndarray, turned: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[CLS] a [SEP] b [SEP] for each pair: ids and segments, (N,), and lengths, (B,)."""
    a, b = (_lengths(sentence, rows) for sentence in sentences)
    first, second = _cut_to(tokens.max_length - 3, np.where(turned, b, a), np.where(turned, a, b))
    ids, starts = _blank(tokens, first + second + 3)
    second_at = starts + first + 2
    ids[second_at - 1] = tokens.sep_id
    for slot, sentence in enumerate(sentences):
        comes_second = turned != bool(slot)
        at, lengths = np.where(comes_second, second_at, starts + 1), np.where(comes_second, second, first)
        _fill(ids, at, lengths, sentence, rows)
    segments = np.zeros_like(ids)
    segments[ranges(second_at, second + 1)] = 1
    return ids, segments, first + second + 3


def _cut_to(room: int, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lengths of two sentences, (B,) each, cut to `room` together: the longer one loses what is too much."""
    half = (room + (first > second)) // 2  # the longer one gets the odd token, as in Hugging Face's tokenizers
    return (
        np.minimum(first, np.maximum(half, room - second)),
        np.minimum(second, np.maximum(room - half, room - first)),
    )


def _lengths(sentence: Ragged, rows: np.ndarray) -> np.ndarray:
    return sentence.starts[rows + 1] - sentence.starts[rows]


def _blank(tokens: Tokens, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of these lengths, (N,), with their first and last token, and where each starts, (R,)."""
    ends = np.cumsum(lengths)
    ids = np.empty(ends[-1], dtype=np.int64)
    ids[ends - lengths] = tokens.cls_id
    ids[ends - 1] = tokens.sep_id
    return ids, ends - lengths


def _fill(ids: np.ndarray, at: np.ndarray, lengths: np.ndarray, sentence: Ragged, rows: np.ndarray) -> None:
    """Writes the first `lengths` tokens of the examples `rows` into `ids`, from the places `at` on; (B,) each."""
    ids[ranges(at, lengths)] = sentence.ids[ranges(sentence.starts[rows], lengths)]


@dataclass(frozen=True)
class Plan:
    """Which examples of which task make up the steps of every epoch of a trial."""

    lengths: Mapping[str, np.ndarray]
    """By task, the sequence length of each training example. (N,)"""
    mix: TaskMix
    """Of no effect where each step has a batch of every task: their shares are equal."""
    batch_size: int
    epoch_examples: int
    seed: int
    epochs: int
    """Of the whole trial."""
    tasks_per_step: TasksPerStep

    @property
    def total_steps(self) -> int:
        """Of all epochs."""
        return self.first_step(self.epochs + 1)

    def first_step(self, number: int) -> int:
        """How many steps come before epoch `number` (from 1)."""
        return sum(self.steps_in(earlier) for earlier in range(1, number))

    def steps_in(self, number: int) -> int:
        """The steps of epoch `number` (from 1)."""
        batches = [-(-count // self.batch_size) for count in self.examples_by_task(number).values()]
        return max(batches) if self.tasks_per_step == "all" else sum(batches)

    def examples_by_task(self, number: int) -> dict[str, int]:
        """How the examples of epoch `number` (from 1) are shared out: whole numbers that sum to `epoch_examples`. Where
        these are few, they may be 0 for a task."""
        exponent = self._exponent(number)
        weights = np.array([len(lengths) ** exponent for lengths in self.lengths.values()])
        # Rounding the running sum, not each share, keeps the total exact.
        edges = np.round(np.concatenate(([0.0], np.cumsum(weights / weights.sum()))) * self.epoch_examples)
        return dict(zip(self.lengths, np.diff(edges).astype(int).tolist(), strict=True))

    def epoch(self, number: int) -> list[Step]:
        """The steps of epoch `number` (from 1).

        One task a step: each task's batches are spread evenly over the epoch; with equal shares the tasks take strict
        turns. All tasks a step: each task's examples are spread over all steps, in batches that differ in size by one
        at most; a task with fewer examples than there are steps is left out of some.
        """
        batches = {task: self._batches(index, task, number) for index, task in enumerate(self.lengths)}
        if self.tasks_per_step == "all":
            steps = zip(*([(task, rows) for rows in cut] for task, cut in batches.items()), strict=True)
            return [tuple((task, rows) for task, rows in step if len(rows)) for step in steps]
        turns = [
            ((turn + 0.5) / len(cut), index, task, rows)
            for index, (task, cut) in enumerate(batches.items())
            for turn, rows in enumerate(cut)
        ]
        return [((task, rows),) for _, _, task, rows in sorted(turns, key=lambda turn: turn[:2])]

    def swaps(self, task: str, number: int) -> np.ndarray:
        """Which pairs of the task's training set are turned round in epoch `number` (from 1): a coin's toss for each.
        (N,) bool"""
        rng = np.random.default_rng([self.seed, 2, list(self.lengths).index(task), number])
        return rng.integers(2, size=len(self.lengths[task])).astype(bool)

    def _exponent(self, number: int) -> float:
        """A task's share is its number of examples to the power of this."""
        if self.tasks_per_step == "all":
            return 0.0
        if self.mix == "annealed":
            return 1.0 - ANNEALING * (number - 1) / max(1, self.epochs - 1)
        return {"in_turn": 0.0, "proportional": 1.0, "square_root": 0.5}[self.mix]

    def _batches(self, index: int, task: str, number: int) -> list[np.ndarray]:
        """The task's batches in epoch `number`: the rows of each."""
        count = self.examples_by_task(number)[task]
        start = sum(self.examples_by_task(earlier)[task] for earlier in range(1, number))
        batches = self.steps_in(number) if self.tasks_per_step == "all" else -(-count // self.batch_size)
        rng = np.random.default_rng([self.seed, 1, index, number])
        return self._cut(task, self._draw(index, task, start, count), batches, rng)

    def _draw(self, index: int, task: str, start: int, count: int) -> np.ndarray:
        """Examples `start` to `start + count` of the task's endless stream: one shuffle of its set after the other, so
        that every example comes up once before any comes up again."""
        size, drawn = len(self.lengths[task]), [np.empty(0, dtype=np.int64)]
        while count:
            turn, offset = divmod(start, size)
            shuffled = np.random.default_rng([self.seed, 0, index, turn]).permutation(size)
            part = shuffled[offset : offset + count]
            drawn.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(drawn)

    def _cut(self, task: str, rows: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
        """`rows` as `count` batches of like lengths, in random order."""
        span = CHUNK * self.batch_size
        by_length = [
            chunk[np.argsort(self.lengths[task][chunk], kind="stable")]
            for chunk in (rows[at : at + span] for at in range(0, len(rows), span))
        ]
        batches = np.array_split(np.concatenate(by_length), count) if by_length else [rows] * count
        return [batches[i] for i in rng.permutation(count)]
