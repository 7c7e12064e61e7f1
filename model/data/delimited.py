"""Files of tab- or comma-separated text, row by row, each with the line it begins in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from model.errors import UserError

_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How files of .xlsx and .xls begin."""


def read_text(path: Path, *, needed: str = "") -> str:
    """The text of a file in UTF-8. Raises UserError where there is none; `needed` says what it is needed for."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file{needed and f'; {needed}'}") from None
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror})") from None
    except UnicodeDecodeError as error:
        if error.object.startswith(_SPREADSHEETS):
            raise UserError(
                f"{path}: a spreadsheet or an archive; allowed is text in UTF-8: csv, tsv or jsonl"
            ) from None
        line = len((error.object[: error.start] + b".").splitlines())
        raise UserError(f"{path}:{line}: not UTF-8 text ({error.reason})") from None


def rows(path: Path, text: str, delimiter: str, kind: str) -> Iterator[tuple[int, list[str]]]:
    """Every row of `text` that is not empty, the header included, and the line it begins in. Raises UserError, with
    file and line, where it can't be read as `kind`: what a user calls a file with that delimiter."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if delimiter == "\t" and any("\t" in cell and ("\n" in cell or "\r" in cell) for cell in row):
                # It has swallowed other rows.
                raise UserError(f"{path}:{line}: a cell with tabs and line breaks; is a quote not closed?")
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path}:{line}: not readable as {kind} ({error}); "
            "a cell that begins with a quote ends with one, and has quotes doubled"
        ) from None


def of_other_width(cells: Sequence[str], columns: Sequence[str], delimiter: str) -> str:
    """What is wrong with a row that has not as many cells as the header."""
    fields = "1 field" if len(cells) == 1 else f"{len(cells)} fields"
    found = f"{fields} in a row of {'1 column' if len(columns) == 1 else f'{len(columns)} columns'}"
    return found + ("; a cell with a comma needs quotes" if delimiter == "," and len(cells) > len(columns) else "")
