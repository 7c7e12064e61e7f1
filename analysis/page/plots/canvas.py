"""What a picture is drawn on: one look for all, and SVG that fits into a page.

Text stays text, in the page's font. The named colours below become the page's CSS variables, so that a picture follows
the page into the dark. What an artist stands for is told when the pointer rests on it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDE, NARROW = 800, 350
"""Widths of pictures in CSS pixels: of one by itself, and of one that stands beside others and fits a phone."""
POINTS = 11.0
"""Size of the text, in the same units."""

LIGHT = {
    "ink": "#1c2330",
    "muted": "#626c7a",
    "faint": "#a9b1bc",
    "grid": "#e4e7ec",
    "paper": "#fdfdfb",
    "accent": "#a8326b",
    # Okabe and Ito's palette, which colour-blind readers can tell apart: one for each task.
    "task0": "#0072b2",
    "task1": "#d55e00",
    "task2": "#009e73",
    "task3": "#8c6bb1",
    "task4": "#b58900",
    # A scale from low to high: viridis, its strong end against the page.
    "scale0": "#c8d94f",
    "scale1": "#86cf5b",
    "scale2": "#4ac16d",
    "scale3": "#1fa187",
    "scale4": "#277f8e",
    "scale5": "#365c8d",
    "scale6": "#46327e",
    "on0": "#1c2331",
    "on1": "#1c2332",
    "on2": "#1c2333",
    "on3": "#1c2334",
    "on4": "#fffffb",
    "on5": "#fffffc",
    "on6": "#fffffd",
}
DARK = {
    "ink": "#e7e9ee",
    "muted": "#a3acb9",
    "faint": "#626c7a",
    "grid": "#2b323d",
    "paper": "#14181f",
    "accent": "#ef86b8",
    "task0": "#56b4e9",
    "task1": "#f08a45",
    "task2": "#3fc79b",
    "task3": "#b79be0",
    "task4": "#e0b93f",
    "scale0": "#46327e",
    "scale1": "#365c8d",
    "scale2": "#277f8e",
    "scale3": "#1fa187",
    "scale4": "#4ac16d",
    "scale5": "#9fda3a",
    "scale6": "#fde725",
    "on0": "#ffffff",
    "on1": "#ffffff",
    "on2": "#ffffff",
    "on3": "#11151b",
    "on4": "#11151b",
    "on5": "#11151b",
    "on6": "#11151b",
}
INK, MUTED, FAINT, GRID, PAPER, ACCENT = (LIGHT[name] for name in ("ink", "muted", "faint", "grid", "paper", "accent"))
SCALE = [LIGHT[f"scale{i}"] for i in range(7)]
ON_SCALE = [LIGHT[f"on{i}"] for i in range(7)]
BOX = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.2, "alpha": 0.82}
"""Behind text that lines run under."""

_NAMES = {colour: name for name, colour in LIGHT.items()}
_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": POINTS,
    "axes.titlesize": POINTS,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": POINTS,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "figure.dpi": 72,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": POINTS,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "text.parse_math": False,  # names and values come from the user: a $ is a $
    "text.usetex": False,
}
_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture for the page."""

    svg: Markup
    phone: Markup | None
    """The same for a narrow screen; None where `svg` is narrow, or scrolls."""
    reads: str
    """How to read it."""
    shows: str
    """What it shows here."""
    wide: bool


