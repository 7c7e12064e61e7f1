"""The ledger: the append-only file that a run can be rebuilt from.

One line of JSON for each event (search.records), written and synced to disk before anyone acts on it. Each line carries
a checksum of the rest of it. A crash can tear the last line only, and that one is cut off when the ledger is opened
again. Damage anywhere else is refused by all who read; `set_aside_damage` falls back to the lines before it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from model.errors import UserError
from search.records import (
    Decision,
    End,
    Event,
    History,
    Promoted,
    Report,
    Retry,
    Session,
    SessionEnd,
    Suggested,
    TrialError,
    TrialEvent,
    TrialRecord,
)

_EVENTS: dict[str, type[Event]] = {
    "session": Session,
    "session end": SessionEnd,
    "suggested": Suggested,
    "report": Report,
    "decision": Decision,
    "promoted": Promoted,
    "retry": Retry,
    "end": End,
}
_NAMES = {kind: name for name, kind in _EVENTS.items()}

Listener = Callable[[TrialEvent, TrialRecord], None]


class Ledger:
    """A ledger open for writing. One process writes; any number may read meanwhile."""

    def __init__(self, path: Path) -> None:
        lines = _read_lines(path)
        if lines.damage is not None:
            raise UserError(str(lines.damage))
        self.history = lines.history
        """What the lines come to; kept up to date with each line appended."""
        self._listeners: list[Listener] = []
        self._length = lines.length
        self._file = path.open("ab", buffering=0)
        self._file.truncate(self._length)  # cuts off a torn last line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def records(self) -> dict[str, TrialRecord]:
        """Trial records by name, in the order of their suggestion."""
        return self.history.trials

    def listen(self, listener: Listener) -> None:
        """Calls `listener(event, record)` after each line on a trial appended from now on, when it is safe on disk."""
        self._listeners.append(listener)

    def append(self, event: Event) -> None:
        """Records `event`: when this returns, it is on disk. Raises OSError, and leaves no line, where it can't be."""
        self.history.check(event)
        line = _to_line(event)
        try:
            self._write(line)
        except OSError:
            self._file.truncate(self._length)
            raise
        self._length += len(line)
        self.history.apply(event)
        if isinstance(event, TrialEvent):
            for listener in self._listeners:
                listener(event, self.records[event.trial])

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        while left:  # a disk that is nearly full takes a part
            left = left[self._file.write(left) :]
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_ledger(path: Path) -> History:
    """The history in a ledger that someone else may be writing to. Raises UserError where a line is damaged."""
    return _read_whole(path).history


def read_events(path: Path) -> list[Event]:
    """What that history was made of. Raises UserError where a line is damaged."""
    return _read_whole(path).events


def set_aside_damage(path: Path) -> str | None:
    """Cuts a ledger off before its first damaged line, if it has one, and keeps the whole as it was beside it. What was
    done, in words; None where there was nothing to do."""
    lines = _read_lines(path)
    if lines.damage is None:
        return None
    whole = next(name for number in count(1) if not (name := path.with_name(f"ledger.damaged-{number}.jsonl")).exists())
    shutil.copyfile(path, whole)
    os.truncate(path, lines.length)
    return f"{lines.damage}; going on from the line before, the whole file is kept as {whole.name}"


def _to_line(event: Event) -> bytes:
    values = {"event": _NAMES[type(event)], **vars(event)}
    body = json.dumps(values, allow_nan=False, default=dataclasses.asdict).encode()
    return b'{"crc32": "%08x", ' % zlib.crc32(body) + body[1:] + b"\n"


_HEAD = len(b'{"crc32": "00000000", ')


def _from_line(line: bytes) -> Event:
    """Raises ValueError for anything that `_to_line` did not write."""
    body = b"{" + line[_HEAD:]
    if line[:_HEAD] != b'{"crc32": "%08x", ' % zlib.crc32(body):
        raise ValueError("its checksum does not fit")
    values = json.loads(body)
    kind = _EVENTS[values.pop("event")]
    if values.get("error") is not None:
        values["error"] = TrialError(**values["error"])
    return kind(**values)


@dataclass(frozen=True)
class _Lines:
    events: list[Event]
    """Of the whole lines before any damage."""
    history: History
    """What they come to."""
    length: int
    """Of these lines, in bytes."""
    damage: ValueError | None
    """Of the first line that is not what was written there. A torn last line is none: it was never finished."""


def _read_whole(path: Path) -> _Lines:
    lines = _read_lines(path)
    if lines.damage is not None:
        raise UserError(str(lines.damage))
    return lines


def _read_lines(path: Path) -> _Lines:
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    unfinished = lines.pop()
    events, history, length = list[Event](), History(), 0
    for number, line in enumerate(lines, 1):
        try:
            event = _from_line(line)
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and not unfinished:
                break
            return _Lines(events, history, length, ValueError(f"{path}:{number}: the ledger is damaged: {error}"))
        try:
            history.apply(event)
        except ValueError as error:
            return _Lines(
                events, history, length, ValueError(f"{path}:{number}: the ledger contradicts itself: {error}")
            )
        events.append(event)
        length += len(line) + 1
    return _Lines(events, history, length, None)
