"""Which trial gets the next epochs: a new one, one that was paused, or the one that has them now.

Freeze-Thaw (Swersky, Snoek and Adams 2014) on ranks. At epochs 2, 4, 8, ... a trial comes to a rung. There, and
wherever a place for a trial is empty, all that could be done next is compared: going on with this trial, going on with
one of the paused ones, beginning a fresh draw from the space or a neighbour of the best trials. The one with the
highest expected improvement has its turn, to its next rung; a trial that comes to its rung and is not the
one is paused.

- Scores enter as normal quantiles of their ranks among all that is learned from, so neither their scale nor an outlier
  matters. A diverged trial ranks behind all.
- What is improved on is the best score so far, and the improvement is expected a random number of epochs ahead, two or
  more, the same for all that are compared, its logarithm uniform before it is rounded up (Rakotoarison et al. 2024,
  https://arxiv.org/abs/2404.16795, section 4.2): some choices are made for the next epochs, some for the end.
- A trial that runs counts as if it had reached what is expected of it; of very many, the BUSY that began last.
- Among equals, those with at least half of the highest expected improvement, the cheapest in seconds is taken; where
  seconds are an objective, they have their weight already, and nothing but the highest is taken.
- KEPT trials can be paused at a time, since each has its state on disk; the least promising one beyond is stopped.
- When all trials have begun, the best one goes on to its end, and so does each that has a chance of HOPE to beat it.

With several objectives, all of this is about a weighted one of them (see `search.policy.curves`), whose weights are
drawn at random for each choice: in time, every part of the Pareto front is looked for (Knowles 2006). A paused trial on
the front is not stopped, and goes on to its end when all have begun; of one objective, that is the best one.

The space's POINTS come first, and random draws up to STARTUP trials in all.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from itertools import islice

import numpy as np
from scipy.special import ndtr, ndtri

from search.pareto import OVERALL_ALONE, Objective
from search.policy.candidates import Candidates
from search.policy.curves import Curves
from search.policy.encoding import Drawn
from search.policy.forecast import Curve, Forecaster
from search.policy.policy import Option
from search.records import POINT, Action, Decision, History, Report, State

STARTUP = 6
"""Trials before there is anything to be learned from them,"""
LEAST = 3
"""and so many must have told something."""
GRACE = 2
"""The first rung: a trial's first epoch says little of its last."""
FACTOR = 2
"""Between a rung and the next."""
KEPT = 8
"""Paused trials that can still go on."""
HOPE = 0.05
"""Chance to end as the best."""
EQUAL = 0.5
"""Of the highest expected improvement."""
BUSY = 64
"""Trials that run and count: a choice takes as long however many there are."""
PARETO = KEPT // 2
"""Trials on the Pareto front that can be paused: the other places are for those that may come to it."""
PARENTS = 4
"""The best trials, around which neighbours are drawn."""


def rungs(epochs: int) -> list[int]:
    """Epochs after which a trial may be paused, and the last one."""
    found, epoch = [], GRACE
    while epoch < epochs:
        found.append(epoch)
        epoch *= FACTOR
    return [*found, epochs]


