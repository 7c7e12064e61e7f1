"""What a run's ledger says: its events, and the records that they come to.

`History.apply` is the one function that turns events into records. The driver of a run applies each event as it writes
it, everybody else when they read: searcher, scheduler, live table and analysis see the same records by construction.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from model.training.loop import Epoch  # with torch, which whoever reads a run can do without

EndState = Literal["completed", "stopped", "diverged", "failed"]
"""Reached its last epoch; ended early by the scheduler; left the finite numbers; raised an error or died too often."""
State = Literal["running", "unfinished", "paused", "completed", "stopped", "diverged", "failed"]
"""`unfinished`: it ran when the driver let go of the run or died (`put_down`). `paused`: it can go on, and need not."""
Action = Literal["continue", "pause", "stop"]
Reason = Literal["died", "hung", "memory", "damaged"]
"""Its process died; made no progress and was killed; ran out of memory; found its last saved state damaged."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """A driver took up the run: at its start, and at each resume."""

    setup_seconds: float = 0.0
    """What reading, further pre-training and starting Ray took before."""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class SessionEnd:
    """The driver let go of the run, in order: what its trials did since their last report counts as time spent."""

    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class Suggested:
    """A trial was drawn from the space, or is one of a list to be trained."""

    trial: str
    """Its name: t001, t002, ...; of a list another letter and a number."""
    source: str
    """Who proposed it: `point NAME` of the space's POINTS, `random`, `surrogate` or `tpe`; of a list what it is trained
    for."""
    params: Mapping[str, Any]
    """The drawn parameters, by the space's names."""
    distributions: Mapping[str, Any]
    """What each was drawn from: Optuna's JSON of a distribution."""
    config: Mapping[str, Any]
    """The TrialConfig they made, as a dictionary."""
    seed: int | None = None
    """Its own; None where all trials have the run's."""
    epochs: int | None = None
    """Ends after so many, and is the model of the last: it is trained on dev too, whose scores say nothing then. None:
    it has the run's, and is the model of its best."""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A trial ended an epoch."""

    trial: str
    epoch: int
    scores: Mapping[str, float]
    """Each task's own metric on dev."""
    clean_scores: Mapping[str, float]
    """The same without the dev examples that stand in train too; without a task of which none remain."""
    train_scores: Mapping[str, float]
    """Each task's own metric on a fixed sample of its training examples."""
    losses: Mapping[str, float]
    """Mean training loss an example, by task."""
    overall: float
    clean_overall: float | None
    """Of `clean_scores`; None where a task is missing there."""
    best: float
    """The best overall so far, this epoch's included."""
    examples: int
    """Training examples in this epoch."""
    train_seconds: float
    seconds: float
    """Training and evaluation."""
    trainable_parameters: int
    note: str | None = None
    """Why the epoch took longer than it should have, for people to read."""
    time: float = field(default_factory=time.time)

    @classmethod
    def of(cls, trial: str, epoch: Epoch, best: float) -> Self:
        """What `trial` reports of `epoch`, after which the best overall is `best`."""
        return cls(
            trial=trial,
            epoch=epoch.number,
            scores=epoch.scores,
            clean_scores=epoch.clean_scores,
            train_scores=epoch.train_scores,
            losses=epoch.losses,
            overall=epoch.overall,
            clean_overall=epoch.clean_overall,
            best=best,
            examples=epoch.examples,
            train_seconds=epoch.train_seconds,
            seconds=epoch.seconds,
            trainable_parameters=epoch.trainable_parameters,
            note=epoch.note,
        )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the scheduler made of a report, where it had a choice."""

    trial: str
    epoch: int
    action: Action
    rung: int | None
    """The epoch of the rung that the trial reached, if it reached one."""
    cutoff: float | None
    """Below this best overall a trial was stopped at the rung; None for the first to reach it."""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class TrialError:
    """What went wrong with a trial."""

    type: str
    message: str
    traceback: str


@dataclass(frozen=True, kw_only=True)
class Retry:
    """A trial is taken up again from the last epoch that it saved."""

    trial: str
    reason: Reason
    error: TrialError
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class End:
    """A trial will report no more."""

    trial: str
    state: EndState
    error: TrialError | None = None
    """For `failed` alone."""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """A paused trial goes on from the last epoch that it saved."""

    trial: str
    time: float = field(default_factory=time.time)


POINT = "point "
"""What the source of a trial begins with that is one of the space's POINTS."""

TrialEvent = Suggested | Report | Decision | Promoted | Retry | End
Event = Session | SessionEnd | TrialEvent


@dataclass(kw_only=True)
class TrialRecord:
    """All that is known of one trial."""

    name: str
    source: str
    params: Mapping[str, Any]
    distributions: Mapping[str, Any]
    config: Mapping[str, Any]
    seed: int | None = None
    epochs: int | None = None
    reports: list[Report] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    retries: list[Retry] = field(default_factory=list)
    deaths: int = 0
    """How often its process died or hung since its last report."""
    state: State = "running"
    """By the ledger, `running` also where the run itself was interrupted."""
    error: TrialError | None = None

    @property
    def best(self) -> Report | None:
        """The report that the trial is judged by; None before the first."""
        return best_of(self.reports) if self.reports else None

    @property
    def kept(self) -> Report | None:
        """The report of the epoch whose weights are the trial's; None before there is one."""
        return kept_of(self.reports, self.epochs)

    @property
    def has_ended(self) -> bool:
        """Whether it will report no more."""
        return self.state not in ("running", "unfinished", "paused")

    @property
    def epoch(self) -> int:
        """Epochs reported so far."""
        return len(self.reports)


