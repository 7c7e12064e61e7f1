"""Examples by task and split: read, checked, fingerprinted.

Splits: `train` and `dev` are the search's; `test` has labels and is for the evaluation of a winner alone; `student` is
the course's test file without labels, there only to predict. Where no labelled test file exists, `test` is a tenth of
the train file, chosen by a hash of each example's id, and `train` is the rest: whoever reads one can't see the other.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.data import demo
from model.data.tasks import CS224N, Binary, Classes, Number, Task
from model.errors import UserError

Split = Literal["train", "dev", "test", "student"]
TEST_SHARE = 10
"""One example in so many is cut from train as test, where there is no labelled test file."""


@dataclass(frozen=True)
class Example:
    """One labelled (or, in `student`, unlabelled) example of a task."""

    id: str
    sentences: tuple[str, ...]
    """One sentence or two, as the task has it."""
    label: float | None
    """A class number, 0 or 1, or a number in the task's range; None where the file has no labels."""


@dataclass(frozen=True)
class Corpus:
    """The examples of some splits of every task."""

    name: str
    """`demo` or the folder it was read from."""
    tasks: tuple[Task, ...]
    examples: Mapping[str, Mapping[Split, Sequence[Example]]]
    """By task name, then split."""

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


def read_corpus(data: str, splits: Iterable[Split] = ("train", "dev")) -> Corpus:
    """The `splits` of `data`: `demo`, or a folder with the CS224N files. `student` is empty where there is no file.

    Raises UserError with file and line for a missing file or column, a missing label, or one out of range.
    """
    read, splits = _read_demo if data == "demo" else _read_folder, tuple(splits)
    examples: dict[str, dict[Split, list[Example]]] = {
        task.name: {split: read(data, task, split) for split in splits} for task in CS224N
    }
    return Corpus(name=data, tasks=CS224N, examples=examples)


def holds_cs224n(folder: Path) -> bool:
    """Whether the CS224N train files lie in `folder`."""
    return all((folder / f"{task.file_stem}-train.csv").is_file() for task in CS224N)


def in_test_cut(example_id: str) -> bool:
    """Whether an example of a train file belongs to the test part cut from it."""
    return int.from_bytes(hashlib.sha256(example_id.encode()).digest()[:8], "big") % TEST_SHARE == 0


def _read_demo(data: str, task: Task, split: Split) -> list[Example]:
    if split == "student":
        return []
    return [Example(*row) for row in demo.rows(task.name, split)]


def _read_folder(data: str, task: Task, split: Split) -> list[Example]:
    folder = Path(data)
    if not folder.is_dir():
        raise UserError(f"--data {data}: no such folder; give a folder with the CS224N files, or 'demo'")
    labelled_test = folder / f"{task.file_stem}-test.csv"
    if split == "student":
        path = folder / f"{task.file_stem}-test-student.csv"
        return _read_file(path, task, labelled=False) if path.exists() else []
    if split == "dev" or (split == "test" and labelled_test.exists()):
        return _read_file(folder / f"{task.file_stem}-{split}.csv", task, labelled=True)
    examples = _read_file(folder / f"{task.file_stem}-train.csv", task, labelled=True)
    if not labelled_test.exists():
        examples = [e for e in examples if in_test_cut(e.id) == (split == "test")]
        if not examples:
            raise UserError(f"{folder / task.file_stem}-train.csv: too few rows to cut a test part from it")
    return examples


def _read_file(path: Path, task: Task, *, labelled: bool) -> list[Example]:
    columns = ("id", *task.sentence_columns, *((task.label_column,) if labelled else ()))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; task {task.name!r} needs it") from None
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    return _read_rows(rows, path, task, columns, labelled)


def _read_rows(
    rows: csv.DictReader[str], path: Path, task: Task, columns: Sequence[str], labelled: bool
) -> list[Example]:
    try:
        fields = rows.fieldnames or []
        missing = [c for c in columns if c not in fields]
        if missing:
            found = ", ".join(repr(c) for c in fields if c) or "none"
            raise UserError(f"{path}:1: no column {missing[0]!r} (tab-separated columns found: {found})")
        examples: list[Example] = []
        seen: dict[str, int] = {}
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if rows.restkey in row:
                count = len(fields) + len(row[rows.restkey])
                raise UserError(f"{where}: {count} fields in a row of {len(fields)} columns")
            for column in columns:
                if not (row[column] or "").strip():
                    raise UserError(f"{where}: nothing in column {column!r}")
            example_id = row["id"].strip()
            if example_id in seen:
                raise UserError(f"{where}: id {example_id!r} stands already in line {seen[example_id]}")
            seen[example_id] = rows.line_num
            label = _parse_label(row[task.label_column], task, where) if labelled else None
            examples.append(Example(example_id, tuple(row[c].strip() for c in task.sentence_columns), label))
    except csv.Error as error:
        raise UserError(f"{path}:{rows.line_num + 1}: not readable as tab-separated text ({error})") from None
    if not examples:
        raise UserError(f"{path}: no rows below the header")
    return examples


def _parse_label(text: str, task: Task, where: str) -> float:
    match task.label:
        case Classes(count=count):
            allowed = f"a whole number from 0 to {count - 1}"
            low, high, whole = 0.0, count - 1.0, True
        case Binary():
            allowed, low, high, whole = "0 or 1", 0.0, 1.0, True
        case Number(low=low, high=high):
            allowed, whole = f"a number from {low:g} to {high:g}", False
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high or (whole and value != int(value)):
        raise UserError(f"{where}: {task.label_column} is {text!r}; allowed is {allowed}")
    return value
