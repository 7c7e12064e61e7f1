"""Run folders: made once, found again, described."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from model.data.tasks import CS224N_SOURCES
from search.ledger import Ledger
from search.lock import locked
from search.run_folder import (
    RunFolder,
    RunInfo,
    check_name,
    create_run,
    default_name,
    newest_run,
    next_command,
    open_run,
    resume_command,
)
from tests.search.events import report, suggested
from tests.support import refused

INFO = RunInfo(
    started="2026-01-01T00:00:00",
    space="spaces/full.py",
    data="demo",
    data_fingerprint="d",
    skipped_rows={},
    dev_rows_in_train={"sentiment": 2},
    encoder="demo",
    encoder_fingerprint="e",
    max_tokens=48,
    pretrain_epochs=0,
    pretrained_from=None,
    tasks_file=None,
    sources=CS224N_SOURCES[:1],
    dev_size={"sentiment": 24},
    chance={"sentiment": 0.25},
    trials=3,
    budget=None,
    epochs=2,
    epoch_examples=48,
    search="freeze-thaw",
    objectives=["overall"],
    early_stopping=True,
    seed=5,
    precision="auto",
    computes_in="fp32",
    concurrent=1,
    concurrent_limit=None,
    threads=1,
    gpus_per_trial=0.0,
    cache_gb=8.0,
    versions={"python": "3.11"},
)


def create(runs: Path, name: str, started: str = INFO.started) -> RunFolder:
    return create_run(runs, name, dataclasses.replace(INFO, started=started), "def space(trial, problem): ...\n")


def test_a_run_is_found_again_as_it_was_made(tmp_path: Path) -> None:
    made = create(tmp_path / "runs", "first")
    found = open_run(tmp_path / "runs", "first")
    assert found.path == made.path
    assert found.info() == INFO
    assert (found.path / "space.py").read_text() == "def space(trial, problem): ...\n"
    assert found.trials() == []


def test_trials_come_in_the_order_of_the_leaderboard(tmp_path: Path) -> None:
    run = create(tmp_path, "first")
    with Ledger(run.ledger) as ledger:
        for name, overall in (("t001", 0.4), ("t002", 0.6)):
            ledger.append(suggested(name))
            ledger.append(report(name, 1, overall))
    assert [record.name for record in run.trials()] == ["t002", "t001"]


def test_a_trial_runs_only_while_somebody_writes_to_the_run(tmp_path: Path) -> None:
    run = create(tmp_path, "first")
    with Ledger(run.ledger) as ledger:
        ledger.append(suggested("t001"))
    with locked(run.lock, "the run"):
        assert [record.state for record in run.trials()] == ["running"]
    assert [record.state for record in run.trials()] == ["unfinished"]


def test_a_damaged_ledger_is_refused_with_what_helps(tmp_path: Path) -> None:
    run = create(tmp_path, "first")
    with Ledger(run.ledger) as ledger:
        ledger.append(suggested("t001"))
        ledger.append(report("t001"))
    run.ledger.write_bytes(b"?" + run.ledger.read_bytes()[1:])
    said = f"{run.ledger}:1: the ledger is damaged: its checksum does not fit"
    with refused(f"{said}; {resume_command(run)} goes on from the line before"):
        run.trials()


def test_a_trial_has_a_folder_of_its_own(tmp_path: Path) -> None:
    run = create(tmp_path, "first")
    run.write_config("t001", {"head": {"dropout": 0.1}})
    assert json.loads((tmp_path / "first/trials/t001/config.json").read_text()) == {"head": {"dropout": 0.1}}
    assert run.checkpoint("t001") == tmp_path / "first/trials/t001/best"
    assert run.pulse("t001") == tmp_path / "first/trials/t001/pulse"
    assert (run.state("t001"), run.states("t001")) == (tmp_path / "first/trials/t001/state", [])
    for name in ("state", "state.before", "best"):
        (run.trial("t001") / name).mkdir()
    assert {path.name for path in run.states("t001")} == {"state", "state.before"}


def test_a_name_can_be_taken_once(tmp_path: Path) -> None:
    go_on = f"go on with it by {resume_command(create(tmp_path, 'first'))}"
    message = f"{tmp_path}/first exists; {go_on}, or name another run with --run"
    with refused(message):
        create(tmp_path, "first")
    with refused(message):
        check_name(tmp_path, "first")
    (tmp_path / "no-run").mkdir()
    with refused(f"{tmp_path}/no-run exists; name another run with --run"):
        check_name(tmp_path, "no-run")
    check_name(tmp_path, default_name())


def test_a_run_is_described_anew_when_it_is_resumed(tmp_path: Path) -> None:
    run = create(tmp_path, "first")
    run.write_info(dataclasses.replace(INFO, trials=None, budget="2h"))
    assert run.info() == dataclasses.replace(INFO, trials=None, budget="2h")
    assert {path.name for path in run.path.iterdir()} == {"run.json", "space.py", "trials"}


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "-x", "a b"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    with refused(f"--run {name!r}: a run's name has letters, digits, '_', '-' and '.' only, no path"):
        check_name(tmp_path, name)


def test_the_folder_of_runs_may_be_no_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with refused(f"{tmp_path}/runs/first: can't make the run's folder (Not a directory)"):
        create(tmp_path / "runs", "first")


def test_the_newest_run_is_the_one_started_last(tmp_path: Path) -> None:
    create(tmp_path, "b", started="2026-01-02T00:00:00")
    create(tmp_path, "a", started="2026-01-03T00:00:00")
    create(tmp_path, "c", started="2026-01-01T00:00:00")
    (tmp_path / "no-run").mkdir()
    assert newest_run(tmp_path).name == "a"


def test_the_newest_run_is_one_to_look_at(tmp_path: Path) -> None:
    broken = create(tmp_path, "broken", started="2026-01-04T00:00:00")
    (broken.path / "run.json").write_text("{")
    with refused(
        f"{broken.path}/run.json: not the description of a run (Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1))"
    ):
        newest_run(tmp_path)
    create(tmp_path, "not-begun", started="2026-01-03T00:00:00")
    create(tmp_path, "empty", started="2026-01-02T00:00:00").ledger.touch()
    assert newest_run(tmp_path).name == "not-begun"
    with Ledger(create(tmp_path, "begun").ledger) as ledger:
        ledger.append(suggested())
    assert newest_run(tmp_path).name == "begun"


def test_a_description_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with refused(f"{tmp_path}/first: can't make the run's folder (No space left on device)"):
        create(tmp_path, "first")
    assert not (tmp_path / "first/run.json").exists()


def test_commands_say_where_the_run_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.run_folder.command", lambda module: f"python -m {module}")
    monkeypatch.chdir(tmp_path)
    usual, elsewhere = create(Path("runs"), "one"), create(Path("my runs"), "two")
    assert next_command(usual) == "python -m analysis.best one --refit"
    assert resume_command(usual) == "python -m search.run --resume one"
    assert next_command(elsewhere) == f"python -m analysis.best two --refit --runs-dir '{tmp_path}/my runs'"
    assert resume_command(elsewhere) == f"python -m search.run --resume two --runs-dir '{tmp_path}/my runs'"


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with refused(f"{tmp_path}: no runs here; python -m search.run starts one"):
        newest_run(tmp_path)
    with refused(f"{tmp_path}: no run called 'real'; runs here: none"):
        open_run(tmp_path, "real")
    create(tmp_path, "real-1")
    with refused(f"{tmp_path}: no run called 'real'; did you mean real-1?"):
        open_run(tmp_path, "real")
    with refused(f"{tmp_path}: no run called 'zzz'; runs here: real-1"):
        open_run(tmp_path, "zzz")


def test_a_damaged_description(tmp_path: Path) -> None:
    run = create(tmp_path, "first")
    (run.path / "run.json").write_text('{"trials": 3')
    with refused(
        f"{run.path}/run.json: not the description of a run (Expecting ',' delimiter: line 1 column 13 (char 12))"
    ):
        run.info()


def test_a_run_is_found_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create(tmp_path / "runs", "first")
    monkeypatch.chdir(tmp_path)
    assert open_run(Path("runs"), "first").path == newest_run(Path("runs")).path == run.path
    assert run.path.is_absolute(), "Ray's processes have directories of their own"


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([{**CS224N_SOURCES[0].to_dict(), "metric": "f1"}], "metric is 'f1'; allowed is one of accuracy, macro_f1, "
         "matthews for label_kind = 'classes'"),
        ([3], "a task is 3; allowed is a table"),
        ("sentiment", "tasks are 'sentiment'; allowed is a list of tables"),
    ],
)  # fmt: skip
def test_tasks_of_a_run_are_checked(tmp_path: Path, sources: object, message: str) -> None:
    run = create_run(tmp_path, "run", INFO, "")
    path = run.path / "run.json"
    assert run.info().sources == INFO.sources
    assert run.info().tasks == ["sentiment"]
    path.write_text(json.dumps({**json.loads(path.read_text()), "sources": sources}))
    with refused(f"{path}: sources: {message}"):
        run.info()


def test_a_run_of_another_version_says_so(tmp_path: Path) -> None:
    run = create_run(tmp_path, "run", INFO, "")
    path = run.path / "run.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**{name: value for name, value in values.items() if name != "search"}, "older": 1}))
    with refused(f"{path}: of another version of minbert-search; they differ in older, search"):
        run.info()
    path.write_text("[]")
    with refused(f"{path}: not the description of a run (list)"):
        run.info()
