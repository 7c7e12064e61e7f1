"""Where a model goes wrong, by the kind of a task's labels: the papers' figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.page.plots.canvas import (
    FAINT,
    INK,
    MUTED,
    NARROW,
    ON_SCALE,
    SCALE,
    Picture,
    beside,
    canvas,
    cut,
    on_scale,
    task_colour,
)
from model.data.scores import score
from model.data.tasks import METRIC_NAMES, Metric

MOST_WRITTEN = 8
"""Classes whose cells have room for figures; of more, a cell tells its own."""
MOST_DRAWN = 20
"""Classes that have room; of more, those that are mistaken most often."""
_LONGEST = 12
"""Letters of a class's name below and beside the cells."""


def confusion(
    tasks: Sequence[str], task: str, classes: Sequence[str], probabilities: np.ndarray, labels: np.ndarray
) -> Picture:
    """Of classes, C of them, as they are called: `probabilities` (N, C), `labels` (N,)."""
    predicted, true = probabilities.argmax(axis=1), labels.astype(int)
    whole = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(whole, (true, predicted), 1)
    drawn = _most_mistaken(whole)
    table, names, count = whole[np.ix_(drawn, drawn)], [classes[one] for one in drawn], len(drawn)
    sizes = np.maximum(whole[drawn].sum(axis=1, keepdims=True), 1)
    share = table / sizes
    with canvas(f"confusion-{list(tasks).index(task)}", NARROW, 330) as drawing:
        axes = drawing.axes()
        for (row, column), number in np.ndenumerate(table):
            colour = on_scale(float(share[row, column]), 0.0, float(share.max()))
            cell = axes.barh(row, 0.95, left=column - 0.475, height=0.95, color=SCALE[colour])[0]
            told = f"true {names[row]}, predicted {names[column]}: {number} of {int(sizes[row, 0])}"
            drawing.tell(cell, told)
            if count <= MOST_WRITTEN:
                text = f"{share[row, column]:.0%}\n{number}"
                axes.text(column, row, text, ha="center", va="center", color=ON_SCALE[colour])
        short = [cut(name, _LONGEST) for name in names]
        upright = max(map(len, short)) * count <= 24
        axes.set_xticks(range(count), short, rotation=0 if upright else 45, ha="center" if upright else "right")
        axes.set_yticks(range(count), short)
        axes.set_xlim(-0.5, count - 0.5)
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(f"{task}: confusion")
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        few = f" Of {len(classes)} classes, those mistaken most often." if count < len(classes) else ""
        ordered = list(classes) == [str(number) for number in range(len(classes))]
        near = f"; at most one class off: {np.mean(np.abs(predicted - true) <= 1):.1%}" if ordered else ""
        wrong = share - np.diag(np.diag(share))
        row, column = divmod(int(wrong.argmax()), count)
        worst = f" Most often mistaken: '{names[row]}' for '{names[column]}', {wrong[row, column]:.0%}."
        return drawing.picture(
            reads="A row is a true class; its cells are how often each class was predicted for it, in per cent and "
            f"in examples.{few}",
            shows=f"Right: {np.mean(predicted == true):.1%} of {len(true)}{near}.{worst if wrong.any() else ''}",
        )


def _most_mistaken(table: np.ndarray) -> list[int]:
    """The classes to draw of a confusion, in their order."""
    right = table.diagonal()
    mistakes = table.sum(axis=0) + table.sum(axis=1) - 2 * right
    return sorted(np.argsort(-mistakes, kind="stable")[:MOST_DRAWN].tolist())


def roc(
    tasks: Sequence[str], task: str, classes: Sequence[str], probability: np.ndarray, labels: np.ndarray
) -> Picture:
    """Of binary labels, as they are called: `probability` (N,) of 1, `labels` (N,)."""
    negative, positive = (f"'{cut(name, _LONGEST)}'" for name in classes)
    false, true = _roc(probability, labels)
    area = float(np.trapezoid(true, false))
    at_half = probability > 0.5
    place = [float(np.mean(at_half[labels == kind])) if np.any(labels == kind) else 0.0 for kind in (0, 1)]
    with canvas(f"roc-{list(tasks).index(task)}", NARROW, 330) as drawing:
        axes = drawing.axes()
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
        axes.plot(false, true, color=task_colour(tasks, task), linewidth=2.2)
        (dot,) = axes.plot(*place, marker="o", color=INK, markersize=7)
        drawing.tell(dot, f"threshold 0.5: {place[1]:.1%} of the positives found, {place[0]:.1%} false alarms")
        beside(axes, "0.5", (place[0], place[1]), (8, -12), color=MUTED)
        axes.text(0.97, 0.06, f"AUC {area:.3f}", ha="right", weight="bold", transform=axes.transAxes)
        axes.set_xlabel(f"false alarms: share of {negative} called {positive}")
        axes.set_ylabel(f"found: share of {positive} called so")
        axes.set_title(f"{task}: ROC")
        axes.set_aspect("equal")
        return drawing.picture(
            reads="Each point of the curve is a threshold; the higher it runs above the dashed line, which is "
            "guessing, the better. The dot is the threshold in use, 0.5.",
            shows=f"Area under the curve {area:.3f}, on {len(labels)} examples. At 0.5 it finds {place[1]:.1%} of "
            f"those labelled {positive}, with {place[0]:.1%} false alarms.",
        )


def _roc(probability: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates at all thresholds that change them, (M,) each; ties step together. Fawcett 2006,
    algorithm 1. Only the corners: what lies on a line between two others is left out."""
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    positive = labels[order] == 1
    true = np.concatenate([[0], np.cumsum(positive)[ends]])
    false = np.concatenate([[0], np.cumsum(~positive)[ends]])
    up, along = np.diff(true), np.diff(false)
    corner = np.concatenate([[True], up[:-1] * along[1:] != up[1:] * along[:-1], [True]])
    return false[corner] / max(1, false[-1]), true[corner] / max(1, true[-1])


def scatter(tasks: Sequence[str], task: str, metric: Metric, predicted: np.ndarray, labels: np.ndarray) -> Picture:
    """Of numbers: `predicted` (N,) against `labels` (N,), which the task's `metric` is of."""
    with canvas(f"scatter-{list(tasks).index(task)}", NARROW, 330) as drawing:
        axes = drawing.axes()
        low, high = float(min(labels.min(), predicted.min())), float(max(labels.max(), predicted.max()))
        axes.plot([low, high], [low, high], color=FAINT, linestyle="--", linewidth=1)
        axes.scatter(labels, predicted, s=14, color=task_colour(tasks, task), alpha=0.4, linewidths=0, rasterized=True)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
        axes.set_title(f"{task}: predicted against true")
        axes.set_aspect("equal")
        apart = predicted - labels
        return drawing.picture(
            reads="A dot is an example; on the dashed line the prediction is right.",
            shows=f"{len(labels)} examples, {METRIC_NAMES[metric]} {score(metric, predicted, labels):.3f}; off by "
            f"{np.mean(np.abs(apart)):.2f} on average, {abs(float(np.mean(apart))):.2f} too "
            f"{'high' if np.mean(apart) > 0 else 'low'} in the mean.",
        )
