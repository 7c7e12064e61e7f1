"""Searches beside each other: python -m benchmarks.best_by_epochs RUN RUN ... [--picture FILE]

The best overall that each run had found after so many epochs of all its trials together, from its ledger. Runs of the
same search and space are taken together, such as those of several seeds. They must have had the same data, encoder and
epochs: whatever else differs is what is compared.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from matplotlib.figure import Figure
from tyro.conf import Positional, arg

from benchmarks.common import check_picture
from model.errors import UserError, reported
from search.ledger import read_ledger
from search.records import Report
from search.run_folder import RunFolder, RunInfo, open_run

SAME = ("data_fingerprint", "encoder_fingerprint", "epochs", "epoch_examples")
"""What runs that are compared have in common."""
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the epochs that all have spent, at which they are looked at."""


@dataclass(frozen=True)
class Arguments:
    """Compares runs by the best overall that they had found after so many epochs."""

    runs: Positional[Annotated[tuple[str, ...], arg(metavar="RUN ...")]]
    """Their names."""
    runs_dir: Path = Path("runs")
    """Where runs lie."""
    picture: Path | None = None
    """A file for the picture, .svg or .png."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.best_by_epochs")
        check_picture(arguments.picture)
        runs = [open_run(arguments.runs_dir, name) for name in arguments.runs]
        check(runs)
        found: dict[str, list[np.ndarray]] = {}
        for run in runs:
            found.setdefault(label(run.info()), []).append(best_so_far(run))
        print(as_markdown(found))
        if arguments.picture is not None:
            draw(found, arguments.picture)


def label(info: RunInfo) -> str:
    """What tells a search from others."""
    several = f" for {', '.join(info.objectives)}" if len(info.objectives) > 1 else ""
    return f"{info.search}{several}{'' if info.early_stopping else ' without early stopping'}, {Path(info.space).name}"


def check(runs: Sequence[RunFolder]) -> None:
    """Raises UserError where runs can't be compared."""
    if not runs:
        raise UserError("no run to look at: give the names of some")
    for name in SAME:
        one, *others = (getattr(run.info(), name) for run in runs)
        for run, other in zip(runs[1:], others, strict=True):
            if other != one:
                raise UserError(f"{run.name}: {name} {other}, {runs[0].name} has {one}: they can't be compared")


def best_so_far(run: RunFolder) -> np.ndarray:
    """After each epoch that was reported, in the order of the reports."""
    overall = [outcome.overall for outcome in read_ledger(run.ledger).outcomes if isinstance(outcome, Report)]
    if not overall:
        raise UserError(f"{run.name}: none of its trials has ended an epoch")
    return np.maximum.accumulate(overall)


def as_markdown(found: Mapping[str, Sequence[np.ndarray]]) -> str:
    """A line for each way to search: the mean over its runs, and their range, at shares of what all have spent."""
    spent = min(len(best) for runs in found.values() for best in runs)
    at = [max(1, round(share * spent)) for share in SHARES]
    lines = [
        "| search | runs | " + " | ".join(f"best after {epochs} epochs" for epochs in at) + " |",
        "|---" * (len(at) + 2) + "|",
    ]
    for search, runs in found.items():
        values = np.array([[best[epochs - 1] for epochs in at] for best in runs])
        cells = [f"{column.mean():.4f}" + spread(column) for column in values.T]
        lines.append(f"| {search} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: np.ndarray) -> str:
    """From the lowest to the highest, where there are several."""
    return f" ({values.min():.4f} to {values.max():.4f})" if len(values) > 1 else ""


def draw(found: Mapping[str, Sequence[np.ndarray]], path: Path) -> None:
    """Each run as a line, those of the same search in one colour."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for number, (search, runs) in enumerate(found.items()):
        for best in runs:
            label = search if best is runs[0] else None
            axes.step(np.arange(1, len(best) + 1), best, where="post", color=f"C{number}", alpha=0.8, label=label)
    axes.set_xlabel("epochs of all trials")
    axes.set_ylabel("best overall on dev")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
