"""The searcher: POINTS first, then TPE; each trial ends in Optuna as it ended in the ledger, resumed or not."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import json_to_distribution
from optuna.samplers._tpe.sampler import _split_pruned_trials
from optuna.trial import TrialState
from ray.tune.search import Searcher

from model.errors import UserError
from model.problem import Problem
from search.budget import Budget
from search.halt import Halt
from search.ledger import Ledger
from search.records import End, EndState, Event, Retry
from search.searcher import STARTUP_TRIALS, OptunaSearcher, tpe
from search.space import Space, load_space
from tests.search.events import report, suggested
from tests.search.scripted import DIVERGES, ERROR, FAILS, Word, judging, lines, outcomes, say
from tests.search.test_space import GOOD
from tests.support import PROBLEM

POINTS = 'POINTS = {"first": {"depth": 1, "rate": 1e-4, "pooling": "mean", "common": 0}, "second": {"depth": 2}}\n'


@pytest.fixture
def space(tmp_path: Path) -> Space:
    (tmp_path / "space.py").write_text(GOOD + POINTS)
    return load_space(tmp_path / "space.py", PROBLEM)


def searching(
    space: Space, problem: Problem, ledger: Ledger, *, seed: int = 3, trials: int | None = None
) -> OptunaSearcher:
    halt = Halt(Budget(), ledger.history, on_interrupt=lambda: None)
    return OptunaSearcher(space, problem, ledger, halt, tpe, source="tpe", trials=trials, seed=seed)


@pytest.fixture
def searcher(space: Space, problem: Problem, ledger: Ledger) -> OptunaSearcher:
    return searching(space, problem, ledger)


def end(searcher: OptunaSearcher, ledger: Ledger, ray_id: str, state: EndState, overalls: list[float]) -> None:
    """Lets a suggested trial report `overalls` and end, as the judge would."""
    name = searcher._asked[ray_id]
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
    own = {"seed": None, "epochs": None, "micro_batches": 1}
    assert suggestions == [{"trial": r.name, "config": r.config, **own} for r in records]
    assert [record.name for record in records] == ["t001", "t002", "t003", "t004"]


def test_the_ledger_has_what_a_study_can_be_rebuilt_from(searcher: OptunaSearcher, ledger: Ledger) -> None:
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
            searcher = searching(space, problem, ledger, seed=seed)
            for i in range(STARTUP_TRIALS + 3):  # past those that are drawn at random
                searcher.suggest(str(i))
                end(searcher, ledger, str(i), "completed", [i % 5 / 5])
            return [record.params for record in ledger.records.values()]

    assert drawn("a", seed=1) == drawn("b", seed=1)
    assert drawn("c", seed=1) != drawn("d", seed=2)


TRIALS = 9
EPOCHS = 3
SCRIPT: list[list[Word]] = [
    [0.3, 0.5, 0.6], [0.4, 0.2], [0.7, 0.8, 0.5], [0.6, FAILS], [DIVERGES],
    [0.1, 0.2], [0.9, 0.9, DIVERGES], [0.7, 0.8, 0.9], [0.2, 0.85, 0.9],
]  # fmt: skip
"""What each trial says, whatever its parameters."""


def search_on(space: Space, problem: Problem, path: Path) -> OptunaSearcher:
    """One trial after the other, from where the ledger at `path` ends to the last trial's end."""
    with Ledger(path) as ledger:
        judge = judging(ledger, EPOCHS)
        searcher = searching(space, problem, ledger)
        while any(record.state == "running" for record in ledger.records.values()) or len(ledger.records) < TRIALS:
            suggestion = searcher.suggest("ray")
            assert isinstance(suggestion, dict)
            name = suggestion["trial"]
            voice = outcomes(name, SCRIPT[int(name[1:]) - 1])
            while say(judge, next(voice)) == "continue":
                pass
            searcher.on_trial_complete("ray")
    return searcher


def study(searcher: OptunaSearcher) -> list[tuple[Any, ...]]:
    return [
        (trial.number, trial.state, trial.params, trial.distributions, trial.values, trial.intermediate_values)
        for trial in searcher.study.trials
    ]


def test_a_run_resumed_after_any_line_suggests_the_same(
    space: Space, problem: Problem, tmp_path: Path, unsynced: None
) -> None:
    path = tmp_path / "run.jsonl"
    live = study(search_on(space, problem, path))
    written, expected = path.read_bytes().splitlines(keepends=True), lines(path)
    sources = [line["source"] for line in expected if line["event"] == "suggested"]
    assert sources == ["point first", "point second", *["tpe"] * (TRIALS - 2)]
    assert TRIALS > STARTUP_TRIALS
    for count in range(len(written)):
        path.write_bytes(b"".join(written[:count]))
        resumed = search_on(space, problem, path)
        assert lines(path) == expected, f"resumed after line {count}"
        assert study(resumed) == live


