"""What a score costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.page.plots.canvas import ACCENT, FAINT, INK, LIGHT, MUTED, NARROW, PAPER, Picture, beside, canvas, cut
from analysis.why.cost import Cost, front, full_budget, trainable_parameters
from search.leaderboard import parameter_count
from search.pareto import Objective, seconds_an_epoch
from search.pareto import front as pareto_front
from search.records import POINT, TrialRecord

_LEAST_RANGE = 6.0
"""Of the axis of costs, its end over its start: it holds at least two of the ticks 1, 2, 5, 10, ..."""
_CROSS: Mapping[str, Any] = {"marker": "x", "markersize": 5, "color": FAINT}
_COSTS: Mapping[Objective, tuple[Cost, tuple[str, str]]] = {
    "seconds": (seconds_an_epoch, ("training an epoch", "s")),
    "parameters": (trainable_parameters, ("trained parameters", "")),
}
"""What is lower where it is better, and its name and unit."""


def pareto(records: Sequence[TrialRecord], won: TrialRecord, cost: Cost, name: str, unit: str) -> Picture:
    """Overall on dev of sound trials against a cost called `name`, on a logarithmic axis; `unit`: of the cost, or
    nothing."""
    best = [record.name for record in front(records, cost)]
    looks = {record.name: _look(record, won, on_front=record.name in best) for record in records}
    looks |= {record.name: _CROSS for record in records if record.state != "completed" and record is not won}
    return _drawn(
        _worth_drawing(records, won),
        cost,
        (name, unit),
        best,
        looks,
        reads="A dot is a trial, a diamond one of the space's points, the star the winner, a cross a trial that did "
        "not have its full budget, so that its cost does not compare; those that are worse than all that had it are "
        "left out. The line is the Pareto front of the others: none is both cheaper and better than one on it.",
        among=" of those that had their full budget",
    )


def searched(
    records: Sequence[TrialRecord], won: TrialRecord, objectives: Sequence[Objective], against: Objective
) -> Picture:
    """Overall on dev of sound trials against another of the `objectives` of their search, on a logarithmic axis."""
    cost, called = _COSTS[against]
    on_front = {record.name for record in pareto_front(records, objectives)}
    line = [record.name for record in reversed(pareto_front(records, ("overall", against)))]
    looks = {record.name: _look(record, won, on_front=record.name in on_front) for record in records}
    return _drawn(
        records,
        cost,
        called,
        line,
        looks,
        reads="A dot is a trial, a diamond one of the space's points, the star the winner. The line is the Pareto "
        "front of these two: no trial is both cheaper and better than one on it. Coloured are the trials that no other "
        f"one beats in all of {', '.join(objectives)}.",
        among="",
    )


def _drawn(
    records: Sequence[TrialRecord],
    cost: Cost,
    called: tuple[str, str],
    best: Sequence[str],
    looks: Mapping[str, Mapping[str, Any]],
    *,
    reads: str,
    among: str,
) -> Picture:
    """`records` with their `looks`, and a line through the `best`, the cheapest first, which are the best `among`
    what compares. `called`: the cost's name and unit."""
    name, unit = called
    costs = {record.name: cost(record) for record in records}
    overall = {record.name: _overall(record) for record in records}
    with canvas(f"pareto-{name.replace(' ', '-')}", NARROW, 300) as drawing:
        axes = drawing.axes()
        if best:
            at = [*(costs[trial] for trial in best), max(costs.values())]
            axes.step(at, [*(overall[trial] for trial in best), overall[best[-1]]], where="post", color=INK)
        for record in sorted(records, key=lambda record: looks[record.name]["color"] != FAINT):
            place = (costs[record.name], overall[record.name])
            (dot,) = axes.plot(*place, linestyle="none", **looks[record.name])
            note = f"{record.name}, {record.source}: {place[1]:.4f}, {counted(place[0], unit)}, {record.state}"
            drawing.tell(dot, note, record.name)
        for trial in _apart(best, costs, overall):  # there is none up and to the left of it but stopped ones
            beside(axes, cut(trial, 16), (costs[trial], overall[trial]), (-5, 5), color=MUTED, ha="right")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: counted(value, "")))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(0.15, 0.12)
        cheapest, dearest = min(costs.values()), max(costs.values())
        if dearest < cheapest * _LEAST_RANGE:
            axes.set_xlim(cheapest / math.sqrt(_LEAST_RANGE), dearest * math.sqrt(_LEAST_RANGE))
        axes.set_xlabel(f"{name}{f' ({unit})' if unit else ''}, logarithmic")
        axes.set_ylabel("overall on dev")
        axes.set_title(name)
        return drawing.picture(reads=reads, shows=_saved(best, costs, overall, unit, among))


def _worth_drawing(records: Sequence[TrialRecord], won: TrialRecord) -> list[TrialRecord]:
    """Without trials stopped so early that the others would lie in a corner."""
    lowest = min(map(_overall, full_budget(records)), default=0.0)
    return [record for record in records if record is won or _overall(record) >= lowest]


def _overall(record: TrialRecord) -> float:
    assert record.best is not None, "a sound trial has reported"
    return record.best.overall


def _look(record: TrialRecord, won: TrialRecord, *, on_front: bool) -> dict[str, Any]:
    if record is won:
        return {"marker": "*", "markersize": 15, "color": ACCENT, "markeredgecolor": PAPER}
    marker = "D" if record.source.startswith(POINT) else "o"
    colour = LIGHT["task0"] if on_front else FAINT
    return {"marker": marker, "markersize": 7, "color": colour, "markeredgecolor": PAPER}


def _saved(best: Sequence[str], costs: Mapping[str, float], overall: Mapping[str, float], unit: str, among: str) -> str:
    if not best:
        return "No trial had its full budget."
    cheapest, dearest = best[0], best[-1]
    if cheapest == dearest:
        return f"{dearest} is the best and the cheapest{among}."
    ratio = f"{costs[dearest] / costs[cheapest]:.3g}"
    return (
        f"{cheapest} costs {counted(costs[cheapest], unit)} and reaches {overall[cheapest]:.4f}; the best, {dearest}, "
        f"costs {'hardly more' if ratio == '1' else f'{ratio} times as much'} and reaches {overall[dearest]:.4f}."
    )


def _apart(best: Sequence[str], costs: Mapping[str, float], overall: Mapping[str, float]) -> list[str]:
    """The names of the front, the best first, whose names don't run into one another's."""
    if not best:
        return []
    width = math.log(max(_LEAST_RANGE, max(costs.values()) / min(costs.values())))
    height = max(overall.values()) - min(overall.values()) or 1.0
    named: list[str] = []
    for trial in reversed(best):
        beside = (math.log(costs[other] / costs[trial]) / width > 0.14 for other in named)
        below = (overall[other] - overall[trial] > 0.07 * height for other in named)
        if all(one or two for one, two in zip(beside, below, strict=True)):
            named.append(trial)
    return named


def counted(value: float, unit: str) -> str:
    """A cost in three digits."""
    number = parameter_count(round(value)) if value >= 10_000 else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} {unit}".strip()
