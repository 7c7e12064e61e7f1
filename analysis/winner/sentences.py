"""Files of sentences: tables of comma- or tab-separated text, in, and out with more columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.data.delimited import read_text, rows
from model.data.tasks import Task
from model.errors import UserError


@dataclass(frozen=True)
class Table:
    """A file's rows, as they stand in it."""

    path: Path
    delimiter: str
    """Between the cells that are written."""
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]
    """The line each row begins in."""

    def sentences(self, task: Task) -> list[tuple[str, ...]]:
        """The one or two sentences of each row that `task` reads, without space around them, as in training."""
        places = [self._place(column, task) for column in task.sentence_columns]
        found = []
        for line, row in zip(self.lines, self.rows, strict=True):
            sentences = tuple(row[place].strip() for place in places)
            for column, sentence in zip(task.sentence_columns, sentences, strict=True):
                if not sentence:
                    raise UserError(f"{self.path}:{line}: nothing in column {column!r}")
            found.append(sentences)
        return found

    def has(self, columns: Sequence[str]) -> bool:
        return all(column in self.columns for column in columns)

    def listed(self) -> str:
        """The columns, for a message."""
        return ", ".join(repr(column) for column in self.columns if column) or "none"

    def check_free(self, columns: Sequence[str]) -> None:
        """Raises UserError where there is a column of one of these names already."""
        for column in columns:
            if column in self.columns:
                raise UserError(f"{self.path}:1: there is a column {column!r} already; give it another name")

    def with_columns(self, columns: Mapping[str, Sequence[str]]) -> str:
        """The table as text, these columns after its own."""
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        writer.writerow([*self.columns, *columns])
        writer.writerows([*row, *more] for row, *more in zip(self.rows, *columns.values(), strict=True))
        return text.getvalue()

    def _place(self, column: str, task: Task) -> int:
        if self.columns.count(column) != 1:
            there = "the column {!r} twice or more" if column in self.columns else "no column {!r}"
            needed = " and ".join(map(repr, task.sentence_columns))
            raise UserError(
                f"{self.path}:1: {there.format(column)} (columns found: {self.listed()}); task {task.name!r} reads "
                f"{needed}"
            )
        return self.columns.index(column)


def read_table(path: Path) -> Table:
    """The table in `path`. Its first line names the columns; where there is a comma and no tab in that, commas separate
    the cells, else tabs do. A single column has neither, and its cells may hold commas; more are written beside it with
    commas where the file is called .csv.

    Raises UserError, with file and line, for what is no such table.
    """
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
            raise UserError(f"{path}:{line}: {len(row)} fields in a row of {len(columns)} columns")
    if len(columns) == 1 and path.suffix.lower() == ".csv":
        delimiter = ","
    return Table(path, delimiter, columns, [row for _, row in rest], [line for line, _ in rest])
