"""What retraining found: honest figures, finalists, the way to the winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from analysis.page.plots.canvas import (
    ACCENT,
    FAINT,
    INK,
    LIGHT,
    MUTED,
    PAPER,
    Canvas,
    Picture,
    beside,
    cut,
    drawn_twice,
    name_rows,
)
from analysis.page.wording import plural
from analysis.winner.results import AblationPath, Estimate, Selection, Step


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a picture of estimates."""

    label: str
    estimate: Estimate | None
    dots: Sequence[float] = ()
    """Single values beside the estimate: of the seeds."""
    before: float | None = None
    """The search's own figure."""
    strong: bool = False


def _estimates(drawing: Canvas, rows: Sequence[Row], xlabel: str, chance: float | None = None) -> None:
    """A line each, from top to bottom: the value as a disc, its interval as a bar. Upright through all, chance."""
    axes = drawing.axes()
    if chance is not None:
        line = axes.axvline(chance, color=FAINT, linestyle="--", linewidth=1.5)
        drawing.tell(line, f"chance on test: {chance:.4f}")
    for i, row in enumerate(rows):
        colour = ACCENT if row.strong else LIGHT["task0"]
        if row.before is not None:
            axes.plot(row.before, i, marker="D", color="none", markeredgecolor=MUTED, markersize=7)
        if row.dots:
            axes.plot(row.dots, [i + 0.2] * len(row.dots), "|", color=colour, markersize=9, alpha=0.8)
        if row.estimate is not None:
            axes.plot([row.estimate.low, row.estimate.high], [i, i], color=colour, linewidth=3, alpha=0.55)
            axes.plot(row.estimate.value, i, marker="o", color=colour, markersize=8, markeredgecolor=PAPER)
        _print_value(drawing, axes, i, row)
    name_rows(drawing, axes, [row.label for row in rows], 0.42)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(xlabel)


def _print_value(drawing: Canvas, axes: Axes, i: int, row: Row) -> None:
    """Above the value; on a phone at the end of the row's name."""
    value = row.estimate.value if row.estimate else row.before
    if value is None:
        return
    look: dict[str, Any] = {"color": INK, "weight": "bold"} if row.strong else {"color": MUTED}
    if drawing.narrow:
        axes.text(1, i - 0.42, f"{value:.4f}", transform=axes.get_yaxis_transform(), ha="right", va="center", **look)
    else:
        beside(axes, f"{value:.4f}", (value, i), (0, 8), ha="center", **look)


def honest(figures: Sequence[Row], peers: Sequence[Row], chance: float, cut_short: str | None) -> Picture:
    """The winner's figures, from the search's own to that of what is kept on test, the last one; below it on test the
    `peers`, the space's points. `chance` is test's; `cut_short` says for how few epochs the search had trained the
    winner (analysis.winner.results.Finalist)."""
    rows = [*figures, *peers]
    mine = figures[-1].estimate
    assert mine is not None
    told = f"On test what is kept reaches {mine.value:.4f}, 95% interval {mine.low:.4f} to {mine.high:.4f}"
    told += "." if mine.is_above(chance) else ": not shown to be better than chance."
    if peers:
        below = sum(row.estimate is not None and mine.is_above(row.estimate.high) for row in peers)
        told += f" All of it lies above the intervals of {below} of the space's {plural(len(peers), 'point')}."
    return drawn_twice(
        "honest",
        lambda drawing: _estimates(drawing, rows, "overall", chance),
        height=70 + 34 * len(rows),
        phone_height=60 + 42 * len(rows),
        reads="A disc is an overall score, its bar the 95% interval; the diamond is what the search itself saw of the "
        "winner, picked for being high and so for its luck too"
        + (f", but after {cut_short} only. " if cut_short else ". ")
        + f"The dashed line is chance on test, {chance:.4f}: one and the same prediction for every row."
        + (" Below stand the space's points, one seed each." if peers else ""),
        shows=told,
    )


def finalists(selection: Selection) -> Picture:
    """The search's best trials, each over several seeds."""
    rows = [
        Row(
            label=f"{one.trial}, {one.source}" + (f" ({plural(one.lost, 'seed')} lost)" if one.lost else ""),
            estimate=one.mean,
            dots=[seed.dev.overall for seed in one.seeds],
            before=one.searched,
            strong=one.trial == selection.chosen,
        )
        for one in selection.finalists
    ]
    return drawn_twice(
        "finalists",
        lambda drawing: _estimates(drawing, rows, "overall on dev"),
        height=70 + 44 * len(rows),
        phone_height=60 + 50 * len(rows),
        reads="A disc is a finalist's mean over its seeds, the bar its 95% interval, the ticks below it the seeds; the "
        "diamond is what one seed had reached in the search.",
        shows=_equals(selection),
    )


