"""What a person sees of a run while it goes on: one live table on a terminal, plain lines in a pipe.

Both listen to the ledger and know nothing else of the run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from model.console import Console
from search.leaderboard import add_trial, trial_table
from search.records import (
    Decision,
    End,
    History,
    Promoted,
    Report,
    Retry,
    Suggested,
    TrialEvent,
    TrialRecord,
    leaderboard,
    winner,
)


class Progress(AbstractContextManager["Progress"], Protocol):
    """A listener of the ledger that shows what it hears."""

    def __call__(self, event: TrialEvent, record: TrialRecord) -> None: ...


def progress(console: Console, history: History, tasks: Sequence[str], trials: int | None, epochs: int) -> Progress:
    """The live table where `console` is a terminal, else plain lines. `history` is the ledger's own; `trials` is None
    where nothing but a budget limits their number."""
    if console.is_terminal:
        return LiveTable(console, history, tasks, trials, epochs)
    return PlainLines(console, epochs)


class PlainLines:
    """A line for each report and each end."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._console = console
        self._epochs = epochs
        self._notes = Notes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        pass

    def __call__(self, event: TrialEvent, record: TrialRecord) -> None:
        match event:
            case Suggested():
                self._print(f"{event.trial}  starts, proposed by {event.source}")
            case Report():
                self._print(
                    f"{event.trial}  epoch {event.epoch}/{record.epochs or self._epochs}  {_scores(event, record)}"
                )
                for note in self._notes.new_in(event):
                    self._print(f"{event.trial}  {note}")
            case Retry():
                self._print(f"{event.trial}  {retry_text(event, record)}")
            case End():
                self._print(f"{event.trial}  {end_text(record)}")
            case Promoted():
                self._print(f"{event.trial}  goes on after epoch {record.epoch}")
            case Decision(action="pause"):
                self._print(f"{event.trial}  pauses")
            case Decision():
                pass  # a stop is told by the end that follows

    def _print(self, line: str) -> None:
        self._console.say(line)


class LiveTable:
    """A table of the trials, drawn anew four times a second."""

    def __init__(
        self, console: Console, history: History, tasks: Sequence[str], trials: int | None, epochs: int
    ) -> None:
        self._console = console
        self._records = history.trials
        self._tasks = tasks
        self._trials = trials
        self._epochs = epochs
        self._start = time.monotonic() - history.seconds_spent()
        self._notes = Notes()
        self._live = Live(console=console, get_renderable=self._render, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()

    def __call__(self, event: TrialEvent, record: TrialRecord) -> None:
        # These stay to be read, above the table.
        if isinstance(event, Report):
            for note in self._notes.new_in(event):
                self._console.say(f"{event.trial}  {note}")
        if isinstance(event, Retry):
            self._console.say(f"{event.trial}  {retry_text(event, record)}")
        if isinstance(event, End) and event.state == "failed":
            self._console.say(f"{event.trial}  {end_text(record)}")

    def _render(self) -> RenderableType:
        ranked = leaderboard(list(self._records.values()))
        room = max(self._console.height - 6, 3)  # title, head, lines of the table and the line below it
        running = [record for record in ranked if record.state == "running"]
        others = [record for record in ranked if record.state != "running"]
        shown = {record.name for record in [*running, *others][:room]}
        table = trial_table("Trials, the best first", self._tasks, self._console.width)
        won = winner(ranked)
        for record in ranked:
            if record.name in shown:
                style = "bold green" if record is won else "dim" if record.state != "running" else None
                add_trial(table, record, self._tasks, f"{record.epoch}/{record.epochs or self._epochs}", style)
        return Group(table, Text(summary(ranked, self._trials, self._epochs, time.monotonic() - self._start)))


class Notes:
    """What reports have to note: each text once, for the trials after it will have the same."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def new_in(self, report: Report) -> list[str]:
        """The report's note, if it was not told yet."""
        if report.note is None or report.note in self._told:
            return []
        self._told.add(report.note)
        return [report.note]


def _scores(report: Report, record: TrialRecord) -> str:
    if record.epochs is not None:
        return "dev is part of train: no scores"
    scores = "  ".join(f"{task} {score:.3f}" for task, score in report.scores.items())
    return f"{scores}  overall {report.overall:.4f}  best {report.best:.4f}"


def end_text(record: TrialRecord) -> str:
    """How a trial ended, in a few words."""
    match record.state:
        case "completed" if record.epochs is not None:
            return f"completed with epoch {record.epoch}"
        case "completed" if record.best:
            return f"completed, best {record.best.overall:.4f} in epoch {record.best.epoch}"
        case "stopped" if record.best:
            cutoff = record.decisions[-1].cutoff if record.decisions else None
            below = "" if cutoff is None else f", below {cutoff:.4f}"
            return f"stopped after epoch {record.epoch}: best {record.best.overall:.4f}{below}"
        case "failed" if record.error:
            first_line = (record.error.message.splitlines() or [""])[0]
            return f"failed: {record.error.type}: {first_line}"
        case "diverged":
            return f"diverged in epoch {record.epoch + 1}"
    return record.state


def retry_text(retry: Retry, record: TrialRecord) -> str:
    """Why a trial is taken up again, in a few words."""
    what = {
        "died": "its process died",
        "hung": "it hung",
        "memory": "out of memory",
        "damaged": "its saved state is damaged",
    }
    first_line = (retry.error.message.splitlines() or [""])[0]
    with_less = ", now with half the micro-batch" if retry.reason == "memory" else ""
    return f"{what[retry.reason]} ({first_line}): taken up again{with_less}"


def summary(ranked: Sequence[TrialRecord], trials: int | None, epochs: int, elapsed: float) -> str:
    """The line below the table: the best so far, how many trials ended and how, time gone and to come."""
    parts = []
    won = winner(ranked)
    if won and won.best and won.epochs is None:
        parts.append(f"best so far {won.best.overall:.4f} ({won.name})")
    states = Counter(record.state for record in ranked)
    others = ", ".join(f"{count} {state}" for state, count in states.items() if state != "running")
    of_all = f"{sum(record.has_ended for record in ranked)}" + (f" of {trials}" if trials is not None else "")
    parts.append(f"{of_all} trials ended" + (f" ({others})" if others else ""))
    left = seconds_left(ranked, trials, epochs, elapsed)
    parts.append(f"{clock(elapsed)} gone" + (f", about {clock(left)} left" if left is not None else ""))
    return " · ".join(parts)


def seconds_left(ranked: Sequence[TrialRecord], trials: int | None, epochs: int, elapsed: float) -> float | None:
    """By the epochs that the trials to come will take, if they take as many as those that have ended."""
    done = sum(record.epoch for record in ranked)
    if not done or trials is None:
        return None
    ended = [record.epoch for record in ranked if record.has_ended]
    usual = sum(ended) / len(ended) if ended else epochs
    running = sum(max(usual - record.epoch, 0.5) for record in ranked if record.state == "running")
    return (running + usual * (trials - len(ranked))) * elapsed / done


def clock(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
