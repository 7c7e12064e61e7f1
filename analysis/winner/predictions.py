"""Predictions as files: tables of one's own tasks, and for those of CS224N the course's own format.

That is the format of the default project's evaluation.py, odd spaces and spelling included, since its graders read just
that: a header `id \\t Predicted_Sentiment `, then rows `ID , VALUE `.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from model.data.corpus import Corpus, Example, Split
from model.data.tasks import CS224N, Binary, Classes, Number, Task
from model.training.evaluate import decide

_COURSE = dict(
    zip(
        CS224N,
        (("sst", "Predicted_Sentiment"), ("para", "Predicted_Is_Paraphrase"), ("sts", "Predicted_Similiary")),
        strict=True,
    )
)
"""By task, what the course calls the file, and the column of predictions as it spells it."""


def write_predictions(folder: Path, corpus: Corpus, outputs: Mapping[Split, Mapping[str, np.ndarray]]) -> None:
    """Writes what a model's outputs (by split, then task, in the order of the examples: see `evaluate.outputs`) come to
    into a file for each task and split: of dev, none where `outputs` has none; of test; and of unlabelled, where there
    is any. The course calls the unlabelled file test, so that of its tasks the labelled one is written only where that
    is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for task in corpus.tasks:
        for name, split in _files(task, corpus):
            if split in outputs:
                examples, said = corpus.examples[task.name][split], outputs[split][task.name]
                if task in _COURSE:
                    _write_as_the_course(folder, task, name, examples, decide(task, said))
                else:
                    labelled = split != "unlabelled"
                    _write_table(folder / f"{task.name}-{name}.csv", task, examples, said, labelled=labelled)


def in_words(task: Task, values: np.ndarray) -> list[str]:
    """Predictions as text: what classes are called, and of numbers the shortest that fp32 reads as the same one; what
    is not a number stays that."""
    if task.classes:
        return [task.classes[int(value)] if np.isfinite(value) else "nan" for value in values]
    return [str(value) for value in values]


def probability_columns(task: Task) -> list[str]:
    """What the columns of a task's outputs are called in tables, in their order; none for numbers."""
    match task.label:
        case Classes():
            return [f"probability_{name}" for name in task.classes]
        case Binary():
            return [f"probability_{task.label_names[1]}" if task.label_names else "probability"]
        case Number():
            return []


def _files(task: Task, corpus: Corpus) -> Iterator[tuple[str, Split]]:
    """What is written: what it is called, and the split."""
    has_unlabelled = bool(corpus.examples[task.name]["unlabelled"])
    yield "dev", "dev"
    if task in _COURSE:
        yield "test", "unlabelled" if has_unlabelled else "test"
        return
    yield "test", "test"
    if has_unlabelled:
        yield "unlabelled", "unlabelled"


def _write_table(path: Path, task: Task, examples: Sequence[Example], said: np.ndarray, *, labelled: bool) -> None:
    labels = [_as_read(task, example.label) for example in examples] if labelled else ()
    predicted, probabilities = in_words(task, decide(task, said)), probability_columns(task)
    numbers = (said if said.ndim == 2 else said[:, None])[:, : len(probabilities)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        label = [task.label_column] if labelled else []
        writer.writerow(["id", *task.sentence_columns, *label, "predicted", *probabilities])
        for row, example in enumerate(examples):
            writer.writerow([example.id, *example.sentences, *labels[row : row + 1], predicted[row], *numbers[row]])


def _as_read(task: Task, label: float | None) -> str:
    """A label as its file has it, but for how a number is written."""
    assert label is not None, "the split has labels"
    return task.classes[int(label)] if task.classes else f"{label:.15g}"


def _write_as_the_course(folder: Path, task: Task, name: str, examples: Sequence[Example], values: np.ndarray) -> None:
    stem, header = _COURSE[task]
    lines = [f"id \t {header} \n"]
    for example, value in zip(examples, values.tolist(), strict=True):
        lines.append(f"{example.id} , {int(value) if task.kind == 'classes' else value} \n")
    (folder / f"{stem}-{name}-output.csv").write_text("".join(lines))
