"""A training step beside Hugging Face's Trainer: python -m benchmarks.trainer

Both fine-tune the same encoder on the same sentences of the first task on single ones, in batches of the same size, in
turns in one process: the Trainer with its defaults, and with the flags that make it fastest, and ours in fp32 and bf16;
then the same with frozen layers, ours once more with what these put out read from the store, as every trial but the
first does. In between, the matrix products of the same tokens alone, forward and backward, as fast as PyTorch computes
them: nobody who computes all of them takes less time. (Where [CLS] alone is pooled, ours leaves most of the last layer
out, so that it can come to more than all of that bound.)

The Trainer is installed for this alone: .venv/bin/python -m pip install -c constraints.txt -e ".[benchmarks]"
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from rich.progress import track
from torch import Tensor

from benchmarks.common import check_common, check_installed, heading, with_short_evaluation
from model.config import EncoderConfig, OptimizationConfig, TaskConfig, TrialConfig
from model.data.corpus import read_corpus
from model.data.tasks import Task
from model.data.tokens import Tokens, tokenize
from model.errors import UserError, reported
from model.network.pretrained import Encoder, read_encoder
from model.network.shape import BertShape
from model.problem import losses_for
from model.training.loop import Training, train
from model.training.precision import Precision, resolve_precision
from model.training.prefix_store import PrefixStore
from model.training.pretrain import save_encoder


@dataclass(frozen=True)
class Arguments:
    """Measures training steps beside those of Hugging Face's Trainer."""

    data: str = "demo"
    """Folder with the CS224N files, or 'demo'."""
    encoder: str = "demo"
    """Pretrained BERT: a Hugging Face id, a folder in its layout, or 'demo'."""
    depths: tuple[int, ...] = ()
    """Freeze depths; by default none and all layers but one."""
    batch_size: int = 32
    """Examples in a step."""
    steps: int = 24
    """Steps of each repeat."""
    repeats: int = 5
    """Times that each is measured."""
    threads: int = 1
    """CPU threads."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where."""


WARM_UP = 4
"""Steps of each repeat that the Trainer takes before it is timed: it starts anew each time, ours goes on."""
DEFAULTS, FASTEST, BOUND = "Trainer, its defaults", "Trainer, grouped by length, bf16", "matrix products alone, bf16"
THEIRS: dict[str, dict[str, Any]] = {
    DEFAULTS: {},
    "Trainer, grouped by length": {"train_sampling_strategy": "group_by_length"},
    FASTEST: {"train_sampling_strategy": "group_by_length", "bf16": True},
}
"""By name, what is set of `TrainingArguments`. Its fused AdamW is its default."""

Timed = Callable[[], float]
"""Seconds of so many steps as each repeat has."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.trainer")
        _check(arguments)
        torch.set_num_threads(arguments.threads)
        encoder = read_encoder(arguments.encoder)
        depths = arguments.depths or (0, encoder.num_layers - 1)
        for depth in depths:
            if not 0 <= depth <= encoder.num_layers:
                raise UserError(f"--depths {depth}: allowed is 0 to {encoder.num_layers}, the encoder's layers")
        tokens = of_one_task(tokenize(read_corpus(arguments.data), encoder))
        with tempfile.TemporaryDirectory() as folder:
            save_encoder(Path(folder) / "encoder", encoder)
            print(heading(arguments))
            for depth in depths:
                seconds = measure(arguments, encoder, tokens, depth, Path(folder))
                print(f"\n{depth} of {encoder.num_layers} layers frozen:\n" if depth else "\nNothing frozen:\n")
                print(as_markdown(arguments, seconds))


def _check(arguments: Arguments) -> None:
    check_common(arguments, "batch_size", "steps", "repeats", "threads")
    check_installed("transformers", "accelerate")


def of_one_task(tokens: Tokens) -> Tokens:
    """The first task on single sentences, by itself."""
    (task, *_) = (task for task in tokens.tasks if not task.is_pair)
    return with_short_evaluation(
        dataclasses.replace(tokens, tasks=(task,), splits={task.name: tokens.splits[task.name]})
    )


def measure(arguments: Arguments, encoder: Encoder, tokens: Tokens, depth: int, folder: Path) -> dict[str, list[float]]:
    """By name, the seconds of the steps in each repeat."""
    timed: dict[str, Timed] = {
        name: _trainer(arguments, encoder, tokens, depth, folder, flags) for name, flags in THEIRS.items()
    }
    timed["ours, fp32"] = _ours(arguments, encoder, tokens, depth, "fp32", None)
    timed["ours, bf16"] = _ours(arguments, encoder, tokens, depth, "bf16", None)
    if depth:
        store = PrefixStore(folder / "prefix", 2**40)
        list(_begin(arguments, encoder, tokens, depth, "bf16", store))  # the first trial fills the store
        timed["ours, bf16, frozen layers read"] = _ours(arguments, encoder, tokens, depth, "bf16", store)
    else:
        timed[BOUND] = _products(arguments, encoder.shape, tokens)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in track(range(arguments.repeats), f"repeats, {depth} frozen", console=Console(stderr=True)):
        for name, run in timed.items():
            seconds[name].append(run())
    return seconds


def _trainer(
    arguments: Arguments, encoder: Encoder, tokens: Tokens, depth: int, folder: Path, flags: dict[str, Any]
) -> Timed:
    """Hugging Face's, on a fresh model each time."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    (task,) = tokens.tasks
    split = tokens.splits[task.name]["train"]
    examples = [
        {"input_ids": [tokens.cls_id, *sentence.tolist(), tokens.sep_id], "labels": int(label)}
        for sentence, label in zip((split.sentences[0][i] for i in range(len(split))), split.labels, strict=True)
    ]

    class Clock(transformers.TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == WARM_UP:
                _wait(arguments.device)
                self.start = time.perf_counter()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            _wait(arguments.device)
            self.seconds = time.perf_counter() - self.start

    def run() -> float:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder / "encoder", num_labels=_classes(task)
        )
        frozen = [model.bert.embeddings, *model.bert.encoder.layer[:depth]] if depth else []
        for module in frozen:
            module.requires_grad_(False)
        clock = Clock()
        trainer = transformers.Trainer(
            model,
            transformers.TrainingArguments(
                str(folder / "trainer"), per_device_train_batch_size=arguments.batch_size,
                max_steps=WARM_UP + arguments.steps, report_to=[], save_strategy="no", disable_tqdm=True,
                use_cpu=arguments.device == "cpu", seed=0, **flags,
            ),
            data_collator=_padded,
            train_dataset=examples,  # type: ignore[arg-type]
            callbacks=[clock],
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        return clock.seconds

    return run


def _padded(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    """As transformers' own collator pads, to the longest of the batch."""
    ids = [torch.tensor(example["input_ids"]) for example in examples]
    return {
        "input_ids": torch.nn.utils.rnn.pad_sequence(ids, batch_first=True),
        "attention_mask": torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in ids], batch_first=True),
        "labels": torch.tensor([example["labels"] for example in examples]),
    }


