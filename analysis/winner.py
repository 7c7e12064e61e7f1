"""The winner's refit from start to end: data and encoder found again, trained, evaluated, written, printed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.table import Table

from analysis.predictions import write_predictions
from analysis.refit import Refit, Scores, refit
from model.config import TrialConfig
from model.data.contamination import contamination, describe
from model.data.corpus import Corpus, Split, read_corpus
from model.errors import UserError
from model.network.pretrained import Encoder, read_encoder
from model.training.cores import usable_cores
from model.training.evaluate import overall_2023
from model.training.loop import Diverged, Epoch
from model.training.precision import Precision
from search.records import Report, TrialRecord
from search.run_folder import RunFolder, RunInfo


def refit_winner(run: RunFolder, winner: TrialRecord, config: TrialConfig, seeds: int, console: Console) -> None:
    """Trains `config` once for each of `seeds` seeds and writes what came of it to the run's folder refit/:

    model/         the best of them on dev (see model.network.saved)
    predictions/   on dev and test, in the course's format
    scores.json    every figure that is printed
    """
    info = run.info()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(usable_cores())
    corpus, encoder = _read_inputs(info)
    partial = run.path / "refit.partial"
    shutil.rmtree(partial, ignore_errors=True)
    refits = []
    for number in range(1, seeds + 1):
        seed = info.seed + number
        console.print(f"Refit {number} of {seeds}, seed {seed}: {info.epochs} epochs on {device}")
        try:
            refits.append(
                refit(
                    config,
                    corpus,
                    encoder,
                    partial / f"seed-{seed}",
                    epochs=info.epochs,
                    epoch_examples=info.epoch_examples,
                    seed=seed,
                    precision=cast(Precision, info.precision),
                    device=device,
                    on_epoch=lambda epoch: console.print(_epoch_line(epoch), highlight=False),
                )
            )
        except Diverged as diverged:
            console.print(f"  diverged, not counted: {diverged}")
    if not refits:
        raise UserError(f"{run.name}: the winner diverges with every seed tried; --seeds N tries more")
    best = max(refits, key=lambda one: one.dev.overall)
    os.replace(best.folder, partial / "model")
    write_predictions(partial / "predictions", corpus, best.predicted)
    assert winner.best is not None, "only a trial with a report can win"
    (partial / "scores.json").write_text(json.dumps(_figures(run, winner, winner.best, refits, best), indent=2) + "\n")
    for one in refits:
        shutil.rmtree(partial / f"seed-{one.seed}", ignore_errors=True)
    folder = _put_in_place(partial, run.path / "refit")
    console.print(_table(corpus, winner.best, refits, best))
    _explain(corpus, refits, best, folder, console)


def _read_inputs(info: RunInfo) -> tuple[Corpus, Encoder]:
    """Corpus, now with test, and encoder, both checked to be what the search was given."""
    skip = bool(info.skipped_rows)
    searched = read_corpus(info.data, skip_bad_rows=skip).fingerprint()
    if searched != info.data_fingerprint:
        raise UserError(
            f"{info.data} has changed since the search: fingerprint {searched}, not {info.data_fingerprint}"
        )
    encoder = read_encoder(info.encoder)
    if encoder.fingerprint() != info.encoder_fingerprint:
        raise UserError(f"the encoder {info.encoder} has changed since the search: its fingerprint differs")
    return read_corpus(info.data, ("train", "dev", "test", "student"), skip_bad_rows=skip), encoder


def _put_in_place(partial: Path, folder: Path) -> Path:
    """A refit replaces the one before it, once it is whole."""
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    return folder


def _epoch_line(epoch: Epoch) -> str:
    scores = "  ".join(f"{task} {score:.3f}" for task, score in epoch.scores.items())
    return f"  epoch {epoch.number}: overall {epoch.overall:.4f}  {scores}  ({epoch.seconds:.0f} s)"


def _figures(
    run: RunFolder, winner: TrialRecord, searched: Report, refits: Sequence[Refit], best: Refit
) -> dict[str, Any]:
    return {
        "run": run.name,
        "trial": winner.name,
        "search": {"dev": {"by_task": searched.scores, "overall": searched.overall}},
        "refits": [
            {
                "seed": one.seed,
                "best_epoch": one.best_epoch,
                "kept": one is best,
                "dev": dataclasses.asdict(one.dev),
                "test": dataclasses.asdict(one.test),
            }
            for one in refits
        ],
    }


def _table(corpus: Corpus, searched: Report, refits: Sequence[Refit], best: Refit) -> Table:
    names = [task.name for task in corpus.tasks]
    table = Table(title="The winner, by both leaderboard formulas", title_justify="left")
    table.add_column("", no_wrap=True)
    for column in ("overall (2024)", "overall (2023)", *names):
        table.add_column(column, justify="right")

    def add(label: str, by_task: Any, overall: float, old: float, *, bold: bool = False) -> None:
        row = [f"{overall:.4f}", f"{old:.4f}", *(f"{by_task[name]:.3f}" for name in names)]
        table.add_row(label, *row, style="bold" if bold else None)

    add("dev, in the search", searched.scores, searched.overall, overall_2023(corpus.tasks, searched.scores))
    for split in ("dev", "test"):
        for one in refits:
            scores: Scores = getattr(one, split)
            label = f"{split}, refit, seed {one.seed}"
            add(label, scores.by_task, scores.overall, scores.overall_2023, bold=one is best)
    return table


def _explain(corpus: Corpus, refits: Sequence[Refit], best: Refit, folder: Path, console: Console) -> None:
    rows = " + ".join(str(size) for size in corpus.size("test").values())
    console.print(f"Test: {rows} labelled rows that neither training nor search was given.")
    console.print("2024: the mean of the scores, r entering as (r + 1) / 2. 2023: the mean of the scores as they are.")
    splits: tuple[Split, ...] = ("dev", "test")
    for split in splits:
        for line in describe(contamination(corpus, split), split):
            console.print(line, soft_wrap=True, highlight=False)
        clean = getattr(best, split).clean_overall
        if clean is not None and clean != getattr(best, split).overall:
            console.print(f"{split} without them: {clean:.4f} overall (2024), of the model that is kept")
    if len(refits) > 1:
        for split in ("dev", "test"):
            values = [getattr(one, split).overall for one in refits]
            spread = statistics.stdev(values)
            console.print(
                f"{split}: mean {statistics.fmean(values):.4f}, standard deviation {spread:.4f} over the seeds"
            )
    console.print(f"Written: {folder}/model, {folder}/predictions, {folder}/scores.json")
