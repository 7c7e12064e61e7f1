"""TensorBoard's files: curves, and rows of the HParams table."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from search.ledger import Ledger
from search.records import Decision, End, Promoted, Session, TrialEvent
from search.run_folder import RunFolder
from search.tensorboard import TensorBoard
from tests.search.events import report, suggested

PARAMS = {"optimization.learning_rate": 1e-5, "batch": 8, "norm": None, "layer_norm": True, "pooling": "mean"}


@pytest.fixture
def events(tmp_path: Path, ledger: Ledger) -> EventAccumulator:
    board = TensorBoard(RunFolder(tmp_path))
    ledger.listen(board)
    ledger.append(suggested("t001", **PARAMS))
    ledger.append(suggested("t002", **PARAMS))
    ledger.append(report("t001", 1, 0.5))
    ledger.append(report("t001", 2, 0.4, best=0.5))
    ledger.append(End(trial="t001", state="completed"))
    assert [path.name[:19] for path in (tmp_path / "trials/t002").iterdir()] == ["events.out.tfevents"]
    return EventAccumulator(str(tmp_path / "trials/t001")).Reload()


def test_curves_go_by_epochs(events: EventAccumulator) -> None:
    tasks = ("sentiment", "paraphrase", "similarity")
    expected = {f"{kind}/{task}" for kind in ("loss", "best") for task in tasks}
    expected |= {f"score/{task}_{split}" for task in tasks for split in ("dev", "train")}
    assert set(events.Tags()["scalars"]) == {*expected, "score/overall", "best/overall", "speed/examples_per_second"}
    curves = {tag: [(e.step, pytest.approx(e.value)) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert curves["score/overall"] == [(1, 0.5), (2, 0.4)]
    assert curves["best/overall"] == [(1, 0.5), (2, 0.5)]
    assert curves["score/similarity_dev"] == [(1, 0.5), (2, 0.4)]
    assert curves["score/similarity_train"] == [(1, 0.6), (2, 0.5)]
    assert curves["best/similarity"] == [(1, 0.5), (2, 0.5)], "of the best epoch"
    assert curves["speed/examples_per_second"] == [(1, 50.0), (2, 50.0)]


def test_of_what_is_trained_on_dev_there_are_no_scores(tmp_path: Path, ledger: Ledger) -> None:
    ledger.listen(TensorBoard(RunFolder(tmp_path)))
    ledger.append(replace(suggested("d001"), epochs=1))
    ledger.append(report("d001", 1, 0.99))
    ledger.append(End(trial="d001", state="completed"))
    tags = EventAccumulator(str(tmp_path / "trials/d001")).Reload().Tags()["scalars"]
    assert {tag.split("/")[0] for tag in tags} == {"loss", "speed"}


def test_parameters_are_a_row_of_the_hparams_table(events: EventAccumulator) -> None:
    content = events.PluginTagToContent(metadata.PLUGIN_NAME)
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    shown = {name: value.string_value or value.number_value for name, value in start.hparams.items()}
    assert shown == {
        "optimization.learning_rate": 1e-5,
        "batch": 8,
        "norm": "None",
        "layer_norm": "True",
        "pooling": "mean",
    }
    assert metadata.SESSION_END_INFO_TAG in content


CURVES: list[TrialEvent] = [
    suggested("t001", **PARAMS),
    report("t001", 1, 0.5),
    suggested("t002", **PARAMS),
    report("t001", 2, 0.4, best=0.5),
    report("t002", 1, 0.7),
    End(trial="t001", state="completed"),
    End(trial="t002", state="stopped"),
]


def drawn(run: RunFolder, trial: str) -> tuple[dict[str, list[tuple[int, float]]], set[str]]:
    """A trial's curves, and its marks in the HParams table; of all its files together, as TensorBoard has it."""
    found = EventAccumulator(str(run.trial(trial))).Reload()
    curves = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    return curves, set(found.PluginTagToContent(metadata.PLUGIN_NAME))


def write(path: Path, events: list[TrialEvent]) -> RunFolder:
    """A driver that goes on where the last one was, and ends after these events."""
    run = RunFolder(path)
    path.mkdir(exist_ok=True)
    with Ledger(run.ledger) as ledger:
        ledger.append(Session())
        board = TensorBoard(run)
        board.take_up(ledger.history)
        ledger.listen(board)
        for event in events:
            ledger.append(event)
    return run


@pytest.mark.parametrize("count", range(len(CURVES) + 1))
def test_a_resumed_run_draws_the_curves_of_one_that_was_not_killed(tmp_path: Path, count: int) -> None:
    whole = write(tmp_path / "whole", CURVES)
    resumed = write(tmp_path / "resumed", CURVES[:count])
    for path in resumed.path.glob("trials/*/events.out.tfevents.*"):
        with path.open("ab") as file:
            file.write(b"\1\2\3")  # torn
    if count:  # the file of the trial that the driver was at may lack anything
        at = CURVES[count - 1]
        for path in resumed.trial(at.trial).glob("events.out.tfevents.*"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    write(tmp_path / "resumed", CURVES[count:])
    for trial in ("t001", "t002"):
        assert drawn(resumed, trial) == drawn(whole, trial)


PAUSES: list[TrialEvent] = [
    suggested("t001", **PARAMS),
    report("t001", 1, 0.5),
    Decision(trial="t001", epoch=1, action="pause", rung=1, cutoff=None),
    suggested("t002", **PARAMS),
    report("t002", 1, 0.7),
    Promoted(trial="t001"),
    report("t001", 2, 0.4, best=0.5),
    End(trial="t001", state="completed"),
]


def test_a_trial_that_paused_goes_on_in_the_same_file(tmp_path: Path) -> None:
    run = write(tmp_path / "run", PAUSES)
    assert len(list(run.trial("t001").glob("events.out.tfevents.*"))) == 1
    curves, marks = drawn(run, "t001")
    assert curves["score/overall"] == [(1, pytest.approx(0.5)), (2, pytest.approx(0.4))]
    assert metadata.SESSION_END_INFO_TAG in marks


@pytest.mark.parametrize("count", range(len(PAUSES) + 1))
def test_a_run_resumed_while_a_trial_was_paused_draws_the_same_curves(tmp_path: Path, count: int) -> None:
    whole = write(tmp_path / "whole", PAUSES)
    resumed = write(tmp_path / "resumed", PAUSES[:count])
    write(tmp_path / "resumed", PAUSES[count:])
    for trial in ("t001", "t002"):
        assert drawn(resumed, trial) == drawn(whole, trial)
        assert len(list(resumed.trial(trial).glob("events.out.tfevents.*"))) == 1


def test_the_files_of_trials_that_had_ended_are_left_alone(tmp_path: Path) -> None:
    run = write(tmp_path / "run", CURVES)
    (before,) = run.trial("t001").glob("events.out.tfevents.*")
    stat = before.stat()
    write(tmp_path / "run", [])
    (after,) = run.trial("t001").glob("events.out.tfevents.*")
    assert (after, after.stat().st_mtime_ns, after.stat().st_ino) == (before, stat.st_mtime_ns, stat.st_ino)


def test_a_full_disk_is_told_to_who_writes_the_ledger(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ledger.listen(TensorBoard(RunFolder(tmp_path)))
    ledger.append(suggested("t001"))
    monkeypatch.setattr("search.tensorboard.RecordWriter.write", fail)
    with pytest.raises(OSError, match="No space left on device"):
        ledger.append(report("t001", 1, 0.5))
