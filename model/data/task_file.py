"""The file of --tasks: TOML with a [[task]] table for each task (`model.data.tasks`), every error with its line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model.data.delimited import read_text
from model.data.tables import TaskError
from model.data.tasks import Source, check_names, source_of
from model.errors import UserError

_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_BARE_WORD = re.compile(r"[=,\[]\s*([^\W\d][\w./-]*)")
"""Where a text would be, but for its quotes."""
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def read_task_file(path: Path) -> tuple[Source, ...]:
    """The tasks in `path` and their files. Raises UserError, with the line, for what is wrong with it."""
    text = read_text(path)
    values = _parsed(path, text)
    for key in values:
        if key != "task":
            raise UserError(f"{path}:{_line(text, [key])}: {key!r} is no part of it; allowed are [[task]] tables")
    tables = values.get("task", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise UserError(f"{path}:{_line(text, ['task'])}: task is no list of tables; each begins with [[task]]")
    sources: list[Source] = []
    for number, table in enumerate(tables):
        try:
            sources.append(source_of(table))
            check_names([source.task for source in sources])
        except TaskError as error:
            place = ["task", number] if error.key is None else ["task", number, error.key]
            raise UserError(f"{path}:{_line(text, place)}: {error}") from None
    if not sources:
        raise UserError(f"{path}: no task in it; each is a table that begins with [[task]]")
    return tuple(sources)


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _PLACE.search(message)
        lines = text.splitlines()
        line = int(found[1]) if found and found[1] else len(lines)
        what = _PLACE.sub("", message)
        bare = what == "Invalid value" and _BARE_WORD.search(_QUOTED.sub("", lines[line - 1]))
        hint = f"; a text stands in quotes, such as {json.dumps(bare[1], ensure_ascii=False)}" if bare else ""
        raise UserError(f"{path}:{line}: not TOML ({what}){hint}") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise UserError(f"{path}: not TOML ({str(error).split(';')[0]})") from None
    except RecursionError:
        raise UserError(f"{path}: not TOML (nested too deeply)") from None


def _line(text: str, place: list[str | int]) -> int:
    """The line in which the value at `place` begins: the parser tells none, but it reads the file up to any line at
    which a statement ends, and the value is in the first of these that holds it."""
    begins = 1
    for end, values in _prefixes(text):
        if _holds(values, place):
            return begins
        begins = end + 1
    return 1


def _prefixes(text: str) -> Iterator[tuple[int, Any]]:
    """What the first lines of `text` say, and how many they are, for every number at which a statement ends."""
    lines = text.split("\n")
    for end in range(1, len(lines) + 1):
        try:
            yield end, tomllib.loads("\n".join([*lines[:end], ""]))
        except tomllib.TOMLDecodeError:
            continue


def _holds(values: Any, place: list[str | int]) -> bool:
    for step in place:
        try:
            values = values[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True
