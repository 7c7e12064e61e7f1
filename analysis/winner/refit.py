"""From a search's leaderboard to a winner that can be trusted: finalists trained anew, one chosen, a model kept.

Everything is decided on dev. Test is only ever reported.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from rich.console import Console
from rich.progress import track

from analysis.statistics.selection import Contender, seed_noise, select
from analysis.why import ablation
from analysis.why.drift import drift
from analysis.why.importance import importances
from analysis.winner.finalists import POINT, contender, finalist_jobs, finalists, peers, point_jobs, points
from analysis.winner.keep import Candidates
from analysis.winner.mistakes import worst_mistakes
from analysis.winner.model_card import ModelCard, write_model_card
from analysis.winner.predictions import write_predictions
from analysis.winner.results import AblationPath, Results, write_results
from analysis.winner.trained import SPLITS, Trained, save_outputs
from model.data.contamination import contamination
from model.data.corpus import Corpus, read_corpus
from model.data.tokens import tokenize
from model.errors import UserError
from model.network.pretrained import Encoder, read_encoder
from model.problem import Problem
from model.training.cores import usable_cores
from model.training.precision import ConcretePrecision, Precision, resolve_precision
from search.job import Job
from search.records import TrialRecord, is_fit
from search.run_folder import RunFolder, RunInfo
from search.space import load_space

MOST_STEPS = 8
"""Of the way to the winner, each of which is trained: the least important changes are made as one."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user may ask of a refit."""

    finalists: int
    """How many of the search's best trials are trained anew."""
    seeds: int
    """How often each."""
    prefer: Literal["score", "cheap"]
    """Which of the finalists that can't be told apart from the best is chosen."""
    comparison: bool
    """Whether the POINTS are trained in the same budget, and the way from the best of them to the winner."""
    address: str | None
    """Of a Ray cluster to train on."""


@dataclass(frozen=True)
class Ground:
    """What all stages of a refit stand on."""

    run: RunFolder
    info: RunInfo
    corpus: Corpus
    """With test and student."""
    encoder: Encoder
    problem: Problem
    precision: ConcretePrecision
    trained: Trained
    train: Callable[[Sequence[Job]], dict[str, TrialRecord]]
    """Trains jobs; their trials by the jobs' keys."""
    console: Console


def refit(run: RunFolder, options: Options, console: Console) -> Results:
    """Trains what has not been trained, chooses, and writes the run's folder refit/ (analysis.winner.results) anew.

    Raises UserError where data or encoder have changed since the search, and where no trial or seed is left to choose
    from; KeyboardInterrupt after Ctrl-C: the same command goes on where it was.
    """
    ground = _ground(run, options, console)
    records, corpus, trained = run.trials(), ground.corpus, ground.trained
    seeds = [ground.info.seed + number for number in range(1, options.seeds + 1)]
    chosen = finalists(records, options.finalists)
    peer_trials = points(records) if options.comparison else []
    if not chosen:
        raise UserError(f"{run.path}: no trial of this run has ended an epoch and is sound")
    jobs, peer_jobs = finalist_jobs(chosen, seeds), point_jobs(peer_trials, seeds[0])
    done = ground.train([*jobs, *peer_jobs])
    _ask(ground, done.values())
    contenders = [
        contender(record, [done[job.key] for job in jobs if job.config is record.config], trained) for record in chosen
    ]
    searched = {record.name: record.best.overall for record in records if is_fit(record) and record.best}
    selection = select(corpus.tasks, trained.labels("dev"), contenders, searched, options.prefer)
    winner = next(record for record in chosen if record.name == selection.chosen)
    names = {record.name: record for record in done.values()}
    won = next(one for one in contenders if one.trial == winner.name)
    candidates = Candidates(won, contenders, names, trained, corpus.tasks)
    peers_found = peers(peer_trials, [done[job.key] for job in peer_jobs], trained, corpus.tasks)
    results = Results(
        selection=selection,
        candidates=candidates.described(),
        peers=peers_found,
        path=_ablation(ground, records, winner, contenders, searched) if options.comparison else None,
        drift=drift(candidates.kept_model(), ground.encoder, trained.tokens),
        mistakes=worst_mistakes(corpus, "test", candidates.kept_outputs["test"]),
        test_size=corpus.size("test"),
        contaminated={
            split: {task: len(found.rows) for task, found in contamination(corpus, split).items()}
            for split in ("dev", "test")
        },
    )
    _write(ground, results, candidates, list(names.values()))
    return results


