"""The winner of a run: python -m analysis.best [RUN] [--refit]"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from analysis.winner import refit_winner
from model.config import TrialConfig
from model.describe import describe
from model.errors import UserError, reported
from search.leaderboard import leaderboard_table, make_console
from search.records import TrialRecord, winner
from search.run_folder import RunFolder, newest_run, next_command, open_run


@dataclass(frozen=True)
class Arguments:
    """Shows a run's leaderboard and the configuration of its winner; with --refit trains the winner anew, evaluates it
    on dev and on test, which the search never saw, and writes model, predictions and scores to runs/NAME/refit."""

    run: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Name of the run; the newest one if none is given."""
    refit: bool = False
    """Train the winner anew and evaluate it."""
    seeds: int = 1
    """With --refit: how often it is trained, each time with another seed. The best on dev is kept."""
    runs_dir: Path = Path("runs")
    """Where the runs lie."""


def main(argv: list[str] | None = None) -> None:
    arguments = tyro.cli(Arguments, args=argv, prog="python -m analysis.best", config=(tyro.conf.FlagCreatePairsOff,))
    with reported():
        _check(arguments)
        run = open_run(arguments.runs_dir, arguments.run) if arguments.run else newest_run(arguments.runs_dir)
        show_winner(run, arguments, make_console())


def show_winner(run: RunFolder, arguments: Arguments, console: Console) -> None:
    records = run.trials()
    won = winner(records)
    if won is None:
        raise UserError(f"{run.path}: no trial of this run has ended an epoch and is sound")
    console.print(f"Run [bold]{run.name}[/bold], {_progress(records, run)}")
    console.print(leaderboard_table(records, run.info().tasks, width=console.width))
    console.print(
        f"The winner is [bold]{won.name}[/bold], proposed by {won.source}. Its configuration, but for fields at their "
        "default:"
    )
    config = TrialConfig.from_dict(won.config)
    for line in describe(config):
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
    if arguments.refit:
        refit_winner(run, won, config, arguments.seeds, console)
    else:
        console.print("Next:", next_command(run), soft_wrap=True, highlight=False)


def _check(arguments: Arguments) -> None:
    if arguments.seeds < 1:
        raise UserError(f"--seeds {arguments.seeds}: allowed is a whole number from 1")
    if arguments.seeds != 1 and not arguments.refit:
        raise UserError(f"--seeds {arguments.seeds} has no effect without --refit")


def _progress(records: list[TrialRecord], run: RunFolder) -> str:
    ended = sum(record.state != "running" for record in records)
    return f"{ended} of {run.info().trials} trials ended"


if __name__ == "__main__":
    sys.exit(main())
