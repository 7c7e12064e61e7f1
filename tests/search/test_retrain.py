"""Which of a list of trainings are left, and in which order they are suggested. Ray is not started."""

from __future__ import annotations

from typing import Any

from search.budget import Budget
from search.halt import Halt
from search.job import Job
from search.ledger import Ledger
from search.records import End
from search.retrain import ListSearcher, _left
from tests.search.events import report
from tests.search.scripted import ERROR, judging
from tests.support import tiny_config

EPOCHS = 2


def job(seed: int, purpose: str = "finalist") -> Job:
    return Job(tiny_config().to_dict(), seed, purpose)


def searcher(ledger: Ledger, *jobs: Job) -> ListSearcher:
    return ListSearcher(jobs, "r", ledger, Halt(Budget(), ledger.history, on_interrupt=lambda: None))


def suggestions(found: ListSearcher) -> list[tuple[str, int]]:
    made: list[tuple[str, int]] = []
    while isinstance(asked := found.suggest(f"ray-{len(made)}"), dict):
        made.append((asked["trial"], asked["seed"]))
    return made


def left(ledger: Ledger, *jobs: Job) -> list[int]:
    return [one.seed for one in _left({one.key: one for one in jobs}, ledger.records)]


def end(ledger: Ledger, trial: str, state: Any) -> None:
    ledger.append(End(trial=trial, state=state, error=ERROR if state == "failed" else None))


def test_a_list_is_trained_in_its_order_with_its_seeds(ledger: Ledger) -> None:
    jobs = [job(6), job(7, "point plain")]
    assert suggestions(searcher(ledger, *jobs)) == [("r001", 6), ("r002", 7)]
    records = ledger.records.values()
    assert [(record.seed, record.source) for record in records] == [(6, "finalist"), (7, "point plain")]
    assert [record.config for record in records] == [tiny_config().to_dict()] * 2


def test_a_training_with_epochs_of_its_own_is_another_one(ledger: Ledger) -> None:
    whole, short = job(6), Job(tiny_config().to_dict(), 6, "on dev too", epochs=1)
    assert suggestions(searcher(ledger, whole, short)) == [("r001", 6), ("r002", 6)]
    assert [record.epochs for record in ledger.records.values()] == [None, 1]
    judge = judging(ledger, EPOCHS, early_stopping=False)
    assert [judge.reported(report(name, 1)) for name in ("r001", "r002")] == ["continue", "stop"]
    assert ledger.records["r002"].state == "completed"
    assert left(ledger, whole, short) == [6]


def test_what_was_begun_goes_on_and_what_has_ended_is_not_trained_again(ledger: Ledger) -> None:
    jobs = [job(seed) for seed in (6, 7, 8, 9)]
    suggestions(searcher(ledger, *jobs[:3]))
    end(ledger, "r001", "completed")
    end(ledger, "r003", "diverged")
    assert left(ledger, *jobs) == [7, 9], "a divergence would come again"
    assert suggestions(searcher(ledger, *jobs)) == [("r002", 7), ("r004", 9)]


def test_what_failed_is_tried_once_more(ledger: Ledger) -> None:
    suggestions(searcher(ledger, job(6)))
    end(ledger, "r001", "failed")
    assert left(ledger, job(6)) == [6]
    assert suggestions(searcher(ledger, job(6))) == [("r002", 6)]
    end(ledger, "r002", "completed")
    assert left(ledger, job(6)) == []


def test_a_trial_whose_driver_died_before_it_wrote_the_end_is_not_trained_again(ledger: Ledger) -> None:
    suggestions(searcher(ledger, job(6)))
    for epoch in (1, 2):
        ledger.append(report("r001", epoch))
    assert left(ledger, job(6)) == [6]
    judging(ledger, EPOCHS, early_stopping=False)  # settles it
    assert suggestions(searcher(ledger, job(6))) == []
