"""A trial in its process: what it says, what it saves, and how it is taken up again. Ray is not started."""

from __future__ import annotations

import errno
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model.data.tokens import Tokens
from model.network.pretrained import Encoder
from model.training.checkpoint import load_state
from model.training.loop import Diverged, Training
from search.pulse import read_beat
from search.records import End, Report, Retry, best_of
from search.run_folder import RunFolder
from search.trainable import DiskFull, MinbertTrial, NotShared, Outcome, TrialSettings
from tests.support import tiny_config

EPOCHS = 3


class Trial(MinbertTrial):
    """Meets the errors that it is given, one before each epoch is saved."""

    errors: list[Exception | None]

    def _save(self, training: Training, report: Report) -> None:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        super()._save(training, report)

    def says(self, count: int = 1) -> list[Outcome]:
        return [self.step()["outcome"] for _ in range(count)]

    def dies(self) -> None:
        """Its lock goes with its process."""
        if self._pulse is not None:
            self._pulse.close()


Begin = Callable[..., Trial]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def begin(run: RunFolder, tokens: Tokens, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Begins a trial, in what would be a process of its own."""
    context = SimpleNamespace(get_node_id=lambda: "node")
    monkeypatch.setattr("search.trainable.ray", SimpleNamespace(get_runtime_context=lambda: context))
    settings = TrialSettings(
        run=run.path,
        epochs=EPOCHS,
        epoch_examples=48,
        seed=0,
        precision="fp32",
        threads=1,
        device="cpu",
        cache_bytes=0,
        state_bytes=0,
    )

    trials: list[Trial] = []

    def begun(*errors: Exception | None, **asked_for: Any) -> Trial:
        trial = Trial.__new__(Trial)
        trial.errors = list(errors)
        trials.append(trial)
        trial.setup(asked(**asked_for), tokens, encoder, settings)
        return trial

    yield begun
    for trial in trials:
        trial.dies()


def asked(name: str = "t001", micro_batches: int = 1, epochs: int | None = None, **optimization: Any) -> dict[str, Any]:
    """What Ray passes on from the searcher."""
    return {
        "trial": name,
        "config": tiny_config(**optimization).to_dict(),
        "seed": None,
        "epochs": epochs,
        "micro_batches": micro_batches,
    }


def reports(said: list[Outcome]) -> list[Report]:
    return [outcome for outcome in said if isinstance(outcome, Report)]


def figures(said: list[Outcome]) -> list[tuple[object, ...]]:
    return [(r.trial, r.epoch, r.overall, r.best, r.scores, r.train_scores, r.losses) for r in reports(said)]


def reasons(said: list[Outcome]) -> list[str]:
    return [outcome.reason for outcome in said if isinstance(outcome, Retry)]


def test_every_epoch_is_reported_when_it_is_saved(begin: Begin, run: RunFolder) -> None:
    trial = begin()
    said = [trial.says(1)[0] for _ in range(EPOCHS)]
    made = reports(said)
    assert [report.epoch for report in made] == [1, 2, 3]
    assert [report.best for report in made] == [max(r.overall for r in made[: i + 1]) for i in range(EPOCHS)]
    assert json.loads((run.trial("t001") / "config.json").read_text()) == tiny_config().to_dict()
    assert load_state(run.checkpoint("t001"))[1]["epoch"] == best_of(made).epoch
    assert {path.name for path in run.states("t001")} == {"state", "state.before"}
    beat = read_beat(run.pulse("t001"))
    assert beat is not None
    assert beat.node == "node"


def test_a_trial_taken_up_repeats_its_reports_and_ends_as_if_it_had_not_been_interrupted(
    begin: Begin, run: RunFolder
) -> None:
    whole = begin(name="t002").says(EPOCHS)
    first = begin()
    said = first.says(2)
    first.dies()
    second = begin()
    again = second.says(EPOCHS)
    assert again[:2] == said, "to the very time"
    assert [row[1:] for row in figures(again)] == [row[1:] for row in figures(whole)]
    assert load_state(run.checkpoint("t001"))[1]["epoch"] == best_of(reports(whole)).epoch


def test_the_next_trial_in_the_same_process_starts_from_the_beginning(begin: Begin, run: RunFolder) -> None:
    expected = begin(name="t002").says(2)
    trial = begin()
    trial.says(2)
    assert trial.reset_config(asked("t003"))
    assert [row[1:] for row in figures(trial.says(2))] == [row[1:] for row in figures(expected)]
    begin().says(1)  # nobody holds the first one's lock


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_out_of_memory_the_first_time_is_tried_with_half(begin: Begin, micro_batches: int) -> None:
    trial = begin(None, MemoryError("no room"), micro_batches=micro_batches)
    first, second = trial.says(2)
    if micro_batches == 2:
        assert isinstance(second, End)
        assert second.error is not None
        assert (second.state, second.error.type, second.error.message) == ("failed", "MemoryError", "no room")
        return
    assert isinstance(second, Retry)
    assert (second.reason, second.error.type) == ("memory", "MemoryError")
    trial.errors = [MemoryError("still none")]
    again, last = trial.says(2)
    assert again == first, "taken up after the last epoch it saved"
    assert isinstance(last, End)
    assert last.state == "failed"


@pytest.mark.parametrize(
    ("error", "state", "kind"),
    [
        (Diverged(1, "sentiment loss"), "diverged", None),
        (ZeroDivisionError("as planned"), "failed", "ZeroDivisionError"),
    ],
)
def test_an_exception_is_the_end_of_its_trial_alone(
    begin: Begin, error: Exception, state: str, kind: str | None
) -> None:
    trial = begin(error)
    (end,) = trial.says(1)
    assert isinstance(end, End)
    assert (end.trial, end.state) == ("t001", state)
    assert (end.error.type if end.error else None) == kind
    trial.reset_config(asked("t002"))
    assert figures(trial.says(1)), "the process goes on"


def test_a_full_disk_is_told_and_the_last_state_stays(begin: Begin, run: RunFolder) -> None:
    trial = begin(None, OSError(errno.ENOSPC, "No space left on device"))
    first, full = trial.says(2)
    assert full == DiskFull(errno.ENOSPC, "No space left on device", run.path)
    trial.dies()
    assert begin().says(1) == [first]


def test_a_folder_that_is_not_shared_is_told_and_not_made(begin: Begin, run: RunFolder) -> None:
    run.path.rmdir()
    assert begin().says(1) == [NotShared(run.path, socket.gethostname())]
    assert not run.path.exists()


def test_a_lost_gpu_ends_the_process(begin: Begin) -> None:
    with pytest.raises(RuntimeError, match="CUDA error: an illegal memory access"):
        begin(RuntimeError("CUDA error: an illegal memory access was encountered")).says(1)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(("damaged", "repeated"), [(["state"], 1), (["state", "state.before"], 0)])
def test_a_damaged_state_is_told_and_the_one_before_is_taken(
    begin: Begin, run: RunFolder, damaged: list[str], repeated: int
) -> None:
    first = begin()
    whole = first.says(2)
    first.dies()
    for folder in damaged:
        flip_a_bit(run.trial("t001") / folder / "state.safetensors")
    said = begin().says(1 + 2)
    assert reasons(said) == ["damaged"]
    assert isinstance(said[0], Retry)
    assert f"{run.trial('t001')}/state/state.safetensors: not what was saved" in said[0].error.message
    assert said[1 : 1 + repeated] == whole[:repeated]
    assert figures(said) == figures(whole), "what was lost comes again, the same"


def test_the_best_weights_are_written_from_the_state_where_they_are_of_its_epoch(begin: Begin, run: RunFolder) -> None:
    first = begin()
    said = first.says(1)
    first.dies()
    shutil.rmtree(run.checkpoint("t001"))
    assert begin().says(1) == said
    assert load_state(run.checkpoint("t001"))[1]["epoch"] == 1


def test_without_the_best_weights_the_trial_begins_anew(begin: Begin, run: RunFolder) -> None:
    still = {"learning_rate": 1e-12, "head_learning_rate": 1e-12}  # all epochs are equal: the first is the best
    first = begin(**still)
    whole = first.says(2)
    assert best_of(reports(whole)).epoch == 1
    first.dies()
    flip_a_bit(run.checkpoint("t001") / "state.safetensors")
    said = begin(**still).says(1 + 2)
    assert reasons(said) == ["damaged"]
    assert figures(said) == figures(whole)
    assert load_state(run.checkpoint("t001"))[1]["epoch"] == 1


def test_with_epochs_of_its_own_the_weights_of_the_last_are_kept(begin: Begin, run: RunFolder) -> None:
    still = {"learning_rate": 1e-12, "head_learning_rate": 1e-12}  # all epochs are equal: the first is the best
    first = begin(epochs=2, **still)
    first.says(1)
    assert not run.checkpoint("t001").exists(), "not the best, for nothing can tell it"
    first.dies()
    second = begin(epochs=2, **still)
    assert [report.epoch for report in reports(second.says(2))] == [1, 2]
    assert load_state(run.checkpoint("t001"))[1]["epoch"] == 2
    second.dies()
    shutil.rmtree(run.checkpoint("t001"))
    begin(epochs=2, **still).says(1)
    assert load_state(run.checkpoint("t001"))[1]["epoch"] == 2, "written from the state"


@pytest.mark.parametrize("other", [{"learning_rate": 2e-3}, {"weight_decay": 0.1}])
def test_the_state_of_a_trial_that_the_ledger_lost_is_no_state(begin: Begin, other: dict[str, Any]) -> None:
    expected = begin(name="t002", **other).says(1)
    lost = begin()
    lost.says(2)
    lost.dies()
    said = begin(**other).says(2)
    assert reasons(said) == ["damaged"], "told"
    assert [row[1:] for row in figures(said)] == [row[1:] for row in figures(expected)]


@pytest.mark.parametrize(("device", "calls"), [("cpu", 0), ("cuda", 1)])
def test_memory_of_a_gpu_is_returned(monkeypatch: pytest.MonkeyPatch, device: str, calls: int) -> None:
    called = []
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: called.append(True))
    trial = MinbertTrial.__new__(MinbertTrial)
    trial._settings = TrialSettings(
        run=Path(),
        epochs=1,
        epoch_examples=1,
        seed=0,
        precision="fp32",
        threads=1,
        device=device,
        cache_bytes=0,
        state_bytes=0,
    )
    trial.cleanup()
    assert len(called) == calls
