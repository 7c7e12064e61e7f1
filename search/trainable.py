"""One trial in its own process: a TrialConfig in, reports and the best checkpoint out."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune

from model.config import TrialConfig
from model.data.tokens import Tokens
from model.network.pretrained import Encoder
from model.training.loop import Diverged, Training, train
from model.training.precision import Precision
from search.ledger import Report
from search.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class TrialSettings:
    """What all trials of a run have in common, apart from corpus and encoder."""

    run: Path
    """The run's folder, an absolute path."""
    epochs: int
    epoch_examples: int
    seed: int
    """The same for every trial: two that differ in one parameter start alike and see the same examples."""
    precision: Precision
    threads: int
    device: str
    """`cpu` or `cuda`: Ray shows a trial its own GPU only."""


class MinbertTrial(tune.Trainable):
    """Ray's side of a trial. Never ends by itself: the scheduler decides, and knows why."""

    def setup(self, config: dict[str, Any], tokens: Tokens, encoder: Encoder, settings: TrialSettings) -> None:  # type: ignore[override]
        """Once a process; `tokens` and `encoder` lie in Ray's object store and are not copied."""
        torch.set_num_threads(settings.threads)
        self._tokens = tokens
        self._encoder = encoder
        self._settings = settings
        self._run = RunFolder(settings.run)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial in the same process, which saves starting one."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One epoch."""
        assert self._training is not None, "Ray steps a trial that has begun"
        try:
            epoch = next(self._training)
        except Diverged as diverged:
            return {"epoch": diverged.epoch, "best": None, "report": None}
        if epoch.overall > self._best:
            self._best = epoch.overall
            self._training.save_model(self._run.checkpoint(self._name))
        report = Report(
            trial=self._name,
            epoch=epoch.number,
            scores=epoch.scores,
            train_scores=epoch.train_scores,
            losses=epoch.losses,
            overall=epoch.overall,
            best=self._best,
            examples=epoch.examples,
            train_seconds=epoch.train_seconds,
            seconds=epoch.seconds,
            trainable_parameters=epoch.trainable_parameters,
        )
        return {"epoch": epoch.number, "best": self._best, "report": report}

    def cleanup(self) -> None:
        """Lets go of the model and its optimizer. The process lives on, beside others on the same GPU."""
        self._training: Training | None = None
        if self._settings.device == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def _begin(self, config: Mapping[str, Any]) -> None:
        self.cleanup()  # before the next model takes its memory
        self._name: str = config["trial"]
        self._best = float("-inf")
        self._run.write_config(self._name, config["config"])
        settings = self._settings
        self._training = train(
            TrialConfig.from_dict(config["config"]),
            self._tokens,
            self._encoder,
            epochs=settings.epochs,
            epoch_examples=settings.epoch_examples,
            seed=settings.seed,
            precision=settings.precision,
            device=settings.device,
        )
