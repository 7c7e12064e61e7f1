"""What --search stands for."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import pytest

from model.problem import Problem
from search.budget import Budget
from search.flags import Flags
from search.halt import Halt
from search.judge import Decider, Judge
from search.ledger import Ledger
from search.ledger_searcher import LedgerSearcher
from search.policy.freeze_thaw import FreezeThaw
from search.policy.one_epoch import OneEpoch
from search.policy.rungs import Rungs
from search.policy_searcher import PolicySearcher
from search.searcher import STARTUP_TRIALS, OptunaSearcher
from search.strategy import strategy_of
from tests.search.driven import climbs, space_in
from tests.search.events import report

NAMES = typing.get_args(typing.get_type_hints(Flags)["search"])


def begun(
    name: str, folder: Path, problem: Problem, ledger: Ledger, *, epochs: int = 8, **changes: Any
) -> tuple[Decider, LedgerSearcher]:
    halt = Halt(Budget(), ledger.history, on_interrupt=lambda: None)
    asked: dict[str, Any] = {"trials": None, "seed": 0, "early_stopping": True, **changes}
    decider, searcher_for = strategy_of(name, space_in(folder), problem, ledger, halt, epochs=epochs, **asked)
    return decider, searcher_for()


def test_the_flag_has_these_and_freeze_thaw_by_default() -> None:
    assert NAMES == ("freeze-thaw", "tpe", "random", "one-epoch")
    assert Flags().search == "freeze-thaw"


@pytest.mark.parametrize("name", NAMES)
def test_who_suggests_and_who_decides(name: str, tmp_path: Path, problem: Problem, ledger: Ledger) -> None:
    decider, searcher = begun(name, tmp_path, problem, ledger, trials=9)
    policies: dict[str, type] = {"freeze-thaw": FreezeThaw, "one-epoch": OneEpoch}
    ours = (policies[name], PolicySearcher) if name in policies else (Rungs, OptunaSearcher)
    assert (type(decider), type(searcher)) == ours
    for number in range(3):
        assert isinstance(searcher.suggest(str(number)), dict)
    sources = [record.source for record in ledger.records.values()]
    assert sources == ["point first", "point second", "random" if name in policies else name]


@pytest.mark.parametrize(("name", "learns"), [("random", False), ("tpe", True)])
def test_only_random_draws_are_the_same_whatever_was_reached(
    name: str, learns: bool, tmp_path: Path, problem: Problem
) -> None:
    drawn = []
    for sign in (1, -1):
        with Ledger(tmp_path / f"{sign}.jsonl") as ledger:
            decider, searcher = begun(name, tmp_path, problem, ledger)
            judge = Judge(ledger, 1, decider)
            for number in range(STARTUP_TRIALS + 2):
                answer = searcher.suggest(str(number))
                assert isinstance(answer, dict)
                trial = answer["trial"]
                assert judge.reported(report(trial, 1, sign * climbs(ledger.records[trial].params, 1))) == "stop"
                searcher.on_trial_complete(str(number))
            drawn.append([record.params for record in ledger.records.values()])
    assert (drawn[0] != drawn[1]) == learns


@pytest.mark.parametrize("name", sorted({*NAMES} - {"one-epoch"}))
def test_number_of_trials_epochs_and_early_stopping_are_heeded(
    name: str, tmp_path: Path, problem: Problem, ledger: Ledger
) -> None:
    decider, searcher = begun(name, tmp_path, problem, ledger, epochs=4, trials=2, early_stopping=False)
    judge = Judge(ledger, 4, decider)
    for number, height in enumerate((0.9, 0.1)):
        answer = searcher.suggest(str(number))
        assert isinstance(answer, dict)
        said = [judge.reported(report(answer["trial"], epoch, height)) for epoch in range(1, 5)]
        assert said == ["continue"] * 3 + ["stop"]
        searcher.on_trial_complete(str(number))
    assert not searcher.has_more()


@pytest.mark.parametrize(("name", "rung"), [("freeze-thaw", 4), ("tpe", 6)])
def test_each_has_its_rungs(name: str, rung: int, tmp_path: Path, problem: Problem, ledger: Ledger) -> None:
    decider, searcher = begun(name, tmp_path, problem, ledger, trials=1)
    searcher.suggest("a")
    judge = Judge(ledger, 8, decider)
    for epoch in range(1, 8):
        assert judge.reported(report("t001", epoch)) == "continue", "the only one is the leader"
    decisions = ledger.records["t001"].decisions
    assert [decision.epoch for decision in decisions if decision.rung is not None] == [2, rung]
