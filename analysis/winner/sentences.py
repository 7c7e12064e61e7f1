"""Files of sentences: tables of comma- or tab-separated text, or JSON lines, in, and out with what is said of them."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.data.delimited import of_other_width, read_text, rows
from model.data.rows import BadRow, read_rows
from model.data.tasks import Task
from model.errors import UserError

Column = Sequence[str | float | None]
"""Of what is said: text, or numbers; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Sentences(ABC):
    """A file's rows, as they stand in it."""

    path: Path
    columns: list[str]

    @abstractmethod
    def of(self, task: Task) -> list[tuple[str, ...]]:
        """The one or two sentences of each row that `task` reads, without space around them, as in training."""

    @abstractmethod
    def with_columns(self, columns: Mapping[str, Column]) -> str:
        """The file as text, these columns after its own."""

    @abstractmethod
    def first_line(self, column: str) -> int | None:
        """Where `column` first stands, from 1; None: nowhere."""

    def has(self, columns: Sequence[str]) -> bool:
        return all(column in self.columns for column in columns)

    def listed(self) -> str:
        """The columns, for a message."""
        return ", ".join(repr(column) for column in self.columns if column) or "none"

    def check_free(self, columns: Sequence[str]) -> None:
        """Raises UserError where there is a column of one of these names already."""
        for column in columns:
            if line := self.first_line(column):
                raise UserError(f"{self.path}:{line}: there is a column {column!r} already; give it another name")


@dataclass(frozen=True, kw_only=True)
class Table(Sentences):
    """Comma- or tab-separated text."""

    delimiter: str
    """Between the cells that are written."""
    rows: list[list[str]]
    lines: list[int]
    """The line each row begins in."""

    def of(self, task: Task) -> list[tuple[str, ...]]:
        places = [self._place(column, task) for column in task.sentence_columns]
        found = []
        for line, row in zip(self.lines, self.rows, strict=True):
            sentences = tuple(row[place].strip() for place in places)
            for column, sentence in zip(task.sentence_columns, sentences, strict=True):
                if not sentence:
                    raise UserError(f"{self.path}:{line}: nothing in column {column!r}")
            found.append(sentences)
        return found

    def with_columns(self, columns: Mapping[str, Column]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        writer.writerow([*self.columns, *columns])
        cells = [["nan" if value is None else value for value in column] for column in columns.values()]
        writer.writerows([*row, *more] for row, *more in zip(self.rows, *cells, strict=True))
        return text.getvalue()

    def first_line(self, column: str) -> int | None:
        return 1 if column in self.columns else None

    def _place(self, column: str, task: Task) -> int:
        if self.columns.count(column) != 1:
            there = "the column {!r} twice or more" if column in self.columns else "no column {!r}"
            needed = " and ".join(map(repr, task.sentence_columns))
            raise UserError(
                f"{self.path}:1: {there.format(column)} (columns found: {self.listed()}); task {task.name!r} reads "
                f"{needed}"
            )
        return self.columns.index(column)


@dataclass(frozen=True, kw_only=True)
class JsonLines(Sentences):
    """An object in each line; the columns are the keys of the first one."""

    text: str
    objects: list[dict[str, Any]]
    lines: list[int]
    """The line of each."""

    def of(self, task: Task) -> list[tuple[str, ...]]:
        found = []
        for line, cells in read_rows(self.path, self.text, "jsonl", task.sentence_columns):
            if isinstance(cells, BadRow):
                raise UserError(f"{self.path}:{line}: {cells}")
            found.append(tuple(cells[column] for column in task.sentence_columns))
        return found

    def with_columns(self, columns: Mapping[str, Column]) -> str:
        said = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
        lines = (json.dumps(row | more, ensure_ascii=False) for row, more in zip(self.objects, said, strict=True))
        text = "".join(f"{line}\n" for line in lines)
        return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate stays JSON's escape of it

    def first_line(self, column: str) -> int | None:
        return next((line for line, row in zip(self.lines, self.objects, strict=True) if column in row), None)


def read_sentences(path: Path) -> Sentences:
    """What is in `path`: JSON lines where it is called .jsonl, else a table. Raises UserError, with file and line, for
    what is neither."""
    return _read_json_lines(path) if path.suffix.lower() == ".jsonl" else _read_table(path)


def _read_json_lines(path: Path) -> JsonLines:
    text = read_text(path)
    lines = []
    for line, row in read_rows(path, text, "jsonl", ()):
        if isinstance(row, BadRow):
            raise UserError(f"{path}:{line}: {row}")
        lines.append(line)
    objects = [json.loads(line) for line in text.split("\n") if line.strip()]
    if not objects:
        raise UserError(f"{path}: no rows")
    return JsonLines(path=path, columns=list(objects[0]), text=text, objects=objects, lines=lines)


def _read_table(path: Path) -> Table:
    """Its first line names the columns; where there is a comma and no tab in that, commas separate the cells, else tabs
    do. A single column has neither, and its cells may hold commas; more are written beside it with commas where the
    file is called .csv."""
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = "," if "," in header and "\t" not in header else "\t"
    (_, columns), *rest = list(rows(path, text, delimiter, "a table")) or [(1, [])]
    if not columns:
        raise UserError(f"{path}: empty; its first line names the columns")
    if not rest:
        raise UserError(f"{path}: no rows below the header")
    for line, row in rest:
        if len(row) != len(columns):
            raise UserError(f"{path}:{line}: {of_other_width(row, columns, delimiter)}")
    if len(columns) == 1 and path.suffix.lower() == ".csv":
        delimiter = ","
    return Table(
        path=path,
        columns=columns,
        delimiter=delimiter,
        rows=[row for _, row in rest],
        lines=[line for line, _ in rest],
    )
