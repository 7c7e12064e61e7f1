"""The way from a paper's configuration to the winner's: whole, valid, a change at a time, and its gains add up."""

from __future__ import annotations

import random
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler

from analysis.why.ablation import NOT_DRAWN, Trained, Waypoint, _grouped, changes, measured, plan
from analysis.why.points import best_point
from analysis.winner.results import Change
from model.config import TrialConfig
from model.data.scores import overall, score
from model.data.tasks import CS224N
from model.problem import Problem, check
from search.records import TrialRecord
from search.space import Space, load_space, quiet_optuna
from tests.analysis.simulated import simulated_record
from tests.support import refused, tiny_config

ROOT = Path(__file__).parents[3]
PROBLEM = Problem(tasks=CS224N, num_layers=6, hidden_size=96, num_heads=4, train_size={}, dev_size={})
ANY = 1000


def drawn(space: Space, count: int) -> list[TrialRecord]:
    """Trials as a search begins: the space's POINTS, then at random."""
    records = []
    with quiet_optuna():
        study = optuna.create_study(sampler=RandomSampler(seed=0))
        for params in space.points.values():
            study.enqueue_trial(dict(params))
        names = [f"point {name}" for name in space.points]
        for number in range(len(names) + count):
            trial = study.ask()
            config = space.draw(trial, PROBLEM)
            source = names[number] if number < len(names) else "tpe"
            name = f"t{number + 1:03d}"
            record = simulated_record(name, [0.5], source=source, params=trial.params, config=config.to_dict())
            records.append(record)
            study.tell(trial, 0.5)
    return records


@pytest.fixture(scope="module")
def full() -> Space:
    return load_space(ROOT / "spaces" / "full.py", PROBLEM)


@pytest.fixture(scope="module")
def trials(full: Space) -> list[TrialRecord]:
    return drawn(full, 30)


def config_of(record: TrialRecord) -> TrialConfig:
    return TrialConfig.from_dict(record.config)


def assert_whole(way: list[Waypoint], start: TrialRecord, end: TrialRecord) -> None:
    """It leads from one to the other by configurations that are valid and differ from one to the next."""
    assert (way[0].config, way[-1].config) == (config_of(start), config_of(end))
    for before, after in pairwise(way):
        assert before.config != after.config
        assert changes(before.params, after.params)
    for waypoint in way:
        check(waypoint.config, PROBLEM)
        TrialConfig.from_dict(waypoint.config.to_dict())


def test_ways_between_any_two_trials_of_the_full_space(full: Space, trials: list[TrialRecord]) -> None:
    rng = random.Random(0)
    steps = []
    for start, end in rng.sample(list(combinations(trials, 2)), 20):
        order = rng.sample(sorted(end.params), len(end.params))
        way = plan(full, PROBLEM, start, end, order, most=ANY)
        assert_whole(way, start, end)
        assert way == plan(full, PROBLEM, start, end, order, most=ANY), "the same again"
        differ = [p for p in start.params if p in end.params and start.params[p] != end.params[p]]
        steps.append((len(way) - 1) / len(differ))
    assert np.mean(steps) > 0.8, "most changes are steps of their own"


def test_ways_between_the_points(full: Space, trials: list[TrialRecord]) -> None:
    points = [record for record in trials if record.source.startswith("point ")]
    assert len(points) == len(full.points)
    for start, end in pairwise([*points, *points[::-2]]):
        assert_whole(plan(full, PROBLEM, start, end, [], most=ANY), start, end)


@pytest.mark.parametrize("most", [1, 2, 4, 8])
def test_no_way_has_more_than_the_most_steps(full: Space, trials: list[TrialRecord], most: int) -> None:
    for start, end in pairwise(trials[-6:]):
        whole = plan(full, PROBLEM, start, end, [], most=ANY)
        assert len(whole) > 9, "there are more changes"
        way = plan(full, PROBLEM, start, end, [], most=most)
        assert_whole(way, start, end)
        assert len(way) - 1 <= most


