"""What it costs that a run can't be lost: python -m benchmarks.persistence

After an epoch of plain fine-tuning, nothing frozen, everything that a trial and its driver write after each epoch is
written several times: the trial's whole state, the weights of its best epoch, and the ledger's lines, synced to disk.
Printed as a Markdown table of seconds, and of shares of the epoch's own time.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
import tyro

from model.config import OptimizationConfig, TaskConfig, TrialConfig
from model.data.corpus import read_corpus
from model.data.tokens import tokenize
from model.errors import UserError, reported
from model.network.pretrained import read_encoder
from model.problem import losses_for
from model.training.loop import Epoch, Training, train
from model.training.precision import Precision
from search.ledger import Ledger
from search.records import Decision, Report, Suggested

TRIAL = "t001"


@dataclass(frozen=True)
class Arguments:
    """Measures what a trial's saved states and the run's ledger cost, beside an epoch."""

    data: str = "demo"
    """Folder with the CS224N files, or 'demo'."""
    encoder: str = "demo"
    """Pretrained BERT: a Hugging Face id, a folder in its layout, or 'demo'."""
    epoch_examples: int = 2000
    """Training examples in the epoch."""
    repeats: int = 5
    """Times that everything is written."""
    threads: int = 1
    """CPU threads."""
    precision: Precision = "auto"
    """What the epoch computes in."""
    folder: Path = Path()
    """On the disk that is written to."""


@dataclass(frozen=True)
class Measured:
    """What one epoch took, and what was written after it."""

    epoch: Epoch
    seconds: dict[str, list[float]]
    """By what is written, of each repeat."""
    bytes: dict[str, int]


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.persistence")
        for name in ("epoch_examples", "repeats", "threads"):
            if getattr(arguments, name) < 1:
                flag = f"--{name.replace('_', '-')} {getattr(arguments, name)}"
                raise UserError(f"{flag}: allowed is a whole number from 1")
        torch.set_num_threads(arguments.threads)
        print(as_markdown(arguments, measure(arguments)))


def measure(arguments: Arguments) -> Measured:
    """One epoch, then every write, `repeats` times."""
    encoder = read_encoder(arguments.encoder)
    tokens = tokenize(read_corpus(arguments.data), encoder)
    config = TrialConfig(
        tasks={
            task.name: TaskConfig(pair_encoding="cross" if task.is_pair else None, loss=losses_for(task)[0])
            for task in tokens.tasks
        },
        optimization=OptimizationConfig(),
    )
    training = train(
        config,
        tokens,
        encoder,
        epochs=1,
        epoch_examples=arguments.epoch_examples,
        seed=0,
        precision=arguments.precision,
    )
    epoch = next(training)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        return Measured(
            epoch, *write(training, Report.of(TRIAL, epoch, epoch.overall), config, Path(folder), arguments.repeats)
        )


def write(
    training: Training, report: Report, config: TrialConfig, folder: Path, repeats: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """By what is written, the seconds it took each time, and its size."""
    state, best, ledger = folder / "state", folder / "best", folder / "ledger.jsonl"
    values = {"config": config.to_dict(), "reports": [vars(report)]}
    with Ledger(ledger) as lines:

        def append(number: int) -> None:
            trial = f"t{number:03d}"
            suggested = Suggested(trial=trial, source="tpe", params={}, distributions={}, config=config.to_dict())
            lines.append(suggested)
            lines.append(Report(**{**vars(report), "trial": trial}))
            lines.append(Decision(trial=trial, epoch=1, action="continue", rung=None, cutoff=None))

        writes: dict[str, Callable[[int], None]] = {
            "whole state": lambda _: training.save(state, values),
            "weights of the best epoch": lambda _: training.save_model(best),
            "three lines of the ledger": append,
        }
        seconds = {what: [_timed(one, number) for number in range(1, repeats + 1)] for what, one in writes.items()}
        sizes = (_size(state), _size(best), ledger.stat().st_size // repeats)
    return seconds, dict(zip(writes, sizes, strict=True))


def as_markdown(arguments: Arguments, measured: Measured) -> str:
    """A table of seconds and shares of the epoch."""
    epoch = measured.epoch
    lines = [
        f"{date.today()}, {platform.machine()} CPU, {arguments.threads} threads, torch {torch.__version__}, "
        f"{epoch.trainable_parameters / 1e6:.1f}M trained parameters, an epoch of {epoch.examples} examples: "
        f"{epoch.seconds:.0f} s, {epoch.train_seconds:.0f} of them training",
        "",
        "| after each epoch | MB | seconds (range) | share of the epoch |",
        "|---|---|---|---|",
    ]
    total = 0.0
    for what, seconds in measured.seconds.items():
        median = statistics.median(seconds)
        total += median
        lines.append(
            f"| {what} | {measured.bytes[what] / 1e6:.3g} | {median:.3f} ({min(seconds):.3f} to {max(seconds):.3f}) | "
            f"{median / epoch.seconds:.3%} |"
        )
    lines.append(f"| together | | {total:.3f} | {total / epoch.seconds:.2%} |")
    return "\n".join(lines)


def _timed(write: Callable[[int], None], number: int) -> float:
    start = time.perf_counter()
    write(number)
    return time.perf_counter() - start


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


if __name__ == "__main__":
    sys.exit(main())
