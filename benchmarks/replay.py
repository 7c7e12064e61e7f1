"""Recorded learning curves as trials on a simulated clock: a search without training.

A table has a row for each configuration that was trained to the end, with a value after each epoch. A searcher proposes
points of the unit cube, one axis for each hyperparameter, on which the recorded values are spread evenly by their rank.
What is trained is the row next to its proposal that was not taken yet, and it is told where that row is: rows lie far
apart, and one that took its proposal for what was trained would learn little. Each of the `workers` takes one unit of
time for an epoch.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile

import numpy as np
from scipy.stats import rankdata

from model.errors import UserError

TOP = 0.01
"""Share of a table's rows whose best scores count as found."""


@dataclass(frozen=True)
class Table:
    """Recorded curves, n of them over t epochs."""

    name: str
    places: np.ndarray
    """In the unit cube, (n, hyperparameters)."""
    scores: np.ndarray
    """After each epoch, (n, t), higher is better; -inf where it was not finite."""

    @property
    def epochs(self) -> int:
        """The most that a trial takes."""
        return self.scores.shape[1]

    @property
    def target(self) -> float:
        """What the worst of the best rows reached."""
        reached = np.sort(self.scores.max(1))
        return float(reached[-max(1, round(TOP * len(reached)))])


class Rows:
    """Those of a table that are left."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.taken = np.zeros(len(table.scores), dtype=bool)

    def nearest(self, place: np.ndarray) -> int:
        """The number of the row next to a `place` in the unit cube."""
        apart = ((self.table.places - place) ** 2).sum(1)
        apart[self.taken] = np.inf
        return int(apart.argmin())

    def next_to(self, place: np.ndarray) -> np.ndarray:
        """Where that row is."""
        return self.table.places[self.nearest(place)]


def read_table(path: Path) -> Table:
    """Reads `hyperparameters` (names), `configs` (n, names; NaN where a row has no value of one, which puts it in the
    middle) and `valid_loss` (n, epochs; lower is better, not finite once it diverged)."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names, configs, losses = (file[key] for key in ("hyperparameters", "configs", "valid_loss"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise UserError(f"{path}: not a table of curves ({error})") from None
    if configs.shape != (len(losses), len(names)) or losses.ndim != 2 or len(losses) < 2:
        raise UserError(
            f"{path}: not a table of curves: configs {configs.shape}, valid_loss {losses.shape}, {len(names)} names"
        )
    ranks = rankdata(configs, axis=0, nan_policy="omit")
    places = np.nan_to_num((ranks - 0.5) / np.isfinite(configs).sum(0), nan=0.5)
    scores = np.where(np.isfinite(losses), -losses.astype(np.float64), -np.inf)
    return Table(path.stem, places, scores)


class Player(Protocol):
    """A way to search, asked and told by the replay."""

    def start(self) -> tuple[str, np.ndarray] | None:
        """What an empty worker does: the name of a trial, new or one to go on, and where its row is. None: nothing as
        long as no other trial has told more."""
        ...

    def report(self, trial: str, epoch: int, score: float) -> bool:
        """A trial ended an epoch: does it go on? After the last one the answer is not heeded."""
        ...

    def diverged(self, trial: str, epoch: int) -> None:
        """A trial's score after this epoch is not finite, and it has ended."""
        ...


@dataclass(frozen=True)
class Trace:
    """What came of a search."""

    best: np.ndarray
    """The best score until then, after each epoch spent, -inf before the first."""
    times: np.ndarray
    """On the clock, of each epoch spent."""
    trials: int


def replay(rows: Rows, player: Player, *, workers: int, epochs: int, least: int) -> Trace:
    """Searches a table until `epochs` were spent in all, or the target was reached and `least` were, or there is no
    row left."""
    table = rows.table
    row_of: dict[str, int] = {}
    reached: dict[str, int] = {}
    order = count()
    running: list[tuple[float, int, str]] = []
    best, times = [], []
    highest = -np.inf

    def fill(now: float) -> None:
        while len(running) < workers:
            started = None if rows.taken.all() else player.start()
            if started is None:
                return
            name, place = started
            if name not in row_of:
                row_of[name] = rows.nearest(place)
                rows.taken[row_of[name]] = True
                reached[name] = 0
            heapq.heappush(running, (now + 1, next(order), name))

    fill(0.0)
    while running and len(best) < epochs and (highest < table.target or len(best) < least):
        now, _, name = heapq.heappop(running)
        reached[name] += 1
        score = float(table.scores[row_of[name], reached[name] - 1])
        highest = max(highest, score)
        best.append(highest)
        times.append(now)
        if not np.isfinite(score):
            player.diverged(name, reached[name])
        elif player.report(name, reached[name], score) and reached[name] < table.epochs:
            heapq.heappush(running, (now + 1, next(order), name))
        fill(now)
    return Trace(np.array(best), np.array(times), len(row_of))
