"""The command line: what it refuses, and the dry run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model.data.corpus import Corpus
from model.data.tasks import CS224N, CS224N_SOURCES
from model.data.tokens import Tokens
from model.network.pretrained import Encoder
from model.problem import Problem
from search.description import describe_run
from search.flags import Flags
from search.inputs import Inputs
from search.leaderboard import make_console
from search.ledger import Ledger
from search.lock import locked
from search.records import End
from search.resources import Shares
from search.run import main, pretrained
from search.run_folder import RunFolder, resume_command
from search.space import load_space
from tests.search.events import report, suggested
from tests.search.test_run_folder import create
from tests.search.test_space import GOOD


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What the command says on standard error as it exits with 2."""
    with pytest.raises(SystemExit) as exit_:
        main(list(argv))
    assert exit_.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--trials", "0"), "error: --trials 0: allowed is a whole number from 1\n"),
        (("--epochs", "-1"), "error: --epochs -1: allowed is a whole number from 1\n"),
        (("--epoch-examples", "0"), "error: --epoch-examples 0: allowed is a whole number from 1\n"),
        (("--concurrent", "0"), "error: --concurrent 0: allowed is a whole number from 1\n"),
        (("--trials-per-gpu", "0"), "error: --trials-per-gpu 0: allowed is a whole number from 1, or auto\n"),
        (("--dry-run", "0"), "error: --dry-run 0: allowed is a whole number from 1\n"),
        (("--pretrain-epochs", "-1"), "error: --pretrain-epochs -1: allowed is a whole number from 0\n"),
        (("--seed", "-1"), "error: --seed -1: allowed is a whole number from 0 to 4294967295\n"),
        (
            ("--budget", "soon"),
            "error: --budget soon: allowed is a time such as 2h, 1h30m or 45m, or a number of epochs such as 300epochs",
        ),
        (("--run", "a/b"), "error: --run 'a/b': a run's name has letters, digits, '_', '-' and '.' only, no path\n"),
        (("--space", "nowhere.py"), "error: --space nowhere.py: no such file\n"),
        (
            ("--data", "nowhere"),
            "error: --data nowhere: no such folder; give a folder with the CS224N files, 'demo' or 'hub'\n",
        ),
        (
            ("--address", "ray://there:1"),
            "error: --address ray://there:1: allowed is 'auto' or host:port of a cluster's head\n",
        ),
        (
            ("--address", "127.0.0.1:1"),
            "error: --address 127.0.0.1:1: no Ray cluster to be reached there ([Errno 111] Connection refused)\n",
        ),
        (("--concurrent", "9999"), "error: --concurrent 9999: allowed is 1 to "),
    ],
)
def test_one_message_and_no_run_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    said = refused(capsys, "--data", "demo", "--runs-dir", str(tmp_path / "runs"), *flags)
    assert said.startswith(message)
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [(("--trails", "3"), "--trails"), (("--trials", "many"), "--trials"), (("--precision", "int8"), "int8")],
)
def test_flags_that_do_not_parse(capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], words: str) -> None:
    assert words in refused(capsys, *flags)


