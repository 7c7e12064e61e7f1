"""The search's best trials and the papers' configurations, trained anew with seeds that the search did not use.

A refit with the search's own seed would repeat the luck that made the trial win.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from analysis.statistics.selection import Contender
from analysis.why.cost import train_seconds
from analysis.winner.results import Peer, Retrained
from analysis.winner.trained import Trained
from search.job import Job, key_of
from search.records import POINT, TrialRecord, is_fit


def distinct(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials of a leaderboard that can win, the first of each configuration: a search may draw one twice, and its
    luck is to be counted once."""
    found: dict[str, TrialRecord] = {}
    for record in records:
        if is_fit(record):
            found.setdefault(key_of(record), record)
    return list(found.values())


def finalist_jobs(chosen: Sequence[TrialRecord], seeds: Sequence[int]) -> list[Job]:
    """Each finalist with each seed; all of them with the first seed come first."""
    return [Job(record.config, seed, f"finalist {record.name}, seed {seed}") for seed in seeds for record in chosen]


def point_jobs(trials: Sequence[TrialRecord], seed: int) -> list[Job]:
    """Each of the POINTS once."""
    return [Job(record.config, seed, f"{record.source}, seed {seed}") for record in trials]


def contender(record: TrialRecord, seeds: Sequence[TrialRecord], trained: Trained, epochs: int) -> Contender:
    """What came of a finalist's trainings, one for each seed, of so many epochs."""
    sound = [one for one in seeds if trained.is_sound(one)]
    shown = sound or [record]  # the search's own, where all seeds are lost
    return Contender(
        trial=record.name,
        source=record.source,
        epochs=record.epoch,
        most_epochs=epochs,
        seeds=[retrained(one, trained) for one in sound],
        predicted=[trained.predictions("dev", trained.outputs(one)) for one in sound],
        lost=len(seeds) - len(sound),
        train_seconds=statistics.fmean(train_seconds(one) for one in shown),
        trainable_parameters=shown[0].reports[0].trainable_parameters,
    )


def retrained(record: TrialRecord, trained: Trained) -> Retrained:
    """A trial's figures on dev and test."""
    outputs = trained.outputs(record)
    assert record.seed is not None, "each has a seed of its own"
    assert record.best is not None, "it was trained"
    return Retrained(
        name=record.name,
        seed=record.seed,
        best_epoch=record.best.epoch,
        dev=trained.figures("dev", outputs),
        test=trained.figures("test", outputs),
    )


def peers(trials: Sequence[TrialRecord], anew: Sequence[TrialRecord], trained: Trained) -> list[Peer]:
    """The search's trials of POINTS and the same trained `anew`: best on dev first, without those that diverged or
    failed."""
    found = [
        _peer(record.source.removeprefix(POINT), one, trained)
        for record, one in zip(trials, anew, strict=True)
        if trained.is_sound(one)
    ]
    return sorted(found, key=lambda peer: -peer.dev.overall)


def _peer(point: str, record: TrialRecord, trained: Trained) -> Peer:
    assert record.seed is not None, "each has a seed of its own"
    outputs = trained.outputs(record)
    return Peer(
        point=point,
        name=record.name,
        seed=record.seed,
        dev=trained.figures("dev", outputs),
        test=trained.on_test(outputs),
    )
