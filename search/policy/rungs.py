"""Asynchronous Successive Halving (Li et al. 2020, https://arxiv.org/abs/1810.05934): who goes on, and who is stopped.

At epochs 2, 6, 18, ... a trial goes on only if the best overall it has reached is in the top third of what the trials
before it had reached there (Algorithm 2's promotion, turned round: Ray Tune's ASHA stops where the paper pauses).

Pure bookkeeping, a function of the ledger's records: a resumed run decides as it would have.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count, takewhile

import numpy as np

from search.records import Decision, Report, TrialRecord, is_fit

GRACE = 2
"""Epochs that every trial gets."""
REDUCTION_FACTOR = 3


class Rungs:
    """What trials had reached at each rung, those of `records` to begin with. Without `early_stopping` there is none,
    and every trial goes on."""

    def __init__(self, epochs: int, *, early_stopping: bool, records: Iterable[TrialRecord] = ()) -> None:
        rungs = takewhile(lambda epoch: epoch < epochs, (GRACE * REDUCTION_FACTOR**k for k in count()))
        self._reached: dict[int, dict[str, float]] = {epoch: {} for epoch in rungs} if early_stopping else {}
        for record in records:
            if is_fit(record):
                for decision in record.decisions:
                    if decision.rung in self._reached:
                        self._reached[decision.rung][record.name] = record.reports[decision.epoch - 1].best

    def decide(self, report: Report) -> Decision:
        """What becomes of a trial after a report, which is not its last."""
        trial, epoch, best = report.trial, report.epoch, report.best
        if epoch not in self._reached:
            return Decision(trial=trial, epoch=epoch, action="continue", rung=None, cutoff=None)
        others = self._reached[epoch]
        cutoff = float(np.percentile(list(others.values()), 100 * (1 - 1 / REDUCTION_FACTOR))) if others else None
        others[trial] = best
        stops = cutoff is not None and best < cutoff
        return Decision(trial=trial, epoch=epoch, action="stop" if stops else "continue", rung=epoch, cutoff=cutoff)

    def forget(self, trial: str) -> None:
        """As if the trial had not been: it diverged or failed, and what it had reached says nothing."""
        for others in self._reached.values():
            others.pop(trial, None)

    def surplus(self) -> list[str]:
        """None: it never pauses a trial."""
        return []
