"""What the driver itself costs as trials grow: python -m benchmarks.driver_cost

A search of spaces/full.py whose trials take one simulated second each, on a simulated clock, by the very searcher,
judge and scheduler of a search, with ledger, TensorBoard files and printed lines on disk: what is left is the
driver's own time. Ray's, which it spends beside a real trial's, is not in it, and no trial is paused: each has one
epoch. Printed as a Markdown table: milliseconds of the driver for each trial, and its memory, when there are 100,
1,000 and 10,000; with --picture, drawn.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track

from benchmarks.common import check_picture
from benchmarks.driver import Driver, on_disk, report_on
from model.data.tasks import CS224N
from model.errors import UserError, reported
from model.problem import Problem
from search.flags import Search
from search.records import TrialRecord
from search.run_folder import RunFolder
from search.space import load_space

AT_A_TIME = 16
"""Simulated workers."""
WINDOW = 0.1
"""Share of the trials, the last ones before a count, whose mean is its cost."""


@dataclass(frozen=True)
class Arguments:
    """Measures the driver's own time and memory."""

    counts: tuple[int, ...] = (100, 1000, 10000)
    """Trials at which they are looked at."""
    search: Search = "freeze-thaw"
    """How trials are chosen."""
    space: Path = Path("spaces/full.py")
    """What they are drawn from."""
    picture: Path | None = None
    """A file for the picture, .svg or .png."""


@dataclass(frozen=True)
class Cost:
    """Of all trials, in their order."""

    seconds: np.ndarray
    """The driver's, for each."""
    megabytes: np.ndarray
    """The most that the process had taken when it ended."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.driver_cost")
        if not arguments.counts or min(arguments.counts) < 10:
            raise UserError(f"--counts {' '.join(map(str, arguments.counts))}: allowed are whole numbers from 10")
        check_picture(arguments.picture)
        with tempfile.TemporaryDirectory() as folder:
            cost = measure(arguments, RunFolder(Path(folder)))
        print(f"{date.today()}, {arguments.search}, {arguments.space}, {AT_A_TIME} trials at a time\n")
        print("| trials | driver, milliseconds a trial | memory, MB |")
        print("|---|---|---|")
        for count in arguments.counts:
            last = cost.seconds[int(count * (1 - WINDOW)) : count]
            print(f"| {count:,} | {1000 * last.mean():.1f} | {cost.megabytes[count - 1]:.0f} |")
        if arguments.picture is not None:
            draw(cost, arguments.picture)


def measure(arguments: Arguments, run: RunFolder) -> Cost:
    """Plays the search."""
    space, trials = load_space(arguments.space, problem_of()), max(arguments.counts)
    seconds, megabytes = [], []
    with on_disk(
        run, arguments.search, space, problem_of(), epochs=1, trials=trials + AT_A_TIME, seed=0, early_stopping=True
    ) as parts:
        driver = Driver(parts)
        running: list[TrialRecord] = []
        for number in track(range(trials + AT_A_TIME), "trials", console=Console(stderr=True)):
            begun = time.perf_counter()
            if number >= AT_A_TIME:
                driver.tell(report_on(running.pop(0), score(number), tasks=[task.name for task in CS224N]))
            trial = driver.start()
            assert trial is not None, "there is room for more"
            running.append(trial)
            if number >= AT_A_TIME:
                seconds.append(time.perf_counter() - begun)
                megabytes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    return Cost(np.array(seconds), np.array(megabytes))


def problem_of() -> Problem:
    """What a space may ask, of BERT-base and the course's tasks."""
    sizes = {task.name: 10_000 for task in CS224N}
    return Problem(tasks=CS224N, num_layers=12, hidden_size=768, num_heads=12, train_size=sizes, dev_size=sizes)


def score(number: int) -> float:
    """Like that of a real trial, made up."""
    return float(0.6 + 0.1 * np.sin(number) + 0.05 * np.random.default_rng(number).normal())


def draw(cost: Cost, path: Path) -> None:
    """Time and memory by the number of trials."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    trials = np.arange(1, len(cost.seconds) + 1)
    width = max(1, len(trials) // 100)
    means = np.convolve(cost.seconds, np.ones(width) / width, mode="valid")
    for place, values, label in (
        (1, 1000 * means, "driver, ms a trial"),
        (2, cost.megabytes[width - 1 :], "memory, MB"),
    ):
        axes = figure.add_subplot(1, 2, place)
        axes.plot(trials[width - 1 :], values)
        axes.set_xlabel("trials")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
