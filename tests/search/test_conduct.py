"""What a run says at its end, and what it leaves behind of its trials."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest

from model.console import Console
from model.data.tasks import CS224N_SOURCES
from model.network.pretrained import Encoder
from model.problem import Problem
from search.conduct import carry_on, ends, exit_code, full_disk, show_end, tidy
from search.halt import Halt
from search.judge import Judge
from search.ledger import Ledger
from search.ledger_searcher import LedgerSearcher
from search.records import Decision, End, Retry, TrialError, TrialRecord, put_down
from search.resources import Shares
from search.run_folder import RunFolder, next_command, resume_command, watch_command
from search.space import load_space
from search.strategy import Strategy, strategy_of
from tests.search.events import report, suggested
from tests.search.scripted import ERROR
from tests.search.test_run_folder import INFO
from tests.search.test_space import GOOD
from tests.support import PROBLEM

ASKED = dataclasses.replace(INFO, sources=CS224N_SOURCES)


def test_no_trial_can_win(capsys: pytest.CaptureFixture[str], ledger: Ledger) -> None:
    error = TrialError(type="ValueError", message="boom", traceback="Traceback ...\nValueError: boom")
    for name in ("t001", "t002"):
        ledger.append(suggested(name))
        ledger.append(End(trial=name, state="failed", error=error))
    assert exit_code(list(ledger.records.values())) == 1
    assert capsys.readouterr().err == f"error: no trial can win: 2 failed, the first with\n{error.traceback}\n"
    ledger.append(suggested("t003"))
    ledger.append(report("t003", 1, 0.9))
    ledger.append(End(trial="t003", state="diverged"))
    assert exit_code(list(ledger.records.values())) == 1
    assert capsys.readouterr().err == "error: no trial can win: 2 failed, 1 diverged\n"
    assert exit_code([]) == 1
    assert capsys.readouterr().err == "error: no trial can win: there was none\n"
    ledger.append(suggested("t004"))
    ledger.append(report("t004", 1, 0.1))
    assert exit_code(list(ledger.records.values())) == 0


def shown(run: RunFolder, ledger: Ledger, trials: int | None) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    show_end(run, ledger.history, dataclasses.replace(ASKED, trials=trials), console)
    return [line for line in console.file.getvalue().splitlines() if line[:5] in ("Ended", "Go on", "Next:", "Watch")]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("trials", "goes_on"), [(2, False), (None, False), (3, True)])
def test_the_end_says_what_to_type_next(tmp_path: Path, ledger: Ledger, trials: int | None, goes_on: bool) -> None:
    run = RunFolder(tmp_path / "one")
    begun = shown(run, ledger, trials)
    assert begun == ([f"Go on: {resume_command(run)}"] if trials else []), "interrupted before the first trial"
    for name in ("t001", "t002"):
        ledger.append(suggested(name))
        ledger.append(report(name))
        ledger.append(End(trial=name, state="completed"))
    assert shown(run, ledger, trials) == [
        "Ended: 2 completed",
        *([f"Go on: {resume_command(run)}"] if goes_on else []),
        f"Next:  {next_command(run)}",
        f"Watch: {watch_command(tmp_path)}",
    ]


@pytest.mark.parametrize(("trials", "goes_on"), [(2, False), (None, True), (3, True)])
def test_the_end_of_a_budget_says_that_a_larger_one_goes_on(
    tmp_path: Path, ledger: Ledger, trials: int | None, goes_on: bool
) -> None:
    run, info = RunFolder(tmp_path / "one"), dataclasses.replace(ASKED, trials=trials, budget="2h")
    for name in ("t001", "t002"):
        ledger.append(suggested(name))
        ledger.append(End(trial=name, state="stopped"))
    text = io.StringIO()
    show_end(run, ledger.history, info, Console(file=text, width=120), used_up=True)
    goes_on_with = f"A larger budget goes on, such as this:\nGo on: {resume_command(run)} --budget 2h\n"
    assert text.getvalue() == "Ended: budget of 2h used up; 2 stopped\n" + (goes_on_with if goes_on else "")


def test_with_several_objectives_the_end_shows_the_front(tmp_path: Path, ledger: Ledger) -> None:
    for name, overall, took in (("t001", 0.5, 2.0), ("t002", 0.9, 8.0), ("t003", 0.4, 9.0)):
        ledger.append(suggested(name))
        ledger.append(dataclasses.replace(report(name, 1, overall), train_seconds=took))
        ledger.append(End(trial=name, state="completed"))
    for objectives, there in ((["overall"], False), (["overall", "seconds"], True)):
        console, info = Console(file=io.StringIO(), width=120), dataclasses.replace(ASKED, objectives=objectives)
        show_end(RunFolder(tmp_path / "one"), ledger.history, info, console)
        leaderboard, *after = console.file.getvalue().split("Pareto front of overall, seconds")  # type: ignore[attr-defined]
        assert all(name in leaderboard for name in ("t001", "t002", "t003"))
        assert bool(after) == there
        if after:
            assert after[0].index("t002") < after[0].index("t001")
            assert "t003" not in after[0]
            assert "Ended: 3 completed" in after[0]


def test_an_unfinished_trial_can_go_on(tmp_path: Path, ledger: Ledger) -> None:
    run = RunFolder(tmp_path / "one")
    ledger.append(suggested())
    assert shown(run, ledger, 1) == ["Ended early: 1 unfinished", f"Go on: {resume_command(run)}"]
    ledger.append(report())
    assert shown(run, ledger, 1)[:2] == ["Ended early: 1 unfinished", f"Go on: {resume_command(run)}"]


def test_no_trial_runs_at_the_end(tmp_path: Path, ledger: Ledger) -> None:
    ledger.append(suggested())
    ledger.append(report())
    console = Console(file=io.StringIO(), width=120)
    show_end(RunFolder(tmp_path / "one"), ledger.history, ASKED, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "│ unfinished │" in text
    assert "running" not in text


def test_a_paused_trial_is_counted_and_the_run_can_go_on(tmp_path: Path, ledger: Ledger) -> None:
    run = RunFolder(tmp_path / "one")
    ledger.append(suggested())
    ledger.append(report())
    ledger.append(Decision(trial="t001", epoch=1, action="pause", rung=1, cutoff=None))
    assert shown(run, ledger, 1)[:2] == ["Ended early: 1 paused", f"Go on: {resume_command(run)}"]


def test_errors_and_retries_are_counted(ledger: Ledger) -> None:
    for name in ("t001", "t002", "t003"):
        ledger.append(suggested(name))
    for reason in ("died", "memory", "died"):
        ledger.append(Retry(trial="t001", reason=reason, error=ERROR))
    ledger.append(End(trial="t001", state="completed"))
    ledger.append(End(trial="t002", state="failed", error=ERROR))
    said = "1 completed, 1 failed, 1 unfinished (1 by ValueError); taken up again: 2 died, 1 memory"
    assert ends(put_down(ledger.records.values())) == said


def test_a_trial_that_has_ended_keeps_its_best_weights_alone_and_a_paused_one_a_state(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for folder in ("best", "state", "state.before", "state.partial"):
        (run.trial("t001") / folder).mkdir(parents=True)
        (run.trial("t001") / folder / "state.json").write_text("{}")
    record = TrialRecord(name="t001", source="tpe", params={}, distributions={}, config={})
    tidy(run, record)
    assert len(list(run.trial("t001").iterdir())) == 4, "it goes on from them"
    tidy(run, dataclasses.replace(record, state="paused"))
    assert sorted(path.name for path in run.trial("t001").iterdir()) == ["best", "state"], "the newest will do"
    tidy(run, dataclasses.replace(record, state="stopped"))
    assert [path.name for path in run.trial("t001").iterdir()] == ["best"]
    tidy(run, dataclasses.replace(record, name="t002", state="stopped"))


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "search.conduct.shutil.disk_usage", lambda path: dataclasses.make_dataclass("U", ["free"])(2.4e6)
    )
    run = RunFolder(tmp_path / "one")
    assert full_disk(run, "more") == (
        f"{run.path}: no space left on its disk (2 MB free). All that was saved is whole: free some, then go on by more"
    )


def asked_for(
    folder: Path,
    problem: Problem,
    encoder: Encoder,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    *,
    search: str = "freeze-thaw",
    trials: int = 2,
) -> list[str]:
    """What trials Ray would be given first, two at a time, by a driver that takes up what the ledger has."""
    (folder / "space.py").write_text(GOOD)
    space = load_space(folder / "space.py", PROBLEM)
    begun: list[str] = []

    def strategy(ledger: Ledger, halt: Halt) -> Strategy:
        return strategy_of(search, space, problem, ledger, halt, epochs=4, trials=trials, seed=0, early_stopping=True)

    def two_at_a_time(run: RunFolder, ledger: Ledger, searcher: LedgerSearcher, judge: Judge, *_: object) -> None:
        for ray_id in "ab":
            found = searcher.suggest(ray_id)
            if isinstance(found, dict):
                begun.append(found["trial"])

    monkeypatch.setattr("search.tuner.search", two_at_a_time)
    info = dataclasses.replace(ASKED, epochs=4, trials=trials)
    shares = Shares(concurrent=2, threads=1, cpus=1, gpus=0)
    nothing: Any = None
    run = RunFolder(folder / "one")
    carry_on(run, info, ledger, strategy, nothing, encoder, shares, Console(file=io.StringIO()))
    return begun


@pytest.mark.parametrize("search", ["freeze-thaw", "tpe"])
def test_a_trial_whose_driver_died_before_it_wrote_the_end_is_not_trained_again(
    tmp_path: Path,
    problem: Problem,
    encoder: Encoder,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    search: str,
) -> None:
    ledger.append(suggested("t001"))
    for epoch in range(1, 5):
        ledger.append(report("t001", epoch))
    assert asked_for(tmp_path, problem, encoder, ledger, monkeypatch, search=search) == ["t002"]
    assert ledger.records["t001"].state == "completed"


def test_a_trial_whose_driver_died_before_it_was_paused_does_not_run(
    tmp_path: Path, problem: Problem, encoder: Encoder, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(suggested("t001"))
    for epoch in (1, 2):
        ledger.append(report("t001", epoch))
    begun = asked_for(tmp_path, problem, encoder, ledger, monkeypatch, trials=3)
    assert [decision.action for decision in ledger.records["t001"].decisions] == ["pause"]
    assert begun == ["t002", "t003"]
