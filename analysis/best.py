"""The winner of a run: python -m analysis.best [RUN] [--refit], or minbert-best"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

import tyro

from analysis.winner.options import Options
from model.config import TrialConfig
from model.console import Console
from model.describe import describe
from model.errors import UserError, reported
from search.commands import own_name
from search.leaderboard import front_table, leaderboard_table, make_console
from search.ledger import read_events, read_ledger
from search.records import Session, Suggested, winner
from search.run_folder import RunFolder, newest_run, next_command, open_run
from search.standing import standing_of

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


@dataclass(frozen=True)
class Arguments:
    """Shows a run's leaderboard and the configuration of its winner. With --refit, trains its best trials anew with
    several seeds, chooses among them, evaluates on test, which the search never saw, and writes model, predictions and
    figures to runs/NAME/refit and a report to runs/NAME/report.html."""

    run: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Name of the run; the newest one if none is given."""
    refit: bool = False
    """Train the finalists anew, choose, evaluate, explain."""
    runs_dir: Path = Path("runs")
    """Where the runs lie."""
    options: Annotated[Options, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="with --refit")] = field(
        default_factory=Options
    )


def main(argv: list[str] | None = None) -> int:
    """0, 2 for what the user got wrong, 130 after Ctrl-C, 141 where nobody reads on."""
    with reported():
        arguments = tyro.cli(
            Arguments, args=argv, prog=own_name("analysis.best"), config=(tyro.conf.FlagCreatePairsOff,)
        )
        _check(arguments)
        run = open_run(arguments.runs_dir, arguments.run) if arguments.run else newest_run(arguments.runs_dir)
        console = make_console()
        show_winner(run, console)
        if not arguments.refit:
            show_refit(run, console)
            return 0
        try:
            refit_and_report(run, arguments, console)
        except KeyboardInterrupt:
            console.may_be_unread = True
            console.say(f"Go on: {_command(run, arguments)}")
            return INTERRUPTED
    return 0


def show_winner(run: RunFolder, console: Console) -> None:
    """The leaderboard, with several objectives the Pareto front, and the configuration that leads both."""
    records, info = run.trials(), run.info()
    won = winner(records)
    if won is None:
        raise UserError(f"{run.path}: no trial of this run has ended an epoch and is sound")
    console.print(f"Run [bold]{run.name}[/bold]: {standing_of(run).words}", highlight=False)
    console.print(leaderboard_table(records, info.tasks, width=console.width))
    if len(info.objectives) > 1:
        console.print(front_table(records, info.objectives))
    console.print(
        f"The search's winner is [bold]{won.name}[/bold], proposed by {won.source}. Its configuration, but for fields "
        "at their default:"
    )
    for line in describe(TrialConfig.from_dict(won.config)):
        console.say(f"  {line}")


def show_refit(run: RunFolder, console: Console) -> None:
    """What a refit found, how far one is that was begun, or how to make one."""
    from analysis.winner.results import read_results, results_time
    from analysis.winner.tables import show  # with scipy, which takes a second

    results = read_results(run.refit)
    if results is not None:
        typed = " ".join([next_command(run), *results.flags])
        console.say(f"\nRefitted by: {typed}")
        show(results, [source.task for source in run.info().sources], console)
        _tell_files(run, console)
    try:
        trainings = _trainings(run)
    except UserError as error:
        damage = f"{error}; {next_command(run)}, with the flags that it was given, goes on from the line before"
        if results is None:
            raise UserError(damage) from None
        _say(f"Note: {damage}", console)  # the results stand without it
        return
    if results is not None:
        if trainings and trainings.begun > results_time(run.refit):
            _say(f"Another refit was begun since: {trainings}", console)
    elif trainings:
        _say(f"A refit was begun and has not come to its end: {trainings}", console)
        _say(f"Go on, where none is running: {next_command(run)}, with the flags that it was given", console)
    else:
        console.say(f"Next: {next_command(run)}")


@dataclass(frozen=True)
class _Trainings:
    """What refits have trained so far, or begun to."""

    count: int
    ended: int
    begun: float
    """When the last refit, or training of one, was begun."""
    written: float
    """When one last wrote to its files: whether it is still running they don't say."""
    folders: list[Path]

    def __str__(self) -> str:
        far = f"{self.ended} of the {self.count} trainings begun so far have ended"
        where = " and ".join(map(str, self.folders))
        return f"{far}, in {where}, last written to at {datetime.fromtimestamp(self.written):%Y-%m-%d %H:%M:%S}"


def _trainings(run: RunFolder) -> _Trainings | None:
    """None where there are none yet. Raises UserError where a ledger of them is damaged."""
    folders = [folder for folder in (run.retrained, run.retrained_with_dev) if folder.ledger.exists()]
    records = [record for folder in folders for record in read_ledger(folder.ledger).trials.values()]
    if not records:
        return None
    events = [event for folder in folders for event in read_events(folder.ledger)]
    return _Trainings(
        count=len(records),
        ended=sum(record.has_ended for record in records),
        begun=max(event.time for event in events if isinstance(event, Session | Suggested)),
        written=max(folder.ledger.stat().st_mtime for folder in folders),
        folders=[folder.path for folder in folders],
    )


def refit_and_report(run: RunFolder, arguments: Arguments, console: Console) -> None:
    """Everything that --refit does."""
    from analysis.report import write_report
    from analysis.winner.refit import refit  # with torch, which takes seconds
    from analysis.winner.tables import show

    results = refit(run, arguments.options, console, go_on=_command(run, arguments))
    show(results, [source.task for source in run.info().sources], console)
    write_report(run)
    _tell_files(run, console)


def _say(line: str, console: Console) -> None:
    console.say(line)


def _tell_files(run: RunFolder, console: Console) -> None:
    console.say(f"Written: {run.refit}/model, {run.refit}/predictions")
    console.say(f"Report:  {run.path / 'report.html'}")


def _check(arguments: Arguments) -> None:
    arguments.options.check()
    if not arguments.refit:
        for flag in arguments.options.flags():
            raise UserError(f"{flag} has no effect without --refit")


def _command(run: RunFolder, arguments: Arguments) -> str:
    """The same command again."""
    return " ".join([next_command(run), *arguments.options.flags()])


if __name__ == "__main__":
    sys.exit(main())