def test_what_has_not_ended_comes_first_and_is_told_when_it_ends(
    space: Space, problem: Problem, tmp_path: Path
) -> None:
    with Ledger(tmp_path / "run.jsonl") as ledger:
        before = searching(space, problem, ledger)
        for ray_id in "abcd":
            before.suggest(ray_id)
        end(before, ledger, "b", "completed", [0.4])
        ledger.append(report("t003", 1, 0.3))
    with Ledger(tmp_path / "run.jsonl") as ledger:
        resumed = searching(space, problem, ledger)
        assert study(resumed) == [trial for trial in study(before) if trial[1] != TrialState.WAITING]
        suggestions: list[Any] = [resumed.suggest(ray_id) for ray_id in "efgh"]
        assert [suggestion["trial"] for suggestion in suggestions] == ["t001", "t003", "t004", "t005"]
        assert [s["config"] for s in suggestions] == [ledger.records[s["trial"]].config for s in suggestions]
        ledger.append(End(trial="t003", state="stopped"))
        resumed.on_trial_complete("f")
        assert resumed.study.trials[2].intermediate_values == {1: 0.3}
        assert resumed.study.trials[2].state == TrialState.PRUNED


@pytest.mark.parametrize(("reason", "micro_batches"), [("memory", 2), ("died", 1), ("hung", 1), ("damaged", 1)])
def test_a_trial_that_ran_out_of_memory_is_taken_up_with_less(
    space: Space, problem: Problem, ledger: Ledger, reason: Any, micro_batches: int
) -> None:
    events: list[Event] = [suggested("t001"), Retry(trial="t001", reason=reason, error=ERROR), suggested("t002")]
    for event in events:
        ledger.append(event)
    searcher = searching(space, problem, ledger)
    taken_up: list[Any] = [searcher.suggest(ray_id) for ray_id in "ab"]
    assert [suggestion["micro_batches"] for suggestion in taken_up] == [micro_batches, 1]


def test_a_space_that_breaks_in_a_draw_ends_the_suggestions(tmp_path: Path, problem: Problem, ledger: Ledger) -> None:
    source = GOOD.replace("    head = HeadConfig()\n", "    head = HeadConfig(dropout=trial.number * 2.0)\n")
    (tmp_path / "space.py").write_text(source)
    searcher = searching(load_space(tmp_path / "space.py", PROBLEM), problem, ledger, seed=0)
    assert isinstance(searcher.suggest("a"), dict)
    assert searcher.suggest("b") == Searcher.FINISHED
    assert isinstance(searcher.error, UserError)
    assert "HeadConfig.dropout = 2.0: allowed is a number from 0 to 0.9" in str(searcher.error)
    assert list(ledger.records) == ["t001"]
    end(searcher, ledger, "a", "completed", [0.5])
    assert searcher.study.best_value == 0.5


def test_a_full_disk_ends_the_suggestions_and_halts_all(
    space: Space, problem: Problem, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(event: object) -> None:
        raise full

    halt = Halt(Budget(), ledger.history, on_interrupt=lambda: None)
    searcher = OptunaSearcher(space, problem, ledger, halt, tpe, source="tpe", trials=None, seed=3)
    monkeypatch.setattr(ledger, "append", fail)
    assert searcher.suggest("a") == Searcher.FINISHED
    assert (halt.cause, halt.error) == ("error", full)


def test_a_halted_run_is_suggested_nothing_more(space: Space, problem: Problem, ledger: Ledger) -> None:
    halt = Halt(Budget(epochs=1), ledger.history, on_interrupt=lambda: None)
    searcher = OptunaSearcher(space, problem, ledger, halt, tpe, source="tpe", trials=None, seed=3)
    assert isinstance(searcher.suggest("a"), dict)
    ledger.append(report("t001"))
    assert halt.stop_all()
    assert searcher.suggest("b") == Searcher.FINISHED
    assert list(ledger.records) == ["t001"]


def test_so_many_trials_are_drawn_and_no_more(space: Space, problem: Problem, ledger: Ledger) -> None:
    searcher = searching(space, problem, ledger, trials=2)
    assert [isinstance(searcher.suggest(ray_id), dict) for ray_id in "ab"] == [True, True]
    assert searcher.suggest("c") is None, "one of the two may yet come back"
    for ray_id, name in (("a", "t001"), ("b", "t002")):
        ledger.append(End(trial=name, state="diverged"))
        searcher.on_trial_complete(ray_id)
    assert searcher.suggest("c") == Searcher.FINISHED
    assert not searcher.has_more()
    assert searching(space, problem, ledger, trials=3).has_more()


def test_a_trial_that_no_process_took_up_comes_again(space: Space, problem: Problem, ledger: Ledger) -> None:
    searcher = searching(space, problem, ledger, trials=1)
    suggested = searcher.suggest("a")
    searcher.on_trial_complete("a", error=True)
    assert searcher.suggest("b") == suggested
    assert list(ledger.records) == ["t001"]
