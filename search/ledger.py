"""The ledger: the append-only record of a run, and its replay.

One line of JSON for each suggestion, report, decision and end, written and synced to disk before anyone acts on it.
Each line carries a checksum of the rest of it. A crash can tear the last line only, and that one is cut off when the
ledger is opened again; damage anywhere else is refused.

`replay` is the one function that turns lines into trial records. The driver of a run applies it line by line as it
writes, everybody else when they read: searcher, live table and analysis see the same records by construction.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from model.errors import UserError

EndState = Literal["completed", "stopped", "diverged", "failed"]
"""Reached its last epoch; ended early by the scheduler; left the finite numbers; raised an error or died."""
State = Literal["running", "completed", "stopped", "diverged", "failed"]


@dataclass(frozen=True, kw_only=True)
class Suggested:
    """A trial was drawn from the space."""

    trial: str
    """Its name: t001, t002, ..."""
    source: str
    """Who proposed it: `point NAME` of the space's POINTS, or the sampler, `tpe`."""
    params: Mapping[str, Any]
    """The drawn parameters, by the space's names."""
    distributions: Mapping[str, Any]
    """What each was drawn from: Optuna's JSON of a distribution."""
    config: Mapping[str, Any]
    """The TrialConfig they made, as a dictionary."""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A trial ended an epoch."""

    trial: str
    epoch: int
    scores: Mapping[str, float]
    """Each task's own metric on dev."""
    train_scores: Mapping[str, float]
    """Each task's own metric on a fixed sample of its training examples."""
    losses: Mapping[str, float]
    """Mean training loss an example, by task."""
    overall: float
    best: float
    """The best overall so far, this epoch's included."""
    examples: int
    """Training examples in this epoch."""
    train_seconds: float
    seconds: float
    """Training and evaluation."""
    trainable_parameters: int
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the scheduler made of a report, where it had a choice."""

    trial: str
    epoch: int
    action: Literal["continue", "stop"]
    rung: int | None
    """The epoch of the rung that the trial reached, if it reached one."""
    cutoff: float | None
    """Below this best overall a trial was stopped at the rung; None for the first to reach it."""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class TrialError:
    """Why a trial failed."""

    type: str
    message: str
    traceback: str


@dataclass(frozen=True, kw_only=True)
class End:
    """A trial will report no more."""

    trial: str
    state: EndState
    error: TrialError | None = None
    """For `failed` alone."""
    time: float = field(default_factory=time.time)


Event = Suggested | Report | Decision | End
_EVENTS: dict[str, type[Event]] = {"suggested": Suggested, "report": Report, "decision": Decision, "end": End}
_NAMES = {kind: name for name, kind in _EVENTS.items()}


@dataclass(kw_only=True)
class TrialRecord:
    """All that is known of one trial."""

    name: str
    source: str
    params: Mapping[str, Any]
    distributions: Mapping[str, Any]
    config: Mapping[str, Any]
    reports: list[Report] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    state: State = "running"
    """`running` also where the run itself was interrupted."""
    error: TrialError | None = None

    @property
    def best(self) -> Report | None:
        """The report that the trial is judged by: the highest overall, the earliest among equals."""
        return max(self.reports, key=lambda report: report.overall, default=None)

    @property
    def epoch(self) -> int:
        """Epochs reported so far."""
        return len(self.reports)


def replay(events: Iterable[Event]) -> dict[str, TrialRecord]:
    """Trial records by name, in the order of their suggestion."""
    records: dict[str, TrialRecord] = {}
    for event in events:
        apply(event, records)
    return records


def apply(event: Event, records: dict[str, TrialRecord]) -> None:
    """One step of a replay. Raises ValueError for an event that can't follow what is in `records`."""
    check_order(event, records)
    match event:
        case Suggested():
            records[event.trial] = TrialRecord(
                name=event.trial,
                source=event.source,
                params=event.params,
                distributions=event.distributions,
                config=event.config,
            )
        case Report():
            records[event.trial].reports.append(event)
        case Decision():
            records[event.trial].decisions.append(event)
        case End():
            records[event.trial].state = event.state
            records[event.trial].error = event.error


def check_order(event: Event, records: Mapping[str, TrialRecord]) -> None:
    """Raises ValueError where `event` can't follow: a trial is suggested, reports epochs 1, 2, ... and ends, once."""
    record = records.get(event.trial)
    if isinstance(event, Suggested):
        if record is not None:
            raise ValueError(f"trial {event.trial} is suggested twice")
    elif record is None:
        raise ValueError(f"trial {event.trial} was never suggested")
    elif record.state != "running":
        raise ValueError(f"trial {event.trial} has ended as {record.state}")
    elif isinstance(event, Report) and event.epoch != record.epoch + 1:
        raise ValueError(f"trial {event.trial} reports epoch {event.epoch} after epoch {record.epoch}")


def leaderboard(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """By best overall, best first; after them diverged and failed trials and those without a report."""

    def rank(record: TrialRecord) -> tuple[bool, float, str]:
        return (not is_fit(record), -record.best.overall if record.best else 0.0, record.name)

    return sorted(records, key=rank)


def winner(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The best trial that can win: one with a report that neither diverged nor failed. None where there is none."""
    return next((record for record in leaderboard(records) if is_fit(record)), None)


def is_fit(record: TrialRecord) -> bool:
    """Whether its scores count: it has a report, and neither diverged nor failed."""
    return record.best is not None and record.state not in ("diverged", "failed")


Listener = Callable[[Event, TrialRecord], None]


class Ledger:
    """A ledger open for writing. One process writes; any number may read meanwhile."""

    def __init__(self, path: Path) -> None:
        events, length = _read_events(path) if path.exists() else ([], 0)
        self.records = replay(events)
        """What the lines come to; kept up to date with each line appended."""
        self._listeners: list[Listener] = []
        self._file = path.open("ab")
        self._file.truncate(length)  # cuts off a torn last line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def listen(self, listener: Listener) -> None:
        """Calls `listener(event, record)` after each line appended from now on, when it is safe on disk."""
        self._listeners.append(listener)

    def append(self, event: Event) -> None:
        """Records `event`: when this returns, it is on disk."""
        check_order(event, self.records)
        self._file.write(_to_line(event))
        self._file.flush()
        os.fsync(self._file.fileno())
        apply(event, self.records)
        for listener in self._listeners:
            listener(event, self.records[event.trial])

    def close(self) -> None:
        self._file.close()


def read_ledger(path: Path) -> dict[str, TrialRecord]:
    """The records of a ledger that someone else may be writing to."""
    return replay(_read_events(path)[0])


def _to_line(event: Event) -> bytes:
    values = {"event": _NAMES[type(event)], **dataclasses.asdict(event)}
    body = json.dumps(values, allow_nan=False).encode()
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


def _read_events(path: Path) -> tuple[list[Event], int]:
    """The events of all whole lines, and the length of these lines in bytes.

    A last line that is torn (no line end, or a checksum that does not fit) does not count; any other raises UserError.
    """
    lines = path.read_bytes().split(b"\n")
    unfinished = lines.pop()
    events: list[Event] = []
    records: dict[str, TrialRecord] = {}
    length = 0
    for number, line in enumerate(lines, 1):
        try:
            event = _from_line(line)
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and not unfinished:
                break
            raise UserError(f"{path}:{number}: the ledger is damaged: {error}") from None
        try:
            apply(event, records)
        except ValueError as error:
            raise UserError(f"{path}:{number}: the ledger contradicts itself: {error}") from None
        events.append(event)
        length += len(line) + 1
    return events, length