class Canvas:
    """A figure under way."""

    def __init__(self, name: str, width: int, height: float) -> None:
        self.figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        self.narrow = width <= NARROW
        self._name, self._width = name, width
        self._notes: dict[str, tuple[str, str | None]] = {}

    def axes(self) -> Axes:
        """The only ones of a figure."""
        return self.figure.subplots()

    def tell(self, artist: Artist, note: str, trial: str | None = None) -> None:
        """Says `note` where the pointer rests on `artist`; what stands for one `trial` is lit up together."""
        key = f"note{len(self._notes)}"
        artist.set_gid(key)
        self._notes[key] = (note, trial)

    def picture(self, *, reads: str, shows: str) -> Picture:
        """The figure as it is now."""
        return Picture(svg=self.svg(shows), phone=None, reads=reads, shows=shows, wide=not self.narrow)

    def svg(self, label: str) -> Markup:
        """The drawing alone, `label` for those who can't see it."""
        file = io.StringIO()
        with warnings.catch_warnings():
            # The page's own fonts draw the text; matplotlib only measures it, and has not every letter.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
            self.figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        root = ElementTree.fromstring(file.getvalue())
        for metadata in root.findall(f"{{{_SVG}}}metadata"):
            root.remove(metadata)
        for definitions in root.findall(f"{{{_SVG}}}defs"):
            for style in definitions.findall(f"{{{_SVG}}}style"):  # it would hold for the whole page
                definitions.remove(style)
        for element in list(root.iter()):
            self._adapt(element)
        root.attrib.pop("height")
        root.attrib.pop("width")
        root.attrib |= {"role": "img", "aria-label": label}
        smallest = 290 if self.narrow else 0.93 * self._width
        root.set("style", f"min-width: {smallest:.0f}px; max-width: {1.3 * self._width:.0f}px")
        ElementTree.register_namespace("", _SVG)
        ElementTree.register_namespace("xlink", _LINK[1:].split("}")[0])
        return Markup(ElementTree.tostring(root, encoding="unicode"))  # escaped: it was a tree

    def _adapt(self, element: ElementTree.Element) -> None:
        """Ids that are this picture's own, the page's colours and font, and what the pointer is told."""
        note = self._notes.get(element.get("id", ""))
        for key in ("id", _LINK, "clip-path"):
            value = element.get(key)
            if value is not None and not value.startswith("data:"):
                element.set(key, re.sub(r"^(#|url\(#)?", rf"\g<1>{self._name}-", value))
        style = element.get("style")
        if style is not None:
            style = re.sub("#[0-9a-f]{6}", lambda found: _themed(found[0]), style)
            element.set("style", re.sub("font-family: [^;]*", "font-family: inherit", style))
        if note is not None:
            text, trial = note
            title = ElementTree.Element(f"{{{_SVG}}}title")
            title.text = text
            element.insert(0, title)
            if trial is not None:
                element.set("data-trial", trial)


def _themed(colour: str) -> str:
    name = _NAMES.get(colour)
    return f"var(--{name})" if name else colour


@contextmanager
def canvas(name: str, width: int, height: float) -> Iterator[Canvas]:
    """A canvas for the picture called `name`, `width` and `height` in CSS pixels. Names are unique on a page: they make
    the ids inside a picture its own, and the same in every run."""
    with matplotlib.rc_context({**_LOOK, "svg.hashsalt": name}):
        yield Canvas(name, width, height)


def drawn_twice(
    name: str, draw: Callable[[Canvas], None], *, height: float, phone_height: float, reads: str, shows: str
) -> Picture:
    """What `draw` draws, wide, and narrow for a phone."""
    with canvas(name, WIDE, height) as wide:
        draw(wide)
        svg = wide.svg(shows)
    with canvas(f"{name}-phone", NARROW, phone_height) as narrow:
        draw(narrow)
        return Picture(svg=svg, phone=narrow.svg(shows), reads=reads, shows=shows, wide=True)


def task_colour(tasks: Sequence[str], task: str) -> str:
    """The colour that stands for a task in every picture."""
    return LIGHT[f"task{list(tasks).index(task) % 5}"]


def on_scale(value: float, low: float, high: float) -> int:
    """Where `value` falls among the colours of SCALE, of which the first is `low`, the last `high`."""
    share = (value - low) / (high - low) if high > low else 1.0
    return min(len(SCALE) - 1, max(0, int(share * len(SCALE))))


def cut(text: str, most: int) -> str:
    """At most so many letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def beside(axes: Axes, text: str, point: tuple[float, float], offset: tuple[float, float], **look: Any) -> None:
    """Text that stands `offset` CSS pixels right of and above a point of the data."""
    axes.annotate(text, point, xytext=offset, textcoords="offset points", **look)


def name_rows(drawing: Canvas, axes: Axes, names: Sequence[str], rise: float) -> None:
    """Rows from 0, top to bottom, with a name each: at its left, or where there is no room, `rise` above it."""
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    if drawing.narrow:
        axes.set_yticks([])
        for i, name in enumerate(names):
            axes.text(0, i - rise, cut(name, 52), transform=axes.get_yaxis_transform(), va="center", bbox=BOX)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(names) - 0.5, -rise - 0.35)
    else:
        axes.set_yticks(range(len(names)), [cut(name, 46) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.75)
