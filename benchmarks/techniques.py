"""What a technique costs a training step: python -m benchmarks.techniques

Each technique's steps beside the plain ones, in turns in one process, so that whatever else the machine does falls on
all of them. Printed as a Markdown table of ratios: seconds of a step over those of the plain step, the median and range
over the repeats, and what the technique's own arithmetic says they must be. A forward pass counts 1, a backward pass 2,
one that goes to the input alone, as SMART's ascent does, 1.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from rich.progress import track

from benchmarks.common import check_common, heading, with_short_evaluation
from model.config import NoiseStabilityConfig, OptimizationConfig, ProximalConfig, SmartConfig, TaskConfig, TrialConfig
from model.data.corpus import read_corpus
from model.data.tasks import Task
from model.data.tokens import tokenize
from model.errors import reported
from model.network.pretrained import read_encoder
from model.problem import losses_for
from model.training.loop import Training, train
from model.training.precision import Precision


@dataclass(frozen=True)
class Arguments:
    """Measures what each technique costs a training step, beside the plain step."""

    data: str = "demo"
    """Folder with the CS224N files, or 'demo'."""
    encoder: str = "demo"
    """Pretrained BERT: a Hugging Face id, a folder in its layout, or 'demo'."""
    batch_size: int = 32
    """Examples of a task in a step."""
    steps: int = 12
    """Steps of each repeat, about."""
    repeats: int = 5
    """Times that each technique is measured."""
    threads: int = 1
    """CPU threads."""
    precision: Precision = "fp32"
    """What steps compute in."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where."""


@dataclass(frozen=True)
class Case:
    """A technique, the plain step it is compared with, and what it should cost."""

    name: str
    baseline: str
    expected: float
    reason: str
    optimization: dict[str, Any] = field(default_factory=dict)
    regularizers: dict[str, Any] = field(default_factory=dict)


ONE, ALL = "plain, one task a step", "plain, all tasks a step"
CASES = (
    Case(ONE, ONE, 1, "forward and backward: 1 + 2"),
    Case("uncertainty weighting", ONE, 1, "one number a task", {"task_weighting": "uncertainty"}),
    Case("proximal point", ONE, 4 / 3, "a forward pass of the teacher", regularizers={"proximal": ProximalConfig()}),
    Case(
        "LNSR", ONE, 6 / 3, "a noisy forward pass, and its backward pass",
        regularizers={"noise_stability": NoiseStabilityConfig()},
    ),
    Case(
        "SMART, 1 ascent step", ONE, 8 / 3, "an ascent (1 + 1), and a moved forward and backward pass",
        regularizers={"smart": SmartConfig(steps=1)},
    ),
    Case(
        "SMART, 2 ascent steps", ONE, 10 / 3, "one more ascent (1 + 1)", regularizers={"smart": SmartConfig(steps=2)},
    ),
    Case(ALL, ALL, 1, "forward and backward of a batch of each", {"tasks_per_step": "all"}),
    Case(
        "PCGrad", ALL, 1, "the same passes; dot products and sums of the gradients",
        {"tasks_per_step": "all", "gradient_surgery": True},
    ),
)  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.techniques")
        check_common(arguments, "batch_size", "steps", "repeats", "threads")
        torch.set_num_threads(arguments.threads)
        print(as_markdown(arguments, measure(arguments)))


def measure(arguments: Arguments) -> dict[str, list[float]]:
    """By case, the seconds of a step in each repeat."""
    encoder = read_encoder(arguments.encoder)
    tokens = with_short_evaluation(tokenize(read_corpus(arguments.data), encoder))
    examples = arguments.steps * arguments.batch_size

    def begin(case: Case) -> Training:
        return train(
            _config(case, tokens.tasks, arguments.batch_size), tokens, encoder, epochs=arguments.repeats + 1,
            epoch_examples=examples, seed=0, precision=arguments.precision, device=arguments.device,
        )  # fmt: skip

    trainings = {case.name: begin(case) for case in CASES}
    seconds: dict[str, list[float]] = {case.name: [] for case in CASES}
    for training in trainings.values():
        next(training)  # warms up
    for _ in track(range(arguments.repeats), "repeats", console=Console(stderr=True)):
        for name, training in trainings.items():
            epoch = next(training)
            seconds[name].append(epoch.train_seconds / training.steps_in(epoch.number))
    return seconds


def as_markdown(arguments: Arguments, seconds: dict[str, list[float]]) -> str:
    """A table of ratios to the plain step."""
    lines = [
        heading(arguments, precision=arguments.precision),
        "",
        "| step | steps a second | times the plain step (range) | by its arithmetic | why |",
        "|---|---|---|---|---|",
    ]
    for case in CASES:
        ratios = [a / b for a, b in zip(seconds[case.name], seconds[case.baseline], strict=True)]
        lines.append(
            f"| {case.name} | {1 / statistics.median(seconds[case.name]):.2f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) | {case.expected:.2f} | {case.reason} |"
        )
    return "\n".join(lines)


def _config(case: Case, tasks: tuple[Task, ...], batch_size: int) -> TrialConfig:
    parts = {
        task.name: TaskConfig(pair_encoding="cross" if task.is_pair else None, loss=losses_for(task)[0])
        for task in tasks
    }
    mix = {} if case.baseline == ALL else {"task_mix": "in_turn"}
    optimization = OptimizationConfig(batch_size=batch_size, **mix, **case.optimization)
    return TrialConfig(tasks=parts, optimization=optimization, **case.regularizers)


if __name__ == "__main__":
    sys.exit(main())
