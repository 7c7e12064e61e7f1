"""How long a place for a trial stays empty: python -m benchmarks.between_trials RUN

From a run's ledger: the time from the end of each trial's last epoch to the first step of the trial that took its
place, new or one to go on, and how much of it passed before that was chosen. A trial that was paused has ended, too.
What lies in it: the ended trial's state on disk, Ray's way to the driver, the choice, its lines on disk, Ray's way to
the worker, and the next one's model with the encoder's weights, or its state. What precedes the choice is measured
where nothing is chosen, too: between the end of an epoch and the word that the trial goes on. Sessions that were begun
anew, and trials that were taken up again, are left out.
"""

from __future__ import annotations

import statistics
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg

from model.errors import UserError, reported
from search.ledger import read_events
from search.records import Decision, End, Event, Promoted, Report, Retry, Session, Suggested
from search.run_folder import newest_run, open_run


@dataclass(frozen=True)
class Arguments:
    """Shows how long the places of a run's trials stayed empty between two of them."""

    run: Positional[Annotated[str | None, arg(metavar="[RUN]")]] = None
    """Its name; by default the newest."""
    runs_dir: Path = Path("runs")
    """Where runs lie."""


@dataclass(frozen=True)
class Gap:
    """Between one trial and the next in its place."""

    trial: str
    """The next one."""
    chosen: float
    """Seconds from the end of the other one's last epoch until the ledger has this one."""
    begun: float
    """Seconds from the end of the other one's last epoch to the first step of this one's next."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.between_trials")
        run = open_run(arguments.runs_dir, arguments.run) if arguments.run else newest_run(arguments.runs_dir)
        events = read_events(run.ledger)
        found = gaps(events)
        if not found:
            raise UserError(f"{run.name}: no trial of it began where another had ended")
        print(f"{run.name}: {len(found)} trials that took another's place")
        if heard := on_their_way(events):
            print(f"from an epoch's end until the driver has heard of it: {_spread(heard)}")
        print(f"from a last epoch's end until the next trial is chosen: {_spread([gap.chosen for gap in found])}")
        print(f"from a last epoch's end to the next trial's first step: {_spread([gap.begun for gap in found])}")


def gaps(events: Iterable[Event]) -> list[Gap]:
    """Those of a ledger's events."""
    told: dict[str, float] = {}
    """When the newest epoch of each trial that runs was over."""
    ended = deque[float]()
    waiting: dict[str, tuple[float, float]] = {}
    found = []
    for event in events:
        match event:
            case Session():
                told.clear()
                ended.clear()
                waiting.clear()
            case Decision(action="pause" | "stop") | End() if event.trial in told:
                over = told.pop(event.trial)
                if isinstance(event, Decision) or event.state == "completed":  # the others ended amid an epoch
                    ended.append(over)
            case Suggested() | Promoted() if ended:
                waiting[event.trial] = (ended.popleft(), event.time)
            case Retry():
                waiting.pop(event.trial, None)
            case Report():  # made when its epoch was over
                if event.trial in waiting:
                    before, chosen = waiting.pop(event.trial)
                    found.append(Gap(event.trial, chosen - before, event.time - event.seconds - before))
                told[event.trial] = event.time
            case _:
                pass
    return found


def on_their_way(events: Iterable[Event]) -> list[float]:
    """Seconds from the end of each epoch after which nothing was to be compared until the word that the trial goes on
    or has completed: its state is saved, and Ray carries the report."""
    told: dict[str, float] = {}
    found = []
    for event in events:
        match event:
            case Session():
                told.clear()
            case Report():
                told[event.trial] = event.time
            case Decision(rung=None) | End(state="completed") if event.trial in told:
                found.append(event.time - told.pop(event.trial))
            case _:
                pass
    return found


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"


if __name__ == "__main__":
    sys.exit(main())
