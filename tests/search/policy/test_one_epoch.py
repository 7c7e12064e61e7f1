"""One epoch for all, then the best three in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.problem import Problem
from search.ledger import Ledger
from search.policy.one_epoch import KEPT
from search.records import End
from search.space import Space
from tests.search.driven import Driven, space_in

TRIALS = 8
EPOCHS = 4


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return space_in(tmp_path)


def driven(ledger: Ledger, space: Space, problem: Problem, trials: int = TRIALS) -> Driven:
    return Driven(ledger, space, problem, trials=trials, epochs=EPOCHS, search="one-epoch")


def first_epochs(ledger: Ledger) -> dict[str, float]:
    return {name: record.reports[0].overall for name, record in ledger.records.items() if record.reports}


@pytest.mark.parametrize("places", [1, 3, TRIALS + 2])
def test_the_best_of_the_first_epoch_go_on_to_the_last_and_nobody_else(
    space: Space, problem: Problem, ledger: Ledger, places: int
) -> None:
    driven(ledger, space, problem).runs(places=places)
    scores = first_epochs(ledger)
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:KEPT]
    assert len(scores) == TRIALS
    assert {name: record.epoch for name, record in ledger.records.items()} == {
        name: EPOCHS if name in best else 1 for name in scores
    }
    assert {record.state for record in ledger.records.values()} == {"completed", "stopped"}


def test_points_come_first_then_random_draws_that_all_differ(space: Space, problem: Problem, ledger: Ledger) -> None:
    driven(ledger, space, problem).runs()
    assert [record.source for record in ledger.records.values()] == [
        "point first", "point second", *["random"] * (TRIALS - 2)
    ]  # fmt: skip
    assert len({str(record.params) for record in ledger.records.values()}) == TRIALS


def test_nobody_goes_on_before_all_have_had_their_first_epoch(space: Space, problem: Problem, ledger: Ledger) -> None:
    search = driven(ledger, space, problem, trials=3)
    names = [search.begins() for _ in range(3)]
    assert [search.trains(str(name)) for name in names[:2]] == ["pause", "pause"]
    assert search.begins() is None
    search.judge.ended(End(trial="t003", state="diverged"))
    search.done("t003")
    scores = first_epochs(ledger)
    assert search.begins() == max(scores, key=scores.__getitem__)


def test_no_more_than_the_best_are_paused_at_a_time(space: Space, problem: Problem, ledger: Ledger) -> None:
    most = 0

    def count(*_: object) -> None:
        nonlocal most
        most = max(most, sum(record.state == "paused" for record in ledger.records.values()))

    ledger.listen(count)
    driven(ledger, space, problem).runs()
    assert KEPT <= most <= KEPT + 1, "one too many between a decision and the end it brings about"


def test_a_resumed_search_with_more_trials_goes_on_with_the_best_of_all(
    space: Space, problem: Problem, tmp_path: Path
) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        driven(ledger, space, problem).runs()
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        driven(ledger, space, problem, trials=TRIALS + 4).runs()
        scores = first_epochs(ledger)
        assert len(scores) == TRIALS + 4
        best = sorted(scores, key=scores.__getitem__, reverse=True)[:KEPT]
        assert {ledger.records[name].state for name in best} == {"completed"}
        later = [record for record in list(ledger.records.values())[TRIALS:] if record.name not in best]
        assert {record.state for record in later} <= {"stopped"}
