"""Predictions of a trained model for sentences in a file: python -m analysis.predict MODEL FILE [--task NAME]

The same in Python:

    from analysis.predict import load

    model = load("runs/mine/refit/model")
    model.predict(["A fine film.", "Never again."], task="sentiment")  # [3, 0]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from rich.progress import Progress

from analysis.winner.predictions import in_words, probability_columns
from analysis.winner.predictor import Predictor, load_predictor
from analysis.winner.sentences import Column, Sentences, read_sentences
from model.console import Console
from model.data.tasks import Task
from model.errors import UserError, reported
from model.nearest import nearest
from model.training.cores import usable_cores
from model.training.evaluate import decide


@dataclass(frozen=True)
class Arguments:
    """Adds a trained model's predictions to a table of sentences: the column `predicted`, and for classes and yes-or-no
    tasks the probabilities. The same file gives the same predictions on the same machine: those of the report, where it
    holds the sentences of test."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL")]
    """The folder of a model or an ensemble, such as runs/NAME/refit/model."""
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """Comma- or tab-separated text whose first line names the columns, or JSON lines (.jsonl): with those columns that
    the task's train file has its sentences in."""
    task: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """What to predict; need not be given where only one task fits the columns."""
    skip_bad_rows: bool = False
    """Leave out rows that can't be read, and count them; without it, the first one is an error. The others stay in
    their order, with all their columns."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write; the standard output if it is not given."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(
            Arguments, args=argv, prog="python -m analysis.predict", config=(tyro.conf.FlagCreatePairsOff,)
        )
        _check_out(arguments)
        file = read_sentences(arguments.file)
        torch.set_num_threads(usable_cores())
        predictor = load(arguments.model)
        task = choose_task(predictor.tasks, file, arguments.task)
        _write(with_predictions(predictor, file, task, skip_bad_rows=arguments.skip_bad_rows), arguments.out)


def load(folder: str | Path, device: str | None = None) -> Predictor:
    """The model in a folder, or the ensemble, on the GPU where there is one unless `device` says otherwise. Raises
    UserError where there is none, or not a whole one."""
    return load_predictor(Path(folder), torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))


def choose_task(tasks: Sequence[Task], file: Sentences, asked: str | None) -> Task:
    """The task called `asked`, or, for None, the one of `tasks` whose sentences are in `file`: where several fit, the
    one whose labels are there too. Raises UserError where that leaves none or more than one."""
    names = [task.name for task in tasks]
    if asked is not None:
        if asked not in names:
            near = nearest(asked, names)
            hint = f"did you mean {near}?" if near else f"the model's tasks are {', '.join(names)}"
            raise UserError(f"--task {asked}: no such task; {hint}")
        return tasks[names.index(asked)]
    fitting = [task for task in tasks if file.has(task.sentence_columns)]
    if not fitting:
        needed = "; ".join(f"{task.name} reads {' and '.join(map(repr, task.sentence_columns))}" for task in tasks)
        raise UserError(f"{file.path}:1: no task fits its columns, {file.listed()}: {needed}")
    labelled = [task for task in fitting if file.has([task.label_column])]
    if len(fitting) > 1 and len(labelled) != 1:
        raise UserError(
            f"{file.path}: its columns fit {' and '.join(task.name for task in fitting)}; choose one with --task"
        )
    return fitting[0] if len(fitting) == 1 else labelled[0]


def with_predictions(predictor: Predictor, file: Sentences, task: Task, *, skip_bad_rows: bool) -> str:
    """`file` as text, with what `predictor` says of `task` in more columns. A row that can't be read is an error, or
    with `skip_bad_rows` left out, and told of."""
    asked = file.of(task, skip_bad_rows=skip_bad_rows)
    file.check_free(["predicted", *probability_columns(task)], asked.lines)
    given = predictor.given(task, asked.sentences)
    left_out = [f"left out: {asked.skipped.of(file.path.name)}"] if asked.skipped else []
    for line in (*left_out, *predictor.cut(given)):
        print(f"note: {line}", file=sys.stderr)
    with _progress(task, given.batches) as advance:
        said = predictor.said_of(given, advance)
    columns = {"predicted": _predicted(task, decide(task, said))}
    probabilities = said.reshape(len(said), -1).T
    columns |= {name: _numbers(row) for name, row in zip(probability_columns(task), probabilities, strict=False)}
    return file.with_columns(asked.lines, columns)


def _predicted(task: Task, decided: np.ndarray) -> Column:
    """Labels as the task's files have them; None for what is undecided."""
    if not task.label_names:
        return _numbers(decided, whole=bool(task.classes))
    return [name if np.isfinite(value) else None for name, value in zip(in_words(task, decided), decided, strict=True)]


def _numbers(values: np.ndarray, *, whole: bool = False) -> list[float | None]:
    """Each as the shortest number that fp32 reads as the same; None for what is no number."""
    return [None if not np.isfinite(value) else int(value) if whole else float(str(value)) for value in values]


@contextmanager
def _progress(task: Task, batches: int) -> Iterator[Callable[[], None]]:
    """A bar on the terminal's error output, gone when all is done; nothing in a pipe."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(task.name, total=batches)
        yield lambda: progress.advance(bar)


def _check_out(arguments: Arguments) -> None:
    """Before hours of work rather than after."""
    out = arguments.out
    if out is None:
        return
    if out.is_dir() or not out.parent.is_dir():
        raise UserError(f"--out {out}: {'a folder' if out.is_dir() else 'its folder does not exist'}; give a file")
    if out.exists() and arguments.file.exists() and out.samefile(arguments.file):
        raise UserError(f"--out {out}: this is FILE itself; give another file")


def _write(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out {out}: can't be written ({error.strerror})") from None


if __name__ == "__main__":
    sys.exit(main())
