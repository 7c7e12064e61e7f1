"""What stands on the report's page: read from a run's folder, put into tables and sentences."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.page import wording
from analysis.page.gallery import pictures
from analysis.page.plots.parameters import Axis, shown
from analysis.published.figures import in_paper
from analysis.why.cost import Cost, front, train_seconds, trainable_parameters
from analysis.why.edges import edges
from analysis.why.importance import LEAST_TRIALS, Importance, importances
from analysis.why.points import best_point
from analysis.winner.results import Candidate, Estimate, Figures, OnTest, Peer, Results, read_results
from model.config import TrialConfig
from model.data.scores import SIGNED, overall, overall_2023
from model.data.tasks import CS224N_SOURCES
from model.describe import describe
from model.errors import UserError
from search.leaderboard import parameter_count
from search.ledger import read_ledger
from search.pareto import front as search_front
from search.pareto import seconds_an_epoch
from search.records import POINT, Report, TrialRecord, winner
from search.run_folder import RunFolder, RunInfo, next_command
from search.standing import standing_of

MOST_ROWS = 15
"""Of the leaderboard, before the others are folded away."""
SECTIONS = (
    ("figures", "Figures"),
    ("finalists", "Finalists"),
    ("leaderboard", "Leaderboard"),
    ("curves", "Curves"),
    ("parameters", "Parameters"),
    ("ablation", "Changes"),
    ("cost", "Cost"),
    ("errors", "Errors"),
    ("drift", "Drift"),
    ("run", "The run"),
    ("again", "Again"),
)
"""Ids of the page's sections, and what they are called above it."""


@dataclass(frozen=True)
class Tile:
    """A figure of the headline."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, kw_only=True)
class ParameterRow:
    """A line of the table of parameters."""

    name: str
    range: str
    winner: str
    share: float | None
    warning: str | None
    trials: int


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """A line of the table of figures; None, or no task, where a figure is not known."""

    label: str
    overall: float
    interval: Estimate | None = None
    overall_2023: float | None = None
    by_task: Mapping[str, float] = dataclasses.field(default_factory=dict)
    clean: float | None = None
    in_paper: str = ""
    strong: bool = False


def page(run: RunFolder) -> dict[str, Any]:
    """The template's values. Raises UserError where what lies in the folder can't be read."""
    info, records = _printable(run.info()), _printable(run.trials())
    results = _printable(read_results(run.refit))
    seconds = read_ledger(run.ledger).seconds_spent() if run.ledger.exists() else 0.0
    won = _winner(run, records, results)
    kept, measured = _kept(results), importances(records)
    rows = _figure_rows(info, won, results, kept)
    return {
        "run": run,
        "tasks": info.tasks,
        "both_formulas": _of_the_course(info),
        "correlations": any(source.task.metric in SIGNED for source in info.sources),
        "records": records,
        "won": won,
        "results": results,
        **_kept_model(won, kept, results, rows),
        "top": winner(records),
        "way": _way(records, won),
        "sections": SECTIONS,
        "most_rows": MOST_ROWS,
        "standing": standing_of(run),
        "tiles": _tiles(info, won, results, kept, records, seconds),
        "figure_rows": rows,
        "error_in_words": wording.error([source.task for source in info.sources]),
        "states": wording.states(records),
        "facts": wording.facts(info, records, seconds),
        "troubles": wording.troubles(records),
        "refit_command": next_command(run),
        "commands": [
            wording.search_command(run, info),
            " ".join([next_command(wording.again(run)), *(results.flags if results else [])]),
        ],
        "pictures": pictures(run, info, records, won, results, kept, measured),
        **_configuration(won),
        "parameters": _parameters(records, won, measured),
        "no_importance": _no_importance(measured),
        "edges": [edge.words for edge in edges(records)],
        "fronts": _fronts(info, records),
        "train_seconds": train_seconds,
        "seconds_an_epoch": seconds_an_epoch,
    }


def _winner(run: RunFolder, records: Sequence[TrialRecord], results: Results | None) -> TrialRecord | None:
    """The finalist that was chosen; without a refit the best of the search."""
    if results is None:
        return winner(records)
    chosen = results.selection.chosen
    found = next((record for record in records if record.name == chosen and record.reports), None)
    if found is None:
        raise UserError(f"{run.path / 'refit'}: of another run: it chose {chosen}, of which {run.ledger} has no scores")
    return found


def _way(records: Sequence[TrialRecord], won: TrialRecord | None) -> str:
    """From where a refit goes to the winner, in words."""
    start = None if won is None else best_point([record for record in records if record.config != won.config])
    return start.source.removeprefix(POINT) if start else "a point of the space"


def _kept(results: Results | None) -> Candidate | None:
    return None if results is None else results.kept


def _kept_model(
    won: TrialRecord | None, kept: Candidate | None, results: Results | None, rows: Sequence[FigureRow]
) -> dict[str, Any]:
    """The model that a refit keeps, and how it is called."""
    if won is None or kept is None or results is None:
        return {"kept": None, "papers": False}
    return {
        "kept": kept,
        "tested": results.final,
        "won_by": wording.won_by(won.name, kept),
        "kept_in_words": wording.kept(kept, results),
        "members": wording.members,
        "papers": any(row.in_paper for row in rows),
    }


def _tiles(
    info: RunInfo,
    won: TrialRecord | None,
    results: Results | None,
    kept: Candidate | None,
    records: Sequence[TrialRecord],
    seconds: float,
) -> list[Tile]:
    tiles = []
    if results and kept:
        test, corrected = results.final.overall, results.selection.corrected
        label = "overall on test" if kept.kind == "single" else f"overall on test, {kept.kind}"
        tiles += [
            Tile(
                label,
                f"{test.value:.4f}",
                f"95% interval {test.low:.4f} to {test.high:.4f}; chance {results.chance.overall:.4f}",
            ),
            Tile("dev, corrected", f"{corrected.value:.4f}", f"{corrected.low:.4f} to {corrected.high:.4f}"),
        ]
    if won and won.best:
        of_all = f", of {info.epochs} that it might have had" if won.epoch < info.epochs else ""
        epochs = f"epoch {won.best.epoch} of {won.epoch}{of_all}"
        seen = Tile("dev, in the search", f"{won.best.overall:.4f}", epochs)
        size = parameter_count(won.best.trainable_parameters)
        tiles += [seen, Tile("parameters trained", size, f"in {wording.duration(train_seconds(won))}, by {won.source}")]
    epochs = sum(record.epoch for record in records)
    searched = Tile(
        "searched", wording.plural(len(records), "trial"), f"{epochs} epochs in {wording.duration(seconds)}"
    )
    return [*tiles, searched]


def _of_the_course(info: RunInfo) -> bool:
    """Whether the tasks are CS224N's, which have two formulas and papers."""
    return info.sources == CS224N_SOURCES


