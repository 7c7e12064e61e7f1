"""What becomes of a trial: every word from it is turned into lines of the ledger and a decision, here and nowhere else.

Knows nothing of Ray. What a killed driver left undecided is decided when the next one takes up the run.
"""

from __future__ import annotations

from typing import Protocol

from search.ledger import Ledger
from search.records import Action, Decision, End, Report, Retry

RETRIES = 3
"""How often a trial is taken up again after its process died or hung, without an epoch in between, before it counts as
failed. One that gets on is not to blame: nodes that come and go may take it with them many times."""


class Decider(Protocol):
    """Decides who goes on: rungs, or a policy that also proposes trials."""

    def decide(self, report: Report) -> Decision:
        """What becomes of a trial after a report, which is not its last, and is in the ledger."""
        ...

    def surplus(self) -> list[str]:
        """Paused trials that will not go on, and are to be stopped."""
        ...

    def forget(self, trial: str) -> None:
        """As if the trial had not been: it diverged or failed, and what it had reached says nothing."""
        ...


class Judge:
    """Writes what trials report, and how they end, to the ledger."""

    def __init__(self, ledger: Ledger, epochs: int, decider: Decider) -> None:
        self._ledger = ledger
        self._epochs = epochs
        self._decider = decider
        for record in list(ledger.records.values()):
            if record.state == "running" and record.reports:
                self._settle(record.reports[-1])

    def reported(self, report: Report) -> Action:
        """A trial ended an epoch: does it go on? One that was taken up again may repeat what the ledger has."""
        if report.epoch <= self._ledger.records[report.trial].epoch:
            return "continue"
        self._ledger.append(report)
        return self._settle(report)

    def ended(self, end: End) -> Action:
        """A trial diverged or failed."""
        self._decider.forget(end.trial)
        self._ledger.append(end)
        return "stop"

    def retried(self, retry: Retry) -> Action:
        """A trial goes on from the last epoch it saved."""
        self._ledger.append(retry)
        return "continue"

    def retries_left(self, trial: str) -> int:
        """How often its process may yet die or hang. What it did about memory or damage is none of that."""
        return max(0, RETRIES - self._ledger.records[trial].deaths)

    def halved(self, trial: str) -> bool:
        """Whether memory ran out before, so that it has half the micro-batch: that is done once."""
        return any(retry.reason == "memory" for retry in self._ledger.records[trial].retries)

    def _settle(self, report: Report) -> Action:
        """Whatever is still to be written after the trial's newest report."""
        record = self._ledger.records[report.trial]
        if report.epoch >= (record.epochs or self._epochs):
            self._ledger.append(End(trial=record.name, state="completed"))
            return "stop"
        decision = next((made for made in record.decisions if made.epoch == report.epoch), None)
        if decision is None:
            decision = self._decider.decide(report)
            self._ledger.append(decision)
        if decision.action == "stop":
            self._ledger.append(End(trial=record.name, state="stopped"))
        for name in self._decider.surplus():
            self._ledger.append(End(trial=name, state="stopped"))
        return decision.action

    def close(self) -> None:
        """The search is over: no paused trial goes on."""
        for record in list(self._ledger.records.values()):
            if record.state == "paused":
                self._ledger.append(End(trial=record.name, state="stopped"))
