"""Scores and losses by epoch: of all trials, and of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.page.plots.canvas import (
    ACCENT,
    BOX,
    FAINT,
    INK,
    LIGHT,
    MUTED,
    NARROW,
    PAPER,
    Canvas,
    Picture,
    beside,
    canvas,
    cut,
    drawn_twice,
    task_colour,
)
from analysis.page.wording import plural
from search.records import State, TrialRecord

_LOOKS: Mapping[State, tuple[str, Literal["-", "--", ":"], str]] = {
    "completed": (LIGHT["task0"], "-", "o"),
    "stopped": (FAINT, "-", "x"),
    "running": (LIGHT["task2"], ":", "o"),
    "unfinished": (FAINT, ":", "o"),
    "paused": (LIGHT["task2"], ":", "x"),
    "diverged": (LIGHT["task1"], "--", "v"),
    "failed": (LIGHT["task4"], "--", "s"),
}
"""Colour, line and marker."""


def all_trials(records: Sequence[TrialRecord], won: TrialRecord | None) -> Picture:
    """Overall on dev by epoch, a line a trial; `records` in the leaderboard's order. An epoch at which it was decided
    who goes on is a rung, whatever the search."""
    begun = [record for record in records if record.reports]
    states = Counter(record.state for record in begun)
    rungs = sorted({d.rung for record in begun for d in record.decisions if d.rung is not None})

    def draw(drawing: Canvas) -> None:
        axes = drawing.axes()
        for record in reversed(begun):  # the best on top
            _draw_trial(drawing, axes, record, is_winner=record is won)
        _name_winner(axes, won)
        for epoch in rungs:
            axes.axvline(epoch, color=MUTED, linestyle=(0, (4, 4)), linewidth=1, zorder=0.5)
        for epoch in rungs[:1]:  # of the others the names would run into one another
            foot = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
            called = "rung" if len(rungs) == 1 else "rungs"
            axes.annotate(called, (epoch, 0.01), xytext=(4, 0), color=MUTED, **foot)
        _by_epoch(axes, "overall on dev")
        handles = _handles(states, won)
        if drawing.narrow:
            drawing.figure.legend(handles=handles, loc="outside lower center", ncols=2)
        else:
            axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))

    return drawn_twice(
        "curves",
        draw,
        height=400,
        phone_height=430,
        reads="A line is a trial: its overall score on dev after each epoch. A cross is where it was stopped or "
        "paused. At the dashed rungs it is decided who goes on.",
        shows=_story(begun, won, rungs),
    )


def _draw_trial(drawing: Canvas, axes: Axes, record: TrialRecord, *, is_winner: bool) -> None:
    epochs = [report.epoch for report in record.reports]
    overall = [report.overall for report in record.reports]
    colour, linestyle, marker = _LOOKS[record.state]
    colour, width = (ACCENT, 2.8) if is_winner else (colour, 1.3)
    (line,) = axes.plot(epochs, overall, color=colour, linestyle=linestyle, linewidth=width)
    (end,) = axes.plot(epochs[-1], overall[-1], color=colour, marker=marker, markersize=6)
    for artist in (line, end):
        drawing.tell(artist, _note(record), record.name)


def _note(record: TrialRecord) -> str:
    best = record.best
    reached = f"{best.overall:.4f} after epoch {best.epoch}" if best else "no epoch yet"
    return f"{record.name}, {record.source}: {reached}, {record.state}"


def _name_winner(axes: Axes, won: TrialRecord | None) -> None:
    if won is not None and won.best is not None:
        place = (won.best.epoch, won.best.overall)
        beside(axes, cut(won.name, 16), place, (-8, 8), color=ACCENT, weight="bold", ha="right", bbox=BOX)


def _handles(states: Mapping[str, int], won: TrialRecord | None) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, linestyle=linestyle, marker=marker, label=f"{state} ({states[state]})")
        for state, (colour, linestyle, marker) in _LOOKS.items()
        if state in states
    ]
    if won is not None:
        handles.insert(0, Line2D([], [], color=ACCENT, linewidth=2.8, label=f"winner, {cut(won.name, 16)}"))
    return handles


def _story(records: Sequence[TrialRecord], won: TrialRecord | None, rungs: Sequence[int]) -> str:
    if won is None or won.best is None:
        return f"{plural(len(records), 'trial')} with scores, none of which is sound."
    told = [f"{won.name} reached {won.best.overall:.4f} after epoch {won.best.epoch}"]
    for epoch in rungs:
        judged = [record for record in records if any(d.rung == epoch for d in record.decisions)]
        # A trial is paused more than once, or stopped after it was: what became of it is its state.
        became = Counter("gone on" if record.epoch > epoch else record.state for record in judged)
        counts = ", ".join(f"{count} {state}" for state, count in sorted(became.items()))
        told.append(f"of {plural(len(judged), 'trial')} at rung {epoch}: {counts}")
    if not rungs:
        told.append("no trial was judged before its last epoch")
    return "; ".join(told) + "."


def scores(record: TrialRecord, tasks: Sequence[str], metrics: Mapping[str, str]) -> list[Picture]:
    """For each task, `record`'s score on train and on dev by epoch; `metrics` says what the score is."""
    return [_score(record, tasks, task, metrics[task]) for task in tasks]


def _score(record: TrialRecord, tasks: Sequence[str], task: str, metric: str) -> Picture:
    epochs = [report.epoch for report in record.reports]
    train = [report.train_scores[task] for report in record.reports]
    dev = [report.scores[task] for report in record.reports]
    colour = task_colour(tasks, task)
    with canvas(f"scores-{list(tasks).index(task)}", NARROW, 260) as drawing:
        axes = drawing.axes()
        axes.plot(epochs, train, color=colour, linestyle="--", marker="o", markerfacecolor=PAPER, label="train")
        axes.plot(epochs, dev, color=colour, marker="o", linewidth=2.2, label="dev")
        axes.set_title(task)
        axes.legend(loc="best")
        _by_epoch(axes, metric)
        gap = train[-1] - dev[-1]
        return drawing.picture(
            reads=f"{task}: {metric} by epoch, on dev and on a fixed sample of train.",
            shows=f"At the end {dev[-1]:.3f} on dev, {train[-1]:.3f} on train: a gap of {gap:+.3f}.",
        )


def losses(record: TrialRecord, tasks: Sequence[str]) -> Picture:
    """The mean training loss of an example by epoch, a line a task, each in units of its own first one: losses of
    different kinds have different scales."""
    with canvas("losses", NARROW, 260) as drawing:
        axes = drawing.axes()
        told = []
        trained = [task for task in tasks if all(task in report.losses for report in record.reports)]
        for task in trained:
            values = [report.losses[task] for report in record.reports]
            share = [value / values[0] if values[0] else 1.0 for value in values]
            axes.plot(
                [report.epoch for report in record.reports],
                share,
                color=task_colour(tasks, task),
                marker="o",
                label=task,
            )
            told.append(f"{task} {values[0]:.3f} to {values[-1]:.3f}")
        axes.axhline(1, color=MUTED, linewidth=1, zorder=0.5)
        axes.set_title("training loss", color=INK)
        axes.legend(loc="best")
        _by_epoch(axes, "share of the first epoch's")
        return drawing.picture(
            reads="Mean training loss of an example by epoch, each task's as a share of its first.",
            shows="; ".join(told) + ".",
        )


def _by_epoch(axes: Axes, ylabel: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    first, last = axes.dataLim.intervalx
    axes.set_xlim(min(first, 1) - 0.15, max(last, 1) + 0.25)
