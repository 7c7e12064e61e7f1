"""What a run says at its end, and what it leaves behind of its trials."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from search.conduct import ends, exit_code, full_disk, show_end, tidy
from search.ledger import Ledger
from search.records import End, Retry, TrialError
from search.run_folder import RunFolder, next_command, resume_command, watch_command
from tests.search.events import TASKS, report, suggested
from tests.search.scripted import ERROR
from tests.search.test_run_folder import INFO

ASKED = dataclasses.replace(INFO, tasks=list(TASKS))


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
    show_end(run, list(ledger.records.values()), dataclasses.replace(ASKED, trials=trials), console)
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


def test_an_unfinished_trial_can_go_on(tmp_path: Path, ledger: Ledger) -> None:
    run = RunFolder(tmp_path / "one")
    ledger.append(suggested())
    assert shown(run, ledger, 1) == ["Ended: 1 unfinished", f"Go on: {resume_command(run)}"]
    ledger.append(report())
    assert shown(run, ledger, 1)[:2] == ["Ended: 1 unfinished", f"Go on: {resume_command(run)}"]


def test_errors_and_retries_are_counted(ledger: Ledger) -> None:
    for name in ("t001", "t002", "t003"):
        ledger.append(suggested(name))
    for reason in ("died", "memory", "died"):
        ledger.append(Retry(trial="t001", reason=reason, error=ERROR))
    ledger.append(End(trial="t001", state="completed"))
    ledger.append(End(trial="t002", state="failed", error=ERROR))
    said = "1 completed, 1 failed, 1 unfinished (1 by ValueError); taken up again: 2 died, 1 memory"
    assert ends(list(ledger.records.values())) == said


def test_a_trial_that_has_ended_keeps_its_best_weights_alone(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for folder in ("best", "state", "state.before", "state.partial"):
        (run.trial("t001") / folder).mkdir(parents=True)
        (run.trial("t001") / folder / "state.json").write_text("{}")
    tidy(run, "t001")
    assert [path.name for path in run.trial("t001").iterdir()] == ["best"]
    tidy(run, "t002")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "search.conduct.shutil.disk_usage", lambda path: dataclasses.make_dataclass("U", ["free"])(2.4e6)
    )
    run = RunFolder(tmp_path / "one")
    assert full_disk(run, "more") == (
        f"{run.path}: no space left on its disk (2 MB free). All that was saved is whole: free some, then go on by more"
    )
