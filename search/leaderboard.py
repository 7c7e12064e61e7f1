"""The leaderboard of a run as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from search.ledger import TrialRecord


def leaderboard_table(records: Sequence[TrialRecord], tasks: Sequence[str], *, most: int = 15) -> Table:
    """The first `most` of `records`, which are in the leaderboard's order, each with the scores of its best epoch."""
    title = "Leaderboard" if len(records) <= most else f"Leaderboard: the best {most} of {len(records)} trials"
    table = Table(title=title, title_justify="left")
    for column in ("trial", "overall", *tasks, "epoch"):
        table.add_column(column, justify="left" if column == "trial" else "right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("proposed by")
    for rank, record in enumerate(records[:most]):
        best = record.best
        figures = (
            [f"{best.overall:.4f}", *(f"{best.scores[task]:.3f}" for task in tasks)]
            if best
            else ["-"] * (1 + len(tasks))
        )
        epochs = f"{best.epoch} of {record.epoch}" if best else "-"
        table.add_row(record.name, *figures, epochs, record.state, record.source, style="bold" if rank == 0 else None)
    return table