class FreezeThaw:
    """The policy, over a ledger's history, which it reads and does not write: a search that is resumed with the same
    history makes the same choices, but for those that were made and not begun when its driver was killed."""

    def __init__(
        self,
        candidates: Candidates,
        history: History,
        *,
        epochs: int,
        trials: int | None,
        seed: int,
        early_stopping: bool,
        objectives: Sequence[Objective] = OVERALL_ALONE,
    ) -> None:
        self._history = history
        self._epochs = epochs
        self._rungs = rungs(epochs) if early_stopping else [epochs]
        self._trials = trials
        self._seed = seed
        self._candidates = candidates
        self._forecaster = Forecaster(epochs)
        self._objectives = objectives
        self._curves = Curves(self._rungs, objectives)
        self._drawn: dict[str, Drawn] = {}
        """Every trial's configuration."""
        self._sources = set[str]()
        self._tried = set[str]()
        self._heard = 0
        """Outcomes that were taken up,"""
        self._reports = 0
        """and reports among them, which tell choices apart: the ends that a choice brings about come after it."""
        self._promised: list[Option] = []
        """Chosen, and not begun yet."""
        self._in_vain: object = None
        """When nothing was found to be worth a place: it will be found again as long as that is so."""
        self._promise: dict[str, float] = {}
        """Of paused trials, the logarithm of the improvement that was expected of each when it was last compared."""

    def decide(self, report: Report) -> Decision:
        """What becomes of a trial after a report, which is not its last."""
        if report.epoch not in self._rungs:
            return Decision(trial=report.trial, epoch=report.epoch, action="continue", rung=None, cutoff=None)
        chosen = self._choose(pausing=report.trial)
        action: Action = "stop" if chosen is None else "continue" if chosen.trial == report.trial else "pause"
        if action == "pause" and not self._may_pause(report.trial):
            action = "continue"
        if chosen is not None and action == "pause":
            self._promised.append(chosen)
        return Decision(trial=report.trial, epoch=report.epoch, action=action, rung=report.epoch, cutoff=None)

    def has_more(self) -> bool:
        """Whether there is anything that is worth an empty place."""
        if self._promised:
            return True
        self._catch_up()
        asked = (self._heard, len(self._drawn), tuple(self._waiting()))
        if asked != self._in_vain and (chosen := self._choose()) is not None:
            self._promised.append(chosen)
            return True
        self._in_vain = asked
        return False

    def next(self) -> Option | None:
        """What an empty place is to be used for. None: nothing is worth it."""
        return self._promised.pop(0) if self._promised else self._choose()

    def forget(self, trial: str) -> None:
        """Nothing to do: the history tells who diverged or failed."""

    def surplus(self) -> list[str]:
        """Paused trials that are to be stopped, since there is room for KEPT only: the least promising ones or, before
        any was compared, those with the lowest scores. Never one on the front, which the best of all is on."""
        self._catch_up()
        front = self._curves.front()
        paused = [name for name in self._waiting() if name not in front]
        known = all(name in self._promise for name in paused)
        worst = sorted(paused, key=self._promise.__getitem__ if known else self._curves.score)
        return worst[: max(0, len(self._waiting()) - KEPT)]

    def _may_pause(self, trial: str) -> bool:
        """Whether there is a place for it: one on the front would not give it up, and is to go on in any case."""
        front = self._curves.front()
        return trial not in front or sum(name in front for name in self._waiting()) < PARETO

    def _choose(self, pausing: str | None = None) -> Option | None:
        """The best of all that can be done next, the trial `pausing` being at a rung."""
        self._catch_up()
        may_begin = self._may_begin()
        if may_begin and (point := self._point()):
            return point
        if may_begin and (self._begun() < STARTUP or len(self._curves) < LEAST):
            return Option(None, self._candidates.fresh(self._begun())[-1], "random")
        waiting = [*self._waiting(), *([pausing] if pausing else [])]
        options = [Option(name, self._drawn[name]) for name in waiting]
        if may_begin:
            options += self._new()
        return self._best_of(options, pausing, may_begin) if options else None

    def _begun(self) -> int:
        return len(self._drawn) + sum(option.trial is None for option in self._promised)

    def _may_begin(self) -> bool:
        return self._trials is None or self._begun() < self._trials

    def _point(self) -> Option | None:
        """The first of the space's POINTS that has not begun."""
        sources = self._sources | {option.source for option in self._promised}
        for name in self._candidates.points:
            if f"{POINT}{name}" not in sources:
                return Option(None, self._candidates.point(name), f"{POINT}{name}")
        return None

    def _new(self) -> list[Option]:
        """Configurations that were not tried; in a space that is used up, any."""
        parents = [self._drawn[name].params for name in self._curves.best(PARENTS, self._weights())]
        tried = self._tried | {_key(option.drawn) for option in self._promised}
        candidates = [*self._candidates.fresh(self._begun()), *self._candidates.near(parents, self._reports)]
        untried = [candidate for candidate in candidates if _key(candidate) not in tried]
        return [Option(None, candidate, "surrogate") for candidate in untried or candidates]

    def _best_of(self, options: Sequence[Option], pausing: str | None, may_begin: bool) -> Option | None:
        """None, where no new trial may begin, if none of `options` has any hope."""
        busy = [name for name in self._in_state("running") if name != pausing]
        running = [Curve(self._drawn[name], name) for name in busy[-BUSY:]]
        promised = [Curve(option.drawn, option.trial) for option in self._promised]
        expected = [(curve, self._next_rung(curve.trial)) for curve in [*running, *promised]]
        asked = [Curve(option.drawn, option.trial) for option in options]
        forecast = self._forecaster.forecast(self._curves, self._drawn, expected, asked, self._weights())
        epochs = np.array([self._epoch(option.trial) for option in options])
        ahead = math.ceil(self._epochs ** self._generator().random()) if may_begin else self._epochs
        mean, deviation = forecast.scores(np.minimum(epochs + ahead, self._epochs).astype(np.float64))
        above = (mean - forecast.top) / deviation
        promise = np.log(deviation) + _log_improvement(above)
        for option, value in zip(options, promise.tolist(), strict=True):
            if option.trial is not None:
                self._promise[option.trial] = value
        if not may_begin:
            front = self._curves.front()
            hopeless = (above < ndtri(HOPE)) & np.array([option.trial not in front for option in options])
            if hopeless.all():
                return None
            promise[hopeless] = -np.inf
        share = 1.0 if "seconds" in self._objectives else EQUAL
        equal = np.flatnonzero(promise >= promise.max() + math.log(share)).tolist()
        costs = forecast.seconds * (np.array([self._next_rung(option.trial) for option in options]) - epochs)
        tenths = np.round(np.log(costs), 1)  # costs that differ by less are the same
        return options[min(equal, key=lambda place: (tenths[place], -promise[place]))]

    def _catch_up(self) -> None:
        """Takes up what the history has that is new."""
        new = len(self._history.trials) - len(self._drawn)
        for record in reversed([*islice(reversed(self._history.trials.values()), new)]):  # without a walk over all
            self._drawn[record.name] = drawn = Drawn.of(record)
            self._sources.add(record.source)
            self._tried.add(_key(drawn))
        due: Curves | None = None
        for outcome in self._history.outcomes[self._heard :]:
            self._curves.add(outcome)
            self._reports += isinstance(outcome, Report)
            if self._forecaster.is_due(self._curves):
                due = copy.deepcopy(self._curves)
        self._heard = len(self._history.outcomes)
        if due is not None:
            self._forecaster.fit(due, self._drawn)

    def _waiting(self) -> list[str]:
        """Trials that are paused and that nobody was promised to."""
        promised = {option.trial for option in self._promised}
        return [name for name in self._in_state("paused") if name not in promised]

    def _in_state(self, state: State) -> list[str]:
        return [record.name for record in self._history.live.values() if record.state == state]

    def _epoch(self, trial: str | None) -> int:
        return 0 if trial is None else self._history.trials[trial].epoch

    def _next_rung(self, trial: str | None) -> int:
        later = (rung for rung in self._rungs if rung > self._epoch(trial))
        return next(later, self._epochs)  # one whose last report was not settled before its driver was killed

    def _weights(self) -> np.ndarray:
        """Of the objectives, for this choice: any that add up to 1, all as likely."""
        return self._generator().spawn(1)[0].dirichlet(np.ones(len(self._objectives)))

    def _generator(self) -> np.random.Generator:
        """Another one for each choice."""
        return np.random.default_rng([self._seed, 2, self._reports, len(self._drawn), len(self._promised)])


def _log_improvement(above: np.ndarray) -> np.ndarray:
    """The logarithm of the improvement to be expected of a standard normal score over one that lies `above` below its
    mean."""
    direct = above * ndtr(above) + np.exp(-0.5 * above**2) / math.sqrt(2 * math.pi)
    below = np.maximum(-above, 5.0)  # where the direct sum loses its digits: an expansion of Mills' ratio
    tail = np.log1p(-3 / below**2 + 15 / below**4) - 0.5 * below**2 - 0.5 * math.log(2 * math.pi) - 2 * np.log(below)
    return np.where(above > -5, np.log(np.maximum(direct, 1e-300)), tail)


def _key(drawn: Drawn) -> str:
    return json.dumps(dict(drawn.params), sort_keys=True)
