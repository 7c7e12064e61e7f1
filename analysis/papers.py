"""What the papers found beside what a run of spaces/papers.py finds: python -m analysis.papers [RUN] [--markdown]"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import tyro
from rich.table import Table
from rich.text import Text

from analysis.findings import FINDINGS, LEAST_NOISE, TIME_NOISE, Verdict
from analysis.published import FIGURES, Figures
from model.data.tasks import CS224N
from model.errors import UserError, reported
from search.leaderboard import make_console
from search.ledger import TrialRecord, is_fit
from search.run_folder import RunFolder, RunInfo, newest_run, open_run

TASKS = tuple(task.name for task in CS224N)
_MISSING = ("-",) * (len(TASKS) + 1)

THE_PAPERS = (
    "The papers: BERT-base (12 layers, 768 wide), ten passes over all training examples, other splits of the data, and "
    "scores on dev or test, as each row says. So levels do not compare with this run's; differences between "
    "configurations do."
)
NOISE = (
    "One seed: a difference of up to two standard errors, by the sizes of the dev sets, counts as noise; of overall at "
    f"least {LEAST_NOISE}, of time {TIME_NOISE:.0%}."
)


@dataclass(frozen=True)
class Arguments:
    """Shows the figures and the findings of the five papers beside those of a run of spaces/papers.py: what the papers'
    own configurations reach here, and whether what they found holds. Works while the run goes on."""

    run: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Name of the run; the newest one if none is given."""
    markdown: bool = False
    """Print Markdown."""
    runs_dir: Path = Path("runs")
    """Where the runs lie."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table, in no format yet."""

    title: str
    columns: tuple[str, ...]
    numbers: tuple[str, ...]
    """The columns with numbers."""
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is shown, in no format yet."""

    before: Sequence[str]
    """Paragraphs above the tables."""
    tables: Sequence[Grid]
    after: Sequence[str]
    """Paragraphs below."""


def main(argv: list[str] | None = None) -> None:
    arguments = tyro.cli(Arguments, args=argv, prog="python -m analysis.papers", config=(tyro.conf.FlagCreatePairsOff,))
    with reported():
        run = open_run(arguments.runs_dir, arguments.run) if arguments.run else newest_run(arguments.runs_dir)
        page = compare(run)
        if arguments.markdown:
            print(as_markdown(page))
        else:
            show(page)


def compare(run: RunFolder) -> Page:
    """The papers beside `run`. Raises UserError where it has none of their configurations."""
    info, points = run.info(), {f"point {name}": name for name in FIGURES}
    trials = {points[record.source]: record for record in run.trials() if record.source in points}
    if not trials:
        raise UserError(
            f"{run.path}: none of the papers' configurations is in this run; python -m search.run --space "
            "spaces/papers.py tries them"
        )
    findings, verdicts = _findings(trials, info)
    return Page(
        before=[_ours(info, trials), THE_PAPERS, *_reservations(info, trials)],
        tables=[_scores(trials), findings],
        after=[verdicts, NOISE],
    )


def _ours(info: RunInfo, trials: Mapping[str, TrialRecord]) -> str:
    dev = ", ".join(f"{task} {info.dev_size[task]}" for task in TASKS)
    encoder = Path(info.pretrained_from or info.encoder).name
    if info.pretrain_epochs:
        encoder += f" (after {info.pretrain_epochs} epochs of further pre-training)"
    return (
        f"This run: {len(trials)} of the papers' {len(FIGURES)} configurations, encoder {encoder}, "
        f"{info.epochs} epochs of {info.epoch_examples} training examples, seed {info.seed}, {info.computes_in}; "
        f"scores on dev ({dev}) after each trial's best epoch."
    )


def _reservations(info: RunInfo, trials: Mapping[str, TrialRecord]) -> list[str]:
    found = []
    if info.early_stopping:
        found.append("Weak trials were stopped early: what they would have come to is not known (--no-early-stopping).")
    running = [name for name in FIGURES if name in trials and trials[name].state == "running"]
    if running:
        found.append(f"Not ended, and judged by what they have reached so far: {', '.join(running)}.")
    return found


def _scores(trials: Mapping[str, TrialRecord]) -> Grid:
    """Two rows for each configuration, the paper's and ours."""
    rows = []
    for name, figures in FIGURES.items():
        rows += [(name, *_paper_cells(figures)), ("", *_our_cells(trials.get(name)))]
    return Grid(
        title="Scores; overall by the leaderboard's formula of 2024",
        columns=("configuration", "from", *TASKS, "overall"),
        numbers=(*TASKS, "overall"),
        rows=rows,
    )


def _paper_cells(figures: Figures | None) -> tuple[str, ...]:
    if figures is None:
        return ("the paper: none", *_MISSING)
    return (f"{figures.split}: {figures.where}", *_numbers(figures.scores, figures.overall))


def _our_cells(record: TrialRecord | None) -> tuple[str, ...]:
    if record is None:
        return ("not in this run", *_MISSING)
    if record.best is None or not is_fit(record):
        return (f"this run: {record.name}, {record.state}", *_MISSING)
    label = f"this run: {record.name}, epoch {record.best.epoch} of {record.epoch}"
    return (label, *_numbers(record.best.scores, record.best.overall))


def _numbers(by_task: Mapping[str, float], overall: float) -> tuple[str, ...]:
    return (*(f"{by_task[task]:.3f}" for task in TASKS), f"{overall:.3f}")


def _findings(trials: Mapping[str, TrialRecord], info: RunInfo) -> tuple[Grid, str]:
    """A row for each finding, and how many have which verdict."""
    fit = {name: record for name, record in trials.items() if is_fit(record)}
    outcomes = [(finding, finding.outcome(fit, info.dev_size)) for finding in FINDINGS]
    grid = Grid(
        title="Findings",
        columns=("paper, section", "finding", "the paper", "this run", "verdict"),
        numbers=(),
        rows=[
            (f"{finding.paper}, {finding.section}", finding.claim, finding.published, outcome.figures, outcome.verdict)
            for finding, outcome in outcomes
        ],
    )
    verdicts = Counter(outcome.verdict for _, outcome in outcomes)
    counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in get_args(Verdict))
    return grid, f"Of {len(FINDINGS)} findings: {counts}."


def show(page: Page) -> None:
    """On the terminal."""
    console = make_console()
    for text in page.before:
        console.print(text, highlight=False, markup=False)
    for grid in page.tables:
        table = Table(title=grid.title, title_justify="left")
        for column in grid.columns:
            table.add_column(column, justify="right" if column in grid.numbers else "left", overflow="fold")
        for row in grid.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
    for text in page.after:
        console.print(text, highlight=False, markup=False)


def as_markdown(page: Page) -> str:
    """As GitHub renders it."""
    parts = [*page.before]
    for grid in page.tables:
        rule = ["---:" if column in grid.numbers else "---" for column in grid.columns]
        lines = [f"| {' | '.join(row)} |" for row in (grid.columns, rule, *grid.rows)]
        parts += [f"### {grid.title}", "\n".join(lines)]
    return "\n\n".join([*parts, *page.after])


if __name__ == "__main__":
    sys.exit(main())
