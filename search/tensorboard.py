"""TensorBoard's view of a run: each trial's curves, and its parameters beside its best scores in the HParams table.

Everything of a trial goes into its own folder. TensorBoard finds the columns of the HParams table by itself: all
parameters that some trial has, and all scalars, `best/...` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.tensorboard.summary import hparams
from torch.utils.tensorboard.writer import SummaryWriter

from search.ledger import Decision, End, Event, Report, Suggested, TrialRecord
from search.run_folder import RunFolder


class TensorBoard:
    """A listener of the ledger that writes TensorBoard's event files."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._writers: dict[str, SummaryWriter] = {}

    def __call__(self, event: Event, record: TrialRecord) -> None:
        match event:
            case Suggested():
                writer = SummaryWriter(str(self._run.trial(event.trial)))
                # SummaryWriter.add_hparams would put them into a folder of their own, as one more run.
                _, start, _ = hparams(_readable(event.params), {})
                writer._get_file_writer().add_summary(start)
                writer.flush()
                self._writers[event.trial] = writer
            case Report():
                writer = self._writers[event.trial]
                for tag, value in scalars(event, record).items():
                    writer.add_scalar(tag, value, event.epoch)
                writer.flush()
            case End():
                writer = self._writers.pop(event.trial)
                _, _, end = hparams({}, {})
                writer._get_file_writer().add_summary(end)
                writer.close()
            case Decision():
                pass

    def close(self) -> None:
        """Closes the files of trials that have not ended."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def scalars(report: Report, record: TrialRecord) -> dict[str, float]:
    """An epoch's figures, by TensorBoard's tags."""
    best = record.best
    assert best is not None, "the record of a report holds it"
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
