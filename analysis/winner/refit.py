"""From a search's leaderboard to a winner that can be trusted: finalists trained anew, one chosen, a model kept.

Everything is decided on dev. Test is only ever reported.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from rich.console import Console

from analysis.statistics.selection import seed_noise, select
from analysis.why.drift import drift
from analysis.winner.comparison import ablation_path
from analysis.winner.finalists import contender, distinct, finalist_jobs, peers, point_jobs, points
from analysis.winner.ground import Ground, Options, prepare
from analysis.winner.keep import Candidates
from analysis.winner.mistakes import worst_mistakes
from analysis.winner.model_card import ModelCard, write_model_card
from analysis.winner.predictions import write_predictions
from analysis.winner.results import Results, write_results
from analysis.winner.trained import SPLITS, save_outputs
from model.data.contamination import contamination
from model.errors import UserError
from search.records import TrialRecord
from search.run_folder import RunFolder


def refit(run: RunFolder, options: Options, console: Console) -> Results:
    """Trains what has not been trained, chooses, and writes the run's folder refit/ (analysis.winner.results) anew.

    Raises UserError where data or encoder have changed since the search, and where no trial or seed is left to choose
    from; KeyboardInterrupt after Ctrl-C: the same command goes on where it was.
    """
    ground = prepare(run, options, console)
    records, tasks, trained = run.trials(), ground.corpus.tasks, ground.trained
    able = distinct(records)
    if not able:
        raise UserError(f"{run.path}: no trial of this run has ended an epoch and is sound")
    finalists, compared = able[: options.finalists], points(records) if options.comparison else []
    seeds = [ground.info.seed + number for number in range(1, options.seeds + 1)]
    jobs, point = finalist_jobs(finalists, seeds), point_jobs(compared, seeds[0])
    done = ground.train([*jobs, *point])

    contenders = [
        contender(record, [done[job.key] for job in jobs if job.config is record.config], trained)
        for record in finalists
    ]
    searched = {record.name: record.best.overall for record in able if record.best}
    selection = select(tasks, trained.labels("dev"), contenders, searched, options.prefer)
    winner = next(record for record in finalists if record.name == selection.chosen)
    won = next(one for one in contenders if one.trial == winner.name)
    path = None
    if options.comparison:
        noise = seed_noise(tasks, trained.labels("dev"), contenders, searched)
        path = ablation_path(ground, records, winner, won.seeds[0].seed, noise)
    names = {record.name: record for record in done.values()}
    candidates = Candidates(won, contenders, names, trained, tasks)
    results = Results(
        selection=selection,
        candidates=candidates.described(),
        peers=peers(compared, [done[job.key] for job in point], trained, tasks),
        path=path,
        drift=drift(candidates.kept_model(), ground.encoder, trained.tokens),
        mistakes=worst_mistakes(ground.corpus, "test", candidates.kept_outputs["test"]),
        test_size=ground.corpus.size("test"),
        contaminated={
            split: {task: len(found.rows) for task, found in contamination(ground.corpus, split).items()}
            for split in ("dev", "test")
        },
    )
    _write(ground, results, candidates, names.values())
    return results


def _write(ground: Ground, results: Results, candidates: Candidates, records: Iterable[TrialRecord]) -> None:
    """The folder refit/, whole, in place of the one before."""
    partial, trained = ground.run.path / "refit.partial", ground.trained
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "outputs").mkdir(parents=True)
    candidates.write(partial / "model", ground.encoder, ground.precision)
    write_model_card(partial / "model", _card(ground, results, candidates))
    write_predictions(
        partial / "predictions",
        ground.corpus,
        {split: trained.predictions(split, candidates.kept_outputs) for split in SPLITS},
    )
    for record in records:
        if trained.is_sound(record):
            save_outputs(partial / "outputs" / f"{record.name}.npz", trained.outputs(record))
    for kind, outputs in candidates.combined_outputs.items():
        save_outputs(partial / "outputs" / f"{kind}.npz", outputs)
    trained.save_labels(partial / "labels.npz")
    write_results(partial, results)
    shutil.rmtree(ground.run.refit, ignore_errors=True)
    partial.replace(ground.run.refit)


def _card(ground: Ground, results: Results, candidates: Candidates) -> ModelCard:
    return ModelCard(
        run=ground.run.name,
        candidate=next(one for one in results.candidates if one.kept),
        configs=candidates.kept_configs(),
        tasks=ground.corpus.tasks,
        encoder=ground.info.encoder,
        data=ground.info.data,
        trained_on="train",
        train_size=ground.corpus.size("train"),
        test_size=results.test_size,
        precision=ground.precision,
    )
