"""How many workers a search needs: python -m benchmarks.scale RUN --workers 1 2 4 8

The search of a finished run once more, on a simulated clock, with so many trials at a time. Searcher, judge and
scheduler are those of a search, with ledger, TensorBoard files and printed lines on disk; each of their decisions takes
the time on the clock that it really takes here, and they are one driver, who does one thing at a time: with many
workers, these wait for it. What trials score and how long their epochs take is learned from the run
(benchmarks.learned_curves). What passes beside is the run's own, by its ledger: to the first suggestion, from a
suggestion to the first step, and from an epoch's end to the driver.

Each worker is as fast as one of the run's was: where trials share a machine, it is to be the machine that they share.
Ray's own work in the driver is not in it, and no trial diverges, fails or is taken up again.
"""

from __future__ import annotations

import heapq
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress
from tyro.conf import Positional, arg

from benchmarks.between_trials import on_their_way
from benchmarks.common import check_picture
from benchmarks.driver import Driver, on_disk, report_on
from benchmarks.learned_curves import Curve, LearnedCurves
from model.data.corpus import read_corpus
from model.errors import UserError, reported
from model.network.shape import read_config
from model.problem import Problem
from search.ledger import read_events
from search.policy.encoding import Drawn
from search.records import Event, History, Promoted, Report, Retry, Session, Suggested, TrialRecord
from search.run_folder import RunFolder, RunInfo, newest_run, open_run
from search.space import load_space

LEAST = 8
"""Trials that curves can be learned from."""
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Arguments:
    """Shows how long a finished run's search would take with more or fewer workers, by simulation."""

    run: Positional[Annotated[str | None, arg(metavar="[RUN]")]] = None
    """Its name; by default the newest."""
    runs_dir: Path = Path("runs")
    """Where runs lie."""
    workers: tuple[int, ...] = tuple(2**power for power in range(11))
    """Trials at a time."""
    trials: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: the run's)")] = None
    """Configurations to try: more than there are workers, or some have nothing to do."""
    epochs: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: the run's)")] = None
    """The most epochs a trial may take; none of more is known."""
    seeds: int = 1
    """Searches with each number of workers, the first with the run's seed; means and ranges of all are shown."""
    picture: Path | None = None
    """A file for the picture, .svg or .png."""


@dataclass(frozen=True)
class Delays:
    """What passes beside training and decisions, in seconds."""

    setup: float
    """From the command to the first suggestion."""
    process: float
    """From a trial's suggestion to its first step, where a worker's process is to be started,"""
    begin: float
    """and where it had a trial before."""
    report: float
    """From an epoch's end until the driver hears of it: its state is saved, and Ray's way is gone."""


