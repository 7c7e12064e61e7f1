"""The space's parameters: where the trials lie in it, and how much each parameter matters."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.page.plots.canvas import (
    ACCENT,
    BOX,
    LIGHT,
    MUTED,
    SCALE,
    WIDE,
    Canvas,
    Picture,
    beside,
    canvas,
    cut,
    drawn_twice,
    name_rows,
    on_scale,
)
from analysis.page.wording import plural
from analysis.why.importance import LIKELY_CHANCE, Importance
from search.records import TrialRecord

MOST_BARS = 15
_FEW = 8
"""Whole numbers, as which they are drawn like choices."""
_NOT_DRAWN = -0.09
"""Where a line passes below the axis of a parameter that its trial has not."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A parameter's range, each value at a place from 0 to 1."""

    param: str
    ticks: list[tuple[float, str]]
    choices: tuple[Any, ...] | None
    """Of a categorical parameter; else `low`, `high` and `log` say where a number lies."""
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @property
    def words(self) -> str:
        """The range, to read."""
        if self.choices is not None:
            return ", ".join(map(shown, self.choices))
        return f"{shown(self.low)} to {shown(self.high)}{', logarithmic' if self.log else ''}"

    @property
    def room(self) -> float:
        """How far apart trials with the same value may be drawn without running into the next one."""
        return 0.5 / len(self.choices) if self.choices else 0.0

    @classmethod
    def of(cls, param: str, records: Sequence[TrialRecord]) -> Axis:
        """The axis of a parameter that at least one of the trials has drawn. The ends of a range may differ from trial
        to trial: it is as wide as the widest."""
        drawn = [r.distributions[param]["attributes"] for r in records if param in r.params]
        if "choices" in drawn[0]:
            choices = tuple(dict.fromkeys(choice for attributes in drawn for choice in attributes["choices"]))
            ticks = [((i + 0.5) / len(choices), shown(choice)) for i, choice in enumerate(choices)]
            return cls(param=param, ticks=ticks, choices=choices)
        low = float(min(attributes["low"] for attributes in drawn))
        high = float(max(attributes["high"] for attributes in drawn))
        log = bool(drawn[0]["log"])
        whole = all(isinstance(record.params[param], int) for record in records if param in record.params)
        if whole and high - low < _FEW:  # as good as choices
            numbers = range(round(low), round(high) + 1)
            ticks = [((i + 0.5) / len(numbers), str(number)) for i, number in enumerate(numbers)]
            return cls(param=param, ticks=ticks, choices=tuple(numbers))
        axis = cls(param=param, ticks=[], choices=None, low=low, high=high, log=log)
        middle = math.sqrt(low * high) if log else (low + high) / 2
        values = dict.fromkeys([low, round(middle) if whole else middle, high])
        return replace(axis, ticks=[(axis.place(value), shown(value)) for value in values])

    def place(self, value: Any) -> float:
        if self.choices is not None:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        if self.high == self.low:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def shown(value: Any) -> str:
    """A parameter's value, in few letters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def parallel(records: Sequence[TrialRecord], params: Sequence[str], won: TrialRecord) -> Picture:
    """A line a trial through its value of each of `params`, to its score; `records` are fit, best first."""
    axes_of = [Axis.of(param, records) for param in params]
    overall = {record.name: record.best.overall for record in records if record.best}
    low, high = min(overall.values()), max(overall.values())
    last = Axis(param="overall", ticks=_score_ticks(low, high), choices=None, low=low, high=high)
    most = max((len(axis.ticks) for axis in axes_of), default=0)
    with canvas("parallel", WIDE, max(400, 19 * most + 110)) as drawing:
        axes = drawing.axes()
        for rank, record in reversed(list(enumerate(records))):
            spread = (rank + 0.5) / len(records) - 0.5
            places = [_place(axis, record, spread) for axis in axes_of] + [last.place(overall[record.name])]
            is_winner = record is won
            colour = ACCENT if is_winner else SCALE[on_scale(overall[record.name], low, high)]
            width, alpha = (3.0, 1.0) if is_winner else (1.5, 0.8)
            (line,) = axes.plot(range(len(places)), places, color=colour, linewidth=width, alpha=alpha)
            drawing.tell(line, f"{record.name}, {record.source}: {overall[record.name]:.4f}", record.name)
        absent = any(axis.param not in record.params for axis in axes_of for record in records)
        _draw_axes(axes, [*axes_of, last], absent=absent)
        best = Line2D([], [], color=ACCENT, linewidth=3, label=f"winner, {cut(won.name, 16)}")
        ends = [Line2D([], [], color=SCALE[i], label=f"overall {score:.3f}") for i, score in ((6, high), (0, low))]
        axes.legend(handles=[best, *ends], loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3)
        return drawing.picture(
            reads="A line is a trial; it crosses each axis at the value that the trial has and ends at its score, "
            "which colours it too." + (" Below an axis pass the trials that have no such parameter." if absent else ""),
            shows=_story(records, axes_of, won),
        )


def _place(axis: Axis, record: TrialRecord, spread: float) -> float:
    """Where a trial's line crosses an axis; lines of the same choice lie side by side, the best lowest."""
    if axis.param not in record.params:
        return _NOT_DRAWN + 0.03 * spread
    return axis.place(record.params[axis.param]) + spread * axis.room


