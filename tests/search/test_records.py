"""What events come to: records, and the time and epochs spent on them."""

from __future__ import annotations

import pytest

from search.records import (
    Decision,
    End,
    Event,
    History,
    Promoted,
    Retry,
    Session,
    SessionEnd,
    TrialError,
    best_of,
    is_fit,
    leaderboard,
    winner,
)
from tests.search.events import report, suggested
from tests.support import refused

ERROR = TrialError(type="ValueError", message="boom", traceback="Traceback ...\nValueError: boom")
EVENTS: list[Event] = [
    Session(setup_seconds=5.0, time=100.0),
    suggested("t001", "point baseline", rate=1e-5, pooling="mean", norm=None),
    suggested("t002"),
    report("t001", 1, 0.5),
    Decision(trial="t001", epoch=1, action="continue", rung=None, cutoff=None),
    Retry(trial="t001", reason="died", error=ERROR),
    report("t001", 2, 0.4, best=0.5),
    Decision(trial="t001", epoch=2, action="stop", rung=2, cutoff=0.6),
    End(trial="t001", state="stopped"),
    End(trial="t002", state="failed", error=ERROR),
    SessionEnd(time=130.0),
]


def failure(trial: str, time: float) -> End:
    return End(trial=trial, state="failed", error=ERROR, time=time)


PAUSED: list[Event] = [
    suggested(),
    report(),
    Decision(trial="t001", epoch=1, action="pause", rung=1, cutoff=None),
]


def test_events_come_to_records() -> None:
    history = History(EVENTS)
    first, second = history.trials.values()
    assert (first.name, first.source, first.state, first.epoch) == ("t001", "point baseline", "stopped", 2)
    assert first.params == {"rate": 1e-5, "pooling": "mean", "norm": None}
    assert first.reports == [EVENTS[3], EVENTS[6]]
    assert first.decisions == [EVENTS[4], EVENTS[7]]
    assert first.retries == [EVENTS[5]]
    assert first.best == EVENTS[3]
    assert (second.state, second.error, second.best, second.epoch) == ("failed", ERROR, None, 0)
    assert history.last_trial == "t002"
    assert history.epochs_spent() == 2
    assert history.live == {}
    assert list(History(PAUSED).live) == ["t001"]


@pytest.mark.parametrize(
    ("before", "event", "message"),
    [
        ([suggested()], suggested(), "trial t001 is suggested twice"),
        ([], report(), "trial t001 was never suggested"),
        ([], Retry(trial="t001", reason="hung", error=ERROR), "trial t001 was never suggested"),
        ([suggested()], report(epoch=2), "trial t001 reports epoch 2 after epoch 0"),
        ([suggested(), report()], report(), "trial t001 reports epoch 1 after epoch 1"),
        ([suggested(), End(trial="t001", state="diverged")], report(), "trial t001 has ended as diverged"),
        (
            [suggested(), End(trial="t001", state="failed")],
            End(trial="t001", state="failed"),
            "trial t001 has ended as failed",
        ),
        ([], Promoted(trial="t001"), "trial t001 was never suggested"),
        ([suggested()], Promoted(trial="t001"), "trial t001 goes on without having been paused"),
        ([*PAUSED, Promoted(trial="t001")], Promoted(trial="t001"), "trial t001 goes on without having been paused"),
        (PAUSED, report(epoch=2), "trial t001 is paused"),
        (PAUSED, Retry(trial="t001", reason="died", error=ERROR), "trial t001 is paused"),
        (PAUSED, PAUSED[-1], "trial t001 is paused"),
        (PAUSED, suggested(), "trial t001 is suggested twice"),
        ([*PAUSED, Promoted(trial="t001")], report(), "trial t001 reports epoch 1 after epoch 1"),
        ([*PAUSED, End(trial="t001", state="stopped")], Promoted(trial="t001"), "trial t001 has ended as stopped"),
    ],
)
def test_what_can_not_follow_changes_nothing(before: list[Event], event: Event, message: str) -> None:
    history = History(before)
    with refused(message, ValueError):
        history.apply(event)
    assert history.trials == History(before).trials
    assert history.last_trial == ("t001" if before else None)
    history.apply(Session())  # which can always follow
    history.apply(SessionEnd())


def test_a_trial_pauses_and_goes_on_and_has_ended_at_its_end() -> None:
    history = History()
    goes_on: list[Event] = [*PAUSED, Promoted(trial="t001"), report(epoch=2), End(trial="t001", state="completed")]
    found = []
    for event in goes_on:
        history.apply(event)
        record = history.trials["t001"]
        found.append((record.state, record.has_ended, record.epoch))
    assert found == [
        ("running", False, 0),
        ("running", False, 1),
        ("paused", False, 1),
        ("running", False, 1),
        ("running", False, 2),
        ("completed", True, 2),
    ]
    assert history.outcomes == [goes_on[1], goes_on[4], goes_on[5]], "what was reported, and how it ended, in order"
    assert history.last_trial == "t001"


def test_a_paused_trial_can_win() -> None:
    trials = History([*PAUSED, suggested("t002"), report("t002", 1, 0.4)]).trials
    assert winner(trials.values()) is trials["t001"]


def test_time_is_that_of_all_sessions_from_the_command_to_the_last_event() -> None:
    history = History()
    assert history.seconds_spent() == 0
    history.apply(Session(setup_seconds=5.0, time=1000.0))
    assert history.seconds_spent() == 5
    history.apply(suggested())
    history.apply(failure("t001", time=1030.0))
    assert history.seconds_spent() == 35
    history.apply(Session(setup_seconds=4.0, time=5000.0))
    assert history.seconds_spent() == 39, "what lies between two sessions is not spent"
    history.apply(Session(setup_seconds=0.5, time=6000.0))
    history.apply(suggested("t002"))
    history.apply(failure("t002", time=6010.0))
    assert history.seconds_spent() == 49.5
    history.apply(SessionEnd(time=6025.0))
    assert history.seconds_spent() == 64.5, "up to an end in order"
    history.apply(Session(setup_seconds=2.0, time=7000.0))
    assert history.seconds_spent() == 66.5


def test_a_clock_that_was_set_back_takes_no_time_away() -> None:
    history = History([Session(time=1000.0), suggested(), failure("t001", time=1020.0)])
    for event in (Session(setup_seconds=3.0, time=2000.0), suggested("t002"), failure("t002", time=500.0)):
        history.apply(event)
    assert history.seconds_spent() == 20


def test_leaderboard_is_by_the_best_epoch_with_unfit_trials_last() -> None:
    history = History(suggested(name) for name in ("t001", "t002", "t003", "t004", "t005"))
    for event in (
        report("t001", 1, 0.5),
        report("t002", 1, 0.7),
        report("t002", 2, 0.1, best=0.7),
        report("t003", 1, 0.9),
        report("t005", 1, 0.5),
        End(trial="t003", state="diverged"),
    ):
        history.apply(event)
    trials = history.trials
    assert winner(trials.values()) is trials["t002"]
    assert winner([trials["t003"], trials["t004"]]) is None
    assert [record.name for record in leaderboard(trials.values())] == ["t002", "t001", "t005", "t003", "t004"]
    assert [name for name, record in trials.items() if is_fit(record)] == ["t001", "t002", "t005"]


def test_of_equal_epochs_the_first_is_the_best() -> None:
    assert (
        best_of([report(epoch=1, overall=0.3), report(epoch=2, overall=0.5), report(epoch=3, overall=0.5)]).epoch == 2
    )