def test_of_too_many_changes_those_of_one_part_are_made_as_one() -> None:
    params = ["a.x", "b.x", "a.y", "b.y", "c", "a.z", "b.z"]
    assert _grouped(params, 7) == _grouped(params, 9) == [[param] for param in params]
    assert _grouped(params, 6) == [["a.x"], ["b.x"], ["a.y"], ["b.y", "b.z"], ["c"], ["a.z"]]
    assert _grouped(params, 5) == [["a.x"], ["b.x"], ["a.y", "a.z"], ["b.y", "b.z"], ["c"]]
    assert _grouped(params, 4) == [["a.x"], ["b.x", "b.y", "b.z"], ["a.y", "a.z"], ["c"]]
    assert _grouped(params, 3) == [["a.x", "a.y", "a.z"], ["b.x", "b.y", "b.z"], ["c"]]
    assert _grouped(params, 2) == [["a.x", "a.y", "a.z"], ["b.x", "b.y", "b.z", "c"]], "the least important parts"
    assert _grouped(params, 1) == [["a.x", "a.y", "a.z", "b.x", "b.y", "b.z", "c"]]
    assert _grouped([], 3) == []


def test_a_trial_and_itself(full: Space, trials: list[TrialRecord]) -> None:
    (only,) = plan(full, PROBLEM, trials[0], trials[0], [], most=5)
    assert only.config == config_of(trials[0])


SPACE = """
from model.config import *

def space(trial, problem):
    deep = trial.suggest_categorical("deep", [False, True])
    rate = trial.suggest_float("rate", 1e-5, 1e-1)
    head = {"dropout": trial.suggest_float("dropout", 0.0, 0.5)}
    if deep:
        head["common_layers"] = trial.suggest_int("layers", 1, 9)
        if head["common_layers"] > 3 and rate > 0.05:
            raise ValueError("too much")
        if head["common_layers"] > 3 and head["dropout"] > 0.4:
            head["width"] = trial.suggest_int("width", 8, 64)
    if rate > 0.02:
        trial.suggest_float("unused", 0.0, 1.0)
    if trial.suggest_categorical("idle", [False, True]) and rate == 0.03:
        head["layer_norm"] = True
    tasks = {
        "sentiment": TaskConfig(),
        "paraphrase": TaskConfig(pair_encoding="cross", loss="bce"),
        "similarity": TaskConfig(pair_encoding="cross", loss="mse"),
    }
    optimization = OptimizationConfig(learning_rate=rate)
    return TrialConfig(encoder=EncoderConfig(), head=HeadConfig(**head), tasks=tasks, optimization=optimization)
"""


def way_through(tmp_path: Path, start: dict[str, Any], end: dict[str, Any], order: list[str]) -> list[list[Change]]:
    """The changes of each step in a small space."""
    path = tmp_path / "space.py"
    path.write_text(SPACE)
    space = load_space(path, PROBLEM)
    ends = []
    for params in (start, end):
        config = space.draw(optuna.trial.FixedTrial(params), PROBLEM)  # type: ignore[arg-type]
        ends.append(simulated_record("t", [0.5], params=params, config=config.to_dict()))
    way = plan(space, PROBLEM, ends[0], ends[1], order, most=ANY)
    assert_whole(way, *ends)
    return [changes(before.params, after.params) for before, after in pairwise(way)]


PLAIN = {"deep": False, "rate": 1e-3, "dropout": 0.1, "idle": False}


def test_children_come_and_go_with_their_parent_and_the_order_is_kept(tmp_path: Path) -> None:
    end = {"deep": True, "rate": 2e-3, "dropout": 0.2, "layers": 2, "idle": False}
    assert way_through(tmp_path, PLAIN, end, ["dropout", "deep", "rate"]) == [
        [Change("dropout", "0.1", "0.2")],
        [Change("deep", "False", "True"), Change("layers", NOT_DRAWN, "2")],
        [Change("rate", "0.001", "0.002")],
    ]
    assert way_through(tmp_path, end, PLAIN, ["deep"]) == [
        [Change("deep", "True", "False"), Change("layers", "2", NOT_DRAWN)],
        [Change("dropout", "0.2", "0.1")],
        [Change("rate", "0.002", "0.001")],
    ]


