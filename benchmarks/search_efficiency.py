"""Epochs until a search finds a good configuration: python -m benchmarks.search_efficiency --tables FOLDER

Searches on recorded learning curves (benchmarks.replay), each way to search with the same seeds on the same clock:
how many epochs it spends, of all trials together, until a trial reaches what the best 1 in 100 of the table's rows
reach, and what share of the rows is still better than its best after so many epochs. A search that does not get there
counts with the epochs that it was given, which favours it.

Printed as Markdown. With --results, what was played is kept in a file, and not played again.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.progress import track

from benchmarks.players import PLAYERS
from benchmarks.replay import Rows, read_table, replay
from model.errors import UserError, reported

BASE = "Ray Tune: ASHA, OptunaSearch"
"""The others are compared with it."""
BUDGETS = (50, 100, 200, 400)
"""Epochs at which a search's best is looked at."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Arguments:
    """Compares ways to search on recorded learning curves."""

    tables: Path
    """Folder of .npz files with `hyperparameters` (names), `configs` (n, names) and `valid_loss` (n, epochs)."""
    workers: tuple[int, ...] = (1, 4, 16)
    """Trials at a time."""
    seeds: int = 30
    """Searches of each way on each table."""
    players: tuple[str, ...] = tuple(player for player in PLAYERS if not player.startswith("Syne Tune"))
    """Ways to search; also "Syne Tune: ASHA", "Syne Tune: ASHA, CQR" and "Syne Tune: BOHB", if it is installed."""
    epochs: int = 3000
    """The most that a search may spend."""
    processes: int = os.cpu_count() or 1
    """Searches played at a time."""
    results: Path | None = None
    """A file to keep what was played."""


@dataclass(frozen=True)
class Job:
    """A search."""

    player: str
    table: str
    rows: int
    """A checksum of the table's file."""
    epochs: int
    """The most that it may spend."""
    workers: int
    seed: int


@dataclass(frozen=True)
class Played:
    """What came of it."""

    job: Job
    found: int | None
    """Epochs spent when the target was reached; None where it was not."""
    better: tuple[float, ...]
    """Share of rows better than its best at each of BUDGETS."""
    trials: int


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.search_efficiency")
        tables = _check(arguments)
        jobs = [
            Job(player, table, zlib.crc32(path.read_bytes()), arguments.epochs, workers, seed)
            for seed in range(arguments.seeds)
            for table, path in tables.items()
            for workers in arguments.workers
            for player in arguments.players
        ]
        known = _read(arguments.results)
        left = [job for job in jobs if job not in known]
        with ProcessPoolExecutor(arguments.processes) as pool:
            going = [pool.submit(play, job, tables[job.table]) for job in left]
            console = Console(stderr=True)
            for done in track(as_completed(going), "searches", total=len(going), console=console):
                played = done.result()
                known[played.job] = played
                if arguments.results is not None:
                    with arguments.results.open("a") as file:
                        file.write(json.dumps(asdict(played)) + "\n")
        print(f"{date.today()}, {arguments.seeds} seeds, at most {arguments.epochs} epochs a search")
        for workers in arguments.workers:
            print(f"\n{workers} workers:\n")
            print(as_markdown([known[job] for job in jobs if job.workers == workers], list(tables), arguments))


def play(job: Job, path: Path) -> Played:
    """One search, in a process of its own."""
    logging.disable(logging.WARNING)  # Syne Tune's and Ray's, of each trial
    rows = Rows(read_table(path))
    trace = replay(
        rows, PLAYERS[job.player](rows, job.seed), workers=job.workers, epochs=job.epochs, least=max(BUDGETS)
    )
    reached = np.flatnonzero(trace.best >= rows.table.target)
    finals = rows.table.scores.max(1)
    better = [float((finals > trace.best[min(budget, len(trace.best)) - 1]).mean()) for budget in BUDGETS]
    return Played(job, int(reached[0]) + 1 if len(reached) else None, tuple(better), trace.trials)


def as_markdown(played: Sequence[Played], tables: Sequence[str], arguments: Arguments) -> str:
    """A line for each way to search: epochs by table, how many times fewer than Ray Tune's, what is still better."""
    spent = {
        player: np.array([
            [one.found or arguments.epochs for one in played if (one.job.player, one.job.table) == (player, table)]
            for table in tables
        ], dtype=np.float64)
        for player in arguments.players
    }  # fmt: skip
    base = spent.get(BASE)
    lines = [
        "| | " + " | ".join(tables) + " | times fewer (95%) | least | " + " | ".join(map(str, BUDGETS)) + " |",
        "|---" * (len(tables) + len(BUDGETS) + 3) + "|",
    ]
    for player, epochs in spent.items():
        means = epochs.mean(1)
        cells = [f"{mean:.0f}" for mean in means]
        if base is None:
            cells += ["", ""]
        else:
            ratios = base.mean(1) / means
            low, high = interval(base, epochs)
            cells += [f"{np.exp(np.log(ratios).mean()):.2f} ({low:.2f} to {high:.2f})", f"{ratios.min():.2f}"]
        mine = [one.better for one in played if one.job.player == player]
        cells += [f"{100 * share:.1f}%" for share in np.mean(mine, axis=0)]
        lines.append(f"| {player} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def interval(base: np.ndarray, epochs: np.ndarray) -> tuple[float, float]:
    """Of how many times fewer `epochs` (tables, seeds) are than those of `base`, in the geometric mean over the tables:
    95%, by drawing seeds anew for each table."""
    rng = np.random.default_rng(0)
    tables, seeds = epochs.shape
    found = []
    for _ in range(RESAMPLES):
        means = [
            values[np.arange(tables)[:, None], rng.integers(seeds, size=(tables, seeds))].mean(1)
            for values in (base, epochs)
        ]
        found.append(np.exp(np.log(means[0] / means[1]).mean()))
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))


def _check(arguments: Arguments) -> Mapping[str, Path]:
    """The tables by name. Raises UserError for what is wrong with the arguments."""
    for name in ("seeds", "processes"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} {getattr(arguments, name)}: allowed is a whole number from 1")
    if not arguments.workers or min(arguments.workers) < 1:
        raise UserError(f"--workers {' '.join(map(str, arguments.workers))}: allowed are whole numbers from 1")
    for player in arguments.players:
        if player not in PLAYERS:
            raise UserError(f"--players {player}: allowed are {', '.join(map(repr, PLAYERS))}")
    if any(player.startswith("Syne Tune") for player in arguments.players) and not find_spec("syne_tune"):
        raise UserError("syne_tune is not installed; .venv/bin/python -m pip install syne-tune xgboost statsmodels")
    if arguments.epochs < max(BUDGETS):
        raise UserError(f"--epochs {arguments.epochs}: allowed is a whole number from {max(BUDGETS)}")
    tables = {path.stem: path for path in sorted(arguments.tables.glob("*.npz"))}
    if not tables:
        raise UserError(f"--tables {arguments.tables}: no .npz file in it")
    for path in tables.values():
        read_table(path)
    return tables


def _read(path: Path | None) -> dict[Job, Played]:
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    played = [Played(Job(**line.pop("job")), better=tuple(line.pop("better")), **line) for line in lines]
    return {one.job: one for one in played}


if __name__ == "__main__":
    sys.exit(main())
