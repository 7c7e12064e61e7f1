"""A run as one page that opens offline: python -m analysis.report [RUN]"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.page.content import page
from analysis.page.plots.canvas import DARK, LIGHT
from analysis.page.wording import duration, plural
from model.errors import reported
from search.leaderboard import make_console, parameter_count
from search.run_folder import RunFolder, newest_run, open_run

FILE = "report.html"


@dataclass(frozen=True)
class Arguments:
    """Writes runs/NAME/report.html: leaderboard, curves, parameters, cost, and once its finalists are retrained by
    analysis.best --refit, figures that can be trusted, what made the difference, and where it errs. Also while a run
    goes on, and after a crash."""

    run: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Name of the run; the newest one if none is given."""
    runs_dir: Path = Path("runs")
    """Where the runs lie."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m analysis.report")
        run = open_run(arguments.runs_dir, arguments.run) if arguments.run else newest_run(arguments.runs_dir)
        make_console().say(f"Written: {write_report(run)}")


def write_report(run: RunFolder) -> Path:
    """Writes the report of a run, as far as it is known, into its folder. The file. Raises UserError where what lies in
    the folder can't be read."""
    environment = Environment(
        loader=PackageLoader("analysis", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "light": LIGHT,
        "dark": DARK,
        "duration": duration,
        "parameter_count": parameter_count,
        "plural": plural,
    }
    path = run.path / FILE
    html = environment.get_template("report.html").render(page(run))
    path.write_text(html, encoding="utf-8", errors="replace")
    return path


if __name__ == "__main__":
    sys.exit(main())
