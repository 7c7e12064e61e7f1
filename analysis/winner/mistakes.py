"""The examples that a model is most wrong about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.winner.results import Mistake
from model.data.corpus import Corpus, Example, Split
from model.data.tasks import Binary, Classes, Number, Task

COUNT = 8
"""Of each task."""


def worst_mistakes(
    corpus: Corpus, split: Split, outputs: Mapping[str, np.ndarray], read: Mapping[str, Sequence[int | None]]
) -> list[Mistake]:
    """By task, in their order; each task's worst first. By task, `outputs` are those of a model
    (model.training.evaluate.outputs), and `read` the tokens after which it cut each example, None for a whole one."""
    return [
        mistake
        for task in corpus.tasks
        for mistake in _of(task, corpus.examples[task.name][split], outputs[task.name], read[task.name])
    ]


def _of(task: Task, examples: Sequence[Example], said: np.ndarray, read: Sequence[int | None]) -> list[Mistake]:
    labels = np.array([example.label for example in examples], dtype=np.float64)
    errors, predicted = _errors(task, labels, said.astype(np.float64))
    worst = [row for row in np.argsort(-errors, kind="stable")[:COUNT].tolist() if errors[row] > 0]
    return [
        Mistake(
            task=task.name,
            sentences=list(examples[row].sentences),
            label=task.classes[int(labels[row])] if task.classes else f"{labels[row]:g}",
            predicted=predicted[row],
            error=float(errors[row]),
            read=read[row],
        )
        for row in worst
    ]


def _errors(task: Task, labels: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """How wrong each prediction is, 0 and below for a right one, and the predictions in words."""
    match task.label:
        case Classes():
            rows, right = np.arange(len(labels)), labels.astype(np.int64)
            others = said.copy()
            others[rows, right] = -np.inf
            errors = others.max(axis=1, initial=-np.inf) - said[rows, right]
            wrong = others.argmax(axis=1)
            names = task.classes
            words = [f"{names[label]} ({said[row, label]:.0%})" for row, label in zip(rows, wrong, strict=True)]
        case Binary():
            errors = np.where(labels == 1, 1 - 2 * said, 2 * said - 1)
            words = [f"{task.classes[int(p > 0.5)]} ({max(p, 1 - p):.0%})" for p in said]
        case Number():
            errors = np.abs(said - labels)
            words = [f"{value:.2f}" for value in said]
    return errors, words
