"""The searcher: POINTS first, then TPE; each trial ends in Optuna as it ended in the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.distributions import json_to_distribution
from optuna.samplers._tpe.sampler import _split_pruned_trials
from optuna.trial import TrialState
from ray.tune.search import Searcher

from model.errors import UserError
from model.problem import Problem
from search.ledger import End, EndState, Ledger, TrialError
from search.searcher import OptunaSearcher
from search.space import Space, load_space
from tests.search.events import report
from tests.search.test_space import GOOD

POINTS = 'POINTS = {"first": {"depth": 1, "rate": 1e-4, "pooling": "mean", "common": 0}, "second": {"depth": 2}}\n'
ERROR = TrialError(type="ValueError", message="boom", traceback="...")


@pytest.fixture
def space(tmp_path: Path) -> Space:
    (tmp_path / "space.py").write_text(GOOD + POINTS)
    return load_space(tmp_path / "space.py")


@pytest.fixture
def searcher(space: Space, problem: Problem, ledger: Ledger) -> OptunaSearcher:
    return OptunaSearcher(space, problem, ledger, seed=3)


def end(searcher: OptunaSearcher, ledger: Ledger, ray_id: str, state: EndState, overalls: list[float]) -> None:
    """Lets a suggested trial report `overalls` and end, as the scheduler would."""
    name = searcher._asked[ray_id][0]
    for epoch, overall in enumerate(overalls, 1):
        ledger.append(report(name, epoch, overall, best=max(overalls[:epoch])))
    ledger.append(End(trial=name, state=state, error=ERROR if state == "failed" else None))
    searcher.on_trial_complete(ray_id, error=state == "failed")


def test_points_come_first_and_once(searcher: OptunaSearcher, ledger: Ledger) -> None:
    suggestions = [searcher.suggest(f"ray-{i}") for i in range(4)]
    records = list(ledger.records.values())
    assert [record.source for record in records] == ["point first", "point second", "tpe", "tpe"]
    assert records[0].params == {"depth": 1, "rate": 1e-4, "pooling": "mean", "common": 0}
    assert records[1].params["depth"] == 2
    assert set(records[1].params) >= {"depth", "rate", "pooling", "common"}, "what a point leaves open is drawn"
    assert suggestions == [{"trial": record.name, "config": record.config} for record in records]
    assert [record.name for record in records] == ["t001", "t002", "t003", "t004"]


def test_the_ledger_has_what_a_study_can_be_rebuilt_from(searcher: OptunaSearcher, ledger: Ledger) -> None:
    import json

    searcher.suggest("ray-0")
    record, trial = ledger.records["t001"], searcher.study.trials[0]
    assert record.params == trial.params
    rebuilt = {name: json_to_distribution(json.dumps(d)) for name, d in record.distributions.items()}
    assert rebuilt == trial.distributions


def test_each_trial_ends_in_optuna_as_it_did_in_the_ledger(searcher: OptunaSearcher, ledger: Ledger) -> None:
    for ray_id in "abcde":
        searcher.suggest(ray_id)
    end(searcher, ledger, "b", "stopped", [0.3, 0.2])
    end(searcher, ledger, "a", "completed", [0.4, 0.7, 0.6])
    end(searcher, ledger, "d", "failed", [0.9])
    end(searcher, ledger, "c", "diverged", [0.8, 0.9])
    completed, stopped, diverged, failed, running = searcher.study.trials
    assert (completed.state, completed.value) == (TrialState.COMPLETE, 0.7)
    assert completed.intermediate_values == {1: 0.4, 2: 0.7, 3: 0.7}
    assert (stopped.state, stopped.value) == (TrialState.PRUNED, 0.3)
    assert stopped.intermediate_values == {1: 0.3, 2: 0.3}
    assert (diverged.state, diverged.value, diverged.intermediate_values) == (TrialState.PRUNED, None, {})
    assert (failed.state, failed.value) == (TrialState.FAIL, None)
    assert running.state == TrialState.RUNNING
    assert searcher.study.best_value == 0.7


def test_a_diverged_trial_is_the_worst_to_tpe(searcher: OptunaSearcher, ledger: Ledger) -> None:
    for ray_id in "abc":
        searcher.suggest(ray_id)
    end(searcher, ledger, "a", "diverged", [0.9, 0.9, 0.9, 0.9])
    end(searcher, ledger, "b", "stopped", [0.1, 0.1])
    end(searcher, ledger, "c", "stopped", [0.2, 0.2])
    better, worse = _split_pruned_trials(searcher.study.trials, searcher.study, n_below=2)
    assert [trial.number for trial in better] == [2, 1]
    assert [trial.number for trial in worse] == [0]


def test_a_seed_is_a_search(space: Space, problem: Problem, tmp_path: Path) -> None:
    def drawn(name: str, seed: int) -> list[object]:
        with Ledger(tmp_path / name) as ledger:
            searcher = OptunaSearcher(space, problem, ledger, seed)
            for i in range(16):  # past those that are drawn at random
                searcher.suggest(str(i))
                end(searcher, ledger, str(i), "completed", [i % 5 / 5])
            return [record.params for record in ledger.records.values()]

    assert drawn("a", seed=1) == drawn("b", seed=1)
    assert drawn("c", seed=1) != drawn("d", seed=2)


def test_a_space_that_breaks_in_a_draw_ends_the_suggestions(tmp_path: Path, problem: Problem, ledger: Ledger) -> None:
    source = GOOD.replace("    head = HeadConfig()\n", "    head = HeadConfig(dropout=trial.number * 2.0)\n")
    (tmp_path / "space.py").write_text(source)
    searcher = OptunaSearcher(load_space(tmp_path / "space.py"), problem, ledger, seed=0)
    assert isinstance(searcher.suggest("a"), dict)
    assert searcher.suggest("b") == Searcher.FINISHED
    assert isinstance(searcher.error, UserError)
    assert "HeadConfig.dropout = 2.0: allowed is a number from 0 to 0.9" in str(searcher.error)
    assert list(ledger.records) == ["t001"]
    end(searcher, ledger, "a", "completed", [0.5])
    assert searcher.study.best_value == 0.5