def _ground(run: RunFolder, options: Options, console: Console) -> Ground:
    """Corpus, now with test, and encoder, both checked to be what the search was given."""
    info = run.info()
    skip = bool(info.skipped_rows)
    searched = read_corpus(info.data, skip_bad_rows=skip)
    if searched.fingerprint() != info.data_fingerprint:
        raise UserError(
            f"{info.data} has changed since the search: fingerprint {searched.fingerprint()}, not "
            f"{info.data_fingerprint}"
        )
    encoder = read_encoder(info.encoder)
    if encoder.fingerprint() != info.encoder_fingerprint:
        raise UserError(f"the encoder {info.encoder} has changed since the search: its fingerprint differs")
    corpus = read_corpus(info.data, ("train", "dev", "test", "student"), skip_bad_rows=skip)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = resolve_precision(cast(Precision, info.precision), device)
    torch.set_num_threads(usable_cores())
    trained = Trained(run, tokenize(corpus, encoder), corpus.fingerprint(), encoder, precision, device)

    def train(jobs: Sequence[Job]) -> dict[str, TrialRecord]:
        from search.retrain import retrain  # with Ray, which takes seconds

        records = retrain(run, jobs, tokenize(searched, encoder), encoder, options.address, console)
        return {job.key: record for job, record in zip(jobs, records, strict=True)}

    problem = Problem.of(searched, encoder.shape)
    return Ground(run, info, corpus, encoder, problem, precision, trained, train, console)


def _ask(ground: Ground, records: Iterable[TrialRecord]) -> None:
    """Has every sound model say what it says of dev and test, with a bar while that lasts."""
    sound = list({record.name: record for record in records if is_fit(record)}.values())
    for record in track(sound, "Evaluating on dev and test", console=ground.console, transient=True):
        ground.trained.outputs(record)


def _ablation(
    ground: Ground,
    records: Sequence[TrialRecord],
    winner: TrialRecord,
    contenders: Sequence[Contender],
    searched: Mapping[str, float],
) -> AblationPath | None:
    """The way from the best of the POINTS to the winner, trained; None where there is none, since the run has no sound
    trial of a point, or the winner is that one."""
    start, seed = ablation.best_point(records), ground.info.seed + 1
    if start is None or start.name == winner.name:
        return None
    order = [one.param for one in importances(records)]
    way = ablation.plan(load_space(ground.run.space), ground.problem, start, winner, order, MOST_STEPS)
    jobs = [Job(stop.config.to_dict(), seed, f"ablation, step {number}") for number, stop in enumerate(way)]
    done = ground.train(jobs)
    _ask(ground, done.values())
    trained, tasks, labels = ground.trained, ground.corpus.tasks, ground.trained.labels("dev")
    steps = [(stop, done[job.key]) for stop, job in zip(way, jobs, strict=True) if is_fit(done[job.key])]
    measured = [
        ablation.Trained(waypoint=stop, name=one.name, predicted=trained.predictions("dev", trained.outputs(one)))
        for stop, one in steps
    ]
    noise = seed_noise(tasks, labels, contenders, searched)
    return ablation.measured(start.source.removeprefix(POINT), measured, tasks, labels, noise) if measured else None


def _write(ground: Ground, results: Results, candidates: Candidates, records: Sequence[TrialRecord]) -> None:
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
        if is_fit(record):
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
