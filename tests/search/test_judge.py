"""What becomes of trials, line by line of the ledger, whenever its driver is killed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from search.judge import RETRIES, Judge
from search.ledger import Ledger
from search.records import Action, Decision, Promoted, Reason, Report, Retry
from tests.search.events import report, suggested
from tests.search.scripted import DIVERGES, ERROR, FAILS, Word, judging, lines, play

EPOCHS = 4
SERIAL: dict[str, list[Word]] = {
    "t001": [0.3, 0.5, 0.4, 0.6],
    "t002": [0.4, 0.2],  # below 0.5 at the rung of epoch 2
    "t003": [0.7, 0.8, DIVERGES],
    "t004": [0.6, FAILS],
    "t005": [DIVERGES],
    "t006": [0.1, 0.48, 0.9, 0.8],  # above 0.47, since t003 is forgotten
    "t007": [0.45, 0.45],
}
ONE_BY_ONE = [(name, word) for name, words in SERIAL.items() for word in words]
IN_TURN = [
    (name, words[i]) for i, name in itertools.product(range(EPOCHS), SERIAL) if i < len(words := SERIAL[name])
]  # fmt: skip


def kinds(ledger: Ledger) -> list[str]:
    order: list[str] = []
    ledger.listen(lambda event, record: order.append(type(event).__name__))
    return order


def test_each_word_is_on_disk_before_the_decision_is_known(ledger: Ledger) -> None:
    order = kinds(ledger)
    judge = judging(ledger, 2)
    ledger.append(suggested())
    assert judge.reported(report(epoch=1, overall=0.5)) == "continue"
    assert judge.retried(Retry(trial="t001", reason="died", error=ERROR)) == "continue"
    assert judge.reported(report(epoch=2, overall=0.6)) == "stop"
    assert order == ["Suggested", "Report", "Decision", "Retry", "Report", "End"]
    assert ledger.records["t001"].state == "completed"


def test_how_trials_end(ledger: Ledger) -> None:
    play(ledger, judging(ledger, EPOCHS), ONE_BY_ONE)
    assert {name: record.state for name, record in ledger.records.items()} == {
        "t001": "completed",
        "t002": "stopped",
        "t003": "diverged",
        "t004": "failed",
        "t005": "diverged",
        "t006": "completed",
        "t007": "stopped",
    }
    assert ledger.records["t003"].epoch == 2, "the epoch in which it diverged is none"
    assert ledger.records["t004"].error == ERROR


@pytest.mark.parametrize("epochs", [1, 2])
def test_within_the_grace_period_nothing_is_stopped(ledger: Ledger, epochs: int) -> None:
    judge = judging(ledger, epochs)
    play(ledger, judge, [(name, overall) for name, overall in (("t001", 0.5), ("t002", 0.1)) for _ in range(epochs)])
    assert {record.state for record in ledger.records.values()} == {"completed"}


def test_without_early_stopping_the_weakest_trains_to_its_end(ledger: Ledger) -> None:
    judge = judging(ledger, 7, early_stopping=False)
    play(ledger, judge, [(name, overall) for name, overall in (("t001", 0.9), ("t002", 0.1)) for _ in range(7)])
    play(ledger, judge, [("t003", 0.1), ("t003", DIVERGES)])
    assert [record.state for record in ledger.records.values()] == ["completed", "completed", "diverged"]
    assert {(d.action, d.rung) for record in ledger.records.values() for d in record.decisions} == {("continue", None)}


def test_a_repeated_report_is_nothing_new(ledger: Ledger) -> None:
    judge = judging(ledger, EPOCHS)
    play(ledger, judge, [("t001", 0.3), ("t001", 0.5)])
    order = kinds(ledger)
    assert [judge.reported(report(epoch=epoch, overall=0.9)) for epoch in (1, 2)] == ["continue"] * 2
    assert order == []
    assert judge.reported(report(epoch=3, overall=0.5)) == "continue"
    assert order == ["Report", "Decision"]


@pytest.mark.parametrize("order", [ONE_BY_ONE, IN_TURN], ids=["one by one", "in turn"])
def test_a_kill_after_any_line_changes_no_line_that_follows(
    tmp_path: Path, unsynced: None, order: list[tuple[str, Word]]
) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        play(ledger, judging(ledger, EPOCHS), order)
    whole, expected = path.read_bytes(), lines(path)
    written = whole.splitlines(keepends=True)
    assert len(written) > 30
    for count in range(len(written)):
        path.write_bytes(b"".join(written[:count]))
        with Ledger(path) as ledger:
            play(ledger, judging(ledger, EPOCHS), order)
        assert lines(path) == expected, f"killed after line {count}"


@pytest.mark.parametrize(("left_out", "settled"), [(2, ["decision", "end"]), (1, ["end"])])
def test_what_a_killed_driver_left_undecided_is_decided_at_once(
    tmp_path: Path, left_out: int, settled: list[str]
) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        play(
            ledger,
            judging(ledger, EPOCHS),
            [("t001", 0.9), ("t001", 0.9), ("t002", 0.1), ("t002", 0.1)],
        )
    expected = lines(path)
    assert [line["event"] for line in expected[-2:]] == ["decision", "end"]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-left_out]))
    with Ledger(path) as ledger:
        judging(ledger, EPOCHS)
        assert [line["event"] for line in lines(path)[-len(settled) :]] == settled
        assert lines(path) == expected


def test_retries_are_counted_in_the_ledger(tmp_path: Path) -> None:
    def left(*reasons: Reason) -> int:
        path = tmp_path / f"{'-'.join(reasons)}.jsonl"
        with Ledger(path) as ledger:
            judge = judging(ledger, EPOCHS)
            ledger.append(suggested())
            for reason in reasons:
                judge.retried(Retry(trial="t001", reason=reason, error=ERROR))
            live = judge.retries_left("t001")
        with Ledger(path) as ledger:
            assert judging(ledger, EPOCHS).retries_left("t001") == live, "as after a resume"
        return live

    assert RETRIES == 3
    assert left() == 3
    assert left("died") == 2
    assert left("died", "hung", "died") == 0
    assert left("died", "hung", "died", "hung") == 0
    assert left("damaged", "damaged", "damaged", "damaged") == 3, "that is no death"
    assert left("memory", "memory") == 3, "nor is that"


class Scripted:
    """Decides as it is told, by trial and epoch; else a trial goes on."""

    def __init__(self, actions: dict[tuple[str, int], Action], surplus: list[str] | None = None) -> None:
        self._actions = actions
        self._surplus = surplus or []

    def decide(self, report: Report) -> Decision:
        action = self._actions.get((report.trial, report.epoch), "continue")
        return Decision(trial=report.trial, epoch=report.epoch, action=action, rung=None, cutoff=None)

    def surplus(self) -> list[str]:
        due, self._surplus = self._surplus, []
        return due

    def forget(self, trial: str) -> None:
        raise AssertionError(f"{trial} did nothing wrong")


def test_a_paused_trial_goes_on_and_may_pause_again(ledger: Ledger) -> None:
    judge = Judge(ledger, 6, Scripted({("t001", 2): "pause", ("t001", 4): "pause"}))
    ledger.append(suggested())
    assert [judge.reported(report(epoch=epoch)) for epoch in (1, 2)] == ["continue", "pause"]
    assert ledger.records["t001"].state == "paused"
    ledger.append(Promoted(trial="t001"))
    assert [judge.reported(report(epoch=epoch)) for epoch in range(1, 5)] == ["continue"] * 3 + ["pause"], "repeated"
    ledger.append(Promoted(trial="t001"))
    assert [judge.reported(report(epoch=epoch)) for epoch in (5, 6)] == ["continue", "stop"]
    assert ledger.records["t001"].state == "completed"


def test_paused_trials_that_are_too_many_are_stopped_after_the_decision(ledger: Ledger) -> None:
    for name in ("t001", "t002"):
        ledger.append(suggested(name))
    judge = Judge(ledger, 6, Scripted({("t001", 1): "pause", ("t002", 1): "pause"}))
    judge.reported(report("t001", 1))
    judge._decider = Scripted({("t002", 1): "pause"}, surplus=["t001"])
    order = kinds(ledger)
    assert judge.reported(report("t002", 1)) == "pause"
    assert order == ["Report", "Decision", "End"]
    assert [record.state for record in ledger.records.values()] == ["stopped", "paused"]


def test_a_resumed_run_leaves_paused_trials_paused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append(suggested())
        Judge(ledger, 6, Scripted({("t001", 1): "pause"})).reported(report())
    before = path.read_bytes()
    with Ledger(path) as ledger:
        Judge(ledger, 6, Scripted({}))
        assert path.read_bytes() == before
        ledger.append(Promoted(trial="t001"))
    before = path.read_bytes()
    with Ledger(path) as ledger:
        Judge(ledger, 6, Scripted({}))
        assert path.read_bytes() == before, "nor is one that goes on decided about again"


def test_when_a_search_is_over_those_that_paused_are_stopped(ledger: Ledger) -> None:
    judge = Judge(ledger, 2, Scripted({("t001", 1): "pause", ("t003", 1): "pause"}))
    for name in ("t001", "t002", "t003", "t004"):
        ledger.append(suggested(name))
    for name in ("t001", "t002", "t003"):
        judge.reported(report(name))
    judge.reported(report("t002", 2))
    order = kinds(ledger)
    judge.close()
    assert order == ["End", "End"]
    assert [record.state for record in ledger.records.values()] == ["stopped", "completed", "stopped", "running"]
