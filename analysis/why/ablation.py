"""The way from a paper's configuration to the winner, a change at a time, so that each one's worth can be measured.

Fawcett and Hoos, Analysing differences between algorithm configurations through ablation (Journal of Heuristics 2016).
Theirs tries every parameter next and takes the one that gains most, which takes as many trainings as there are pairs;
here the order is given, the most important first, and each configuration is trained once.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import optuna

from analysis.statistics.bootstrap import Predictions
from analysis.statistics.intervals import SeedNoise, gain, overall_of
from analysis.winner.results import AblationPath, Change, Estimate, Step
from model.config import TrialConfig
from model.data.tasks import Task
from model.errors import UserError
from model.problem import Problem
from search.records import TrialRecord
from search.space import Space

NOT_DRAWN = "not drawn"

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Waypoint:
    """A configuration on the way."""

    params: Params
    """Those that the space draws for it."""
    config: TrialConfig


@dataclass(frozen=True)
class Trained:
    """A waypoint that was trained."""

    waypoint: Waypoint
    name: str
    """Of its trial and outputs, as in results.Step."""
    predicted: Predictions
    """For dev."""


def plan(
    space: Space, problem: Problem, start: TrialRecord, end: TrialRecord, order: Sequence[str], most: int
) -> list[Waypoint]:
    """The way from the configuration of `start` to that of `end`, both included: one waypoint where they are the same.

    Parameters of both that differ are switched to the end's value in the given order, those that are not in it last.
    What only one of them has is there or not by the values of others, and so comes and goes with these. Where a change
    alone makes no valid configuration, those that it needs are made with it; where it makes no difference, it is made
    with the next. Where there are more changes than the `most` steps, those of one part are made as one (`_grouped`).
    """
    rank = {param: place for place, param in enumerate(order)}
    differ = [param for param in start.params if param in end.params and start.params[param] != end.params[param]]
    left = _grouped(sorted(differ, key=lambda param: (rank.get(param, len(rank)), param)), most)
    mixer = _Mixer(space, problem, start.params, end.params)
    way, switched = [_checked(mixer.drawn(set()), start, space)], set[str]()
    while left:
        first, *others = left
        group = _smallest_valid(mixer, switched, first, [param for other in others for param in other])
        switched |= set(group)
        left = [rest for other in others if (rest := [param for param in other if param not in group])]
        waypoint = mixer.drawn(switched)
        if waypoint.config != way[-1].config:
            way.append(waypoint)
    _checked(way[-1], end, space)
    return way


def _grouped(params: Sequence[str], most: int) -> list[list[str]]:
    """`params`, the most important first, as at most `most` groups: each by itself, as far as that goes, and of the
    others those of one part (`head.dropout` is of `head`) together; the last parts as one where they are too many."""
    alone: list[str] = []
    for param in params:
        left = [other for other in params if other not in alone and other != param]
        if len(alone) + 1 + len(_parts(left)) > most:
            break
        alone.append(param)
    groups = [[param] for param in alone] + _parts([param for param in params if param not in alone])
    if len(groups) <= most:
        return groups
    return [*groups[: most - 1], [param for group in groups[most - 1 :] for param in group]]


def _parts(params: Sequence[str]) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for param in params:
        found.setdefault(param.partition(".")[0], []).append(param)
    return list(found.values())


def _checked(waypoint: Waypoint, record: TrialRecord, space: Space) -> Waypoint:
    if waypoint.config != TrialConfig.from_dict(record.config):
        raise UserError(f"{space.path}: the parameters of {record.name} make another configuration than it had")
    return waypoint


def _smallest_valid(mixer: _Mixer, switched: set[str], first: Sequence[str], others: Sequence[str]) -> list[str]:
    """`first`, with no more of the others than make it valid. With all of them it is the end."""
    valid = (i for i in range(len(others) + 1) if mixer.is_valid(switched | set(first) | set(others[:i])))
    needed = list(others[: next(valid)])
    for param in reversed(needed[:]):
        without = [other for other in needed if other != param]
        if mixer.is_valid(switched | set(first) | set(without)):
            needed = without
    return [*first, *needed]


class _Mixer:
    """Draws configurations from a mixture of two trials' parameters."""

    def __init__(self, space: Space, problem: Problem, start: Params, end: Params) -> None:
        self._space = space
        self._problem = problem
        self._start = start
        self._end = end

    def drawn(self, switched: set[str]) -> Waypoint:
        """With the end's values of what is `switched`, and of what only the end has. Raises UserError where the space
        makes no valid configuration of them, or asks for a parameter that neither has."""
        mixed = {**self._end, **self._start, **{param: self._end[param] for param in switched}}
        trial = optuna.trial.FixedTrial(mixed)
        with warnings.catch_warnings():
            # A range may depend on other parameters; Optuna itself only warns of a value that lies outside.
            warnings.filterwarnings("error", message="The value .* is out of")
            config = self._space.draw(cast(optuna.Trial, trial), self._problem)
        return Waypoint(dict(trial.params), config)

    def is_valid(self, switched: set[str]) -> bool:
        try:
            self.drawn(switched)
        except UserError:
            return False
        return True


def measured(
    point: str,
    trained: Sequence[Trained],
    tasks: Sequence[Task],
    labels: Predictions,
    seeds: SeedNoise | None = None,
) -> AblationPath:
    """What each step is worth: the gains add up to what the last configuration has above the first.

    `trained` are the waypoints in order, without those that diverged or failed, whose changes so count with the next.
    `labels` are dev's, (N,) by task. `seeds` widens the intervals by what another seed would change.
    """
    steps = [_step(trained[0], [], tasks, labels)]
    for before, after in pairwise(trained):
        gained = gain(tasks, labels, after.predicted, before.predicted, seeds)
        changed = changes(before.waypoint.params, after.waypoint.params)
        steps.append(_step(after, changed, tasks, labels, gained))
    ends = trained[-1].predicted, trained[0].predicted
    whole = gain(tasks, labels, *ends, seeds) if len(trained) > 1 else None
    return AblationPath(point=point, steps=steps, whole=whole)


def _step(
    trained: Trained, changed: list[Change], tasks: Sequence[Task], labels: Predictions, gained: Estimate | None = None
) -> Step:
    overall = overall_of(tasks, labels, trained.predicted)
    return Step(changes=changed, name=trained.name, overall=overall, gain=gained)


def changes(before: Params, after: Params) -> list[Change]:
    """The parameters that differ, those of both first."""
    both = [param for param in before if param in after and before[param] != after[param]]
    gone = [param for param in before if param not in after]
    new = [param for param in after if param not in before]
    return [Change(param, _shown(before, param), _shown(after, param)) for param in [*both, *gone, *new]]


def _shown(params: Params, param: str) -> str:
    if param not in params:
        return NOT_DRAWN
    value = params[param]
    return f"{value:.4g}" if isinstance(value, float) else str(value)
