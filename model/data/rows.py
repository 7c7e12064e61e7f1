"""Rows of a data file, by column: comma- or tab-separated text with a header, or JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.data.delimited import of_other_width, rows
from model.data.tasks import Format
from model.errors import UserError

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_KINDS = {"csv": "comma-separated", "tsv": "tab-separated"}
_OTHERS = {"csv": "tsv tab-separated", "tsv": "csv comma-separated"}
_OTHER_DELIMITER = re.compile(r"[;,\t|]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class BadRow(Exception):
    """What is wrong with a row, and what is allowed."""


Cells = Mapping[str, str]
"""By column, without space around them."""


def read_rows(
    path: Path, text: str, file_format: Format, columns: Sequence[str]
) -> Iterator[tuple[int, Cells | BadRow]]:
    """Every row of `text`, which is that of `path`: the line it begins in, and its cells in `columns`, or what is wrong
    with them. Raises UserError, with file and line, where no row can be told from another, or where the header lacks a
    column."""
    if file_format == "jsonl":
        return _json_lines(text, columns)
    return _delimited(path, text, file_format, columns)


def _delimited(
    path: Path, text: str, file_format: Format, columns: Sequence[str]
) -> Iterator[tuple[int, Cells | BadRow]]:
    kind, delimiter = _KINDS[file_format], _DELIMITERS[file_format]
    read = rows(path, text, delimiter, f"{kind} text")
    _, fields = next(read, (1, []))
    if not fields:
        raise UserError(f"{path}: empty; its first line names the columns")
    for column in columns:
        if column not in fields:
            found = ", ".join(repr(name) for name in fields if name) or "none"
            unlike = len(fields) == 1 and _OTHER_DELIMITER.search(fields[0])
            hint = f"; columns are to be {kind}, in {_OTHERS[file_format]}" if unlike else ""
            raise UserError(f"{path}:1: no column {column!r} ({kind} columns found: {found}){hint}")
        if fields.count(column) > 1:
            raise UserError(f"{path}:1: the column {column!r} stands there twice")
    places = {column: fields.index(column) for column in columns}
    for line, row in read:
        yield line, cells_in(row, fields, places, delimiter)


def cells_in(row: Sequence[str], fields: Sequence[str], places: Mapping[str, int], delimiter: str) -> Cells | BadRow:
    """What a table's `row` has at these `places`, by column, or what is wrong with it; `fields` are its header."""
    if len(row) != len(fields):
        return BadRow(of_other_width(row, fields, delimiter))
    return checked({column: row[place].strip() for column, place in places.items()})


def _json_lines(text: str, columns: Sequence[str]) -> Iterator[tuple[int, Cells | BadRow]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, checked(_cells(line, columns))
            except BadRow as bad:
                yield number, bad


def _cells(line: str, columns: Sequence[str]) -> Cells:
    try:
        values = json.loads(line)
    except ValueError as error:  # also of a whole number of thousands of digits
        why = error.msg if isinstance(error, json.JSONDecodeError) else str(error).split(";")[0]
        raise BadRow(f"not JSON ({why}); allowed is an object in each line") from None
    except RecursionError:
        raise BadRow("not JSON (nested too deeply); allowed is an object in each line") from None
    if not isinstance(values, dict):
        raise BadRow(f"a JSON {_kind(values)}; allowed is an object in each line")
    cells = {}
    for column in columns:
        if column not in values:
            found = ", ".join(map(repr, values)) or "none"
            raise BadRow(f"no key {column!r} (keys found: {found})")
        value = values[column]
        if not isinstance(value, str | int | float):
            raise BadRow(f"a JSON {_kind(value)} in {column!r}; allowed is text or a number")
        cells[column] = (value if isinstance(value, str) else json.dumps(value)).strip()
    return cells


def _kind(value: Any) -> str:
    """What JSON calls it."""
    match value:
        case dict():
            return "object"
        case list():
            return "array"
        case str():
            return "string"
        case None:
            return "null"
    return "number"


def checked(cells: Cells) -> Cells | BadRow:
    """`cells`, or what is wrong with one of them."""
    for column, cell in cells.items():
        if not cell:
            return BadRow(f"nothing in column {column!r}")
        if "\0" in cell:
            return BadRow(f"a NUL character in column {column!r}; allowed is text")
        if _SURROGATE.search(cell):
            return BadRow(f"half a character (a lone surrogate) in column {column!r}; allowed is text")
    return cells
