"""What it saves to compute frozen layers once: python -m benchmarks.frozen_prefix

Steps that read the prefix's output from the store beside steps that compute it, in turns in one process. Printed as a
Markdown table: for each freeze depth k of L layers how many times as fast a step is, the median and range over the
repeats, and what is to be expected at best. A layer forward counts 1, backward 2, so a step is k + 3 (L - k) computed
and 3 (L - k) read; but of the last layer, of which the pooler reads [CLS] alone, only keys and values are computed for
all tokens, 1/6 of it. Below, a whole trial with all layers frozen, evaluation included, from the second one on.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from rich.console import Console
from rich.progress import track

from benchmarks.common import check_common, heading, with_short_evaluation
from model.config import EncoderConfig, OptimizationConfig, TaskConfig, TrialConfig
from model.data.corpus import read_corpus
from model.data.tasks import Task
from model.data.tokens import Tokens, tokenize
from model.errors import UserError, reported
from model.network.pretrained import Encoder, read_encoder
from model.problem import losses_for
from model.training.loop import Training, train
from model.training.precision import Precision
from model.training.prefix_store import PrefixStore


@dataclass(frozen=True)
class Arguments:
    """Measures steps that read what frozen layers put out, beside steps that compute it."""

    data: str = "demo"
    """Folder with the CS224N files, or 'demo'."""
    encoder: str = "demo"
    """Pretrained BERT: a Hugging Face id, a folder in its layout, or 'demo'."""
    depths: tuple[int, ...] = ()
    """Freeze depths; by default half of the layers, all but one and all."""
    batch_size: int = 32
    """Examples in a step."""
    steps: int = 24
    """Steps of each repeat, about."""
    repeats: int = 5
    """Times that each depth is measured."""
    trial_epochs: int = 10
    """Epochs of the trials with all layers frozen."""
    trial_examples: int = 2000
    """Training examples in each of them."""
    threads: int = 1
    """CPU threads."""
    precision: Precision = "auto"
    """What steps compute in."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.frozen_prefix")
        check_common(arguments, "batch_size", "steps", "repeats", "trial_epochs", "trial_examples", "threads")
        torch.set_num_threads(arguments.threads)
        encoder = read_encoder(arguments.encoder)
        depths = arguments.depths or (encoder.num_layers // 2, encoder.num_layers - 1, encoder.num_layers)
        for depth in depths:
            if not 1 <= depth <= encoder.num_layers:
                raise UserError(f"--depths {depth}: allowed is 1 to {encoder.num_layers}, the encoder's layers")
        tokens = tokenize(read_corpus(arguments.data), encoder)
        with tempfile.TemporaryDirectory() as folder:
            store = PrefixStore(Path(folder), 2**40)
            seconds = steps(arguments, encoder, tokens, store, depths)
            print(as_markdown(arguments, encoder.num_layers, seconds))
            print()
            print(trials(arguments, encoder, tokens, store))


Seconds = dict[int, tuple[list[float], list[float]]]
"""By freeze depth, those of a step in each repeat: computed, and read."""


def steps(
    arguments: Arguments, encoder: Encoder, tokens: Tokens, store: PrefixStore, depths: tuple[int, ...]
) -> Seconds:
    """Measures them."""
    short = with_short_evaluation(tokens)

    def begin(depth: int, kept: PrefixStore | None) -> Training:
        return train(
            _config(depth, tokens.tasks, arguments.batch_size), short, encoder, epochs=arguments.repeats + 1,
            epoch_examples=arguments.steps * arguments.batch_size, seed=0, precision=arguments.precision,
            device=arguments.device, store=kept,
        )  # fmt: skip

    for depth in depths:
        list(begin(depth, store))  # the first trial fills the store
    pairs = {depth: (begin(depth, None), begin(depth, store)) for depth in depths}
    found: Seconds = {depth: ([], []) for depth in depths}
    for pair in pairs.values():
        for training in pair:
            next(training)  # warms up
    for _ in track(range(arguments.repeats), "repeats", console=Console(stderr=True)):
        for depth, pair in pairs.items():
            for training, times in zip(pair, found[depth], strict=True):
                epoch = next(training)
                times.append(epoch.train_seconds / training.steps_in(epoch.number))
    return found


def trials(arguments: Arguments, encoder: Encoder, tokens: Tokens, store: PrefixStore) -> str:
    """A whole trial with all layers frozen, read and computed."""

    def seconds(kept: PrefixStore | None, epochs: int) -> float:
        training = train(
            _config(encoder.num_layers, tokens.tasks, arguments.batch_size), tokens, encoder, epochs=epochs,
            epoch_examples=arguments.trial_examples, seed=0, precision=arguments.precision,
            device=arguments.device, store=kept,
        )  # fmt: skip
        begun = time.perf_counter()
        list(training)
        return time.perf_counter() - begun

    first = seconds(store, arguments.trial_epochs)
    read = [seconds(store, arguments.trial_epochs) for _ in range(arguments.repeats)]
    computed = seconds(None, 1) * arguments.trial_epochs
    return (
        f"A trial with all {encoder.num_layers} layers frozen, {arguments.trial_epochs} epochs of "
        f"{arguments.trial_examples} examples and their evaluation: {computed:.1f} s computed (one epoch measured), "
        f"{first:.1f} s for the first that reads, {statistics.median(read):.2f} s for each after it "
        f"({min(read):.2f} to {max(read):.2f}): {computed / statistics.median(read):.1f} times; 32 of them: "
        f"{32 * computed / (first + 31 * statistics.median(read)):.1f} times"
    )


def as_markdown(arguments: Arguments, layers: int, seconds: Seconds) -> str:
    """A table of ratios."""
    lines = [
        heading(arguments, precision=arguments.precision),
        "",
        "| frozen layers | computed, steps a second | read, steps a second | times as fast (range) | at best |",
        "|---|---|---|---|---|",
    ]
    for depth, (computed, read) in seconds.items():
        ratios = [a / b for a, b in zip(computed, read, strict=True)]
        trained = 3 * (layers - depth - 5 / 6) if depth < layers else 0
        best = f"{(depth + trained) / trained:.2f}" if trained else ""
        lines.append(
            f"| {depth} of {layers} | {1 / statistics.median(computed):.2f} | {1 / statistics.median(read):.2f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {best} |"
        )
    return "\n".join(lines)


def _config(depth: int, tasks: tuple[Task, ...], batch_size: int) -> TrialConfig:
    """Cross-encoded pairs, linear heads."""
    parts = {
        task.name: TaskConfig(pair_encoding="cross" if task.is_pair else None, loss=losses_for(task)[0])
        for task in tasks
    }
    return TrialConfig(
        encoder=EncoderConfig(freeze_depth=depth),
        tasks=parts,
        optimization=OptimizationConfig(batch_size=batch_size),
    )


if __name__ == "__main__":
    sys.exit(main())
