"""What a person sees: lines in a pipe, a table on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest

from model.console import Console
from search.ledger import Ledger
from search.progress import LiveTable, PlainLines, clock, progress, seconds_left, summary
from search.records import (
    Decision,
    End,
    History,
    Promoted,
    Reason,
    Report,
    Retry,
    Session,
    TrialError,
    TrialEvent,
    leaderboard,
)
from tests.search.events import TASKS, report, suggested

ERROR = TrialError(type="ValueError", message="[boom]\nmore", traceback="...")
FAILURE = End(trial="t004", state="failed", error=ERROR)
EVENTS: list[TrialEvent] = [
    suggested("t001", "point baseline"),
    suggested("t002"),
    report("t001", 1, 0.5),
    report("t001", 2, 0.4, best=0.5),
    End(trial="t001", state="completed"),
    report("t002", 1, 0.25),
    Decision(trial="t002", epoch=1, action="stop", rung=1, cutoff=0.5),
    End(trial="t002", state="stopped"),
    suggested("t003"),
    End(trial="t003", state="diverged"),
    suggested("t004"),
    FAILURE,
    suggested("t005"),
    report("t005", 1, 0.6),
]


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    for event in EVENTS:
        ledger.append(event)
    return ledger


def test_a_pipe_gets_a_line_for_each_report_and_end(ledger: Ledger) -> None:
    console = Console(file=io.StringIO(), width=40)
    shown = progress(console, ledger.history, TASKS, trials=6, epochs=2)
    assert isinstance(shown, PlainLines)
    ledger.listen(shown)
    with shown:
        for event in EVENTS:
            ledger.append(event)
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "t001  starts, proposed by point baseline",
        "t002  starts, proposed by tpe",
        "t001  epoch 1/2  sentiment 0.500  paraphrase 0.500  similarity 0.500  overall 0.5000  best 0.5000",
        "t001  epoch 2/2  sentiment 0.400  paraphrase 0.400  similarity 0.400  overall 0.4000  best 0.5000",
        "t001  completed, best 0.5000 in epoch 1",
        "t002  epoch 1/2  sentiment 0.250  paraphrase 0.250  similarity 0.250  overall 0.2500  best 0.2500",
        "t002  stopped after epoch 1: best 0.2500, below 0.5000",
        "t003  starts, proposed by tpe",
        "t003  diverged in epoch 1",
        "t004  starts, proposed by tpe",
        "t004  failed: ValueError: [boom]",
        "t005  starts, proposed by tpe",
        "t005  epoch 1/2  sentiment 0.600  paraphrase 0.600  similarity 0.600  overall 0.6000  best 0.6000",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_what_made_epochs_slow_is_told_once(ledger: Ledger, terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=110, height=30, force_terminal=terminal, color_system=None)
    ledger.listen(progress(console, ledger.history, TASKS, trials=6, epochs=2))
    for event in EVENTS[:3]:
        ledger.append(replace(event, note="no room [here]") if isinstance(event, Report) else event)
    ledger.append(replace(report("t002", 1, 0.25), note="no room [here]"))
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert out.count("no room") == 1
    assert "t001  no room [here]\n" in out


def test_a_terminal_gets_a_table(filled: Ledger) -> None:
    console = Console(file=io.StringIO(), width=110, height=30, force_terminal=True, color_system=None)
    shown = progress(console, filled.history, TASKS, trials=6, epochs=2)
    assert isinstance(shown, LiveTable)
    with shown:
        shown(FAILURE, filled.records["t004"])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "t004  failed: ValueError: [boom]" in text
    rows = [line.replace("│", " ").split() for line in text.splitlines() if "│" in line]
    assert rows[:5] == [
        ["t005", "0.6000", "0.600", "0.600", "0.600", "1/2", "running", "1k", "tpe"],
        ["t001", "0.5000", "0.500", "0.500", "0.500", "2/2", "completed", "1k", "point", "baseline"],
        ["t002", "0.2500", "0.250", "0.250", "0.250", "1/2", "stopped", "1k", "tpe"],
        ["t003", "-", "-", "-", "-", "0/2", "diverged", "-", "tpe"],
        ["t004", "-", "-", "-", "-", "0/2", "failed", "-", "tpe"],
    ]
    assert "best so far 0.6000 (t005) · 4 of 6 trials ended (1 completed, 1 stopped, 1 diverged, 1 failed)" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_of_what_is_trained_on_dev_no_score_is_shown(ledger: Ledger, terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=110, height=30, force_terminal=terminal, color_system=None)
    with progress(console, ledger.history, TASKS, trials=1, epochs=5) as shown:
        ledger.listen(shown)
        ledger.append(replace(suggested("d001", "r003 on train and dev"), epochs=2))
        for epoch in (1, 2):
            ledger.append(report("d001", epoch, 0.987))
        ledger.append(End(trial="d001", state="completed"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "987" not in text
    if terminal:
        rows = [line.replace("│", " ").split()[:7] for line in text.splitlines() if "│" in line]
        assert ["d001", "-", "-", "-", "-", "2/2", "completed"] in rows
        assert "best so far" not in text
    else:
        assert text.splitlines()[1:] == [
            "d001  epoch 1/2  dev is part of train: no scores",
            "d001  epoch 2/2  dev is part of train: no scores",
            "d001  completed with epoch 2",
        ]


PAUSES: list[TrialEvent] = [
    suggested("t001", "random"),
    report("t001", 1, 0.5),
    Decision(trial="t001", epoch=1, action="continue", rung=None, cutoff=None),
    report("t001", 2, 0.25, best=0.5),
    Decision(trial="t001", epoch=2, action="pause", rung=2, cutoff=None),
    suggested("t002", "surrogate"),
    Promoted(trial="t001"),
    report("t001", 3, 0.75),
    Decision(trial="t001", epoch=3, action="pause", rung=3, cutoff=None),
    End(trial="t001", state="stopped"),
]


def test_a_pipe_is_told_who_pauses_and_who_goes_on(ledger: Ledger) -> None:
    console = Console(file=io.StringIO(), width=40)
    ledger.listen(progress(console, ledger.history, TASKS, trials=6, epochs=4))
    for event in PAUSES:
        ledger.append(event)
    said = [line.partition("  sentiment")[0] for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert said == [
        "t001  starts, proposed by random",
        "t001  epoch 1/4",
        "t001  epoch 2/4",
        "t001  pauses",
        "t002  starts, proposed by surrogate",
        "t001  goes on after epoch 2",
        "t001  epoch 3/4",
        "t001  pauses",
        "t001  stopped after epoch 3: best 0.7500",
    ]


def test_a_paused_trial_stays_in_the_table_and_has_not_ended(ledger: Ledger) -> None:
    for event in PAUSES[:6]:
        ledger.append(event)
    console = Console(file=io.StringIO(), width=110, height=30, force_terminal=True, color_system=None)
    with progress(console, ledger.history, TASKS, trials=6, epochs=4):
        pass
    text = console.file.getvalue()  # type: ignore[attr-defined]
    rows = [line.replace("│", " ").split() for line in text.splitlines() if "│" in line]
    assert rows[:2] == [
        ["t001", "0.5000", "0.500", "0.500", "0.500", "2/4", "paused", "1k", "random"],
        ["t002", "-", "-", "-", "-", "0/4", "running", "-", "surrogate"],
    ]
    assert "best so far 0.5000 (t001) · 0 of 6 trials ended (1 paused)" in text


def test_a_low_terminal_shows_what_runs_and_the_best(filled: Ledger) -> None:
    console = Console(file=io.StringIO(), width=100, height=8, force_terminal=True, color_system=None)
    with progress(console, filled.history, TASKS, trials=6, epochs=2):
        pass
    names = [line.split()[1] for line in console.file.getvalue().splitlines() if line.startswith("│")]  # type: ignore[attr-defined]
    assert names[:3] == ["t005", "t001", "t002"]
    assert set(names) == {"t005", "t001", "t002"}


def test_time_left_goes_by_the_epochs_that_trials_took(filled: Ledger) -> None:
    ranked = leaderboard(filled.records.values())
    # Four trials ended after 3 epochs, 0.75 each; the running one has had 1; one is to come; 4 epochs took 40 s.
    assert seconds_left(ranked, trials=6, epochs=2, elapsed=40) == pytest.approx((0.5 + 0.75) * 10)
    assert seconds_left([], trials=6, epochs=2, elapsed=40) is None
    assert summary([], 6, 2, 3.0) == "0 of 6 trials ended · 0:03 gone"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("died", "its process died (boom): taken up again"),
        ("hung", "it hung (boom): taken up again"),
        ("memory", "out of memory (boom): taken up again, now with half the micro-batch"),
        ("damaged", "its saved state is damaged (boom): taken up again"),
    ],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_a_trial_that_is_taken_up_again(ledger: Ledger, reason: Reason, text: str, terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)
    ledger.append(suggested("t001"))
    with progress(console, ledger.history, TASKS, trials=1, epochs=2) as shown:
        ledger.listen(shown)
        error = TrialError(type="Died", message="boom\nmore", traceback="...")
        ledger.append(Retry(trial="t001", reason=reason, error=error))
    assert f"t001  {text}\n" in console.file.getvalue()  # type: ignore[attr-defined]


def test_without_a_number_of_trials_there_is_no_time_left(filled: Ledger) -> None:
    ranked = leaderboard(filled.records.values())
    assert seconds_left(ranked, trials=None, epochs=2, elapsed=40) is None
    assert summary(ranked, None, 2, 40.0) == (
        "best so far 0.6000 (t005) · 4 trials ended (1 completed, 1 stopped, 1 diverged, 1 failed) · 0:40 gone"
    )
    assert summary([], None, 2, 3.0) == "0 trials ended · 0:03 gone"


def test_a_resumed_run_counts_the_time_it_took_before(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(
        [Session(setup_seconds=60.0, time=0.0), suggested(), End(trial="t001", state="diverged", time=3601.0)]
    )
    console = Console(file=io.StringIO(), width=110, height=30, force_terminal=True, color_system=None)
    monkeypatch.setattr("search.progress.time", SimpleNamespace(monotonic=lambda: 5.0))
    with progress(console, history, TASKS, trials=2, epochs=2):
        pass
    assert "1 of 2 trials ended (1 diverged) · 1:01:01 gone" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3661, "1:01:01")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
