"""Which pictures the report shows, and of what."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.page.plots import curves, drift, errors, parameters, refitted, tradeoff
from analysis.page.plots.canvas import Picture
from analysis.page.plots.refitted import Row
from analysis.why import cost
from analysis.why.importance import Importance, held_against
from analysis.winner.results import KEPT, Candidate, Results
from model.data.tasks import METRIC_NAMES, Binary, Classes, Number
from model.errors import UserError
from search.pareto import Objective
from search.records import TrialRecord, is_fit
from search.run_folder import RunFolder, RunInfo

Pictures = dict[str, Picture | list[Picture]]
MOST_AXES = 7
"""Of the parallel coordinates, beside the score's: more can't be read."""


def pictures(
    run: RunFolder,
    info: RunInfo,
    records: Sequence[TrialRecord],
    won: TrialRecord | None,
    results: Results | None,
    kept: Candidate | None,
    measured: Sequence[Importance],
) -> Pictures:
    """By name, all that can be drawn of a run as it is; `records` in the leaderboard's order."""
    found: Pictures = {}
    if any(record.reports for record in records):
        found["curves"] = curves.all_trials(records, won)
    if won is not None:
        metrics = {source.task.name: METRIC_NAMES[source.task.metric] for source in info.sources}
        found |= {"scores": curves.scores(won, info.tasks, metrics), "losses": curves.losses(won, info.tasks)}
        found |= _of_search(info, records, won, measured)
    if won is not None and results is not None and kept is not None:
        found |= _of_refit(results, won, kept)
        found["errors"] = _of_errors(run.refit, info)
    return found


def _of_search(
    info: RunInfo, records: Sequence[TrialRecord], won: TrialRecord, measured: Sequence[Importance]
) -> Pictures:
    """Of the parameters and costs of sound trials."""
    fit = [record for record in records if is_fit(record)]
    found: Pictures = {"pareto": _tradeoffs(info.objectives, fit, won)}
    params = _telling(fit, measured)
    if params:
        found["parallel"] = parameters.parallel(fit, params, won)
    if any(one.share for one in measured):
        judged, best = held_against(records)
        found["importance"] = parameters.importance(measured, of=len(judged), best=len(best))
    return found


def _tradeoffs(objectives: Sequence[Objective], fit: Sequence[TrialRecord], won: TrialRecord) -> list[Picture]:
    """Overall against what it costs: against the objectives, where a search had others, else against the usual."""
    return [
        tradeoff.searched(fit, won, objectives, "seconds")
        if "seconds" in objectives
        else tradeoff.pareto(fit, won, cost.train_seconds, "training time", "s"),
        tradeoff.searched(fit, won, objectives, "parameters")
        if "parameters" in objectives
        else tradeoff.pareto(fit, won, cost.trainable_parameters, "trained parameters", ""),
    ]


def _telling(fit: Sequence[TrialRecord], measured: Sequence[Importance]) -> list[str]:
    """The parameters worth an axis: those that vary and that half of the trials or more have, most important first."""
    rank = {one.param: place for place, one in enumerate(measured)}
    names = dict.fromkeys(param for record in fit for param in record.params)
    drawn = {name: [record.params[name] for record in fit if name in record.params] for name in names}
    shared = [name for name, values in drawn.items() if len(set(values)) > 1 and 2 * len(values) >= len(fit)]
    return sorted(shared, key=lambda name: rank.get(name, len(rank)))[:MOST_AXES]


def _of_refit(results: Results, won: TrialRecord, kept: Candidate) -> Pictures:
    selection = results.selection
    searched = won.best.overall if won.best else None
    moved = "the soup" if kept.kind == "soup" else "the single model"  # an ensemble has no weights of its own
    briefly = f"{kept.kind} with dev" if results.with_dev else kept.kind
    figures = [
        Row(label="dev, as the search saw it", estimate=None, before=searched),
        Row(label="dev, corrected for selection", estimate=selection.corrected),
        Row(label=f"test, kept: {briefly}", estimate=results.final.overall, strong=True),
    ]
    peers = [Row(label=f"test, {peer.point}", estimate=peer.test.overall) for peer in results.peers]
    found: Pictures = {
        "honest": refitted.honest(
            figures, sorted(peers, key=_value, reverse=True), results.chance.overall, selection.winner.cut_short
        ),
        "finalists": refitted.finalists(selection),
        "drift_weights": drift.weights(results.drift, moved),
        "drift_outputs": drift.outputs(results.drift, moved),
    }
    if results.path is not None:
        found["ablation"] = refitted.ablation(results.path)
    return found


def _value(row: Row) -> float:
    return row.estimate.value if row.estimate else 0.0


def _of_errors(refit: Path, info: RunInfo) -> list[Picture]:
    """One for each task, of the kept model on test."""
    said, labels = _read(refit / "outputs" / f"{KEPT}.npz"), _read(refit / "labels.npz")
    drawn = []
    for task in (source.task for source in info.sources):
        key = f"{task.name}.test"
        if not len(labels[key]):
            continue
        match task.label:
            case Classes():
                drawn.append(errors.confusion(info.tasks, task.name, task.classes, said[key], labels[key]))
            case Binary():
                drawn.append(errors.roc(info.tasks, task.name, task.classes, said[key], labels[key]))
            case Number():
                drawn.append(errors.scatter(info.tasks, task.name, task.metric, said[key], labels[key]))
    return drawn


def _read(path: Path) -> Mapping[str, Any]:
    """The arrays of a file, by name."""
    try:
        with np.load(path) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a model's outputs or labels ({error}); a new --refit writes them") from None
