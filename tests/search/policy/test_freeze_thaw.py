"""Which trial gets the next epochs: what is begun, who pauses, who goes on, and how a search ends."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from model.problem import Problem
from search.ledger import Ledger
from search.policy.encoding import Drawn
from search.policy.freeze_thaw import HOPE, KEPT, STARTUP, FreezeThaw, _log_improvement
from search.policy.policy import Option
from search.records import Decision, End, Event, Promoted, TrialRecord
from search.space import Space
from tests.search.driven import Driven, space_in
from tests.search.events import report, suggested
from tests.search.scripted import lines, say
from tests.search.test_space import HEAD

TRIALS = 20
"""Enough for the surrogate to be fitted four times."""
EPOCHS = 8


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return space_in(tmp_path)


@dataclass(frozen=True)
class Run:
    """A whole one, one trial at a time."""

    path: Path
    space: Space
    records: list[TrialRecord]
    events: list[dict[str, Any]]
    most_paused: int
    """Whose promise was known."""
    driven: Driven


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, problem: Problem) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("run")
    space, path, most = space_in(folder), folder / "ledger.jsonl", 0
    with pytest.MonkeyPatch.context() as patch, Ledger(path) as ledger:
        patch.setattr("os.fsync", lambda descriptor: None)
        driven = Driven(ledger, space, problem, trials=TRIALS)

        def count(event: Event, record: TrialRecord) -> None:
            nonlocal most
            if not isinstance(event, Decision):  # after which those that are too many are stopped
                paused = [one.name for one in ledger.records.values() if one.state == "paused"]
                most = max(most, sum(name in driven.policy._promise for name in paused))

        ledger.listen(count)
        driven.runs()
        yield Run(path, space, list(ledger.records.values()), lines(path), most, driven)


def of_kind(run: Run, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.events if event["event"] == kind]


# What is begun --------------------------------------------------------------------------------------------------------


def test_points_come_first_and_once_then_random_draws_then_the_surrogates(run: Run) -> None:
    expected = ["point first", "point second", *["random"] * (STARTUP - 2), *["surrogate"] * (TRIALS - STARTUP)]
    assert [record.source for record in run.records] == expected
    assert run.records[0].params == {"depth": 1, "rate": 1e-5, "pooling": "mean", "common": 0}
    assert run.records[1].params["depth"] == 2


def test_nothing_is_tried_twice(run: Run) -> None:
    assert len({str(sorted(record.params.items())) for record in run.records}) == TRIALS


def test_points_are_begun_once_by_any_number_of_places_and_sessions(
    space: Space, problem: Problem, tmp_path: Path
) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        Driven(ledger, space, problem, trials=9).begins()
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        driven = Driven(ledger, space, problem, trials=9)
        assert [driven.begins() for _ in range(5)] == ["t001", "t002", "t003", "t004", "t005"]
        sources = [record.source for record in ledger.records.values()]
        assert sources == ["point first", "point second", "random", "random", "random"]


def test_a_point_that_was_promised_is_not_begun_a_second_time(space: Space, problem: Problem, ledger: Ledger) -> None:
    driven = Driven(ledger, space, problem, trials=9)
    assert driven.begins() == "t001"
    driven.trains("t001")
    assert driven.trains("t001") == "pause", "before the point beside it has begun"
    assert [driven.begins() for _ in range(2)] == ["t002", "t003"]
    assert [record.source for record in ledger.records.values()] == ["point first", "point second", "random"]


def test_two_that_pause_at_once_promise_one_point_and_one_random_draw(
    space: Space, problem: Problem, ledger: Ledger
) -> None:
    driven = Driven(ledger, space, problem, trials=9)
    driven.begins()
    ledger.append(suggested("t002", "random", rate=1e-4))
    for name in ("t001", "t002"):
        said = [driven.judge.reported(report(name, epoch)) for epoch in (1, 2)]
        assert said == ["continue", "pause"]
    assert [driven.begins() for _ in range(2)] == ["t003", "t004"]
    assert [record.source for record in ledger.records.values()][2:] == ["point second", "random"]


def test_until_three_trials_have_told_something_draws_are_random(
    space: Space, problem: Problem, ledger: Ledger
) -> None:
    driven = Driven(ledger, space, problem, trials=None)
    for _ in range(STARTUP + 2):
        driven.begins()
    for name in ("t001", "t002"):
        driven.trains(name)
    driven.begins()
    assert [record.source for record in ledger.records.values()][2:] == ["random"] * (STARTUP + 1)
    driven.trains("t003")
    driven.begins()
    assert list(ledger.records.values())[-1].source == "surrogate"


def test_several_places_at_once_get_different_trials(space: Space, problem: Problem, ledger: Ledger) -> None:
    """Though nothing is told in between: those that run count as if they had come to what is expected of them."""
    driven = Driven(ledger, space, problem, trials=None)
    for _ in range(STARTUP):
        name = driven.begins()
        assert name is not None
        driven.trains(name)
    for _ in range(4):
        driven.begins()
    rates = [record.params["rate"] for record in ledger.records.values() if record.source == "surrogate"]
    assert len(set(rates)) == len(rates) == 4


def test_where_every_trial_diverges_at_once_others_are_tried_to_the_last(
    space: Space, problem: Problem, ledger: Ledger
) -> None:
    driven = Driven(ledger, space, problem, trials=10)
    for _ in range(10):
        name = driven.begins()
        assert name is not None
        assert say(driven.judge, End(trial=name, state="diverged")) == "stop"
        driven.done(name)
    assert driven.begins() is None
    assert {record.state for record in ledger.records.values()} == {"diverged"}


# Who pauses and who goes on -------------------------------------------------------------------------------------------


def test_trials_pause_and_stop_at_rungs_alone(run: Run) -> None:
    actions = Counter((event["action"], event["rung"]) for event in of_kind(run, "decision"))
    assert {rung for action, rung in actions if action != "continue"} <= {2, 4}
    assert {rung for action, rung in actions} == {None, 2, 4}
    for event in of_kind(run, "decision"):
        assert event["rung"] == (event["epoch"] if event["epoch"] in (2, 4) else None)
    assert actions["pause", 2] > 5
    assert actions["continue", 2] > 0


def test_what_was_promised_to_a_paused_trials_place_is_what_comes_next(run: Run) -> None:
    for event, following in pairwise(run.events):
        if event["event"] == "decision" and event["action"] == "pause":
            assert following["event"] in ("suggested", "promoted", "end")
            if following["event"] == "end":
                assert following["state"] == "stopped", "one too many"


def test_a_paused_trial_goes_on_where_it_was(run: Run) -> None:
    promoted = {event["trial"] for event in of_kind(run, "promoted")}
    assert len(promoted) > 2
    for record in run.records:
        assert [made.epoch for made in record.reports] == list(range(1, record.epoch + 1))
        pauses = sum(decision.action == "pause" for decision in record.decisions)
        goes_on = sum(event["trial"] == record.name for event in of_kind(run, "promoted"))
        assert pauses == goes_on + (record.decisions[-1].action == "pause")


def test_so_many_are_paused_at_a_time_and_no_more(run: Run) -> None:
    assert run.most_paused == KEPT
    assert sum(event["action"] == "pause" for event in of_kind(run, "decision")) > 2 * KEPT


def test_the_least_promising_of_too_many_are_stopped(space: Space, problem: Problem, ledger: Ledger) -> None:
    driven = Driven(ledger, space, problem, trials=None)
    policy = driven.policy
    names = [f"t{number:03d}" for number in range(1, KEPT + 4)]
    for name in names:
        paused(ledger, name)
    policy._promise = {name: math.sin(7 * number) for number, name in enumerate(names)}
    policy._catch_up()
    ranked = [name for name in sorted(names, key=policy._promise.__getitem__) if name not in policy._curves.best(1)]
    assert policy.surplus() == ranked[:3]
    policy._promised.append(Option(ranked[1], NOBODY))
    assert policy.surplus() == [ranked[0], ranked[2]], "not one that is about to go on"


def test_without_early_stopping_nothing_pauses(space: Space, problem: Problem, ledger: Ledger, unsynced: None) -> None:
    Driven(ledger, space, problem, trials=9, early_stopping=False, epochs=5).runs(places=2)
    records = ledger.records.values()
    assert [record.state for record in records] == ["completed"] * 9
    assert {(d.action, d.rung) for record in records for d in record.decisions} == {("continue", None)}
    assert [record.source for record in records][-3:] == ["surrogate"] * 3


# Choices, by what is expected -----------------------------------------------------------------------------------------

NOBODY = Drawn({}, {})


def paused(ledger: Ledger, name: str, epoch: int = 2) -> None:
    ledger.append(suggested(name))
    for number in range(1, epoch + 1):
        ledger.append(report(name, number, 0.5))
    ledger.append(Decision(trial=name, epoch=epoch, action="pause", rung=epoch, cutoff=None))


def expecting(
    policy: FreezeThaw, means: Sequence[float], deviations: Sequence[float] | float = 1.0, seconds: Sequence[float] = ()
) -> list[np.ndarray]:
    """Has the policy expect this of its options, the best so far being 0. The epochs that it asks for, when it does."""
    asked: list[np.ndarray] = []

    def scores(epochs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(epochs)
        return np.array(means), np.broadcast_to(np.array(deviations, dtype=float), len(means))

    each = np.array(seconds or [1.0] * len(means))
    fake: Any = SimpleNamespace(
        is_due=lambda curves: False,
        forecast=lambda *_: SimpleNamespace(top=0.0, seconds=each, scores=scores),
    )
    policy._forecaster = fake
    return asked


@pytest.fixture
def policy(space: Space, problem: Problem, ledger: Ledger) -> FreezeThaw:
    """With t001 paused after epoch 2 and t002 after epoch 4, of 8."""
    paused(ledger, "t001", 2)
    paused(ledger, "t002", 4)
    policy = Driven(ledger, space, problem, trials=None).policy
    policy._catch_up()
    return policy


FIRST, SECOND, NEW, OTHER = (Option(name, NOBODY, source) for name, source in (
    ("t001", ""), ("t002", ""), (None, "one"), (None, "other"),
))  # fmt: skip


def test_the_highest_expected_improvement_is_chosen(policy: FreezeThaw) -> None:
    expecting(policy, [-2.0, 1.5, -1.0])
    assert policy._best_of([FIRST, NEW, OTHER], None, may_begin=True) is NEW
    expecting(policy, [-1.0, -1.0, -1.0], [0.1, 0.1, 2.0])
    assert policy._best_of([FIRST, NEW, OTHER], None, may_begin=True) is OTHER, "doubt is room for improvement"


@pytest.mark.parametrize(("seconds", "chosen"), [((3.0, 2.5), OTHER), ((2.5, 3.0), NEW)])
def test_among_equals_the_cheapest_is_chosen(policy: FreezeThaw, seconds: tuple[float, float], chosen: Option) -> None:
    expecting(policy, [0.0, 0.0], seconds=seconds)
    assert policy._best_of([NEW, OTHER], None, may_begin=True) is chosen


def improvement(mean: float) -> float:
    return float(mean * norm.cdf(mean) + norm.pdf(mean))


def test_equal_is_what_promises_half_as_much_at_least(policy: FreezeThaw) -> None:
    assert improvement(-0.1) > improvement(0.4) / 2 > improvement(-0.2)
    expecting(policy, [0.4, -0.1], seconds=(3.0, 2.0))
    assert policy._best_of([NEW, OTHER], None, may_begin=True) is OTHER
    expecting(policy, [0.4, -0.2], seconds=(3.0, 0.1))
    assert policy._best_of([NEW, OTHER], None, may_begin=True) is NEW, "however cheap the other one is"


def test_the_cost_is_that_of_all_epochs_to_the_next_rung(policy: FreezeThaw) -> None:
    expecting(policy, [0.0, 0.0, 0.0], seconds=(2.0, 0.9, 2.1))
    assert policy._best_of([FIRST, SECOND, NEW], None, may_begin=True) is SECOND, "4 epochs of 0.9 s"
    expecting(policy, [0.0, 0.0, 0.0], seconds=(2.0, 1.1, 2.1))
    assert policy._best_of([FIRST, SECOND, NEW], None, may_begin=True) is FIRST, "2 epochs of 2.0 s"


def test_of_equal_costs_the_more_promising_is_chosen(policy: FreezeThaw) -> None:
    expecting(policy, [0.1, 0.2])
    assert policy._best_of([NEW, OTHER], None, may_begin=True) is OTHER


def test_all_are_compared_as_many_epochs_ahead_and_none_beyond_the_last(policy: FreezeThaw) -> None:
    ahead = set[float]()
    for reports in range(60):
        policy._reports = reports
        asked = expecting(policy, [0.0] * 3)
        policy._best_of([FIRST, SECOND, NEW], None, may_begin=True)
        first, second, new = asked[0].tolist()
        assert (first, second) == (min(2 + new, EPOCHS), min(4 + new, EPOCHS))
        ahead.add(new)
    assert ahead == set(range(2, EPOCHS + 1)), "the logarithm is uniform: never 0 epochs, and 1 with no chance"


def test_when_no_trial_may_begin_the_leader_and_who_may_beat_it_go_on(policy: FreezeThaw) -> None:
    policy._curves.add(report("t002", 5, 0.6))
    hopeless, hopeful = float(norm.ppf(HOPE)) - 0.01, float(norm.ppf(HOPE)) + 0.01
    for means, chosen in (
        ([5.0, hopeless], FIRST),
        ([hopeful, -9.0], FIRST),  # cheaper by half, and above the other one
        ([hopeless, -9.0], SECOND),
        ([hopeless, hopeless], SECOND),
    ):
        asked = expecting(policy, means)
        assert policy._best_of([FIRST, SECOND], None, may_begin=False) is chosen, means
        assert asked[0].tolist() == [EPOCHS, EPOCHS], "at their end"
    expecting(policy, [hopeless])
    assert policy._best_of([FIRST], None, may_begin=False) is None, "the leader is none of them"


@pytest.mark.parametrize("above", [*np.linspace(-12, 4, 33).tolist(), -5.0001])
def test_the_expected_improvement_is_that_of_the_integral(above: float) -> None:
    density: Callable[[float], float] = lambda gain: gain * float(norm.pdf(gain - above))  # noqa: E731
    expected = quad(density, 0, 12 + max(above, 0), epsabs=0, epsrel=1e-10)[0]
    assert _log_improvement(np.array([above]))[0] == pytest.approx(math.log(expected), abs=0.12)
    if above > -5:
        assert _log_improvement(np.array([above]))[0] == pytest.approx(math.log(expected), abs=1e-6)


# How it ends ----------------------------------------------------------------------------------------------------------


def test_at_the_end_the_leader_is_completed_and_the_hopeless_are_left(run: Run) -> None:
    assert len(run.records) == TRIALS
    leader = max(run.records, key=lambda record: record.reports[-1].best)
    assert (leader.state, leader.epoch) == ("completed", EPOCHS)
    left = [record for record in run.records if record.state == "paused"]
    assert len(left) > 2
    assert all(record.reports[-1].best < leader.reports[-1].best for record in left)
    policy = run.driven.policy
    assert not policy.has_more()
    assert policy.next() is None
    assert run.driven.begins() is None


def test_what_was_found_in_vain_is_not_looked_for_again_until_something_happens(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, asked = run.driven.policy, []
    assert not policy.has_more()
    monkeypatch.setattr(policy, "_choose", lambda: asked.append(1))
    assert not policy.has_more()
    assert asked == []
    monkeypatch.setattr(policy, "_heard", -1)
    monkeypatch.setattr(policy, "_catch_up", lambda: None)
    assert not policy.has_more()
    assert asked == [1]


def test_a_trial_without_a_chance_is_stopped_when_no_other_is_to_come(
    space: Space, problem: Problem, ledger: Ledger
) -> None:
    driven = Driven(ledger, space, problem, trials=3)
    for _ in range(3):
        driven.begins()
    driven.trains("t001", lambda params, epoch: 0.9)
    for name, expected, action in (("t002", -9.0, "stop"), ("t003", 0.0, "continue")):
        driven.trains(name, lambda params, epoch: 0.1)
        expecting(driven.policy, [expected])
        assert driven.trains(name, lambda params, epoch: 0.1) == action
    assert [record.state for record in ledger.records.values()] == ["running", "stopped", "running"]


# Resuming -------------------------------------------------------------------------------------------------------------


def cuts(run: Run) -> list[int]:
    """Numbers of lines after which a driver may be killed: in the middle, between two fits, and after the last report,
    the last trial that goes on, and the last pause that makes none too many."""
    middle = next(number for number, event in enumerate(run.events) if event.get("trial") == "t014")
    kinds = [(event["event"], event.get("action")) for event in run.events]
    last = {pair: number for number, pair in enumerate(pairwise(kinds), 1)}
    report, pause = ("report", None), ("decision", "pause")
    return [
        middle,
        max(number for (one, then), number in last.items() if one == pause and then != ("end", None)),
        max(number for (one, _), number in last.items() if one == ("promoted", None)),
        max(number for (one, _), number in last.items() if one == report),
    ]


def test_a_search_that_was_resumed_makes_the_same_choices(
    run: Run, problem: Problem, tmp_path: Path, unsynced: None
) -> None:
    written = run.path.read_bytes().splitlines(keepends=True)
    path = tmp_path / "ledger.jsonl"
    for count in cuts(run):
        path.write_bytes(b"".join(written[:count]))
        with Ledger(path) as ledger:
            Driven(ledger, run.space, problem, trials=TRIALS).runs()
        assert lines(path) == run.events, f"resumed after line {count}"


def test_another_seed_is_another_search(run: Run, problem: Problem, ledger: Ledger, unsynced: None) -> None:
    driven = Driven(ledger, run.space, problem, trials=TRIALS, seed=1)
    for _ in range(STARTUP):
        driven.begins()
    drawn = [record.params for record in ledger.records.values()]
    assert drawn[0] == run.records[0].params
    assert not any(params in drawn[1:] for params in (record.params for record in run.records))


@pytest.mark.parametrize("varied", ['trial.suggest_int("depth", 0, 3)', "0"])
def test_a_space_that_is_used_up_is_tried_again(
    tmp_path: Path, problem: Problem, ledger: Ledger, unsynced: None, varied: str
) -> None:
    source = HEAD + f"def space(trial, problem):\n    {varied}\n    return TrialConfig(tasks=TASKS)\n"
    Driven(ledger, space_in(tmp_path, source), problem, trials=15).runs(score=lambda params, epoch: 0.1 * epoch)
    assert len(ledger.records) == 15
    assert all(record.has_ended for record in ledger.records.values())


def test_the_best_is_never_surplus_and_the_lowest_are_before_any_was_compared(
    policy: FreezeThaw, ledger: Ledger
) -> None:
    for number in range(3, KEPT + 3):
        paused(ledger, f"t{number:03d}")
    ledger.append(Promoted(trial="t002"))
    ledger.append(report("t002", 5, 0.4, best=0.5))
    ledger.append(report("t002", 6, 0.9))
    assert len(policy.surplus()) == 1
    ledger.append(report("t002", 7, 0.2, best=0.9))
    ledger.append(Decision(trial="t002", epoch=7, action="pause", rung=7, cutoff=None))
    assert len(policy.surplus()) == 2
    policy._promise = {name: float(number) for number, name in enumerate(ledger.records)}
    policy._promise["t002"] = -9.0
    assert policy.surplus() == ["t001", "t003"], "t002 is the best so far"