@dataclass(frozen=True)
class Played:
    """What came of a simulated search; times in seconds."""

    seconds: float
    """On the clock."""
    training: float
    """Of all epochs."""
    driver: float
    """In which the driver was at work."""
    epochs: int
    best: float
    """The best overall."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.scale")
        _check(arguments)
        run = open_run(arguments.runs_dir, arguments.run) if arguments.run else newest_run(arguments.runs_dir)
        info, events = run.info(), read_events(run.ledger)
        history = History(events)
        if len(info.objectives) > 1:
            raise UserError(
                f"{run.name} searched for {', '.join(info.objectives)}: only runs for overall alone are known"
            )
        records = [record for record in history.trials.values() if record.reports]
        if len(records) < LEAST:
            raise UserError(f"{run.name}: {len(records)} trials ended an epoch; {LEAST} are needed to learn from")
        epochs = arguments.epochs or info.epochs
        if epochs > info.epochs:
            raise UserError(f"--epochs {epochs}: allowed is 1 to {info.epochs}, which the run's trials may have taken")
        trials = arguments.trials or info.trials or len(history.trials)
        delays = delays_of(events, info.concurrent)
        played = play_all(arguments, run, info, records, delays, epochs=epochs, trials=trials)
        print(heading(run, info, history, delays, epochs=epochs, trials=trials))
        print(as_markdown(played))
        if arguments.picture is not None:
            draw(played, arguments.picture)


def _check(arguments: Arguments) -> None:
    for name in ("trials", "epochs", "seeds"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} {value}: allowed is a whole number from 1")
    if not arguments.workers or min(arguments.workers) < 1:
        raise UserError(f"--workers {' '.join(map(str, arguments.workers))}: allowed are whole numbers from 1")
    check_picture(arguments.picture)


def delays_of(events: Sequence[Event], concurrent: int) -> Delays:
    """Medians of a run whose trials ran `concurrent` at a time; 0 for what it has none of."""
    setup = 0.0
    processes, begins = list[float](), list[float]()
    command = 0.0
    suggested: dict[str, tuple[float, list[float]]] = {}
    """When, and what the time to the first step is one of."""
    begun, is_resumed = 0, False
    for event in events:
        match event:
            case Session():
                command = event.time - event.setup_seconds
                begun, is_resumed = 0, is_resumed or begun > 0
                suggested.clear()
            case Suggested() | Promoted():
                if not begun and not is_resumed:
                    setup = event.time - command
                # of a resumed session's first ones, some take the place of trials that went on without being suggested
                first = [] if is_resumed else processes
                suggested[event.trial] = (event.time, first if begun < concurrent else begins)
                begun += 1
            case Retry():
                suggested.pop(event.trial, None)
            case Report() if event.trial in suggested:
                since, group = suggested.pop(event.trial)
                group.append(event.time - event.seconds - since)
            case _:
                pass
    return Delays(setup, _median(processes or begins), _median(begins or processes), _median(on_their_way(events)))


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def play_all(
    arguments: Arguments,
    run: RunFolder,
    info: RunInfo,
    records: Sequence[TrialRecord],
    delays: Delays,
    *,
    epochs: int,
    trials: int,
) -> dict[int, list[Played]]:
    """A search for each seed, by the number of workers."""
    corpus = read_corpus(info.data, sources=info.sources, skip_bad_rows=bool(info.skipped_rows))
    problem = Problem.of(corpus, read_config(info.encoder)[1])
    space = load_space(run.space, problem)
    played: dict[int, list[Played]] = {workers: [] for workers in sorted(set(arguments.workers))}
    with Progress(console=Console(stderr=True)) as progress:
        for seed in range(info.seed, info.seed + arguments.seeds):
            curves = LearnedCurves(records, epochs=info.epochs, seed=seed)
            for workers, found in played.items():
                task = progress.add_task(f"{workers} workers, seed {seed}", total=trials)
                with (
                    tempfile.TemporaryDirectory() as folder,
                    on_disk(
                        RunFolder(Path(folder)), info.search, space, problem,
                        epochs=epochs, trials=trials, seed=seed, early_stopping=info.early_stopping,
                    ) as parts,
                ):  # fmt: skip
                    found.append(play(
                        Driver(parts), lambda record, known=curves: known.of(Drawn.of(record)), delays,
                        workers=workers, tasks=info.tasks, on_begun=lambda begun=task: progress.advance(begun),
                    ))  # fmt: skip
    return played


def play(
    driver: Driver,
    curve_of: Callable[[TrialRecord], Curve],
    delays: Delays,
    *,
    workers: int,
    tasks: Sequence[str] = (),
    on_begun: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Played:
    """A search to its end. `clock` tells what the driver takes, and `on_begun` is called for each new trial."""
    now, at_work, training, best, spent = delays.setup, 0.0, 0.0, 0.0, 0
    order = count()
    coming: list[tuple[float, int, TrialRecord]] = []
    """Reports on their way: when they arrive."""
    curves: dict[str, Curve] = {}
    processes = 0

    def timed(asked: Callable[[], Answer]) -> Answer:
        nonlocal now, at_work
        since = clock()
        answer = asked()
        took = clock() - since
        now, at_work = now + took, at_work + took
        return answer

    def train(record: TrialRecord, begin: float) -> None:
        nonlocal training
        seconds = float(curves[record.name].seconds[record.epoch])
        training += seconds
        heapq.heappush(coming, (begin + seconds + delays.report, next(order), record))

    while True:
        while len(coming) < workers and (record := timed(driver.start)) is not None:
            if record.name not in curves:
                curves[record.name] = curve_of(record)
                on_begun()
            is_first = len(coming) == processes  # workers that are idle have a process, as long as there is one
            processes += is_first
            train(record, now + (delays.process if is_first else delays.begin))
        if not coming:
            return Played(now, training, at_work, spent, best)
        arrived, _, record = heapq.heappop(coming)
        now = max(now, arrived)
        overall, seconds = (float(v[record.epoch]) for v in (curves[record.name].overall, curves[record.name].seconds))
        best, spent = max(best, overall), spent + 1
        report = report_on(record, overall, seconds, tasks)
        if timed(lambda told=report: driver.tell(told)):
            train(record, now)


def heading(run: RunFolder, info: RunInfo, history: History, delays: Delays, *, epochs: int, trials: int) -> str:
    """What is searched, and what was measured of the run."""
    seconds = [report.seconds for record in history.trials.values() for report in record.reports]
    return (
        f"{date.today()}, {platform.machine()}, {run.name}: {info.search}, {trials:,} trials of at most {epochs} "
        "epochs\n\n"
        f"The run itself, {len(history.trials)} trials, {info.concurrent} at a time: {history.seconds_spent():.0f} s, "
        f"{history.epochs_spent()} epochs of {statistics.median(seconds):.3g} s (median). "
        f"Until its first suggestion {delays.setup:.1f} s; from a suggestion to the first step {delays.process:.2f} s "
        f"in a new process, {delays.begin:.3f} s in others; from an epoch's end to the driver {delays.report:.3f} s.\n"
    )


def as_markdown(played: dict[int, list[Played]]) -> str:
    """A line for each number of workers."""
    fewest = min(played)
    base = _mean(one.seconds for one in played[fewest])
    lines = [
        f"| workers | wall-clock, s | speed-up over {fewest} | epochs | utilisation | driver's share | best overall |",
        "|---|---|---|---|---|---|---|",
    ]
    for workers, found in played.items():
        seconds = [one.seconds for one in found]
        spread = f" ({min(seconds):.0f} to {max(seconds):.0f})" if len(found) > 1 else ""
        lines.append(
            f"| {workers:,} | {_mean(seconds):.0f}{spread} | {base / _mean(seconds):.1f} | "
            f"{_mean(one.epochs for one in found):.0f} | {utilisation(found, workers):.0%} | "
            f"{_mean(one.driver / one.seconds for one in found):.1%} | {_mean(one.best for one in found):.3f} |"
        )
    return "\n".join(lines)


def utilisation(found: Iterable[Played], workers: int) -> float:
    """Share of the workers' time in which they train."""
    return _mean(one.training / (workers * one.seconds) for one in found)


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def draw(played: dict[int, list[Played]], path: Path) -> None:
    """Wall-clock and utilisation by the number of workers."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    workers = list(played)
    seconds = [_mean(one.seconds for one in found) for found in played.values()]
    left, right = figure.subplots(1, 2)
    left.loglog(workers, seconds, marker="o", label="simulated")
    left.loglog(
        workers, seconds[0] * workers[0] / np.array(workers), linestyle=":", color="grey", label="in proportion"
    )
    left.set_ylabel("wall-clock, s")
    left.legend()
    right.semilogx(workers, [utilisation(found, n) for n, found in played.items()], marker="o", label="utilisation")
    shares = [_mean(one.driver / one.seconds for one in found) for found in played.values()]
    right.semilogx(workers, shares, marker="o", label="driver at work")
    right.set_ylim(0, 1.05)
    right.legend()
    for axes in (left, right):
        axes.set_xlabel("workers")
        axes.set_xticks(workers, map(str, workers), rotation=60)
        axes.xaxis.minorticks_off()
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
