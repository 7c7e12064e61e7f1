"""How far fine-tuning moved the encoder: heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.page.plots.canvas import NARROW, ON_SCALE, SCALE, Picture, canvas, on_scale
from analysis.winner.results import Drift

_CELL = 62
"""Width of a column, in CSS pixels."""


def weights(drift: Drift, model: str) -> Picture:
    """Layers by kinds of weight; `model` says whose they are."""
    return _heat_map(
        "drift-weights",
        drift.layers,
        drift.weights,
        reads=f"Of {model}: how far the weights of each layer moved from the pretrained ones, as a share of their "
        "size (||after - before|| / ||before||).",
    )


def outputs(drift: Drift, model: str) -> Picture:
    """Layers by tasks; `model` says whose they are."""
    return _heat_map(
        "drift-outputs",
        drift.layers,
        drift.outputs,
        reads=f"Of {model}: how far what each layer says of a token turned away from what the pretrained one says, on "
        "sentences of dev (1 - mean cosine).",
    )


def _heat_map(
    name: str, layers: Sequence[str], columns: Mapping[str, Sequence[float | None]], *, reads: str
) -> Picture:
    """Rows from the first layer at the bottom, as they are stacked."""
    kinds = list(columns)
    cells = [
        (value, x, y)
        for x, values in enumerate(columns.values())
        for y, value in enumerate(values)
        if value is not None
    ]
    high = max(value for value, _, _ in cells)
    with canvas(name, max(NARROW, 100 + _CELL * len(kinds)), 80 + 24 * len(layers)) as drawing:
        axes = drawing.axes()
        for value, x, y in cells:
            colour = on_scale(value, 0.0, high)
            cell = axes.barh(y, 0.96, left=x - 0.48, height=0.94, color=SCALE[colour])[0]
            drawing.tell(cell, f"{layers[y]}, {kinds[x]}: {value:.4f}")
            axes.text(x, y, _short(value), ha="center", va="center", color=ON_SCALE[colour])
        axes.set_yticks(range(len(layers)), layers)
        axes.set_xticks(range(len(kinds)), [kind.replace(" ", "\n").replace("-", "-\n") for kind in kinds])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlim(-0.5, len(kinds) - 0.5)
        axes.set_ylim(-0.5, len(layers) - 0.5)
        (most, *at), (least, *least_at) = max(cells), min(cells)
        names = [f"{layers[y]}, {kinds[x]}" for x, y in (at, least_at)]
        shows = f"Furthest: {names[0]}, {most:.3g}; least: {names[1]}, {least:.3g}."
        return drawing.picture(reads=reads, shows=shows)


def _short(value: float) -> str:
    """In a cell's room: .12, .034, 0."""
    if value == 0:
        return "0"
    return f"{value:.2f}".removeprefix("0") if value >= 0.1 else f"{value:.3f}".removeprefix("0")