def test_a_change_that_is_not_valid_alone_is_made_with_the_one_that_it_needs(tmp_path: Path) -> None:
    start = {**PLAIN, "rate": 0.06, "unused": 0.5}
    end = {"deep": True, "rate": 1e-3, "dropout": 0.2, "layers": 5, "idle": False}
    assert way_through(tmp_path, start, end, ["deep", "dropout", "rate"]) == [
        [
            Change("deep", "False", "True"),
            Change("rate", "0.06", "0.001"),
            Change("unused", "0.5", NOT_DRAWN),
            Change("layers", NOT_DRAWN, "5"),
        ],
        [Change("dropout", "0.1", "0.2")],
    ]


def test_a_parameter_that_neither_has_is_not_made_up(tmp_path: Path) -> None:
    start = {"deep": True, "rate": 1e-3, "dropout": 0.45, "layers": 2, "idle": False}
    end = {"deep": True, "rate": 1e-3, "dropout": 0.1, "layers": 6, "idle": False}
    (step,) = way_through(tmp_path, start, end, ["layers", "dropout"])
    assert step == [Change("dropout", "0.45", "0.1"), Change("layers", "2", "6")]


def test_a_change_without_effect_is_made_with_the_next(tmp_path: Path) -> None:
    end = {**PLAIN, "idle": True, "dropout": 0.2}
    (step,) = way_through(tmp_path, PLAIN, end, ["idle", "dropout"])
    assert step == [Change("dropout", "0.1", "0.2"), Change("idle", "False", "True")]


def test_a_space_that_has_changed_since(full: Space, trials: list[TrialRecord]) -> None:
    other = simulated_record("t099", [0.5], params=trials[0].params, config=tiny_config().to_dict())
    text = f"{full.path}: the parameters of t099 make another configuration than it had"
    with refused(text):
        plan(full, PROBLEM, other, trials[0], [], most=5)
    with refused(text):
        plan(full, PROBLEM, trials[0], other, [], most=5)


def test_the_best_point() -> None:
    records = [
        simulated_record("t001", [0.9], "diverged", source="point wild"),
        simulated_record("t002", [0.5], source="point good"),
        simulated_record("t003", [0.4], source="point bad"),
        simulated_record("t004", [0.8]),
    ]
    assert best_point(records) is records[1]
    paper = simulated_record("t005", [0.3], source="point jetty-final")
    assert best_point([*records, paper]) is paper, "a paper's comes first"
    assert best_point([records[0], records[3]]) is None


def test_gains_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    labels = {
        "sentiment": rng.integers(0, 5, 200),
        "paraphrase": rng.integers(0, 2, 300),
        "similarity": rng.uniform(0, 5, 150),
    }
    trained = []
    for number, noise in enumerate((0.8, 0.5, 0.6, 0.2)):
        predicted = {name: np.where(rng.random(len(y)) < noise, rng.permutation(y), y) for name, y in labels.items()}
        params = {"noise": noise, "new": 1} if number == 3 else {"noise": noise}
        trained.append(Trained(Waypoint(params, tiny_config()), f"r{number:03d}", predicted))
    path = measured("jetty-final", trained, CS224N, labels)
    assert (path.point, [step.name for step in path.steps]) == ("jetty-final", ["r000", "r001", "r002", "r003"])
    for step, one in zip(path.steps, trained, strict=True):
        by_task = {t.name: score(t.metric, one.predicted[t.name], labels[t.name]) for t in CS224N}
        assert step.overall == pytest.approx(overall(CS224N, by_task), abs=1e-12)
    first, *others = path.steps
    assert (first.gain, first.changes) == (None, [])
    gains = [step.gain for step in others if step.gain is not None]
    assert sum(gain.value for gain in gains) == pytest.approx(path.steps[-1].overall - first.overall, abs=1e-12)
    assert all(gain.low < gain.value < gain.high for gain in gains)
    assert path.whole is not None
    assert path.whole.value == pytest.approx(sum(gain.value for gain in gains), abs=1e-12)
    ends = measured("jetty-final", [trained[0], trained[-1]], CS224N, labels)
    assert path.whole == ends.whole == ends.steps[1].gain, "of the ends alone"
    assert measured("jetty-final", trained[:1], CS224N, labels).whole is None
    assert others[-1].changes == [Change("noise", "0.6", "0.2"), Change("new", NOT_DRAWN, "1")]