def test_run_json_says_which_encoder_was_pretrained_further(
    corpus: Corpus, encoder: Encoder, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.training.cores.usable_cores", lambda: 1)
    (tmp_path / "space.py").write_text(GOOD)
    problem = Problem.of(corpus, encoder.shape)
    inputs = Inputs(
        load_space(tmp_path / "space.py", problem),
        CS224N_SOURCES,
        corpus,
        {},
        encoder.name,
        encoder.shape.max_positions,
        problem,
    )
    flags, shares = Flags(pretrain_epochs=2), Shares(concurrent=1, threads=1, cpus=1, gpus=0)
    before = describe_run(flags, inputs, encoder, shares)
    assert (before.pretrain_epochs, before.pretrained_from) == (2, None)
    folder = tmp_path / "encoder"
    further, info = pretrained(flags, encoder, tokens, before, folder, make_console())
    assert info.encoder == further.name == str(folder)
    assert info.encoder_fingerprint == further.fingerprint() != encoder.fingerprint()
    assert info.pretrained_from == before.encoder == "tiny"
    assert (info.pretrain_epochs, info.data_fingerprint) == (2, before.data_fingerprint)


def test_a_run_that_exists(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    said = refused(capsys, "--run", "real", "--runs-dir", str(tmp_path))
    assert said == f"error: {tmp_path}/real exists; name another run with --run\n"
    run = create(tmp_path, "begun")
    said = refused(capsys, "--run", "begun", "--runs-dir", str(tmp_path))
    go_on = f"go on with it by {resume_command(run)}"
    assert said == f"error: {tmp_path}/begun exists; {go_on}, or name another run with --run\n"


def finished(runs: Path, name: str) -> RunFolder:
    """A run all of whose trials have ended."""
    run = create(runs, name)
    with Ledger(run.ledger) as ledger:
        for trial in ("t001", "t002", "t003"):
            ledger.append(suggested(trial))
            ledger.append(report(trial))
            ledger.append(End(trial=trial, state="completed"))
    return run


def test_a_resume_of_what_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = refused(capsys, "--resume", "--runs-dir", str(tmp_path))
    assert said == f"error: {tmp_path}: no runs here; python -m search.run starts one\n"
    create(tmp_path, "monday")
    said = refused(capsys, "--resume", "mondy", "--runs-dir", str(tmp_path))
    assert said == f"error: {tmp_path}: no run called 'mondy'; did you mean monday?\n"


@pytest.mark.parametrize("name", [(), ("monday",)])
def test_a_resume_with_nothing_left_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: tuple[str, ...]
) -> None:
    run = finished(tmp_path, "monday")
    before = run.ledger.read_bytes()
    assert main(["--resume", *name, "--runs-dir", str(tmp_path)]) == 0
    said = "monday: all 3 trials have ended; --trials N with a larger N goes on with more\n"
    assert capsys.readouterr() == (said, "")
    assert run.ledger.read_bytes() == before


def test_a_resume_of_a_run_that_is_written_to(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = finished(tmp_path, "monday")
    with locked(run.lock, "the run"):
        said = refused(capsys, "--resume", "monday", "--runs-dir", str(tmp_path))
    assert said.startswith(f"error: the run {run.path} is in use by process ")


def test_a_resume_of_a_damaged_ledger_falls_back_to_what_is_whole(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = finished(tmp_path, "monday")
    whole = run.ledger.read_bytes()
    run.ledger.write_bytes(whole + b"{}\n" + whole[:100])
    assert main(["--resume", "--runs-dir", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        f"{run.ledger}:10: the ledger is damaged: its checksum does not fit; going on from the line before, the whole "
        "file is kept as ledger.damaged-1.jsonl"
    )
    assert second.startswith("monday: all 3 trials have ended")
    assert run.ledger.read_bytes() == whole


def test_a_resume_on_data_that_has_changed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    create(tmp_path, "monday")  # whose fingerprints are made up
    said = refused(capsys, "--resume", "--runs-dir", str(tmp_path))
    assert said == "error: demo has changed since the run began: its fingerprint differs\n"


def test_a_bad_space_is_refused_before_ray_and_run_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text(GOOD + 'POINTS = {"odd": {"rate": 1.0}}\n')
    said = refused(capsys, "--space", str(space), "--data", "demo", "--runs-dir", str(tmp_path / "runs"))
    line = GOOD.count("\n") + 1
    assert said == f"error: {space}:{line}: POINTS['odd']: 'rate' is 1.0; allowed is 1e-05 to 0.001\n"
    assert not (tmp_path / "runs").exists()


def test_fp16_needs_a_gpu(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    said = refused(capsys, "--data", "demo", "--precision", "fp16", "--runs-dir", str(tmp_path / "runs"))
    assert said == "error: --precision fp16: for GPUs only; on a CPU allowed are auto, fp32 and bf16\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("number", ["2", "auto"])
def test_trials_per_gpu_needs_a_gpu(
    number: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    said = refused(capsys, "--data", "demo", "--trials-per-gpu", number, "--runs-dir", str(tmp_path / "runs"))
    assert said == f"error: --trials-per-gpu {number} has no effect: no GPU was found\n"


def test_a_dry_run_prints_points_then_draws_and_never_loads_ray(tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text(GOOD + 'POINTS = {"first": {"depth": 1, "rate": 1e-4, "pooling": "mean", "common": 0}}\n')
    argv = ["--space", str(space), "--data", "demo", "--dry-run", "3", "--runs-dir", str(tmp_path / "runs")]
    argv += ["--pretrain-epochs", "1000", "--address", "auto", "--precision", "fp16"]  # nothing is trained
    here = "'ray' in sys.modules, 'torch' in sys.modules"
    code = f"import sys; from search.run import main; code = main({argv!r}); print(code, {here})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "0 False False"
    assert [line for line in lines if line[:1].isdigit()][:3] == [
        "1. point first",
        "2. drawn at random",
        "3. drawn at random",
    ]
    assert lines[:5] == [
        f"space    {space}, 1 point to try first",
        f"data     demo ({'; '.join(f'{task.name} 3000 train, 600 dev, 600 test' for task in CS224N)})",
        "encoder  demo (4 layers, 96 wide), first pre-trained further, epochs: 1000",
        "note     of no effect without training: --address, --runs-dir, --precision",
        "Fields at their default are left out.",
    ]
    assert lines[6:12] == [
        "   encoder       freeze_depth 1, pooling mean",
        "   head          as by default",
        "   sentiment     as by default",
        "   paraphrase    pair_encoding cross",
        "   similarity    pair_encoding cross, loss mse",
        "   optimization  learning_rate 0.0001",
    ]
    assert done.stderr == ""
    assert not (tmp_path / "runs").exists()
