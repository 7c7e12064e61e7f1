"""Examples by task and split: read, checked, fingerprinted.

Splits: `train` and `dev` are the search's; `test` has labels and is for the evaluation of a winner alone; `unlabelled`
has none and is there only to predict. Where there is no file of dev or of test, it is cut off train by a hash of each
example's id, and `train` is the rest: whoever holds one can't see the other.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from model.data import demo
from model.data.folder import Folder
from model.data.hub import Hub
from model.data.rows import BadRow, Cells
from model.data.tasks import CS224N, CS224N_SOURCES, Binary, Classes, Number, Source, Split, Task
from model.errors import UserError

NAMED = ("demo", "hub")
"""Data that is no folder, with tasks of its own, those of CS224N."""
SKIPPED_SHOWN = 3
"""So many of the rows that were left out of a file are remembered with what is wrong with them."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DIGITS = 6
"""Of the place that an example's id gives it among all."""


@dataclass(frozen=True)
class Example:
    """One example of a task."""

    id: str
    sentences: tuple[str, ...]
    """One sentence or two, as the task has it."""
    label: float | None
    """A class number, 0 or 1, or a number in the task's range; None in `unlabelled`."""


@dataclass(frozen=True)
class Skipped:
    """Rows that were left out of a file."""

    count: int
    messages: tuple[str, ...]
    """What is wrong with the first few, file and line included."""

    def of(self, file: str) -> str:
        """In words."""
        return f"{self.count} {'row' if self.count == 1 else 'rows'} of {file}, the first: {self.messages[0]}"


@dataclass(frozen=True)
class Corpus:
    """The examples of some splits of every task."""

    name: str
    """One of NAMED, or the folder it was read from."""
    tasks: tuple[Task, ...]
    examples: Mapping[str, Mapping[Split, Sequence[Example]]]
    """By task name, then split."""
    skipped: Mapping[str, Skipped] = field(default_factory=dict)
    """By file as the task names it, of the files that rows were left out of."""

    def size(self, split: Split) -> dict[str, int]:
        return {task.name: len(self.examples[task.name][split]) for task in self.tasks}

    def only(self, splits: Iterable[Split]) -> Corpus:
        """The same without the examples of other splits: what `read_corpus` makes of `splits` alone, but that rows
        which were left out of other splits' files stay counted."""
        kept = tuple(splits)
        return replace(
            self, examples={task: {split: of[split] for split in kept} for task, of in self.examples.items()}
        )

    def fingerprint(self) -> str:
        """A hash of the tasks and of every id, sentence and label, in order: equal for equal data, wherever it lies."""
        digest = hashlib.sha256()
        for task in self.tasks:
            digest.update(json.dumps(task.to_dict()).encode())
            for split, examples in sorted(self.examples[task.name].items()):
                for e in examples:
                    digest.update(json.dumps([task.name, split, e.id, e.sentences, e.label]).encode())
        return digest.hexdigest()[:16]


class Store(Protocol):
    """Where the examples of tasks lie."""

    def has(self, source: Source, key: Split) -> bool:
        """Whether there are such rows."""
        ...

    def name(self, source: Source, key: Split) -> str:
        """What these rows are called, in short."""
        ...

    def place(self, source: Source, key: Split) -> str:
        """Where they lie, in messages."""
        ...

    def rows(self, source: Source, key: Split, columns: Sequence[str]) -> Iterator[tuple[int, Cells | BadRow]]:
        """All of them, one at least: the line each stands in, and its cells in `columns`, or what is wrong with them.
        Raises UserError where they can't be had."""
        ...


def read_corpus(
    data: str,
    splits: Iterable[Split] = ("train", "dev"),
    *,
    sources: Sequence[Source] = CS224N_SOURCES,
    skip_bad_rows: bool = False,
) -> Corpus:
    """The `splits` of `data`: the folder that the files of `sources` lie in; or for the tasks of CS224N `demo`,
    generated sentences, or `hub`, public datasets (`model.data.hub`). `unlabelled` is empty where there is none of it.

    Raises UserError with place and line for what is broken. With `skip_bad_rows`, a row with a wrong number of fields,
    an empty field, an id for the second time or a label that is not allowed is left out instead, and counted; a file
    that is missing, no text of its format in UTF-8, or without a good row is refused all the same.
    """
    splits = tuple(splits)
    reader = None
    if data != "demo":
        reader = _Reader(Hub() if data == "hub" else Folder(data, sources), skip_bad_rows)
    read = reader.read if reader else _read_demo
    examples: dict[str, dict[Split, list[Example]]] = {
        source.task.name: {split: read(source, split) for split in splits} for source in sources
    }
    tasks = tuple(source.task for source in sources)
    return Corpus(name=data, tasks=tasks, examples=examples, skipped=reader.skipped if reader else {})


