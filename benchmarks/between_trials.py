"""How long a place for a trial stays empty: python -m benchmarks.between_trials RUN

From a run's ledger: the time from each trial's end to the first step of the next one that was suggested because of it,
and how much of it passed before that was suggested. What lies in it: the decision and its line on disk, TPE's proposal
and the draw from the space, Ray's way to the worker, the configuration on disk, and the model with the
encoder's weights. Sessions that were begun anew, and trials that were taken up again, are left out.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg

from model.errors import UserError, reported
from search.ledger import read_events
from search.records import End, Event, Report, Retry, Session, Suggested
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
    suggested: float
    """Seconds from the end to the suggestion."""
    begun: float
    """Seconds from the end to the first epoch's first step."""


def main(argv: list[str] | None = None) -> None:
    arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.between_trials")
    with reported():
        run = open_run(arguments.runs_dir, arguments.run) if arguments.run else newest_run(arguments.runs_dir)
        found = gaps(read_events(run.ledger))
        if not found:
            raise UserError(f"{run.name}: no trial of it began where another had ended")
        print(f"{run.name}: {len(found)} trials that took another's place")
        print(f"from its end to the suggestion: {_spread([gap.suggested for gap in found])}")
        print(f"from its end to the first step: {_spread([gap.begun for gap in found])}")


def gaps(events: Iterable[Event]) -> list[Gap]:
    """Those of a ledger's events."""
    ended: float | None = None
    waiting: dict[str, tuple[float, float]] = {}
    found = []
    for event in events:
        match event:
            case Session():
                ended, waiting = None, {}
            case End():
                ended = event.time
            case Suggested() if ended is not None:
                waiting[event.trial] = (ended, event.time)
                ended = None
            case Retry():
                waiting.pop(event.trial, None)
            case Report() if event.trial in waiting:  # made when its epoch was over
                before, suggested = waiting.pop(event.trial)
                found.append(Gap(event.trial, suggested - before, event.time - event.seconds - before))
            case _:
                pass
    return found


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"


if __name__ == "__main__":
    sys.exit(main())