def put_down(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The records of a run that nobody writes to any more: what ran is unfinished."""
    return [replace(record, state="unfinished") if record.state == "running" else record for record in records]


def count_states(records: Iterable[TrialRecord]) -> str:
    """How many trials are in which state, in words."""
    counts = Counter(record.state for record in records)
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def best_of(reports: Iterable[Report]) -> Report:
    """The report of the highest overall, the earliest among equals."""
    return max(reports, key=lambda report: report.overall)


def kept_of(reports: Sequence[Report], epochs: int | None) -> Report | None:
    """The report of the epoch whose weights are kept: that of number `epochs`, or, where that is None, the best so far.
    None before there is one."""
    if epochs is None:
        return best_of(reports) if reports else None
    return next((report for report in reports if report.epoch == epochs), None)


class History:
    """All that is known of a run's trials, and of the time spent on them."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.trials: dict[str, TrialRecord] = {}
        """By name, in the order of their suggestion."""
        self.live: dict[str, TrialRecord] = {}
        """Those that have not ended: few, however many there were."""
        self.outcomes: list[Report | End] = []
        """What trials have reported and how they ended, in the ledger's order."""
        self.last_trial: str | None = None
        """The one that the newest event on a trial is about."""
        self._epochs = 0
        self._last_time = 0.0
        self._seconds_before = 0.0
        self._session_start: float | None = None
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """One event more. Raises ValueError, and changes nothing, where it can't follow those before."""
        self.check(event)
        match event:
            case Session():
                self._seconds_before = self.seconds_spent()
                self._session_start = event.time - event.setup_seconds
            case SessionEnd():
                pass
            case Suggested():
                self.live[event.trial] = self.trials[event.trial] = TrialRecord(
                    name=event.trial,
                    source=event.source,
                    params=event.params,
                    distributions=event.distributions,
                    config=event.config,
                    seed=event.seed,
                    epochs=event.epochs,
                )
            case Report():
                self.trials[event.trial].reports.append(event)
                self.trials[event.trial].deaths = 0
                self._epochs += 1
                self.outcomes.append(event)
            case Decision():
                self.trials[event.trial].decisions.append(event)
                if event.action == "pause":
                    self.trials[event.trial].state = "paused"
            case Promoted():
                self.trials[event.trial].state = "running"
            case Retry():
                self.trials[event.trial].retries.append(event)
                self.trials[event.trial].deaths += event.reason in ("died", "hung")
            case End():
                self.trials[event.trial].state = event.state
                self.trials[event.trial].error = event.error
                del self.live[event.trial]
                self.outcomes.append(event)
        if isinstance(event, TrialEvent):
            self.last_trial = event.trial
        self._last_time = event.time

    def check(self, event: Event) -> None:
        """Raises ValueError where `event` can't follow: a trial is suggested, reports epochs 1, 2, ..., and ends."""
        if isinstance(event, (Session, SessionEnd)):
            return
        record = self.trials.get(event.trial)
        if isinstance(event, Suggested):
            if record is not None:
                raise ValueError(f"trial {event.trial} is suggested twice")
        elif record is None:
            raise ValueError(f"trial {event.trial} was never suggested")
        elif record.state == "paused":
            if not isinstance(event, Promoted | End):
                raise ValueError(f"trial {event.trial} is paused")
        elif record.state != "running":
            raise ValueError(f"trial {event.trial} has ended as {record.state}")
        elif isinstance(event, Promoted):
            raise ValueError(f"trial {event.trial} goes on without having been paused")
        elif isinstance(event, Report) and event.epoch != record.epoch + 1:
            raise ValueError(f"trial {event.trial} reports epoch {event.epoch} after epoch {record.epoch}")

    def seconds_spent(self) -> float:
        """Wall-clock time of all sessions, each from its command to its last event: what came after that died with its
        driver."""
        if self._session_start is None:
            return self._seconds_before
        return self._seconds_before + max(0.0, self._last_time - self._session_start)

    def epochs_spent(self) -> int:
        """Epochs that were reported, of all trials."""
        return self._epochs


def leaderboard(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """By best overall, best first; after them diverged and failed trials and those without a report."""

    def rank(record: TrialRecord) -> tuple[bool, float, str]:
        return (not is_fit(record), -record.best.overall if record.best else 0.0, record.name)

    return sorted(records, key=rank)


def winner(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The best trial that can win: one with a report that neither diverged nor failed. None where there is none."""
    return next((record for record in leaderboard(records) if is_fit(record)), None)


def is_fit(record: TrialRecord) -> bool:
    """Whether its scores count: it has a report, and neither diverged nor failed."""
    return record.best is not None and record.state not in ("diverged", "failed")
