"""Trials as a table, the best first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from rich.table import Table
from rich.text import Text

from model.console import Console
from search.pareto import Objective, front, seconds_an_epoch
from search.records import TrialRecord, winner

_PIPE_WIDTH = 120
_WIDTH_FOR_SOURCES = 105
"""Below it, a table leaves out how many parameters a trial trains, and who proposed it."""
_WIDTH_FOR_NAMES = 80
"""Below it, a table has the first letters of the tasks' names only."""
_LEAST_LETTERS = 5
"""Of each, and more where these don't tell the tasks apart."""


def make_console() -> Console:
    """A terminal's own width; in a pipe, wide enough for the leaderboard."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def leaderboard_table(
    records: Sequence[TrialRecord], tasks: Sequence[str], *, most: int = 15, width: int = _PIPE_WIDTH
) -> Table:
    """The first `most` of `records`, which are in the leaderboard's order, each with the scores of its best epoch, for
    a console `width` columns wide. The winner is bold."""
    title = "Leaderboard" if len(records) <= most else f"Leaderboard: the best {most} of {len(records)} trials"
    table = trial_table(title, tasks, width)
    won = winner(records)
    for record in records[:most]:
        epochs = f"{record.best.epoch} of {record.epoch}" if record.best else "-"
        add_trial(table, record, tasks, epochs, "bold" if record is won else None)
    if won and won.best and won.best.clean_scores != won.best.scores:
        clean = "none left" if won.best.clean_overall is None else f"{won.best.clean_overall:.4f}"
        table.caption = f"{won.name} without the dev rows that stand in train too: {clean}"
        table.caption_justify = "left"
    return table


def trial_table(title: str, tasks: Sequence[str], width: int) -> Table:
    """A table for trials, without rows."""
    table = Table(title=title, title_justify="left")
    for column in ("trial", "overall", *_heads(tasks, width), "epoch", "state"):
        table.add_column(column, justify="left" if column in ("trial", "state") else "right", no_wrap=True)
    if width >= _WIDTH_FOR_SOURCES:
        table.add_column("trained", justify="right", no_wrap=True)
        table.add_column("proposed by")  # the one column that gives way where room is short
    return table


def _heads(tasks: Sequence[str], width: int) -> list[str]:
    """The tasks' names, where there is no room for them as many letters as tell them apart."""
    if width >= _WIDTH_FOR_NAMES:
        return list(tasks)
    letters = next(n for n in count(_LEAST_LETTERS) if len({task[:n] for task in tasks}) == len(tasks))
    return [task[:letters] for task in tasks]


def add_trial(table: Table, record: TrialRecord, tasks: Sequence[str], epoch: str, style: str | None) -> None:
    """A row of a `trial_table`."""
    best = record.best if record.epochs is None else None
    scores = [f"{best.overall:.4f}", *(f"{best.scores[task]:.3f}" for task in tasks)] if best else []
    source = Text(record.source, no_wrap=True, overflow="ellipsis")
    trained = parameter_count(record.reports[0].trainable_parameters) if record.reports else "-"
    cells = [record.name, *(scores or ["-"] * (1 + len(tasks))), epoch, record.state, trained, source]
    table.add_row(*cells[: len(table.columns)], style=style)


def front_table(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> Table:
    """The trials that no other one beats in all of `objectives`, best overall first, with what they reach in each.
    The winner is bold."""
    table = Table(title=f"Pareto front of {', '.join(objectives)}", title_justify="left")
    for column in ("trial", "overall", "seconds an epoch", "parameters"):
        table.add_column(column, justify="left" if column == "trial" else "right", no_wrap=True)
    table.add_column("proposed by")
    won = winner(records)
    for record in front(records, objectives):
        assert record.best is not None, "a trial on the front has reported"
        table.add_row(
            record.name,
            f"{record.best.overall:.4f}",
            f"{seconds_an_epoch(record):.3g}",
            f"{record.best.trainable_parameters:,}",  # all digits: members of a front may differ in the last ones
            Text(record.source, no_wrap=True, overflow="ellipsis"),
            style="bold" if record is won else None,
        )
    return table


def parameter_count(count: int) -> str:
    """A number of parameters in three digits: 950, 12.3k, 22.7M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)
