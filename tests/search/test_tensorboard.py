"""TensorBoard's files: curves, and rows of the HParams table."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from search.ledger import End, Ledger
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
    board.close()
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
