"""Further pre-training: python -m model.training.pretrain --data FOLDER --encoder NAME --output FOLDER

Masked language modelling on the tasks' own sentences, before any task is trained for: the within-task further
pre-training of "How to Fine-Tune BERT for Text Classification?", Sun et al. 2019, https://arxiv.org/abs/1905.05583,
section 5.4, on which Gamarra Lafuente and Udash build (2).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import torch
import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from model.console import Console
from model.data.corpus import NAMED, read_corpus
from model.data.task_file import read_task_file
from model.data.tasks import CS224N_SOURCES
from model.data.tokens import Tokens, tokenize
from model.errors import UserError, reported
from model.network.pretrained import Encoder, read_encoder, write_encoder
from model.network.shape import another_can_be_named
from model.training.cores import usable_cores
from model.training.masked_language import plan_of, pretrain
from model.training.precision import Precision

LEARNING_RATE, BATCH_SIZE = 5e-5, 32
"""Peak step size and sequences in a step of further pre-training. (Sun et al. 2019, 5.2)"""


def further_pretrained(
    encoder: Encoder,
    tokens: Tokens,
    *,
    name: str,
    epochs: int,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH_SIZE,
    seed: int,
    precision: Precision,
    console: Console,
) -> Encoder:
    """`encoder`, to be called `name`, after `epochs` passes over all train sentences in `tokens`; on the GPU where
    there is one. Progress is shown on `console`. Raises UserError as `pretrain` does."""
    steps = epochs * plan_of(tokens, batch_size, seed).total_steps
    with _Shown(console, steps) as shown:
        weights = pretrain(
            encoder,
            tokens,
            steps=steps,
            learning_rate=learning_rate,
            batch_size=batch_size,
            seed=seed,
            progress=shown,
            precision=precision,
            device="cuda" if torch.cuda.is_available() else "cpu",
        )
    return replace(encoder, name=name, weights={key: tensor.numpy() for key, tensor in weights.items()})


def save_encoder(folder: Path, encoder: Encoder) -> None:
    """Writes `encoder` as a folder that `read_encoder` makes the same encoder of."""
    write_encoder(folder, encoder, {key: torch.from_numpy(array) for key, array in encoder.weights.items()})


class _Shown(AbstractContextManager["_Shown"]):
    """Steps and loss: a bar on a terminal, ten lines in a pipe."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console, self._steps = console, steps
        self._every = max(1, steps // (100 if console.is_terminal else 10))
        self._sum: Tensor | float = 0.0
        self._count = 0
        self._bar = Progress(
            TextColumn("further pre-training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=steps, loss="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, step: int, loss: Tensor) -> None:
        self._sum, self._count = self._sum + loss, self._count + 1  # on the device, so that no step waits
        if step % self._every and step != self._steps:
            return
        mean = f"{float(self._sum) / self._count:.3f}"
        self._sum, self._count = 0.0, 0
        self._bar.update(self._task, completed=step, loss=mean)
        if not self._console.is_terminal:
            self._console.print(f"further pre-training  step {step}/{self._steps}  loss {mean}", highlight=False)


@dataclass(frozen=True)
class Flags:
    """Pre-trains an encoder further on the sentences of a corpus, by masked language modelling: train sentences only,
    no labels. The output is an encoder folder, for --encoder of a search."""

    data: Annotated[str, tyro.conf.arg(metavar="FOLDER")]
    """Folder with the CS224N files; 'demo', the built-in corpus; or 'hub', the same tasks from the Hugging Face hub;
    with --tasks the folder that their files lie in."""
    encoder: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """Pretrained BERT to start from: a Hugging Face id, a folder in its layout, or 'demo', the built-in one."""
    output: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """New folder for the encoder, in Hugging Face's layout."""
    tasks: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: the three of CS224N)")
    ] = None
    """TOML file with your own tasks."""
    skip_bad_rows: bool = False
    """Leave out rows of the data that can't be read, and count them; without it, the first one is an error."""
    epochs: int = 1
    """Passes over all train sentences."""
    learning_rate: float = LEARNING_RATE
    """Peak step size."""
    batch_size: int = BATCH_SIZE
    """Sequences in a step; a pair is one."""
    seed: int = 0
    """Of the order and of the masks."""
    precision: Precision = "auto"
    """What is computed in. auto: bf16 where the hardware is faster in it, fp16 on other GPUs, else fp32."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        flags = tyro.cli(
            Flags, args=argv, prog="python -m model.training.pretrain", config=(tyro.conf.FlagCreatePairsOff,)
        )
        _check(flags)
        console = Console()
        torch.set_num_threads(usable_cores())
        with _new_folder(flags.output):
            with another_can_be_named():
                encoder = read_encoder(flags.encoder)
            sources = CS224N_SOURCES if flags.tasks is None else read_task_file(flags.tasks)
            corpus = read_corpus(flags.data, ("train",), sources=sources, skip_bad_rows=flags.skip_bad_rows)
            for file, skipped in corpus.skipped.items():
                console.print(f"skipped {skipped.of(file)}", markup=False)
            tokens = tokenize(corpus, encoder)
            further = further_pretrained(
                encoder,
                tokens,
                name=str(flags.output),
                epochs=flags.epochs,
                learning_rate=flags.learning_rate,
                batch_size=flags.batch_size,
                seed=flags.seed,
                precision=flags.precision,
                console=console,
            )
            save_encoder(flags.output, further)
        console.say(f"wrote {flags.output}")


def _check(flags: Flags) -> None:
    if flags.tasks is not None and flags.data in NAMED:
        raise UserError(f"--data {flags.data} has tasks of its own; leave out --tasks, or give a folder")
    if flags.epochs < 1:
        raise UserError(f"--epochs {flags.epochs}: allowed is a whole number from 1")
    if not 1 <= flags.batch_size <= 1024:
        raise UserError(f"--batch-size {flags.batch_size}: allowed is a whole number from 1 to 1024")
    if not 0 < flags.learning_rate <= 1:
        raise UserError(f"--learning-rate {flags.learning_rate:g}: allowed is a number above 0, up to 1")
    if not 0 <= flags.seed < 2**32:
        raise UserError(f"--seed {flags.seed}: allowed is a whole number from 0 to {2**32 - 1}")


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Makes `folder` before the work, so that hours of it are not lost for want of a place; without an end to the work
    there is no folder either."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(f"{folder} exists; name another folder with --output") from None
    except OSError as error:
        raise UserError(f"{folder}: can't make the folder ({error.strerror})") from None
    try:
        yield
    except BaseException:
        shutil.rmtree(folder)
        raise


if __name__ == "__main__":
    sys.exit(main())