def holds_cs224n(folder: Path) -> bool:
    """Whether the CS224N train files lie in `folder`."""
    return all(os.path.isfile(folder / source.train) for source in CS224N_SOURCES)


def part_of(example_id: str, shares: Mapping[Split, float]) -> Split:
    """Which part of a train file an example belongs to, where `shares` of it are cut off.

    Its place among all is the last digits of a hash of its id, read backwards behind the point.
    """
    number = int.from_bytes(hashlib.sha256(example_id.encode()).digest()[:8], "big")
    place, end = int(f"{number % 10**_DIGITS:0{_DIGITS}}"[::-1]), 0
    for split, share in shares.items():
        end += round(share * 10**_DIGITS)
        if place < end:
            return split
    return "train"


def _read_demo(source: Source, split: Split) -> list[Example]:
    if split == "unlabelled":
        return []
    return [Example(*row) for row in demo.rows(source.task.name, split)]


class _Reader:
    """Splits from a store, each row checked."""

    def __init__(self, store: Store, skip_bad_rows: bool) -> None:
        self._store = store
        self._skip_bad_rows = skip_bad_rows
        self._train: dict[Source, list[Example]] = {}
        self.skipped: dict[str, Skipped] = {}

    def read(self, source: Source, split: Split) -> list[Example]:
        """The examples of a split: those that the store has of it, or the part of train's that it is."""
        if split == "unlabelled":
            return self._checked(source, split) if self._store.has(source, split) else []
        if split != "train" and self._store.has(source, split):
            return self._checked(source, split)
        if source not in self._train:
            self._train[source] = self._checked(source, "train")
        shares: dict[Split, float] = {"test": source.test_share, "dev": source.dev_share}
        shares = {part: share for part, share in shares.items() if not self._store.has(source, part)}
        examples = [e for e in self._train[source] if part_of(e.id, shares) == split]
        if not examples:
            parts = " and ".join(shares)
            raise UserError(f"{self._store.place(source, 'train')}: too few rows to cut a {parts} part from it")
        return examples

    def _checked(self, source: Source, key: Split) -> list[Example]:
        place, labelled = self._store.place(source, key), key != "unlabelled"
        examples: list[Example] = []
        lines: dict[str, int] = {}
        wrong: list[str] = []
        for line, cells in self._store.rows(source, key, _columns(source, labelled)):
            try:
                example = _parsed(cells, source, labelled)
                if source.id_column is not None and example.id in lines:
                    raise BadRow(f"id {example.id!r} stands already in line {lines[example.id]}")
            except BadRow as bad:
                wrong.append(f"{place}:{line}: {bad}")
                if not self._skip_bad_rows:
                    raise UserError(f"{wrong[0]} (--skip-bad-rows leaves such rows out)") from None
            else:
                examples.append(example)
                lines[example.id] = line
        if not examples:
            raise UserError(f"{wrong[0]}; no row can be used")
        if wrong:
            name = self._store.name(source, key)
            name = f"{name} ({source.task.name})" if name in self.skipped else name  # where two tasks read it
            self.skipped[name] = Skipped(len(wrong), tuple(wrong[:SKIPPED_SHOWN]))
        return examples


def _columns(source: Source, labelled: bool) -> tuple[str, ...]:
    ids = () if source.id_column is None else (source.id_column,)
    return (*ids, *source.task.sentence_columns, *((source.task.label_column,) if labelled else ()))


def _parsed(cells: Cells | BadRow, source: Source, labelled: bool) -> Example:
    if isinstance(cells, BadRow):
        raise cells
    task = source.task
    sentences = tuple(cells[column] for column in task.sentence_columns)
    label = _label(cells[task.label_column], task) if labelled else None
    return Example(cells[source.id_column] if source.id_column else _id_of(sentences), sentences, label)


def _id_of(sentences: tuple[str, ...]) -> str:
    """Where a file has no ids: the same for the same sentences, so that no cut comes between two such rows."""
    return hashlib.sha256(json.dumps(sentences).encode()).hexdigest()[:16]


def _label(text: str, task: Task) -> float:
    if task.label_names:
        if text not in task.label_names:
            raise BadRow(f"{task.label_column} is {text!r}; allowed are {', '.join(map(repr, task.label_names))}")
        return float(task.label_names.index(text))
    match task.label:
        case Classes(count=count):
            allowed = f"a whole number from 0 to {count - 1}"
            low, high, whole = 0.0, count - 1.0, True
        case Binary():
            allowed, low, high, whole = "0 or 1", 0.0, 1.0, True
        case Number(low=low, high=high):
            allowed, whole = f"a number from {low:g} to {high:g}", False
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not low <= value <= high or (whole and value != int(value)):
        named = whole and not _NUMBER.fullmatch(text) and task not in CS224N
        hint = "; names of labels are given in the task's table as labels = [...]" if named else ""
        raise BadRow(f"{task.label_column} is {text!r}; allowed is {allowed}{hint}")
    return value
