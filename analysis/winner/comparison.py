"""What the winner is compared with: the space's POINTS in the same budget, and each change on the way from one of
them."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.statistics.intervals import SeedNoise
from analysis.why import ablation
from analysis.why.importance import importances
from analysis.why.points import best_point
from analysis.winner.ground import Ground
from analysis.winner.results import AblationPath
from model.errors import UserError
from search.job import Job
from search.records import POINT, TrialRecord
from search.space import load_space

MOST_STEPS = 8
"""Of the way to the winner, each of which is trained."""


def ablation_path(
    ground: Ground, records: Sequence[TrialRecord], winner: TrialRecord, seed: int, noise: SeedNoise
) -> AblationPath | None:
    """The way to the winner from the best paper's configuration among the POINTS (analysis.why.points.best_point),
    trained with `seed`. None where there is none, or where one of its ends diverged or failed with that seed, and the
    user is told why."""
    start = best_point([record for record in records if record.config != winner.config])
    if start is None:
        ground.say("No path to the winner: the run has no sound point of the space but the winner.")
        return None
    order = [one.param for one in importances(records)]
    try:
        way = ablation.plan(
            load_space(ground.run.space, ground.problem), ground.problem, start, winner, order, MOST_STEPS
        )
    except UserError as error:
        ground.say(f"No path to the winner: {error}")
        return None
    jobs = [Job(stop.config.to_dict(), seed, f"ablation, step {number}") for number, stop in enumerate(way)]
    done = ground.train(jobs)
    trained, stops = ground.trained, [(stop, done[job.key]) for stop, job in zip(way, jobs, strict=True)]
    sound = [
        ablation.Trained(waypoint=stop, name=one.name, predicted=trained.predictions("dev", trained.outputs(one)))
        for stop, one in stops
        if trained.is_sound(one)
    ]
    if not (trained.is_sound(stops[0][1]) and trained.is_sound(stops[-1][1])):
        ground.say(f"No path to the winner: one of its ends diverged or failed with seed {seed}.")
        return None
    point = start.source.removeprefix(POINT)
    return ablation.measured(point, sound, ground.corpus.tasks, trained.labels("dev"), noise)