def _equals(selection: Selection) -> str:
    best = next((one for one in selection.finalists if one.mean is not None), None)
    if best is None or best.mean is None:
        return "Every seed of every finalist was lost."
    tied = [one.trial for one in selection.finalists if one.tied and one is not best]
    told = f"{best.trial} has the highest mean, {best.mean.value:.4f}."
    if len(selection.finalists) > 1:
        told += f" Not to be told apart from it: {', '.join(tied) or 'none'}."
    fell = [one.searched - one.mean.value for one in selection.finalists if one.mean is not None]
    mean = sum(fell) / len(fell)
    told += f" In the search they looked {abs(mean):.4f} {'better' if mean >= 0 else 'worse'} on average"
    short = [f"{one.trial} {one.cut_short}" for one in selection.finalists if one.cut_short]
    return f"{told}; some were trained less there: {', '.join(short)}." if short else f"{told}."


def ablation(path: AblationPath) -> Picture:
    """From one of the space's points to the winner, each step's gain a bar from the score before to the one after."""
    rows = [*(_step_label(path, step) for step in path.steps), "the winner"]
    return drawn_twice(
        "ablation",
        lambda drawing: _waterfall(drawing, path.steps, rows),
        height=60 + 44 * len(rows),
        phone_height=60 + 50 * len(rows),
        reads="From top to bottom, each bar is what a change added (green) or took (orange), all of them trained; the "
        "thin line is its 95% interval. The steps add up to the whole, which dev flatters: the winner was chosen on "
        "it.",
        shows=_worth(path),
    )


def _waterfall(drawing: Canvas, steps: Sequence[Step], rows: Sequence[str]) -> None:
    axes = drawing.axes()
    before = steps[0].overall
    for i, step in enumerate(steps):
        right = step.overall
        if step.gain is None:
            axes.plot(step.overall, i, marker="D", color=MUTED, markersize=9)
        else:
            gain = step.overall - before
            axes.barh(i, gain, left=before, height=0.45, color=LIGHT["task2"] if gain >= 0 else LIGHT["task1"])
            bounds = [before + step.gain.low, before + step.gain.high]
            axes.plot(bounds, [i, i], color=INK, linewidth=1.3, alpha=0.7)
            right = max(before, step.overall, *bounds)
        axes.plot([step.overall, step.overall], [i, i + 1], color=FAINT, linewidth=1)
        note = f"{step.overall:.4f}" if step.gain is None else f"{step.overall - before:+.4f}"
        beside(axes, note, (right, i), (9, -4), weight="bold")
        before = step.overall
    axes.plot(before, len(steps), marker="D", color=ACCENT, markersize=9)
    beside(axes, f"{before:.4f}", (before, len(steps)), (9, -4), color=ACCENT, weight="bold")
    name_rows(drawing, axes, rows, 0.45)
    axes.use_sticky_edges = False  # room around the bars' ends too
    axes.margins(x=0.2 if drawing.narrow else 0.12)
    axes.set_xlabel("overall on dev")


def _step_label(path: AblationPath, step: Step) -> str:
    if not step.changes:
        return path.point
    first = step.changes[0]
    more = f" (+{len(step.changes) - 1})" if len(step.changes) > 1 else ""
    return f"{cut(f'{first.param}: {first.before} → {first.after}', 46 - len(more))}{more}"


def _worth(path: AblationPath) -> str:
    first, last = path.steps[0].overall, path.steps[-1].overall
    told = f"From {path.point}, {first:.4f}, to the winner, {last:.4f}: {last - first:+.4f}"
    if path.whole is not None:
        told += f", 95% interval {path.whole.low:+.4f} to {path.whole.high:+.4f}"
        if path.whole.high < 0:
            told += ": worse"
        elif not path.whole.is_above(0):
            told += ": not shown to be better"
    gains = [(step.gain, step.changes) for step in path.steps if step.gain is not None]
    if not gains:
        return f"{told}."
    most, changes = max(gains, key=lambda one: one[0].value)
    if most.value > 0:
        told += f". The most, {most.value:+.4f}, came with {', '.join(change.param for change in changes)}"
    gained = sum(gain.is_above(0) for gain, _ in gains)
    lost = sum(gain.high < 0 for gain, _ in gains)
    return f"{told}. Beyond chance, of {plural(len(gains), 'step')}: {gained} for the better, {lost} for the worse."