def _ours(
    arguments: Arguments, encoder: Encoder, tokens: Tokens, depth: int, precision: Precision, store: PrefixStore | None
) -> Timed:
    training = _begin(arguments, encoder, tokens, depth, precision, store)
    next(training)  # warms up
    return lambda: next(training).train_seconds


def _begin(
    arguments: Arguments, encoder: Encoder, tokens: Tokens, depth: int, precision: Precision, store: PrefixStore | None
) -> Training:
    (task,) = tokens.tasks
    config = TrialConfig(
        encoder=EncoderConfig(freeze_depth=depth),
        tasks={task.name: TaskConfig(loss=losses_for(task)[0])},
        optimization=OptimizationConfig(batch_size=arguments.batch_size),
    )
    return train(
        config, tokens, encoder, epochs=arguments.repeats + 1, epoch_examples=arguments.steps * arguments.batch_size,
        seed=0, precision=precision, device=arguments.device, store=store,
    )  # fmt: skip


def _products(arguments: Arguments, shape: BertShape, tokens: Tokens) -> Timed:
    """The products of weights and tokens, for as many real tokens as batches have on average."""
    (task,) = tokens.tasks
    mean = float(tokens.splits[task.name]["train"].sentences[0].lengths.mean()) + 2
    count, hidden, units = round(arguments.batch_size * mean), shape.hidden_size, shape.intermediate_size
    resolve_precision("bf16", torch.device(arguments.device))

    def random(*size: int) -> Tensor:
        return torch.randn(*size, device=arguments.device, dtype=torch.bfloat16)

    weights = [(hidden, hidden)] * 4 + [(hidden, units), (units, hidden)]
    of_layer = [(random(count, read), random(read, written), random(count, written)) for read, written in weights]

    def run() -> float:
        _wait(arguments.device)
        start = time.perf_counter()
        for _ in range(arguments.steps * shape.num_layers):
            for x, weight, gradient in of_layer:
                torch.mm(x, weight)
                torch.mm(gradient, weight.T)
                torch.mm(x.T, gradient)
        _wait(arguments.device)
        return time.perf_counter() - start

    return run


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _classes(task: Task) -> int:
    return getattr(task.label, "count", 2)


def as_markdown(arguments: Arguments, seconds: dict[str, list[float]]) -> str:
    """A table of ratios."""
    examples = arguments.steps * arguments.batch_size
    lines = [
        "| step | examples a second | times the Trainer's defaults (range) | times its fastest (range) |",
        "|---|---|---|---|",
    ]
    for name, times in seconds.items():
        ratios = (_ratios(seconds[of], times) for of in (DEFAULTS, FASTEST))
        lines.append(f"| {name} | {examples / statistics.median(times):.1f} | " + " | ".join(ratios) + " |")
    return "\n".join(lines)


def _ratios(of: list[float], to: list[float]) -> str:
    ratios = [a / b for a, b in zip(of, to, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    sys.exit(main())
