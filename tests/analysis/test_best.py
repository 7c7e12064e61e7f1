"""The command that shows a run's winner, and what it refuses."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from analysis.best import main
from search.ledger import Ledger
from search.records import End, EndState, Session, Suggested
from search.run_folder import RunFolder, next_command
from tests.analysis.staged import stage, stage_refit
from tests.support import tiny_config


def best(run: RunFolder, *flags: str) -> None:
    main([*flags, "--runs-dir", str(run.path.parent)])


def test_the_leaderboard_and_the_winners_configuration(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    best(run)  # the newest run, since none is named
    printed = capsys.readouterr().out
    assert printed.index("t002") < printed.index("t001") < printed.index("t003"), "a diverged trial never wins"
    assert printed.startswith("Run demo: all 3 trials ended\n")
    assert "The search's winner is t002, proposed by tpe" in printed
    assert "head_learning_rate 0.01" in printed
    assert not (run.path / "refit").exists()


def test_the_front_of_several_objectives_is_shown(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    best(run)
    assert "Pareto front" not in capsys.readouterr().out
    run.write_info(replace(run.info(), objectives=["overall", "seconds"]))
    best(run)
    front = capsys.readouterr().out.split("Pareto front of overall, seconds")[1]
    rows = front.split("The search's winner is t002")[0]
    assert "t002" in rows
    assert "t001" not in rows, "as slow, and worse"
    assert "t003" not in rows, "it diverged"


def test_a_refit_that_is_there_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = stage(tmp_path, 14, config=tiny_config())
    results = stage_refit(run)
    best(run)
    printed = capsys.readouterr().out
    assert f"Refitted by: {next_command(run)} --seeds 3" in printed
    assert f"Chosen: {results.selection.chosen}" in printed
    assert f"Written: {run.path}/refit/model" in printed
    assert "Next:" not in printed


def begin_refit(run: RunFolder, folder: RunFolder, *ends: EndState | None) -> None:
    """Trainings as a refit writes them; None for one that has not ended."""
    folder.path.mkdir()
    source = run.trials()[0]
    with Ledger(folder.ledger) as ledger:
        for number, state in enumerate(ends, 1):
            name = f"r{number:03d}"
            config = dict(source.config)
            ledger.append(Suggested(trial=name, source="a", params={}, distributions={}, config=config, seed=number))
            if state is not None:
                ledger.append(End(trial=name, state=state))
    os.utime(folder.ledger, (0, 0))


def test_a_refit_that_was_begun_is_told(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    begin_refit(run, run.retrained, "completed", "diverged", None)
    best(run)
    *_, begun, goes_on = capsys.readouterr().out.splitlines()
    last = f"{datetime.fromtimestamp(0):%Y-%m-%d %H:%M:%S}"
    far = f"2 of the 3 trainings begun so far have ended, in {run.retrained.path}, last written to at {last}"
    assert begun == f"A refit was begun and has not come to its end: {far}"
    assert goes_on == f"Go on, where none is running: {next_command(run)}, with the flags that it was given"
    run.retrained.ledger.write_bytes(b"{}\n{}\n")
    assert refused(run, capsys).endswith(GOES_ON.format(next_command(run)))


GOES_ON = "; {}, with the flags that it was given, goes on from the line before\n"


def test_another_refit_that_was_begun_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = stage(tmp_path, 14, config=tiny_config())
    begin_refit(run, run.retrained, "completed", None)
    begin_refit(run, run.retrained_with_dev, "completed")
    stage_refit(run)
    best(run)
    assert "begun" not in capsys.readouterr().out, "what was interrupted before these results were made is no news"
    with Ledger(run.retrained.ledger) as ledger:
        ledger.append(Session(time=time.time() + 1))
    best(run)
    *_, told = capsys.readouterr().out.splitlines()
    far = f"2 of the 3 trainings begun so far have ended, in {run.retrained.path} and {run.retrained_with_dev.path}"
    assert told.startswith(f"Another refit was begun since: {far}, last written to at ")


def test_damage_to_what_a_refit_trained_hides_no_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = stage(tmp_path, 14, config=tiny_config())
    results = stage_refit(run)
    begin_refit(run, run.retrained, "completed")
    run.retrained.ledger.write_bytes(b"{}\n{}\n")
    best(run)
    printed = capsys.readouterr().out
    assert f"Chosen: {results.selection.chosen}" in printed
    *_, note = printed.splitlines(keepends=True)
    assert note.startswith(f"Note: {run.retrained.ledger}")
    assert note.endswith(GOES_ON.format(next_command(run)))


def refused(run: RunFolder, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with pytest.raises(SystemExit) as caught:
        best(run, *flags)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_bad_arguments_are_one_message(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    runs = run.path.parent
    assert refused(run, capsys, "demi") == f"error: {runs}: no run called 'demi'; did you mean demo?\n"
    assert refused(run, capsys, "--seeds", "2") == "error: --seeds 2 has no effect without --refit\n"
    assert refused(run, capsys, "--no-comparison") == "error: --no-comparison has no effect without --refit\n"
    assert refused(run, capsys, "--refit", "--seeds", "0") == "error: --seeds 0: allowed is a whole number from 1\n"
    assert refused(run, capsys, "--refit", "--finalists", "0").startswith("error: --finalists 0: allowed is a whole")


def test_data_changed_since_the_search(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    dev = Path(run.info().data) / "sts-dev.csv"
    dev.write_text(dev.read_text().replace("dog", "cow"))
    assert "has changed since the search: fingerprint" in refused(run, capsys, "--refit")


def test_encoder_changed_since_the_search(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    config = Path(run.info().encoder) / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    message = f"error: the encoder {run.info().encoder} has changed since the search: its fingerprint differs\n"
    assert refused(run, capsys, "--refit") == message


def test_a_run_without_a_report(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    run.ledger.unlink()
    assert refused(run, capsys) == f"error: {run.path}: no trial of this run has ended an epoch and is sound\n"
    shutil.rmtree(run.path)
    message = f"error: {run.path.parent}: no runs here; python -m search.run starts one\n"
    assert refused(run, capsys) == message