def _score_ticks(low: float, high: float) -> list[tuple[float, str]]:
    return [(0.5, f"{high:.3f}")] if low == high else [(0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")]


def _draw_axes(axes: Axes, axes_of: Sequence[Axis], *, absent: bool) -> None:
    most = max(_broken(axis.param).count("\n") + 1 for axis in axes_of)
    for i, axis in enumerate(axes_of):
        axes.plot([i, i], [0, 1], color=MUTED, linewidth=1, zorder=3)
        for place, label in axis.ticks:
            axes.plot([i - 0.02, i], [place, place], color=MUTED, linewidth=1, zorder=3)
            axes.text(i + 0.03, place, cut(label, 22), va="center", ha="left", zorder=4, bbox=BOX)
        axes.text(i, 1.04, _broken(axis.param), ha="center", va="bottom", weight="bold")
    if absent:
        axes.text(-0.06, _NOT_DRAWN, "not\ndrawn", ha="right", va="center", color=MUTED)
    axes.set_xlim(-0.35, len(axes_of) - 0.35)
    axes.set_ylim(_NOT_DRAWN - 0.04 if absent else -0.04, 1.06 + 0.06 * most)
    axes.set_axis_off()


def _broken(param: str, most: int = 13) -> str:
    """A parameter's name in lines short enough to stand above its axis."""
    lines = [""]
    for part in re.split(r"(?<=[._])", param):
        if lines[-1] and len(lines[-1]) + len(part) > most:
            lines.append("")
        lines[-1] += part
    return "\n".join(cut(line, most + 4) for line in lines)


def _story(records: Sequence[TrialRecord], axes_of: Sequence[Axis], won: TrialRecord) -> str:
    values = [f"{axis.param} {shown(won.params[axis.param])}" for axis in axes_of if axis.param in won.params]
    has = ", ".join(values) or "none of these parameters"
    return f"{plural(len(records), 'trial')} with scores. The winner, {won.name}, has {has}."


def importance(measured: Sequence[Importance], *, of: int, best: int) -> Picture:
    """A bar a parameter, of those whose share is known, in the order of `importances`; `of`: how many trials count, and
    how many of them as the `best`."""
    known = [(one, one.share) for one in measured if one.share is not None]
    shown_first = known[:MOST_BARS]

    def draw(drawing: Canvas) -> None:
        axes = drawing.axes()
        for i, (one, share) in enumerate(shown_first):
            fill = LIGHT["task0"] if one.warning is None else "none"
            (bar,) = axes.barh(i, share, color=fill, edgecolor=LIGHT["task0"], linewidth=1.4, height=0.45)
            drawing.tell(bar, f"{one.param}: {share:.3f}; {one.trials} of {of} trials have it")
            have_it = f", {one.trials} of {of} trials" if one.trials < of else ""
            beside(axes, f"{share:.2f}{have_it}", (share, i), (5, -4), color=MUTED)
        name_rows(drawing, axes, [one.param for one, _ in shown_first], 0.46)
        axes.set_xlim(0, 1.35 * max(share for _, share in shown_first) or 1)
        axes.set_xlabel("share of all importance")

    told = [f"{one.param} ({share:.1%})" for one, share in known if one.warning is None]
    return drawn_twice(
        "importance",
        draw,
        height=60 + 23 * len(shown_first),
        phone_height=60 + 42 * len(shown_first),
        reads="The longer a parameter's bar, the more its value decides whether a trial is among the best, "
        f"{best} of {of} (conditional PED-ANOVA). Hollow bars may be chance; of {plural(len(known), 'parameter')} "
        f"without any effect, {LIKELY_CHANCE * len(known):.3g} would be filled on average. Where not all trials have a "
        "parameter, it says how many do.",
        shows=f"Beyond chance: {', '.join(told)}." if told else "No parameter stands out from chance.",
    )
