"""One epoch for all, then the best few in full: a baseline for whatever claims to choose better.

Of what early stopping saves, most is often had by stopping after the first epoch (Egele et al. 2023,
https://arxiv.org/abs/2207.14192). Configurations are the space's POINTS and random draws, nothing is learned from any.
"""

from __future__ import annotations

from search.policy.candidates import Candidates
from search.policy.encoding import Drawn
from search.policy.policy import Option
from search.records import POINT, Action, Decision, History, Report, TrialRecord, is_fit

KEPT = 3
"""Trials that go on after all have had their first epoch."""


class OneEpoch:
    """The policy, over a ledger's history, which it reads and does not write. All of it is in there: a search that is
    resumed makes the same choices."""

    def __init__(self, candidates: Candidates, history: History, *, trials: int) -> None:
        self._candidates = candidates
        self._history = history
        self._trials = trials

    def decide(self, report: Report) -> Decision:
        """After the first epoch, a trial pauses if it is one of the best so far."""
        if report.epoch > 1:
            return Decision(trial=report.trial, epoch=report.epoch, action="continue", rung=None, cutoff=None)
        action: Action = "pause" if report.trial in self._best() else "stop"
        return Decision(trial=report.trial, epoch=1, action=action, rung=1, cutoff=None)

    def surplus(self) -> list[str]:
        """Paused trials that are among the best no longer."""
        best = self._best()
        return [record.name for record in self._paused() if record.name not in best]

    def forget(self, trial: str) -> None:
        """Nothing to do: the history tells who diverged or failed."""

    def has_more(self) -> bool:
        """Whether a trial can begin or, when all have had their first epoch, go on."""
        return self._may_begin() or bool(self._paused() and self._all_known())

    def next(self) -> Option | None:
        """A new trial as long as there is one, then the best that is paused."""
        if self._may_begin():
            begun = len(self._history.trials)
            if begun < len(points := list(self._candidates.points)):
                return Option(None, self._candidates.point(points[begun]), f"{POINT}{points[begun]}")
            return Option(None, self._candidates.fresh(begun)[-1], "random")
        if not self._all_known():
            return None
        best = max(self._paused(), key=_first_epoch, default=None)
        return None if best is None else Option(best.name, Drawn(best.params, {}))

    def _may_begin(self) -> bool:
        return len(self._history.trials) < self._trials

    def _all_known(self) -> bool:
        return all(record.reports for record in self._history.live.values())

    def _paused(self) -> list[TrialRecord]:
        return [record for record in self._history.live.values() if record.state == "paused"]

    def _best(self) -> set[str]:
        known = [record for record in self._history.trials.values() if is_fit(record)]
        return {record.name for record in sorted(known, key=_first_epoch, reverse=True)[:KEPT]}


def _first_epoch(record: TrialRecord) -> float:
    return record.reports[0].overall
