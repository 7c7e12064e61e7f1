"""TensorBoard's view of a run: each trial's curves, and its parameters beside its best scores in the HParams table.

Everything of a trial goes into its own folder. TensorBoard finds the columns of the HParams table by itself: all
parameters that some trial has, and all scalars, `best/...` first.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue] (made at import)
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams, scalar

from search.records import Decision, End, History, Promoted, Report, Retry, Suggested, TrialEvent, TrialRecord, best_of
from search.run_folder import RunFolder


class TensorBoard:
    """A listener of the ledger that writes TensorBoard's event files."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._files: dict[str, EventFile] = {}

    def take_up(self, history: History) -> None:
        """Writes anew what a driver that was killed may have left unwritten: the files of trials that have not ended,
        and of the one that the ledger's newest line on a trial is about."""
        for record in history.trials.values():
            if not record.has_ended or record.name == history.last_trial:
                for path in self._run.trial(record.name).glob("events.out.tfevents.*"):
                    path.unlink()
                self._begin(record)
                for number, report in enumerate(record.reports, 1):
                    self._report(record, report, best_of(record.reports[:number]))
                if record.has_ended:
                    self._end(record.name)

    def __call__(self, event: TrialEvent, record: TrialRecord) -> None:
        match event:
            case Suggested():
                self._begin(record)
            case Report():
                self._report(record, event, best_of(record.reports))
            case End():
                self._end(event.trial)
            case Decision() | Promoted() | Retry():
                pass

    def _begin(self, record: TrialRecord) -> None:
        file = self._files[record.name] = EventFile(self._run.trial(record.name))
        # SummaryWriter.add_hparams would put them into a folder of their own, as one more run.
        _, start, _ = hparams(_readable(record.params), {})
        file.add([start])

    def _report(self, record: TrialRecord, report: Report, best: Report) -> None:
        found = scalars(report, best)
        if record.epochs is not None:  # trained on dev
            found = {tag: value for tag, value in found.items() if tag.startswith(("loss/", "speed/"))}
        curves = [scalar(tag, value) for tag, value in found.items()]
        self._files[report.trial].add(curves, report.epoch, report.time)

    def _end(self, trial: str) -> None:
        _, _, end = hparams({}, {})
        self._files.pop(trial).add([end])


class EventFile:
    """One of TensorBoard's event files. TensorBoard's own writer works in a thread, where the OSError of a full disk
    would get lost; of this one, the caller gets it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self._write([Event(wall_time=time.time(), file_version="brain.Event:2")])

    def add(self, summaries: Iterable[Any], step: int = 0, seconds: float | None = None) -> None:
        """TensorBoard's `summaries` as of `step`, at that time (by default: now)."""
        at = time.time() if seconds is None else seconds
        self._write(Event(wall_time=at, step=step, summary=summary) for summary in summaries)

    def _write(self, events: Iterable[Event]) -> None:
        with self._path.open("ab") as file:
            records = RecordWriter(file)
            for event in events:
                records.write(event.SerializeToString())


def scalars(report: Report, best: Report) -> dict[str, float]:
    """An epoch's figures, and those of the best one so far, by TensorBoard's tags."""
    return {
        "best/overall": best.overall,
        **{f"best/{task}": score for task, score in best.scores.items()},
        "score/overall": report.overall,
        # TensorBoard sorts by tag: a task's two curves stand side by side, and where they part, it overfits.
        **{f"score/{task}_dev": score for task, score in report.scores.items()},
        **{f"score/{task}_train": score for task, score in report.train_scores.items()},
        **{f"loss/{task}": loss for task, loss in report.losses.items()},
        "speed/examples_per_second": report.examples / report.train_seconds,
    }


def _readable(params: Mapping[str, Any]) -> dict[str, Any]:
    """TensorBoard's writer would show True as 1, and None not at all."""
    return {name: str(value) if value is None or isinstance(value, bool) else value for name, value in params.items()}
