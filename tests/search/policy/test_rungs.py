"""ASHA's ladder: its exact figures, and that it is a function of the ledger."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from search.ledger import Ledger
from search.policy.rungs import Rungs
from search.records import Action, Decision
from tests.search.events import report
from tests.search.scripted import DIVERGES, FAILS, Word, judging, play


def decided(rungs: Rungs, trial: str, epoch: int, best: float) -> tuple[Action, int | None, float | None]:
    decision = rungs.decide(report(trial, epoch, best))
    assert (decision.trial, decision.epoch) == (trial, epoch)
    return decision.action, decision.rung, decision.cutoff


def test_below_the_top_third_at_a_rung_is_stopped() -> None:
    rungs = Rungs(epochs=7, early_stopping=True)
    climbed = [decided(rungs, "t001", epoch, best) for epoch, best in enumerate((0.1, 0.5, 0.5, 0.6, 0.6, 0.6), 1)]
    assert climbed == [("continue", epoch if epoch in (2, 6) else None, None) for epoch in range(1, 7)]
    assert decided(rungs, "t002", 2, 0.4) == ("stop", 2, 0.5)
    two_thirds_of_the_way = pytest.approx(0.4 + (0.5 - 0.4) * 2 / 3)
    assert decided(rungs, "t003", 2, 0.8) == ("continue", 2, two_thirds_of_the_way)
    assert decided(rungs, "t003", 6, 0.6) == ("continue", 6, 0.6), "equal to the cutoff is not below it"
    # 0.4, 0.5 and 0.8 so far: the two thirds fall on 0.5 + (0.8 - 0.5) / 3.
    assert decided(rungs, "t004", 2, 0.59) == ("stop", 2, pytest.approx(0.6))


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(1, []), (2, []), (3, [2]), (6, [2]), (7, [2, 6]), (18, [2, 6]), (19, [2, 6, 18]), (60, [2, 6, 18, 54])],
)
def test_the_rungs_lie_below_the_last_epoch(epochs: int, expected: list[int]) -> None:
    rungs = Rungs(epochs, early_stopping=True)
    assert [epoch for epoch in range(1, epochs + 1) if rungs.decide(report("t001", epoch, 0.5)).rung] == expected


def test_without_early_stopping_all_go_on() -> None:
    rungs = Rungs(epochs=7, early_stopping=False)
    for trial, best in (("t001", 0.9), ("t002", 0.1)):
        assert {decided(rungs, trial, epoch, best) for epoch in range(1, 7)} == {("continue", None, None)}


ORDER: list[tuple[str, Word]] = [
    ("t001", 0.3), ("t002", 0.5), ("t001", 0.6), ("t003", 0.9), ("t002", 0.4), ("t003", 0.9), ("t001", 0.6),
    ("t004", 0.7), ("t003", DIVERGES), ("t004", 0.8), ("t001", 0.7), ("t004", FAILS), ("t005", 0.2), ("t005", 0.56),
]  # fmt: skip


def test_replayed_from_the_ledger_they_decide_as_those_that_lived_through_it(ledger: Ledger) -> None:
    judge = judging(ledger, 7)
    play(ledger, judge, ORDER)
    replayed = Rungs(7, early_stopping=True, records=ledger.records.values())
    live = judge._decider
    assert isinstance(live, Rungs)
    assert live._reached == replayed._reached == {2: {"t001": 0.6, "t002": 0.5, "t005": 0.56}, 6: {}}
    assert _without_time(live.decide(report("t009", 2, 0.58))) == _without_time(
        replayed.decide(report("t009", 2, 0.58))
    )


@pytest.mark.parametrize("word", [DIVERGES, FAILS])
def test_a_trial_that_went_wrong_is_forgotten(ledger: Ledger, word: Word) -> None:
    judge = judging(ledger, 4)
    play(ledger, judge, [("t001", 0.9), ("t001", 0.9), ("t001", word)])
    play(ledger, judge, [("t002", 0.1), ("t002", 0.1)])
    decision = ledger.records["t002"].decisions[-1]
    assert (decision.action, decision.rung, decision.cutoff) == ("continue", 2, None), "the first at the rung"


def test_forgetting_leaves_the_cutoffs_of_the_others() -> None:
    def cutoff(*happens: Callable[[Rungs], object]) -> float | None:
        rungs = Rungs(epochs=7, early_stopping=True)
        for happen in happens:
            happen(rungs)
        return rungs.decide(report("t009", 2, 0.5)).cutoff

    def reaches(trial: str, best: float) -> Callable[[Rungs], object]:
        return lambda rungs: rungs.decide(report(trial, 2, best))

    alone = cutoff(reaches("t001", 0.4), reaches("t002", 0.7))
    assert alone == pytest.approx(0.6)
    assert cutoff(reaches("t001", 0.4), reaches("t003", 0.9), reaches("t002", 0.7)) != alone
    assert (
        cutoff(reaches("t001", 0.4), reaches("t003", 0.9), reaches("t002", 0.7), lambda rungs: rungs.forget("t003"))
        == alone
    )
    assert cutoff(lambda rungs: rungs.forget("t003")) is None


def _without_time(decision: Decision) -> tuple[object, ...]:
    return (decision.trial, decision.epoch, decision.action, decision.rung, decision.cutoff)
