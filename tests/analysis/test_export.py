"""Export: what other tools read is what the ledger says."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json
from optuna.trial import TrialState

from analysis.export import main
from benchmarks.replay import read_table
from search.ledger import Ledger
from search.records import Decision, End, EndState, Promoted, Report, Suggested, TrialError
from search.run_folder import RunFolder
from tests.support import tiny_config

RATE = FloatDistribution(1e-5, 1e-2, log=True)
SWITCH = CategoricalDistribution((None, "on"))


@pytest.fixture
def exported(run: RunFolder) -> RunFolder:
    """The run of conftest with trials of all states that have parameters, the last two still running."""
    with Ledger(run.ledger) as ledger:
        _trial(ledger, "t004", [0.5, 0.8], "completed")
        _trial(ledger, "t005", [0.6], "stopped")
        _trial(ledger, "t006", [], "failed")
        _trial(ledger, "t007", [0.3], None)
        _trial(ledger, "t008", [], None)
    return run


def _trial(ledger: Ledger, name: str, overalls: list[float], state: EndState | None) -> None:
    params = {"rate": 1e-3, "switch": None} if name != "t005" else {"rate": 2e-3}
    distributions = {n: json.loads(distribution_to_json({"rate": RATE, "switch": SWITCH}[n])) for n in params}
    source = "point first" if name == "t004" else "tpe"
    ledger.append(
        Suggested(
            trial=name,
            source=source,
            params=params,
            distributions=distributions,
            config=tiny_config().to_dict(),
            time=1_800_000_000.0,
        )
    )
    for epoch, overall in enumerate(overalls, 1):
        scores = {"sentiment": overall, "paraphrase": overall, "similarity": 2 * overall - 1}
        report = Report(
            trial=name,
            epoch=epoch,
            scores=scores,
            clean_scores=scores,
            train_scores=scores,
            losses=dict.fromkeys(scores, 1.0),
            overall=overall,
            clean_overall=overall,
            best=max(overalls[:epoch]),
            examples=48,
            train_seconds=1.5,
            seconds=2.0,
            trainable_parameters=1234,
        )
        ledger.append(report)
    if state is not None:
        error = TrialError(type="ValueError", message="odd", traceback="") if state == "failed" else None
        ledger.append(End(trial=name, state=state, error=error, time=1_800_000_060.0))


def export(run: RunFolder, *flags: str) -> None:
    main([run.name, "--runs-dir", str(run.path.parent), *flags])


def load(path: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{path}")


def test_a_study_that_optuna_loads(exported: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "study.db"
    export(exported, "--optuna", str(path))
    assert capsys.readouterr().out == f"{path}: study demo, 8 trials; optuna-dashboard {path} shows it\n"
    study = load(path, "demo")
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.metric_names == ["overall"]
    states = [trial.state for trial in study.trials]
    complete, pruned, fail, running = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING
    assert states == [complete, complete, fail, complete, pruned, fail, running, running]
    assert [trial.value for trial in study.trials] == [0.5, 0.7, None, 0.8, 0.6, None, None, None]
    assert [trial.user_attrs["trial"] for trial in study.trials] == [f"t{number:03d}" for number in range(1, 9)]
    assert study.best_trial.user_attrs == {
        "trial": "t004",
        "source": "point first",
        "state": "completed",
        "score sentiment": 0.8,
        "score paraphrase": 0.8,
        "score similarity": pytest.approx(0.6),
        "train_seconds": 3.0,
        "trainable_parameters": 1234,
    }
    assert study.best_trial.params == {"rate": 1e-3, "switch": None}
    assert study.best_trial.distributions == {"rate": RATE, "switch": SWITCH}
    assert study.best_trial.intermediate_values == {1: 0.5, 2: 0.8}
    assert study.best_trial.datetime_start == datetime.fromtimestamp(1_800_000_000)
    assert study.best_trial.duration is not None
    assert study.best_trial.duration.total_seconds() == 60
    assert study.trials[2].user_attrs["state"] == "diverged"
    assert study.trials[5].user_attrs["error"] == "ValueError: odd"
    assert study.trials[6].datetime_complete is None
    assert study.trials[6].intermediate_values == {1: 0.3}


def test_a_database_takes_several_runs_but_none_twice(
    exported: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "study.db"
    optuna.create_study(storage=f"sqlite:///{path}", study_name="other")
    export(exported, "--optuna", str(path))
    assert len(load(path, "demo").trials) == 8
    text = f"error: --optuna {path}: has a study demo already; name another file\n"
    assert refused(exported, capsys, "--optuna", str(path)) == text
    assert len(load(path, "demo").trials) == 8


def test_a_table(exported: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trials.csv"
    export(exported, "--csv", str(path))
    assert capsys.readouterr().out == f"{path}: 8 trials\n"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows[:3]] == ["t004", "t002", "t005"], "best first"
    assert rows[0] == {
        "trial": "t004",
        "source": "point first",
        "state": "completed",
        "epochs": "2",
        "overall": "0.8",
        "best_epoch": "2",
        "train_seconds": "3.0",
        "trainable_parameters": "1234",
        "score.sentiment": "0.8",
        "score.paraphrase": "0.8",
        "score.similarity": "0.6000000000000001",
        "params.rate": "0.001",
        "params.switch": "None",
    }
    assert rows[2]["params.switch"] == "", "it has none"
    assert {row["overall"] for row in rows if row["epochs"] == "0"} == {""}


def test_a_crashed_run(exported: RunFolder, tmp_path: Path) -> None:
    with exported.ledger.open("ab") as file:
        file.write(b'{"crc32": "00')
    export(exported, "--optuna", str(tmp_path / "study.db"), "--csv", str(tmp_path / "trials.csv"))
    assert len(load(tmp_path / "study.db", "demo").trials) == 8


def test_learning_curves_of_trials_that_were_not_stopped(
    exported: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger(exported.ledger) as ledger:
        _trial(ledger, "t009", [0.4], "diverged")
    export(exported, "--curves", str(tmp_path / "curves.npz"))
    whole = [record for record in exported.trials() if record.state in ("completed", "diverged")]
    others = len(exported.trials()) - len(whole)
    without = f"without {others} that were stopped early, paused, failed or still run"
    told = f"{tmp_path / 'curves.npz'}: {len(whole)} trials, {without}"
    assert capsys.readouterr().out == told + "\n"
    with np.load(tmp_path / "curves.npz") as file:
        names, configs, losses = file["hyperparameters"].tolist(), file["configs"], file["valid_loss"]
    assert names == ["rate", "switch"]
    assert losses.shape == (len(whole), exported.info().epochs)
    place = {record.name: number for number, record in enumerate(whole)}
    assert losses[place["t004"], :2] == pytest.approx([0.5, 0.2])
    assert losses[place["t009"], 0] == pytest.approx(0.6)
    assert np.isnan(losses[place["t009"], 1:]).all()
    assert configs[place["t004"]].tolist() == [1e-3, 0.0], "a choice is the number of its place"
    assert np.isnan(configs[place["t001"]]).all(), "it has no parameters"
    table = read_table(tmp_path / "curves.npz")
    assert table.scores[place["t009"], 1] == -np.inf
    assert table.places[place["t001"]].tolist() == [0.5, 0.5]


def test_curves_need_two_trials(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.ledger.unlink()
    with Ledger(run.ledger) as ledger:
        _trial(ledger, "t001", [0.5, 0.8], "completed")
        _trial(ledger, "t002", [0.5], "stopped")
    path = tmp_path / "curves.npz"
    assert refused(run, capsys, "--curves", str(path)) == (
        f"error: --curves {path}: demo has 1 trials that were not stopped early, and 2 are needed; search with "
        "--no-early-stopping\n"
    )
    assert not path.exists()


def test_a_paused_trial_is_pruned_where_it_is(run: RunFolder, tmp_path: Path) -> None:
    with Ledger(run.ledger) as ledger:
        for name, paused in (("t004", 30.0), ("t005", 40.0)):
            _trial(ledger, name, [0.3, 0.2], None)
            at = 1_800_000_000.0 + paused
            ledger.append(Decision(trial=name, epoch=2, action="pause", rung=2, cutoff=None, time=at))
        ledger.append(Promoted(trial="t005"))
    export(run, "--optuna", str(tmp_path / "study.db"), "--csv", str(tmp_path / "trials.csv"))
    paused, goes_on = load(tmp_path / "study.db", run.name).trials[-2:]
    assert (paused.state, paused.value, paused.user_attrs["state"]) == (TrialState.PRUNED, 0.3, "paused")
    assert paused.duration is not None
    assert paused.duration.total_seconds() == 30
    assert (goes_on.state, goes_on.datetime_complete) == (TrialState.RUNNING, None)
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        states = {row["trial"]: row["state"] for row in csv.DictReader(file)}
    assert (states["t004"], states["t005"]) == ("paused", "unfinished"), "nobody writes to the run"


def refused(run: RunFolder, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with pytest.raises(SystemExit) as caught:
        export(run, *flags)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_what_is_refused(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = "error: nothing to write: give --optuna FILE, --csv FILE, --curves FILE or more than one of them\n"
    assert refused(run, capsys) == nothing
    there, nowhere = tmp_path / "there.csv", tmp_path / "nowhere" / "file"
    there.write_text("mine")
    assert refused(run, capsys, "--csv", str(there)) == f"error: --csv {there}: exists; name another file\n"
    assert there.read_text() == "mine"
    text = f"error: --csv {nowhere}: can't be written (No such file or directory)\n"
    assert refused(run, capsys, "--csv", str(nowhere)) == text
    text = f"error: --optuna {there}: can't be made or opened as a database of Optuna ("
    assert refused(run, capsys, "--optuna", str(there)).startswith(text)
    assert there.read_text() == "mine"
    text = f"error: --optuna {nowhere}: can't be made or opened as a database of Optuna ("
    assert refused(run, capsys, "--optuna", str(nowhere)).startswith(text)
