"""Examples by task and split: read, checked, fingerprinted.

Splits: `train` and `dev` are the search's; `test` has labels and is for the evaluation of a winner alone; `student` is
the course's test file without labels, there only to predict. Where no labelled test file exists, `test` is a tenth of
the train file, chosen by a hash of each example's id, and `train` is the rest: whoever reads one can't see the other.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from model.data import demo
from model.data.delimited import read_text, rows
from model.data.tasks import CS224N, Binary, Classes, Number, Task
from model.errors import UserError

Split = Literal["train", "dev", "test", "student"]
TEST_SHARE = 10
"""One example in so many is cut from train as test, where there is no labelled test file."""
SKIPPED_SHOWN = 3
"""So many of the rows that were left out of a file are remembered with what is wrong with them."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Example:
    """One labelled (or, in `student`, unlabelled) example of a task."""

    id: str
    sentences: tuple[str, ...]
    """One sentence or two, as the task has it."""
    label: float | None
    """A class number, 0 or 1, or a number in the task's range; None where the file has no labels."""


@dataclass(frozen=True)
class Skipped:
    """Rows that were left out of a file."""

    count: int
    messages: tuple[str, ...]
    """What is wrong with the first few, file and line included."""


@dataclass(frozen=True)
class Corpus:
    """The examples of some splits of every task."""

    name: str
    """`demo` or the folder it was read from."""
    tasks: tuple[Task, ...]
    examples: Mapping[str, Mapping[Split, Sequence[Example]]]
    """By task name, then split."""
    skipped: Mapping[str, Skipped] = field(default_factory=dict)
    """By the file's name, of the files that rows were left out of."""

    def size(self, split: Split) -> dict[str, int]:
        return {task.name: len(self.examples[task.name][split]) for task in self.tasks}

    def fingerprint(self) -> str:
        """A hash of every id, sentence and label, in order: equal for equal data, wherever it lies."""
        digest = hashlib.sha256()
        for task in self.tasks:
            for split, examples in sorted(self.examples[task.name].items()):
                for e in examples:
                    digest.update(json.dumps([task.name, split, e.id, e.sentences, e.label]).encode())
        return digest.hexdigest()[:16]


def read_corpus(data: str, splits: Iterable[Split] = ("train", "dev"), *, skip_bad_rows: bool = False) -> Corpus:
    """The `splits` of `data`: `demo`, or a folder with the CS224N files. `student` is empty where there is no file.

    Raises UserError with file and line for what is broken. With `skip_bad_rows`, a row with a wrong number of fields,
    an empty field, an id for the second time or a label out of range is left out instead, and counted; a file that is
    missing, no tab-separated UTF-8 text, or without a good row is refused all the same.
    """
    splits = tuple(splits)
    folder = None if data == "demo" else _Folder(data, skip_bad_rows)
    read = folder.read if folder else _read_demo
    examples: dict[str, dict[Split, list[Example]]] = {
        task.name: {split: read(task, split) for split in splits} for task in CS224N
    }
    return Corpus(name=data, tasks=CS224N, examples=examples, skipped=folder.skipped if folder else {})


def holds_cs224n(folder: Path) -> bool:
    """Whether the CS224N train files lie in `folder`."""
    return all(os.path.isfile(folder / f"{task.file_stem}-train.csv") for task in CS224N)


def in_test_cut(example_id: str) -> bool:
    """Whether an example of a train file belongs to the test part cut from it."""
    return int.from_bytes(hashlib.sha256(example_id.encode()).digest()[:8], "big") % TEST_SHARE == 0


def _read_demo(task: Task, split: Split) -> list[Example]:
    if split == "student":
        return []
    return [Example(*row) for row in demo.rows(task.name, split)]


class _Folder:
    """A folder with the CS224N files."""

    def __init__(self, data: str, skip_bad_rows: bool) -> None:
        self._path = Path(data)
        self._skip_bad_rows = skip_bad_rows
        self.skipped: dict[str, Skipped] = {}
        if not os.path.isdir(data):  # Path.is_dir raises where a folder above may not be entered
            raise UserError(f"--data {data}: no such folder; give a folder with the CS224N files, or 'demo'")

    def read(self, task: Task, split: Split) -> list[Example]:
        # A link to nowhere is a file that can't be read, not one that was never there.
        labelled_test = os.path.lexists(self._path / f"{task.file_stem}-test.csv")
        if split == "student":
            path = self._path / f"{task.file_stem}-test-student.csv"
            return self._read_file(path, task, labelled=False) if os.path.lexists(path) else []
        if split == "dev" or (split == "test" and labelled_test):
            return self._read_file(self._path / f"{task.file_stem}-{split}.csv", task, labelled=True)
        path = self._path / f"{task.file_stem}-train.csv"
        examples = self._read_file(path, task, labelled=True)
        if not labelled_test:
            examples = [e for e in examples if in_test_cut(e.id) == (split == "test")]
            if not examples:
                raise UserError(f"{path}: too few rows to cut a test part from it")
        return examples

    def _read_file(self, path: Path, task: Task, *, labelled: bool) -> list[Example]:
        text = read_text(path, needed=f"task {task.name!r} needs it")
        read = rows(path, text, "\t", "tab-separated text")
        _, fields = next(read, (1, []))
        _check_header(fields, _columns(task, labelled), path)
        examples: dict[str, Example] = {}
        lines: dict[str, int] = {}
        wrong: list[str] = []
        for line, cells in read:
            try:
                example = _parse_row(fields, cells, task, labelled)
                if example.id in examples:
                    raise _BadRow(f"id {example.id!r} stands already in line {lines[example.id]}")
            except _BadRow as bad:
                wrong.append(f"{path}:{line}: {bad}")
                if not self._skip_bad_rows:
                    raise UserError(f"{wrong[0]} (--skip-bad-rows leaves such rows out)") from None
            else:
                examples[example.id], lines[example.id] = example, line
        if not examples:
            raise UserError(f"{wrong[0]}; no row can be used" if wrong else f"{path}: no rows below the header")
        if wrong:
            self.skipped[path.name] = Skipped(len(wrong), tuple(wrong[:SKIPPED_SHOWN]))
        return list(examples.values())


class _BadRow(Exception):
    """What is wrong with a row, and what is allowed."""


def _columns(task: Task, labelled: bool) -> tuple[str, ...]:
    return ("id", *task.sentence_columns, *((task.label_column,) if labelled else ()))


def _check_header(fields: Sequence[str], columns: Sequence[str], path: Path) -> None:
    for column in columns:
        if column not in fields:
            found = ", ".join(repr(name) for name in fields if name) or "none"
            raise UserError(f"{path}:1: no column {column!r} (tab-separated columns found: {found})")
        if fields.count(column) > 1:
            raise UserError(f"{path}:1: the column {column!r} stands there twice")


def _parse_row(fields: Sequence[str], cells: Sequence[str], task: Task, labelled: bool) -> Example:
    if len(cells) != len(fields):
        raise _BadRow(f"{len(cells)} fields in a row of {len(fields)} columns")
    row = {column: cell.strip() for column, cell in zip(fields, cells, strict=True)}
    for column in _columns(task, labelled):
        if not row[column]:
            raise _BadRow(f"nothing in column {column!r}")
        if "\0" in row[column]:
            raise _BadRow(f"a NUL character in column {column!r}; allowed is text")
    label = _parse_label(row[task.label_column], task) if labelled else None
    return Example(row["id"], tuple(row[column] for column in task.sentence_columns), label)


def _parse_label(text: str, task: Task) -> float:
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
        raise _BadRow(f"{task.label_column} is {text!r}; allowed is {allowed}")
    return value
