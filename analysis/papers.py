"""What the papers found beside what a run of spaces/papers.py, or of one of spaces/experiments/, finds:
python -m analysis.papers [RUN] [--markdown]"""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import tyro
from rich.table import Table
from rich.text import Text

from analysis.published.figures import FIGURES, Figures, Several
from analysis.published.findings import FINDINGS
from analysis.published.measures import LEAST_NOISE, LEAST_TASK_NOISE, TIME_NOISE, DevSets, Verdict
from model.data.tasks import CS224N
from model.errors import UserError, reported
from search.leaderboard import make_console
from search.records import POINT, TrialRecord, is_fit
from search.run_folder import RunFolder, RunInfo, newest_run, open_run

TASKS = tuple(task.name for task in CS224N)
_MISSING = ("-",) * (len(TASKS) + 1)
_NAME_WIDTH = 18
"""Of the first column."""
_WIDTH_FOR_NAMES = 105
"""Below it, a table has the first letters of the tasks' names only."""

THE_PAPERS = (
    "The papers: BERT-base (12 layers, 768 wide), ten passes over all training examples, other splits of the data, and "
    "scores on dev or test, as each row says. So levels do not compare with this run's; differences between "
    "configurations do."
)
NOISE = (
    "One seed: a difference of up to two standard errors, by the sizes of the dev sets, counts as noise; of overall at "
    f"least {LEAST_NOISE}, of one task's score {LEAST_TASK_NOISE}, of time {TIME_NOISE:.0%}. Nothing learned: no trial "
    "is above one and the same prediction for every example by more than noise."
)


@dataclass(frozen=True)
class Arguments:
    """Shows the figures and the findings of the five papers beside those of a run of spaces/papers.py: what the papers'
    own configurations reach here, and whether what they found holds. Of a run of spaces/experiments/ it shows the
    figures of the arms. Works while the run goes on."""

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
    with reported():
        arguments = tyro.cli(
            Arguments, args=argv, prog="python -m analysis.papers", config=(tyro.conf.FlagCreatePairsOff,)
        )
        run = (
            open_run(arguments.runs_dir, arguments.run) if arguments.run is not None else newest_run(arguments.runs_dir)
        )
        page = compare(run)
        if arguments.markdown:
            print(as_markdown(page))
        else:
            show(page)


def compare(run: RunFolder) -> Page:
    """The papers beside `run`. Raises UserError where it has none of their configurations, or other tasks."""
    info = run.info()
    if tuple(source.task for source in info.sources) != CS224N:
        raise UserError(
            f"{run.path}: its tasks are {', '.join(info.tasks)}; the papers' configurations and figures are of those "
            f"of CS224N, {', '.join(TASKS)}"
        )
    figures = FIGURES.get(Path(info.space).stem, FIGURES["papers"])
    points = {f"{POINT}{name}": name for name in figures}
    trials = {points[record.source]: record for record in run.trials() if record.source in points}
    if not trials:
        raise UserError(
            f"{run.path}: none of the papers' configurations is in this run; python -m search.run --space "
            "spaces/papers.py tries them"
        )
    before = [_ours(info, trials, figures), THE_PAPERS, *_reservations(info, trials, figures)]
    if figures is not FIGURES["papers"]:  # findings are on the papers' configurations, not on an experiment's arms
        return Page(before=before, tables=[_scores(trials, figures)], after=[])
    findings, verdicts = _findings(trials, info)
    return Page(before=before, tables=[_scores(trials, figures), findings], after=[*verdicts, NOISE])


def _ours(info: RunInfo, trials: Mapping[str, TrialRecord], figures: Mapping[str, Several]) -> str:
    dev = ", ".join(f"{task} {info.dev_size[task]}" for task in TASKS)
    chance = ", ".join(f"{info.chance[task]:.3f}" for task in TASKS)
    encoder = Path(info.pretrained_from or info.encoder).name
    if info.pretrain_epochs:
        encoder += f" (pre-trained further, epochs: {info.pretrain_epochs})"
    return (
        f"This run: {len(trials)} of the papers' {len(figures)} configurations in {Path(info.space).name}, data "
        f"{Path(info.data).name}, encoder {encoder}, {info.epochs} epochs of {info.epoch_examples} training examples, "
        f"seed {info.seed}, {info.computes_in}; scores on dev ({dev}) after each trial's best epoch. One and the same "
        f"prediction for every example of a task has {chance}."
    )


def _reservations(info: RunInfo, trials: Mapping[str, TrialRecord], figures: Mapping[str, Several]) -> list[str]:
    found = []
    if info.early_stopping:
        found.append("Weak trials were stopped early: what they would have come to is not known (--no-early-stopping).")
    running = [name for name in figures if name in trials and not trials[name].has_ended]
    if running:
        found.append(f"Not ended, with the scores reached so far: {', '.join(running)}.")
    return found


def _scores(trials: Mapping[str, TrialRecord], figures: Mapping[str, Several]) -> Grid:
    """For each configuration a row of each of the papers' figures, and one of ours."""
    rows = []
    for name, printed in figures.items():
        cells = [_paper_cells(one) for one in printed] or [("the papers: none", *_MISSING)]
        cells.append(_our_cells(trials.get(name)))
        rows += [(name if i == 0 else "", *row) for i, row in enumerate(cells)]
    return Grid(
        title="Scores; overall by the leaderboard's formula of 2024",
        columns=("configuration", "from", *TASKS, "overall"),
        numbers=(*TASKS, "overall"),
        rows=rows,
    )


def _paper_cells(figures: Figures) -> tuple[str, ...]:
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


def _findings(trials: Mapping[str, TrialRecord], info: RunInfo) -> tuple[Grid, list[str]]:
    """A row for each finding on whose configurations there are or will be scores; of the others one line; and how many
    have which verdict."""
    dev = DevSets(size=info.dev_size, chance=info.chance)
    outcomes = [(finding, finding.outcome(trials, dev)) for finding in FINDINGS]
    grid = Grid(
        title="Findings",
        columns=("paper, section", "finding", "the paper", "this run", "verdict"),
        numbers=(),
        rows=[
            (f"{finding.paper}, {finding.section}", finding.claim, finding.published, outcome.figures, outcome.verdict)
            for finding, outcome in outcomes
            if outcome.verdict != "no scores"
        ],
    )
    verdicts = Counter(outcome.verdict for _, outcome in outcomes)
    counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in get_args(Verdict))
    missing = sorted({name for finding in FINDINGS for name in finding.missing(trials)})
    lines = [f"Left out are findings on configurations without scores: {', '.join(missing)}."] if missing else []
    return grid, [*lines, f"Of {len(FINDINGS)} findings: {counts}."]


def show(page: Page) -> None:
    """On the terminal."""
    console = make_console()
    for text in page.before:
        console.print(text, highlight=False, markup=False)
    for grid in page.tables:
        table = Table(title=grid.title, title_justify="left")
        for column in grid.columns:
            number = column in grid.numbers
            head = column[:5] if column in TASKS and console.width < _WIDTH_FOR_NAMES else column
            table.add_column(head, justify="right" if number else "left", overflow="fold", no_wrap=number)
        for name, *cells in grid.rows:
            table.add_row(
                Text(textwrap.fill(name, _NAME_WIDTH, break_long_words=False)), *map(Text, cells)
            )  # folds at hyphens too
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
