"""The models that were trained after a search: rebuilt from their checkpoints, and what they say of dev and test."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analysis.statistics.intervals import metric_intervals, overall_interval
from analysis.winner.results import Figures, OnTest
from model.config import TrialConfig
from model.data.corpus import Split
from model.data.scores import clean_overall, constant_score, overall, overall_2023
from model.data.tasks import Task
from model.data.tokens import Tokens
from model.errors import UserError
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder
from model.training import evaluate
from model.training.checkpoint import Damaged, load_newest
from model.training.precision import ConcretePrecision
from search.job import key_of
from search.records import TrialRecord, is_fit
from search.run_folder import RunFolder

SPLITS: tuple[Split, ...] = ("dev", "test", "unlabelled")
"""Those that a model is asked about."""
_FILE = "outputs.npz"
_OF = "of"
"""The entry of that file that says which sentences and precision it is of."""

Outputs = Mapping[Split, Mapping[str, np.ndarray]]
"""By split, then task: see `model.training.evaluate.outputs`."""


class Trained:
    """The trials in a folder inside a run's (search.retrain)."""

    def __init__(
        self,
        folder: RunFolder,
        tokens: Tokens,
        fingerprint: str,
        encoder: Encoder,
        precision: ConcretePrecision,
        device: torch.device,
    ) -> None:
        """`tokens` hold dev, test and unlabelled, of the corpus with that fingerprint."""
        self._folder = folder
        self.tokens = tokens
        self._of = f"{fingerprint} {precision} {device.type}"
        self._encoder = encoder
        self._precision: ConcretePrecision = precision
        self._device = device

    def weights(self, record: TrialRecord) -> dict[str, Tensor]:
        """The trained weights that the trial kept. Raises UserError where they are not what was saved."""
        folder = self._folder.checkpoint(record.name)
        try:
            return load_newest(folder).tensors
        except (Damaged, FileNotFoundError) as error:
            raise UserError(
                f"{error}; remove {self._folder.path}, and all of it is trained once more by the same command"
            ) from None

    def model(self, record: TrialRecord, weights: dict[str, Tensor] | None = None) -> MultitaskBert:
        """The trial's model, with other weights than its own if some are given."""
        config = TrialConfig.from_dict(record.config)
        model = MultitaskBert(config, self.tokens.tasks, self._encoder)
        model.load_trainable_state(self.weights(record) if weights is None else weights)
        return model.to(self._device)

    def ask(self, model: MultitaskBert) -> Outputs:
        """What a model says of dev, test and unlabelled."""
        return {split: evaluate.outputs(model, self.tokens, split, self._precision) for split in SPLITS}

    def outputs(self, record: TrialRecord) -> Outputs:
        """What the trial's model says; kept in its folder, so that it is asked once."""
        path = self._folder.trial(record.name) / _FILE
        assert record.kept is not None, "it was trained"
        of = f"{self._of} epoch {record.kept.epoch} {key_of(record)}"
        found = self._read(path, of)
        if found is None:
            found = self.ask(self.model(record))
            save_outputs(path, found, of)
        return found

    def _read(self, path: Path, of: str) -> Outputs | None:
        """None where there are none yet, or of another model or corpus, or none that can be read."""
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file[_OF]) != of:
                    return None
                return {
                    split: {task.name: file[f"{task.name}.{split}"] for task in self.tokens.tasks} for split in SPLITS
                }
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def is_sound(self, record: TrialRecord) -> bool:
        """Whether the trial neither diverged nor failed, and says something finite of every example."""
        return is_fit(record) and all(
            np.isfinite(array).all() for by_task in self.outputs(record).values() for array in by_task.values()
        )

    def figures(self, split: Split, outputs: Outputs) -> Figures:
        """The scores of what a model said."""
        tokens, predicted = self.tokens, self.predictions(split, outputs)
        return _figures(
            tokens.tasks,
            evaluate.scores(tokens, split, predicted),
            evaluate.clean_scores(tokens, split, predicted),
        )

    def chance(self, split: Split) -> Figures:
        """What one and the same prediction for all examples of a task scores at best."""
        by_task, clean = {}, {}
        for task in self.tokens.tasks:
            examples = self.tokens.splits[task.name][split]
            by_task[task.name] = constant_score(task.metric, examples.labels)
            if not examples.contaminated.all():
                clean[task.name] = constant_score(task.metric, examples.labels[~examples.contaminated])
        return _figures(self.tokens.tasks, by_task, clean)

    def on_test(self, outputs: Outputs) -> OnTest:
        """The scores on test of what a model said, and their intervals."""
        tasks = self.tokens.tasks
        by_task = metric_intervals(tasks, self.labels("test"), self.predictions("test", outputs))
        return OnTest(figures=self.figures("test", outputs), overall=overall_interval(tasks, by_task), by_task=by_task)

    def predictions(self, split: Split, outputs: Outputs) -> dict[str, np.ndarray]:
        """What a model's outputs come to, by task."""
        return {task.name: evaluate.decide(task, outputs[split][task.name]) for task in self.tokens.tasks}

    def labels(self, split: Split) -> dict[str, np.ndarray]:
        """By task."""
        return {task.name: self.tokens.splits[task.name][split].labels for task in self.tokens.tasks}

    def contaminated(self, split: Split) -> dict[str, int]:
        """How many examples of it stand in train too, or, of test, in dev, by task."""
        return {task.name: int(self.tokens.splits[task.name][split].contaminated.sum()) for task in self.tokens.tasks}

    def save_labels(self, path: Path) -> None:
        """Writes an .npz file with the labels of dev and test, and which examples stand in train too, or, of test, in
        dev."""
        arrays = dict[str, np.ndarray]()
        for task in self.tokens.tasks:
            for split in ("dev", "test"):
                examples = self.tokens.splits[task.name][split]
                arrays[f"{task.name}.{split}"] = examples.labels
                arrays[f"{task.name}.{split}.contaminated"] = examples.contaminated
        np.savez_compressed(path, allow_pickle=False, **arrays)


def _figures(tasks: Sequence[Task], by_task: Mapping[str, float], clean: Mapping[str, float]) -> Figures:
    return Figures(
        by_task=by_task,
        overall=overall(tasks, by_task),
        overall_2023=overall_2023(tasks, by_task),
        clean_by_task=clean,
        clean_overall=clean_overall(tasks, clean),
    )


def save_outputs(path: Path, outputs: Outputs, of: str = "") -> None:
    """Writes what a model says to an .npz file, an array for each TASK.SPLIT, and `of`, a note on what it is of."""
    arrays = {f"{task}.{split}": array for split, by_task in outputs.items() for task, array in by_task.items()}
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **arrays, **{_OF: np.array(of)})
    partial.replace(path)
