"""Freeze-thaw behind Ray's questions: each answer is in the ledger first, and trouble ends the search in order."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.distributions import json_to_distribution
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from model.errors import UserError
from model.problem import Problem
from search.ledger import Ledger
from search.policy.policy import Option
from search.records import Decision, End, Event, Promoted, Retry
from search.scheduler import JudgedTrials
from search.space import Space
from tests.search.driven import Driven, space_in
from tests.search.events import report, suggested
from tests.search.scripted import ERROR
from tests.search.test_space import GOOD

FULL = OSError(errno.ENOSPC, "No space left on device")
BREAKS = GOOD.replace("    head = HeadConfig()\n", "    head = HeadConfig(dropout=2.0)\n")
"""In every draw."""


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return space_in(tmp_path)


def pauses(driven: Driven) -> None:
    """The next trial that begins comes to its first rung and pauses there."""
    name = driven.begins()
    assert name is not None
    assert [driven.trains(name) for _ in range(2)] == ["continue", "pause"]


def goes_on_next(driven: Driven, name: str) -> None:
    """Has the policy choose a paused trial."""
    driven.policy._promised = [Option(name, driven.policy._drawn[name])]


def test_an_answer_is_what_the_ledger_has(space: Space, problem: Problem, ledger: Ledger) -> None:
    driven = Driven(ledger, space, problem, trials=None)
    answer = driven.searcher.suggest("a")
    record = ledger.records["t001"]
    own = {"seed": None, "epochs": None, "micro_batches": 1}
    assert answer == {"trial": "t001", "config": record.config, **own}
    assert record.source == "point first"
    distributions = {name: json_to_distribution(json.dumps(d)) for name, d in record.distributions.items()}
    assert set(distributions) == set(record.params) == {"depth", "rate", "pooling", "common"}
    for name, distribution in distributions.items():
        assert distribution._contains(distribution.to_internal_repr(record.params[name])), name


def test_a_trial_that_goes_on_is_told_as_it_was_begun(space: Space, problem: Problem, ledger: Ledger) -> None:
    driven = Driven(ledger, space, problem, trials=None)
    first = driven.searcher.suggest("a")
    ledger.append(report("t001", 1))
    ledger.append(Decision(trial="t001", epoch=1, action="pause", rung=1, cutoff=None))
    driven.searcher.on_trial_complete("a")
    assert not driven.searcher._unfinished, "it need not go on"
    assert driven.policy.has_more()
    goes_on_next(driven, "t001")
    events: list[Event] = []
    ledger.listen(lambda event, record: events.append(event))
    assert driven.searcher.suggest("b") == first
    assert [type(event) for event in events] == [Promoted]
    assert ledger.records["t001"].state == "running"


def test_what_ran_when_a_driver_died_goes_on_and_what_paused_waits(
    space: Space, problem: Problem, tmp_path: Path
) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        before = Driven(ledger, space, problem, trials=None)
        pauses(before)
        assert [before.begins() for _ in range(2)] == ["t002", "t003"]
        before.trains("t002")
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        after = Driven(ledger, space, problem, trials=None)
        assert [after.begins() for _ in range(3)] == ["t002", "t003", "t004"]
        assert [record.state for record in ledger.records.values()] == ["paused", "running", "running", "running"]


def test_a_trial_that_ran_out_of_memory_is_taken_up_with_less(space: Space, problem: Problem, ledger: Ledger) -> None:
    driven = Driven(ledger, space, problem, trials=None)
    driven.begins()
    driven.judge.retried(Retry(trial="t001", reason="memory", error=ERROR))
    driven.trains("t001")
    assert driven.trains("t001") == "pause"
    assert driven.policy.has_more()
    goes_on_next(driven, "t001")
    answer = driven.searcher.suggest("b")
    assert isinstance(answer, dict)
    assert (answer["trial"], answer["micro_batches"]) == ("t001", 2)


def test_so_many_trials_are_begun_and_no_more(space: Space, problem: Problem, ledger: Ledger) -> None:
    driven = Driven(ledger, space, problem, trials=2)
    assert [isinstance(driven.searcher.suggest(ray_id), dict) for ray_id in "ab"] == [True, True]
    assert driven.searcher.suggest("c") is None, "one of the two may yet pause and go on"
    for ray_id, name in (("a", "t001"), ("b", "t002")):
        driven.judge.ended(End(trial=name, state="diverged"))
        driven.searcher.on_trial_complete(ray_id)
    assert driven.searcher.suggest("c") == Searcher.FINISHED
    assert not driven.searcher.has_more()
    assert Driven(ledger, space, problem, trials=3).searcher.has_more()


def test_a_space_that_breaks_in_a_draw_ends_the_suggestions(problem: Problem, ledger: Ledger, tmp_path: Path) -> None:
    driven = Driven(ledger, space_in(tmp_path, BREAKS), problem, trials=None)
    assert driven.searcher.suggest("a") == Searcher.FINISHED
    assert isinstance(driven.searcher.error, UserError)
    assert "HeadConfig.dropout = 2.0: allowed is a number from 0 to 0.9" in str(driven.searcher.error)
    assert ledger.records == {}
    assert driven.halt.cause is None, "trials that run go on to their end"


def test_a_space_that_breaks_when_a_trial_is_to_pause_halts_all(
    problem: Problem, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.append(suggested("t001"))
    ledger.append(report("t001", 1))
    driven = Driven(ledger, space_in(tmp_path, BREAKS), problem, trials=None)
    scheduler = JudgedTrials(driven.judge, driven.halt)
    trial: Any = SimpleNamespace(config={"trial": "t001"}, num_failures=0)
    assert scheduler.on_trial_result(None, trial, {"outcome": report("t001", 2)}) == TrialScheduler.NOOP
    assert driven.halt.cause == "error"
    assert "HeadConfig.dropout = 2.0: allowed is a number from 0 to 0.9" in str(driven.halt.error)
    assert [decision.epoch for decision in ledger.records["t001"].decisions] == [1], "nothing is decided"
    assert driven.searcher.suggest("b") == Searcher.FINISHED


def test_a_paused_trial_is_stopped_by_ray_and_let_go(space: Space, problem: Problem, ledger: Ledger) -> None:
    driven = Driven(ledger, space, problem, trials=None)
    driven.begins()
    scheduler = JudgedTrials(driven.judge, driven.halt)
    trial: Any = SimpleNamespace(config={"trial": "t001"}, num_failures=0)
    said = [scheduler.on_trial_result(None, trial, {"outcome": report("t001", epoch)}) for epoch in (1, 2)]
    assert said == [TrialScheduler.CONTINUE, TrialScheduler.STOP]
    assert ledger.records["t001"].state == "paused"


@pytest.mark.parametrize("kind", ["begins", "goes on"])
def test_a_full_disk_ends_the_suggestions_and_halts_all(
    space: Space, problem: Problem, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    driven = Driven(ledger, space, problem, trials=None)
    pauses(driven)
    if kind == "goes on":
        goes_on_next(driven, "t001")

    def fail(line: bytes) -> None:
        raise FULL

    monkeypatch.setattr(ledger, "_write", fail)
    assert driven.searcher.suggest("b") == Searcher.FINISHED
    assert (driven.halt.cause, driven.halt.error) == ("error", FULL)
    assert driven.searcher.error is None
    assert {name: record.state for name, record in ledger.records.items()} == {"t001": "paused"}
    assert driven.searcher.suggest("c") == Searcher.FINISHED, "nor is another one tried"


def test_a_full_disk_when_a_trial_is_to_pause_halts_all(
    space: Space, problem: Problem, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = Driven(ledger, space, problem, trials=None)
    driven.begins()
    driven.trains("t001")
    write = ledger._write

    def fail(line: bytes) -> None:
        if b'"pause"' in line:
            raise FULL
        write(line)

    monkeypatch.setattr(ledger, "_write", fail)
    scheduler = JudgedTrials(driven.judge, driven.halt)
    trial: Any = SimpleNamespace(config={"trial": "t001"}, num_failures=0)
    assert scheduler.on_trial_result(None, trial, {"outcome": report("t001", 2)}) == TrialScheduler.NOOP
    assert (driven.halt.cause, driven.halt.error) == ("error", FULL)
    assert ledger.records["t001"].state == "running"


def test_no_trial_is_chosen_before_there_is_room_for_it(space: Space, problem: Problem, ledger: Ledger) -> None:
    driven, room = Driven(ledger, space, problem, trials=2), 0
    driven.searcher.room = lambda: room
    assert driven.searcher.suggest("a") is None
    room = 1
    assert isinstance(driven.searcher.suggest("b"), dict)
    assert driven.searcher.suggest("c") is None
    assert list(ledger.records) == ["t001"]
    room = 2
    assert isinstance(driven.searcher.suggest("d"), dict)
    for ray_id, name in (("b", "t001"), ("d", "t002")):
        driven.judge.ended(End(trial=name, state="diverged"))
        driven.searcher.on_trial_complete(ray_id)
    room = 0
    assert driven.searcher.suggest("e") == Searcher.FINISHED, "nothing is left to wait with"
