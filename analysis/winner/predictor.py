"""A trained model from its folder, one or several together, ready to say something of sentences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.winner.ensemble import Counts, combined
from model.data.batches import sequence_lengths
from model.data.corpus import Corpus, Example, Split
from model.data.rows import BadRow, checked
from model.data.tasks import Task
from model.data.tokens import Tokens, tokenize
from model.errors import UserError
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder
from model.network.saved import member_folder, read_ensemble, read_max_tokens, read_model, read_precision
from model.training import evaluate
from model.training.evaluate import decide
from model.training.precision import ConcretePrecision

_SPLIT: Split = "unlabelled"
"""What sentences are given as."""


@dataclass(frozen=True)
class Member:
    """One model."""

    model: MultitaskBert
    encoder: Encoder
    """Whose tokenizer goes with the model."""
    precision: ConcretePrecision
    """What it computes in."""
    max_tokens: int
    """What it cuts sequences to."""


@dataclass(frozen=True)
class Given:
    """One task's sentences, as the members that count there read them."""

    task: Task
    size: int
    """How many rows there are."""
    tokens: Mapping[str, Tokens]
    """By member."""

    @property
    def batches(self) -> int:
        """How many batches `Predictor.said_of` takes."""
        return -(-self.size // evaluate.BATCH_SIZE) * len(self.tokens)


@dataclass(frozen=True)
class Predictor:
    """One model, or an ensemble."""

    tasks: tuple[Task, ...]
    members: Mapping[str, Member]
    counts: Counts
    """How often each one's outputs count."""

    def given(self, task: Task, sentences: Sequence[tuple[str, ...]]) -> Given:
        """The one or two sentences of each row, to be read by the members that count in `task`: tokenized once for all
        that read alike."""
        examples = [Example(str(number), texts, None) for number, texts in enumerate(sentences)]
        corpus = Corpus("given", (task,), {task.name: {_SPLIT: examples}})
        alike: dict[tuple[str, int], Tokens] = {}
        tokens = {}
        for name in self.counts[task.name]:
            member = self.members[name]
            key = member.encoder.tokenizer, member.max_tokens
            if key not in alike:
                alike[key] = tokenize(corpus, member.encoder, member.max_tokens)
            tokens[name] = alike[key]
        return Given(task, len(examples), tokens)

    def said_of(self, given: Given, on_batch: Callable[[], None] | None = None) -> np.ndarray:
        """What it says of them: see `evaluate.outputs`; of an ensemble the mean. `on_batch` is called `batches` times.

        On a CPU the same sentences in the same order, and the same number of threads, give the same bits.
        """
        said, task = dict[str, dict[str, np.ndarray]](), given.task.name
        for name, tokens in given.tokens.items():
            member = self.members[name]
            said[name] = evaluate.outputs(member.model, tokens, _SPLIT, member.precision, on_batch=on_batch)
        return combined(said, {task: self.counts[task]})[task]

    def cut(self, given: Given) -> list[str]:
        """What of them is too long for a member to read to its end, in words: of pairs that are encoded each sentence
        by itself, each by itself."""
        task = given.task.name
        cut, shortest = np.zeros(given.size, dtype=bool), []
        for name, tokens in given.tokens.items():
            pair_encoding, most = self.members[name].model.config.tasks[task].pair_encoding, tokens.max_length
            long = sequence_lengths(tokens.splits[task][_SPLIT], pair_encoding, most + 1) > most
            cut |= long
            shortest += [most] if long.any() else []
        if not shortest:
            return []
        are = "is" if cut.sum() == 1 else "are"
        return [
            f"{task}: {cut.sum()} of {len(cut)} examples ({cut.mean():.1%}) {are} longer than {min(shortest)} tokens, "
            f"and {are} cut there"
        ]

    def predict(self, texts: Sequence[str | Sequence[str]], task: str | None = None) -> list[str | int | float]:
        """For each text, or pair of two texts, its label as the task's files have it: a name, or the number of a class,
        or a number. All at once are much faster than one by one.

        `task` need not be given where only one reads as many sentences. Raises ValueError for what it can't read, and
        warns of texts that are too long to be read to their end.
        """
        asked, sentences = self._asked(texts, task)
        decided = decide(asked, self._finite(asked, sentences))
        if asked.label_names:
            return [asked.label_names[int(value)] for value in decided]
        return [int(value) if asked.classes else float(value) for value in decided]

    def probabilities(self, texts: Sequence[str | Sequence[str]], task: str | None = None) -> np.ndarray:
        """Of the same texts, the probability of each of the task's `classes`, (N, classes). Raises ValueError as
        `predict`, and for a task of numbers."""
        asked, sentences = self._asked(texts, task)
        if not asked.classes:
            raise ValueError(f"task {asked.name!r} is of numbers, which have no probabilities")
        said = self._finite(asked, sentences)
        return said if said.ndim == 2 else np.stack([1 - said, said], axis=1)

    def _finite(self, task: Task, sentences: Sequence[tuple[str, ...]]) -> np.ndarray:
        """`said_of`, all of it numbers; raises ValueError where something is not. Warns of what is cut."""
        given = self.given(task, sentences)
        for line in self.cut(given):
            warnings.warn(line, stacklevel=3)
        said = self.said_of(given)
        finite = np.isfinite(decide(task, said))
        if not finite.all():
            raise ValueError(f"text {int(np.argmin(finite))}: the model's outputs for it are not finite")
        return said

    def _asked(self, texts: Sequence[str | Sequence[str]], task: str | None) -> tuple[Task, list[tuple[str, ...]]]:
        """The task that is meant, and its sentences as in training, without space around them."""
        if isinstance(texts, str) or not isinstance(texts, Iterable):
            what = "a text" if isinstance(texts, str) else repr(texts)
            raise ValueError(f"texts is {what}; allowed is a list of texts, or of pairs of them")
        given = [_texts(number, one) for number, one in enumerate(texts)]
        named = [one for one in self.tasks if task in (None, one.name)]
        if not named:
            raise ValueError(f"there is no task {task!r}; allowed are {', '.join(one.name for one in self.tasks)}")
        width = len(given[0]) if given else len(named[0].sentence_columns)
        fitting = [one for one in named if len(one.sentence_columns) == width]
        if len(fitting) > 1:
            raise ValueError(f"tasks {' and '.join(one.name for one in fitting)} read such texts; choose one by name")
        if not fitting and len(named) > 1:
            reads = {words: [one.name for one in named if one.is_pair == pair] for words, pair in _WIDTHS.items()}
            allowed = ", ".join(f"{words} for {' or '.join(names)}" for words, names in reads.items() if names)
            raise ValueError(f"text 0: {width} of them; allowed is {allowed}")
        wanted = fitting[0] if fitting else named[0]
        for number, sentences in enumerate(given):
            if len(sentences) != len(wanted.sentence_columns):
                needed = "two texts" if wanted.is_pair else "one text"
                raise ValueError(f"text {number}: {len(sentences)} of them; task {wanted.name!r} reads {needed}")
            if not all(isinstance(text, str) and text.strip() for text in sentences):
                raise ValueError(f"text {number}: {sentences!r}; allowed is text that is not empty")
            sound = checked(dict(zip(wanted.sentence_columns, sentences, strict=True)))
            if isinstance(sound, BadRow):
                raise ValueError(f"text {number}: {sound}")
        return wanted, [tuple(text.strip() for text in sentences) for sentences in given]


_WIDTHS = {"one text": False, "two texts": True}
"""What a task reads, and whether it is one on pairs."""


def _texts(number: int, one: object) -> tuple[Any, ...]:
    """The text, or the texts of a pair, number `number` of those given."""
    if isinstance(one, str):
        return (one,)
    if not isinstance(one, Iterable):
        raise ValueError(f"text {number}: {one!r}; allowed is a text, or a pair of them")
    return tuple(one)


def load_predictor(folder: Path, device: torch.device) -> Predictor:
    """What `write_model`, or `write_model` and `write_ensemble`, left in `folder` (model.network.saved).

    It computes in what it was evaluated in; of fp16, which is for GPUs, a CPU makes fp32. Raises UserError, naming the
    file, where there is no such model, or not a whole one.
    """
    counts = read_ensemble(folder)
    if counts is None:
        alone = _load(folder, device)
        tasks = alone.model.tasks
        return Predictor(tasks, {folder.name: alone}, {task.name: {folder.name: 1} for task in tasks})
    names = dict.fromkeys(name for of_task in counts.values() for name in of_task)
    members = {name: _load(member_folder(folder, name), device) for name in names}
    first = next(iter(members))
    tasks = members[first].model.tasks
    for name, member in members.items():
        names = [task.name for task in member.model.tasks]
        if set(names) != set(counts):
            own, known = ", ".join(names), ", ".join(counts)
            raise UserError(f"{folder}: the member {name} is of the tasks {own}; the ensemble is of {known}")
        if member.model.tasks != tasks:
            raise UserError(f"{folder}: the tasks of the member {name} are not described as those of {first}")
    return Predictor(tasks, members, counts)


def _load(path: Path, device: torch.device) -> Member:
    model, encoder = read_model(path)
    precision = read_precision(path)
    here: ConcretePrecision = "fp32" if precision == "fp16" and device.type == "cpu" else precision
    return Member(model.to(device), encoder, here, read_max_tokens(path, encoder))
