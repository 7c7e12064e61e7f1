"""Files of sentences: tables of comma- or tab-separated text, or JSON lines, in, and out with what is said of them."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.data.corpus import SKIPPED_SHOWN, Skipped
from model.data.delimited import read_text, rows
from model.data.rows import BadRow, Cells, cells_in, read_rows
from model.data.tasks import Task
from model.errors import UserError

Column = Sequence[str | float | None]
"""Of what is said: text, or numbers; None where there is none."""


@dataclass(frozen=True)
class Asked:
    """What of a file a task is asked about."""

    lines: list[int]
    """Where each row begins."""
    sentences: list[tuple[str, ...]]
    """The one or two of each row, without space around them, as in training."""
    skipped: Skipped | None
    """The rows that are not; None: there are none."""


@dataclass(frozen=True, kw_only=True)
class Sentences(ABC):
    """A file's rows, as they stand in it, by the line that each begins in."""

    path: Path
    columns: list[str]

    def of(self, task: Task, *, skip_bad_rows: bool) -> Asked:
        """What `task` reads. Raises UserError, with file and line, where a row can't be read, or, with `skip_bad_rows`,
        none can."""
        read: dict[int, tuple[str, ...]] = {}
        wrong = list[str]()
        for line, cells in self._rows_of(task):
            if isinstance(cells, BadRow):
                wrong.append(f"{self.path}:{line}: {cells}")
                if not skip_bad_rows:
                    raise UserError(f"{wrong[0]} (--skip-bad-rows leaves such rows out)")
            else:
                read[line] = tuple(cells[column] for column in task.sentence_columns)
        if not read:
            raise UserError(f"{wrong[0]}; no row can be used")
        skipped = Skipped(len(wrong), tuple(wrong[:SKIPPED_SHOWN])) if wrong else None
        return Asked(list(read), list(read.values()), skipped)

    @abstractmethod
    def _rows_of(self, task: Task) -> Iterator[tuple[int, Cells | BadRow]]:
        """The line of each row, and the cells that `task` reads, or what is wrong with them."""

    @abstractmethod
    def with_columns(self, lines: Sequence[int], columns: Mapping[str, Column]) -> str:
        """The rows in these `lines` as text, with more columns after the file's own."""

    @abstractmethod
    def first_line(self, column: str, lines: Sequence[int]) -> int | None:
        """Where `column` first stands for the rows in `lines`, from 1; None: nowhere."""

    def has(self, columns: Sequence[str]) -> bool:
        return all(column in self.columns for column in columns)

    def listed(self) -> str:
        """The columns, for a message."""
        return ", ".join(repr(column) for column in self.columns if column) or "none"

    def check_free(self, columns: Sequence[str], lines: Sequence[int]) -> None:
        """Raises UserError where there is a column of one of these names already in one of these lines' rows."""
        for column in columns:
            if line := self.first_line(column, lines):
                raise UserError(f"{self.path}:{line}: there is a column {column!r} already; give it another name")


@dataclass(frozen=True, kw_only=True)
class Table(Sentences):
    """Comma- or tab-separated text."""

    delimiter: str
    """Between the cells that are read."""
    rows: dict[int, list[str]]

    def _rows_of(self, task: Task) -> Iterator[tuple[int, Cells | BadRow]]:
        places = {column: self._place(column, task) for column in task.sentence_columns}
        for line, row in self.rows.items():
            yield line, cells_in(row, self.columns, places, self.delimiter)

    def with_columns(self, lines: Sequence[int], columns: Mapping[str, Column]) -> str:
        """More are written beside a single column with commas where the file is called .csv."""
        text = io.StringIO()
        alone = len(self.columns) == 1 and self.path.suffix.lower() == ".csv"
        writer = csv.writer(text, delimiter="," if alone else self.delimiter, lineterminator="\n")
        writer.writerow([*self.columns, *columns])
        cells = [["nan" if value is None else value for value in column] for column in columns.values()]
        writer.writerows([*self.rows[line], *more] for line, *more in zip(lines, *cells, strict=True))
        return text.getvalue()

    def first_line(self, column: str, lines: Sequence[int]) -> int | None:
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
    """An object in each line; the columns are the keys of all of them."""

    text: str
    objects: dict[int, dict[str, Any]]
    """Without lines that hold none."""

    def _rows_of(self, task: Task) -> Iterator[tuple[int, Cells | BadRow]]:
        return read_rows(self.path, self.text, "jsonl", task.sentence_columns)

    def with_columns(self, lines: Sequence[int], columns: Mapping[str, Column]) -> str:
        said = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
        rows = (self.objects[line] | more for line, more in zip(lines, said, strict=True))
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate stays JSON's escape of it

    def first_line(self, column: str, lines: Sequence[int]) -> int | None:
        return next((line for line in lines if column in self.objects[line]), None)


def read_sentences(path: Path) -> Sentences:
    """What is in `path`: JSON lines where it is called .jsonl, else a table. Raises UserError for what is neither, or
    holds no rows; single rows are left to `Sentences.of`."""
    return _read_json_lines(path) if path.suffix.lower() == ".jsonl" else _read_table(path)


def _read_json_lines(path: Path) -> JsonLines:
    text = read_text(path)
    lines, read = text.split("\n"), list(read_rows(path, text, "jsonl", ()))
    objects = {line: json.loads(lines[line - 1]) for line, row in read if not isinstance(row, BadRow)}
    if not objects:
        raise UserError(f"{path}:{read[0][0]}: {read[0][1]}; no row can be used" if read else f"{path}: no rows")
    columns = list(dict.fromkeys(key for row in objects.values() for key in row))
    return JsonLines(path=path, columns=columns, text=text, objects=objects)


def _read_table(path: Path) -> Table:
    """Its first line names the columns; where there is a comma and no tab in that, commas separate the cells, else tabs
    do. A single column has neither, and its cells may hold commas."""
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = "," if "," in header and "\t" not in header else "\t"
    (_, columns), *rest = list(rows(path, text, delimiter, "a table")) or [(1, [])]
    if not columns:
        raise UserError(f"{path}: empty; its first line names the columns")
    if not rest:
        raise UserError(f"{path}: no rows below the header")
    return Table(path=path, columns=columns, delimiter=delimiter, rows=dict(rest))
