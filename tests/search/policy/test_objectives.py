"""A search for several objectives: what comes of it, who is kept for its front, and that it can be resumed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.problem import Problem
from search.ledger import Ledger
from search.pareto import OVERALL_ALONE, Objective, front, seconds_an_epoch
from search.policy.freeze_thaw import KEPT, PARETO, FreezeThaw
from search.records import Decision, Report, TrialRecord
from search.space import Space
from tests.search.driven import Driven, space_in
from tests.search.events import report, suggested
from tests.search.policy.test_freeze_thaw import NEW, OTHER, expecting
from tests.search.scripted import lines
from tests.search.test_space import HEAD

SOURCE = f"""{HEAD}
def space(trial, problem):
    for name in ("size", "rate", "noise", "batch"):
        trial.suggest_float(name, 0, 1)
    return TrialConfig(tasks=TASKS)
"""
THREE: tuple[Objective, ...] = ("overall", "seconds", "parameters")
TWO = THREE[:2]
EPOCHS = 120
"""Of all trials together."""


def score(params: Mapping[str, Any], epoch: int) -> float:
    """Higher for what is slower, if the rest is well chosen."""
    off = (params["rate"] - 0.3) ** 2 + (params["noise"] - 0.7) ** 2 + 0.3 * (params["batch"] - 0.5) ** 2
    return (0.3 + 0.5 * params["size"]) * math.exp(-2 * off) * (1 - math.exp(-epoch / 2))


def seconds(params: Mapping[str, Any], epoch: int) -> float:
    return 10 ** (params["size"] + 0.5 * params["batch"])


def parameters(params: Mapping[str, Any], epoch: int) -> float:
    return 10 ** (3 + params["size"] + params["noise"])


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return space_in(tmp_path, SOURCE)


def spent(ledger: Ledger, space: Space, problem: Problem, objectives: Sequence[Objective], seed: int) -> float:
    """How much of the plane of overall and log seconds lies below the front of these two (its hypervolume), after so
    many EPOCHS by two places."""
    driven, running = Driven(ledger, space, problem, trials=None, seed=seed, objectives=objectives), list[str]()
    while ledger.history.epochs_spent() < EPOCHS:
        while len(running) < 2:
            name = driven.begins()
            assert name is not None
            running.append(name)
        running = [name for name in running if driven.trains(name, score, seconds, parameters) == "continue"]
    found = front(ledger.records.values(), TWO)[::-1]
    logs = [*(math.log10(seconds_an_epoch(record)) for record in found), 1.5]  # the slowest there is
    heights = [record.best.overall for record in found if record.best]
    return float(np.diff(logs) @ heights)


@pytest.mark.slow
def test_its_front_is_further_than_that_of_a_search_for_overall_alone(
    space: Space, problem: Problem, tmp_path: Path, unsynced: None
) -> None:
    gains = []
    for seed in range(10):
        volumes = []
        for objectives in (OVERALL_ALONE, TWO):
            with Ledger(tmp_path / f"{seed}-{len(objectives)}.jsonl") as ledger:
                volumes.append(spent(ledger, space, problem, objectives, seed))
        gains.append(volumes[1] / volumes[0])
    assert math.prod(gains) ** (1 / 10) > 1.04, gains


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, problem: Problem) -> Iterator[tuple[Path, Space, list[TrialRecord]]]:
    """A whole one, for three."""
    folder = tmp_path_factory.mktemp("run")
    space, path = space_in(folder, SOURCE), folder / "ledger.jsonl"
    with pytest.MonkeyPatch.context() as patch, Ledger(path) as ledger:
        patch.setattr("os.fsync", lambda descriptor: None)
        driven = Driven(ledger, space, problem, trials=20, objectives=THREE)
        driven.runs(score, seconds, parameters)
        driven.judge.close()
        yield path, space, list(ledger.records.values())


def test_every_trial_of_the_front_went_on_to_its_end(run: tuple[Path, Space, list[TrialRecord]]) -> None:
    records = run[2]
    found = front(records, THREE)
    assert len(records) == 20
    assert len(found) > 3
    assert {record.state for record in found} == {"completed"}
    assert "stopped" in {record.state for record in records}


def test_a_search_that_was_resumed_makes_the_same_choices(
    run: tuple[Path, Space, list[TrialRecord]], problem: Problem, tmp_path: Path, unsynced: None
) -> None:
    path, space, _ = run
    written, events = path.read_bytes().splitlines(keepends=True), lines(path)
    halves = [number for number, event in enumerate(events) if event.get("trial") in ("t009", "t015")]
    for count in (halves[0], halves[-1]):
        again = tmp_path / f"{count}.jsonl"
        again.write_bytes(b"".join(written[:count]))
        with Ledger(again) as ledger:
            driven = Driven(ledger, space, problem, trials=20, objectives=THREE)
            driven.runs(score, seconds, parameters)
            driven.judge.close()
        assert lines(again) == events, f"resumed after line {count}"


def test_weights_are_others_for_each_choice_and_the_same_when_it_is_made_again(
    space: Space, problem: Problem, ledger: Ledger
) -> None:
    policy: FreezeThaw = Driven(ledger, space, problem, trials=None, objectives=THREE).policy
    drawn = []
    for reports in range(2000):
        policy._reports = reports
        drawn.append(policy._weights())
        assert drawn[-1].tolist() == policy._weights().tolist()
    found = np.array(drawn)
    assert found.sum(1) == pytest.approx(np.ones(2000))
    assert (found >= 0).all()
    assert found.mean(0) == pytest.approx(np.full(3, 1 / 3), abs=0.02)
    assert (found[:, 0] > 0.5).mean() == pytest.approx(1 / 4, abs=0.03), "uniform on the simplex: a quarter of it"


def paused(ledger: Ledger, name: str, overall: float, took: float) -> None:
    ledger.append(suggested(name))
    for epoch in (1, 2):
        ledger.append(timed(name, epoch, overall, took))
    ledger.append(Decision(trial=name, epoch=2, action="pause", rung=2, cutoff=None))


def timed(name: str, epoch: int, overall: float, took: float) -> Report:
    return replace(report(name, epoch, overall), train_seconds=took)


def test_none_of_the_front_is_surplus(space: Space, problem: Problem, ledger: Ledger) -> None:
    policy: FreezeThaw = Driven(ledger, space, problem, trials=None, objectives=TWO).policy
    for number in range(1, 4):
        paused(ledger, f"front{number}", 0.1 * number, 1.0 * number)
    for number in range(1, KEPT):
        paused(ledger, f"other{number}", 0.05, 5.0 + number)
    assert policy._curves.front() == []
    assert policy.surplus() == ["other1", "other2"]
    assert policy._curves.front() == ["front3", "front2", "front1"]
    policy._promise = {name: float(name == "other1") for name in ledger.records}
    assert policy.surplus() == ["other2", "other3"], "whatever promises least, but for these"


def test_when_many_of_the_front_are_paused_the_next_goes_on(space: Space, problem: Problem, ledger: Ledger) -> None:
    policy: FreezeThaw = Driven(ledger, space, problem, trials=None, objectives=TWO).policy
    for number in range(1, PARETO):
        paused(ledger, f"front{number}", 0.1 * number, 1.0 * number)
    for name, overall, took in (("best", 0.9, 9.0), ("worse", 0.01, 8.0)):
        ledger.append(suggested(name))
        for epoch in (1, 2):
            ledger.append(timed(name, epoch, overall, took))
    policy._choose = lambda pausing=None: NEW  # type: ignore[method-assign]
    policy._catch_up()
    newest = {name: record.reports[-1] for name, record in ledger.records.items()}
    assert policy.decide(newest["best"]).action == "pause"
    paused(ledger, "front0", 0.05, 0.5)
    policy._catch_up()
    assert policy.decide(newest["best"]).action == "continue"
    assert policy.decide(newest["worse"]).action == "pause"
    assert len(policy._promised) == 2, "what was chosen in place of the one that goes on is chosen anew"


@pytest.mark.parametrize(("objectives", "chosen"), [(TWO, NEW), (("overall", "parameters"), OTHER)])
def test_seconds_that_are_an_objective_do_not_count_twice(
    space: Space, problem: Problem, ledger: Ledger, objectives: Sequence[Objective], chosen: Any
) -> None:
    policy: FreezeThaw = Driven(ledger, space, problem, trials=None, objectives=objectives).policy
    expecting(policy, [0.4, 0.3], seconds=(3.0, 0.1))
    assert policy._best_of([NEW, OTHER], None, may_begin=True) is chosen


def test_at_the_end_all_of_the_front_may_go_on(space: Space, problem: Problem, ledger: Ledger) -> None:
    policy: FreezeThaw = Driven(ledger, space, problem, trials=3, objectives=TWO).policy
    for name, overall, took in (("t001", 0.9, 9.0), ("t002", 0.2, 1.0), ("t003", 0.1, 5.0)):
        paused(ledger, name, overall, took)
    policy._catch_up()
    expecting(policy, [-9.0, -8.0, -7.0])
    chosen = policy._choose()
    assert chosen is not None
    assert chosen.trial == "t002", "t003 promises more, and has no chance"
    expecting(policy, [-9.0])
    assert policy._best_of([chosen], None, may_begin=False) is chosen
