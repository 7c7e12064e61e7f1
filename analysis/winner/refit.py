"""From a search's leaderboard to a winner that can be trusted: finalists trained anew, one chosen, a model kept.

Everything is decided on dev. Test is only ever reported.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress

from analysis.statistics.selection import select
from analysis.why.drift import drift
from analysis.why.points import points
from analysis.winner.comparison import ablation_path
from analysis.winner.finalists import contender, distinct, finalist_jobs, peers, point_jobs
from analysis.winner.ground import Ground, prepare
from analysis.winner.keep import Candidates, Combination
from analysis.winner.mistakes import worst_mistakes
from analysis.winner.model_card import ModelCard, write_model_card
from analysis.winner.options import Options
from analysis.winner.predictions import write_predictions
from analysis.winner.results import KEPT, Results, WithDev, read_results, write_results
from analysis.winner.trained import SPLITS, Outputs, save_outputs
from model.console import Console
from model.errors import UserError
from search.job import Job
from search.run_folder import RunFolder


def refit(run: RunFolder, options: Options, console: Console, go_on: str) -> Results:
    """Trains what has not been trained, chooses, and writes the run's folder refit/ (analysis.winner.results) anew.

    Raises UserError where data or encoder have changed since the search, and where no trial or seed is left to choose
    from; KeyboardInterrupt after Ctrl-C: the same command, `go_on`, goes on where it was.
    """
    ground = prepare(run, options, console, go_on)
    _tell_of_the_one_before(ground)
    records, tasks, trained = run.trials(), ground.corpus.tasks, ground.trained
    able = distinct(records)
    if not able:
        raise UserError(f"{run.path}: no trial of this run has ended an epoch and is sound")
    finalists, compared = able[: options.finalists], points(records) if options.comparison else []
    seeds = [ground.info.seed + number for number in range(1, options.seeds + 1)]
    jobs, point = finalist_jobs(finalists, seeds), point_jobs(compared, seeds[0])
    done = ground.train([*jobs, *point])

    contenders = [
        contender(record, [done[job.key] for job in jobs if job.config is record.config], trained, ground.info.epochs)
        for record in finalists
    ]
    searched = {record.name: record.best.overall for record in able if record.best}
    selection, noise = select(tasks, trained.labels("dev"), contenders, searched, options.prefer)
    winner = next(record for record in finalists if record.name == selection.chosen)
    won = next(one for one in contenders if one.trial == winner.name)
    path = ablation_path(ground, records, winner, won.seeds[0].seed, noise) if options.comparison else None
    names = {record.name: record for record in done.values()}
    candidates = Candidates(won, contenders, names, trained, tasks, noise)
    kept = trained_with_dev(ground, candidates.kept) if options.with_dev else candidates.kept
    moved = candidates.single if kept.kind == "ensemble" else kept  # an ensemble has no weights of its own
    results = Results(
        selection=selection,
        candidates=candidates.described(),
        with_dev=WithDev(kept.members, kept.trained.on_test(kept.outputs)) if options.with_dev else None,
        peers=peers(compared, [done[job.key] for job in point], trained),
        path=path,
        drift=drift(moved.model(), ground.encoder, trained.tokens),
        mistakes=worst_mistakes(ground.corpus, "test", kept.outputs["test"], kept.read("test")),
        chance=kept.trained.chance("test"),
        test_size=ground.corpus.size("test"),
        contaminated={"dev": trained.contaminated("dev"), "test": kept.trained.contaminated("test")},
        flags=options.flags(),
    )
    said = {record.name: trained.outputs(record) for record in names.values() if trained.is_sound(record)}
    _write(ground, results, kept, {**said, **candidates.combined_outputs, KEPT: kept.outputs})
    return results


def _tell_of_the_one_before(ground: Ground) -> None:
    """Which refit this one replaces, where that was another. One that can't be read any more is none."""
    folder = ground.run.refit
    with suppress(UserError):
        before = read_results(folder)
        if before is not None and before.flags != ground.options.flags():
            made_with = " ".join(before.flags) or "no other flags"
            ground.say(f"This will replace {folder}, which was made with: {made_with}")


def trained_with_dev(ground: Ground, kept: Combination) -> Combination:
    """`kept` with each member trained once more, on train and dev together, for as many epochs as were best on dev:
    with dev in train, none is left to judge an epoch by. Raises UserError where one diverges or fails."""
    jobs = {}
    for name in kept.names:
        record = kept.records[name]
        assert record.seed is not None, "each has a seed of its own"
        assert record.best is not None, "it was trained"
        jobs[name] = Job(record.config, record.seed, f"{name} on train and dev", epochs=record.best.epoch)
    done = ground.train_with_dev(list(jobs.values()))
    for name, job in jobs.items():
        record = done[job.key]
        if not ground.trained_with_dev.is_sound(record):
            raise UserError(
                f"{record.name}: {name} {record.state} on train and dev; the same command tries once more what failed, "
                "and without --with-dev the model that was trained on train is kept"
            )
    anew = {name: done[job.key] for name, job in jobs.items()}
    members = {
        task: {anew[name].name: count for name, count in counts.items()} for task, counts in kept.members.items()
    }
    return Combination(kept.kind, members, {record.name: record for record in anew.values()}, ground.trained_with_dev)


def _write(ground: Ground, results: Results, kept: Combination, said: Mapping[str, Outputs]) -> None:
    """The folder refit/, whole, in place of the one before; `said` by the name of its file."""
    partial = ground.run.path / "refit.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "outputs").mkdir(parents=True)
    kept.write(partial / "model", ground.encoder, ground.precision)
    write_model_card(partial / "model", _card(ground, results, kept))
    write_predictions(
        partial / "predictions",
        ground.corpus,
        # What was trained on dev knows its labels.
        {split: kept.outputs[split] for split in SPLITS if split != "dev" or not results.with_dev},
    )
    for name, outputs in said.items():
        save_outputs(partial / "outputs" / f"{name}.npz", outputs)
    kept.trained.save_labels(partial / "labels.npz")
    write_results(partial, results)
    shutil.rmtree(ground.run.refit, ignore_errors=True)
    partial.replace(ground.run.refit)


def _card(ground: Ground, results: Results, kept: Combination) -> ModelCard:
    return ModelCard(
        run=ground.run.name,
        kind=kept.kind,
        members=kept.members,
        dev=None if results.with_dev else results.kept.dev,
        test=results.final,
        chance=results.chance,
        configs=kept.configs(),
        tasks=ground.corpus.tasks,
        encoder=ground.info.encoder,
        data=ground.info.data,
        train_size=_trained_on(ground, with_dev=results.with_dev is not None),
        test_size=results.test_size,
        precision=ground.precision,
        max_tokens=ground.info.max_tokens,
    )


def _trained_on(ground: Ground, *, with_dev: bool) -> dict[str, int]:
    train, dev = ground.corpus.size("train"), ground.corpus.size("dev")
    return {task: size + (dev[task] if with_dev else 0) for task, size in train.items()}
