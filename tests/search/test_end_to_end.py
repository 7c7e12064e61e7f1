"""Searches under the real Ray, each in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.config import TrialConfig
from model.data.corpus import Corpus, read_corpus
from model.data.tokens import tokenize
from model.network.pretrained import read_encoder
from model.training.checkpoint import load_state
from model.training.loop import train
from search.run_folder import next_command, open_run, resume_command, watch_command
from tests.search.scripted_run import SPACE
from tests.support import write_corpus


def test_ray_optuna_and_ledger_agree_on_how_trials_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.search.scripted_run", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "", "no word of Ray's, not even of a process that died"
    found = json.loads(done.stdout)
    assert found["ledger"] == {
        "t001": "completed",
        "t002": "stopped",
        "t003": "diverged",
        "t004": "failed",
        "t005": "failed",
        "t006": "failed",
        "t007": "completed",
        "t008": "stopped",
    }
    dead = {"t005", "t006"}
    assert found["ray"] == {name: "ERROR" if name in dead else "TERMINATED" for name in found["ledger"]}
    assert found["retries"] == {"t005": ["died"], "t006": ["died"], "t007": ["died"]}
    assert found["optuna"] == {
        "t001": ["COMPLETE", 0.6, [[1, 0.3], [2, 0.5], [3, 0.5], [4, 0.6]]],
        "t002": ["PRUNED", 0.4, [[1, 0.4], [2, 0.4]]],
        "t003": ["PRUNED", None, []],
        "t004": ["FAIL", None, []],
        "t005": ["FAIL", None, []],
        "t006": ["FAIL", None, []],
        "t007": ["COMPLETE", 0.9, [[1, 0.9], [2, 0.9], [3, 0.9], [4, 0.9]]],
        "t008": ["PRUNED", 0.6, [[1, 0.1], [2, 0.6]]],
        "t009": ["FAIL", None, []],
    }, "the ninth draw broke the space, and was never a trial"
    assert found["errors"]["t004"] == ["ZeroDivisionError", "as the script has it"]
    assert found["errors"]["t005"][0] == "ProcessDied"
    assert found["errors"]["t006"][0] == "ProcessDied"
    assert "MemoryError: no room for a model" in found["tracebacks"]["t006"]
    line = SPACE[: SPACE.index("    head = HeadConfig")].count("\n") + 1
    assert found["error"].startswith(f"{tmp_path}/space.py:{line}: HeadConfig.dropout = 1.1: allowed is a number from")


def command(runs: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "search.run", "--data", "demo", "--runs-dir", str(runs), "--run", "small", *flags]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "states"), [((), {"completed", "stopped"}), (("--no-early-stopping",), {"completed"})]
)
def test_a_search_on_the_demo(tmp_path: Path, more: tuple[str, ...], states: set[str]) -> None:
    flags = ("--trials", "4", "--epochs", "3", "--epoch-examples", "64", "--precision", "fp32", *more)
    done = subprocess.run(command(tmp_path, *flags), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    run = open_run(tmp_path, "small")
    info, trials = run.info(), run.trials()
    assert (info.data, info.encoder, info.trials, info.epoch_examples) == ("demo", "demo", 4, 64)
    assert len(trials) == 4
    assert {trial.state for trial in trials} <= states
    for trial in trials:
        assert trial.best is not None
        assert trial.best.train_scores.keys() == trial.best.scores.keys()
        assert len(trial.reports) == 3 if trial.state == "completed" else 2
        config = json.loads((run.trial(trial.name) / "config.json").read_text())
        assert TrialConfig.from_dict(config).to_dict() == trial.config
        _, values = load_state(run.checkpoint(trial.name))
        assert values["epoch"] == trial.best.epoch, "the checkpoint is that of the best epoch"
        assert len(list(run.trial(trial.name).glob("events.out.tfevents.*"))) == 1
        assert run.states(trial.name) == [], "what has ended needs no state"
    lines = done.stdout.splitlines()
    assert sum("  overall " in line for line in lines) == sum(len(t.reports) for t in trials)
    assert f"Next:  {next_command(run)}" in lines
    assert f"Watch: {watch_command(tmp_path)}" in lines


@pytest.mark.slow
def test_every_trial_starts_from_the_encoder_that_the_run_pretrained_further(tmp_path: Path, corpus: Corpus) -> None:
    write_corpus(tmp_path / "data", corpus)
    flags = ("--data", str(tmp_path / "data"), "--encoder", "demo", "--space", "spaces/smoke.py", "--trials", "2")
    flags += ("--epochs", "1", "--epoch-examples", "8", "--precision", "fp32", "--pretrain-epochs", "1")
    done = subprocess.run(command(tmp_path / "runs", *flags), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    assert "further pre-training  step 6/6  loss " in done.stdout
    run = open_run(tmp_path / "runs", "small")
    info, encoder = run.info(), read_encoder(str(run.encoder))
    assert (info.encoder, info.pretrained_from, info.pretrain_epochs) == (str(run.encoder.resolve()), "demo", 1)
    assert info.encoder_fingerprint == encoder.fingerprint() != read_encoder("demo").fingerprint()
    tokens = tokenize(read_corpus(str(tmp_path / "data")), encoder)
    for trial in run.trials():
        config = TrialConfig.from_dict(trial.config)
        again = next(train(config, tokens, encoder, epochs=1, epoch_examples=8, seed=info.seed, precision="fp32"))
        assert again.losses == pytest.approx(dict(trial.reports[0].losses), rel=1e-4)


@pytest.mark.slow
def test_control_c_while_the_encoder_is_pretrained_leaves_no_run(tmp_path: Path, corpus: Corpus) -> None:
    write_corpus(tmp_path / "data", corpus)
    flags = ("--data", str(tmp_path / "data"), "--encoder", "demo", "--pretrain-epochs", "40")
    with subprocess.Popen(
        command(tmp_path, *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("further pre-training  step " in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    assert not (tmp_path / "small").exists()


@pytest.mark.slow
def test_control_c_stops_all_and_shows_the_leaderboard(tmp_path: Path) -> None:
    flags = ("--trials", "4", "--epochs", "50", "--epoch-examples", "200")
    with subprocess.Popen(
        command(tmp_path, *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any(" epoch 1/50 " in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    assert "Stopping all trials; once more to break off." in said
    assert "Leaderboard" in said
    run = open_run(tmp_path, "small")
    assert f"Go on: {resume_command(run)}" in said
    assert run.trials()[0].state == "unfinished", "it has not ended: it was interrupted"