def _figure_rows(
    info: RunInfo, won: TrialRecord | None, results: Results | None, kept: Candidate | None
) -> list[FigureRow]:
    if won is None or won.best is None:
        return []
    rows = [*_of_search(info, won, won.best)]
    if results and kept:
        corrected = results.selection.corrected
        rows += [
            FigureRow(label="dev, corrected for selection", overall=corrected.value, interval=corrected),
            _row(f"dev, which it was chosen on: {wording.kept_on_train(kept, results)}", kept.dev),
            _tested(f"test, {wording.kept(kept, results)}", results.final, strong=True),
            _row("test, chance", results.chance),
            *(_tested(f"test, {peer.point}", peer.test, in_paper=_printed(info, peer)) for peer in results.peers),
        ]
    return rows


def _printed(info: RunInfo, peer: Peer) -> str:
    """What a paper prints of a point, of the course's tasks."""
    return in_paper(peer.point) if _of_the_course(info) else ""


def _of_search(info: RunInfo, won: TrialRecord, best: Report) -> Iterator[FigureRow]:
    """What it saw of the winner, whose report `best` is, and chance there."""
    tasks = [source.task for source in info.sources]
    cut_short = f" after {won.epoch} of {info.epochs} epochs" if won.epoch < info.epochs else ""
    yield FigureRow(
        label=f"dev, as the search saw it{cut_short}",
        overall=best.overall,
        overall_2023=overall_2023(tasks, best.scores),
        by_task=best.scores,
        clean=best.clean_overall,
    )
    yield FigureRow(
        label="dev, chance",
        overall=overall(tasks, info.chance),
        overall_2023=overall_2023(tasks, info.chance),
        by_task=info.chance,
    )


def _row(label: str, figures: Figures) -> FigureRow:
    return FigureRow(
        label=label,
        overall=figures.overall,
        overall_2023=figures.overall_2023,
        by_task=figures.by_task,
        clean=figures.clean_overall,
    )


def _tested(label: str, test: OnTest, *, in_paper: str = "", strong: bool = False) -> FigureRow:
    return dataclasses.replace(_row(label, test.figures), interval=test.overall, in_paper=in_paper, strong=strong)


def _parameters(
    records: Sequence[TrialRecord], won: TrialRecord | None, measured: Sequence[Importance]
) -> list[ParameterRow]:
    return [
        ParameterRow(
            name=one.param,
            range=Axis.of(one.param, records).words,
            winner=shown(won.params[one.param]) if won and one.param in won.params else "not drawn",
            share=one.share,
            warning=one.warning,
            trials=one.trials,
        )
        for one in measured
    ]


def _no_importance(measured: Sequence[Importance]) -> str:
    """Why there is no picture of it."""
    if any(one.share is not None for one in measured):
        return "No parameter shows more than chance would."
    return f"Too few trials: to say how much a parameter matters takes {LEAST_TRIALS} that have it."


def _fronts(info: RunInfo, records: Sequence[TrialRecord]) -> list[tuple[str, list[TrialRecord]]]:
    """The trials on the Pareto fronts, by what the cost is called, the cheapest first; where the search had several
    objectives, on the front of these, the best first."""
    if len(info.objectives) > 1:
        return [(", ".join(info.objectives), search_front(records, info.objectives))]
    costs: dict[str, Cost] = {"training time": train_seconds, "trained parameters": trainable_parameters}
    return [(name, front(records, cost)) for name, cost in costs.items()]


def _configuration(won: TrialRecord | None) -> dict[str, Any]:
    """The winner's, in a sentence and in full."""
    if won is None:
        return {"sentence": "", "configuration": []}
    config = TrialConfig.from_dict(won.config)
    return {"sentence": wording.in_a_sentence(config), "configuration": describe(config)}


_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def _printable(value: Any) -> Any:
    """Without the letters that XML and UTF-8 have no place for, which a name or a sentence may hold all the same."""
    match value:
        case str():
            return _UNPRINTABLE.sub("\ufffd", value)
        case Mapping():
            return {_printable(key): _printable(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(_printable(item) for item in value)
        case _ if dataclasses.is_dataclass(value):
            return type(value)(**{f.name: _printable(getattr(value, f.name)) for f in dataclasses.fields(value)})
    return value
