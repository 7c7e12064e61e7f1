"""The winner trained anew, written to disk, and evaluated from there.

The seeds differ from the search's: a refit in the very bits of the trial would repeat the luck that made it win.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from model.config import TrialConfig
from model.data.corpus import Corpus, Split
from model.data.tokens import Tokens, tokenize
from model.network.pretrained import Encoder
from model.network.saved import read_model, write_model
from model.training import evaluate
from model.training.loop import Diverged, Epoch, train
from model.training.precision import Precision, resolve_precision


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A model's scores on one split."""

    by_task: dict[str, float]
    overall: float
    """Each metric on 0 to 1: the leaderboard's formula of 2024."""
    overall_2023: float
    """Metrics as they are."""
    clean_by_task: dict[str, float]
    """Without the rows that stand in train too; without a task of which none remain."""
    clean_overall: float | None
    """By the formula of 2024; None where a task is missing."""


@dataclass(frozen=True, kw_only=True)
class Refit:
    """One retraining of the winner, as evaluated from the files it was written to."""

    seed: int
    best_epoch: int
    """The epoch of the best overall on dev, whose weights were kept."""
    folder: Path
    dev: Scores
    test: Scores
    predicted: Mapping[Split, Mapping[str, np.ndarray]]
    """By split (`dev`, `test`, `student`), then task."""


def refit(
    config: TrialConfig,
    corpus: Corpus,
    encoder: Encoder,
    folder: Path,
    *,
    epochs: int,
    epoch_examples: int,
    seed: int,
    precision: Precision,
    device: torch.device,
    on_epoch: Callable[[Epoch], None],
) -> Refit:
    """Trains `config` on `corpus`'s train split, keeps the epoch that is best on dev, as the search did, and writes it
    to `folder`. The scores are those of the model read back from there.

    Raises Diverged where training leaves the finite numbers before an epoch has ended; after that, the epochs before
    it stand, as they do in the search."""
    tokens = tokenize(corpus, encoder)
    training = train(
        config,
        tokens,
        encoder,
        epochs=epochs,
        epoch_examples=epoch_examples,
        seed=seed,
        precision=precision,
        device=device,
    )
    best, best_weights = None, {}
    try:
        for epoch in training:
            on_epoch(epoch)
            if best is None or epoch.overall > best.overall:
                best = epoch
                best_weights = {name: tensor.clone() for name, tensor in training.model.trainable_state().items()}
    except Diverged:
        if best is None:
            raise
    assert best is not None, "a run has at least one epoch"
    training.model.load_trainable_state(best_weights)
    write_model(folder, training.model, encoder)

    model, _ = read_model(folder)
    model.to(device)
    splits: tuple[Split, ...] = ("dev", "test", "student")
    predicted: dict[Split, dict[str, np.ndarray]] = {
        split: evaluate.predict(model, tokens, split, resolve_precision(precision, device)) for split in splits
    }
    return Refit(
        seed=seed,
        best_epoch=best.number,
        folder=folder,
        dev=_score(tokens, "dev", predicted["dev"]),
        test=_score(tokens, "test", predicted["test"]),
        predicted=predicted,
    )


def _score(tokens: Tokens, split: Split, predicted: Mapping[str, np.ndarray]) -> Scores:
    by_task, clean = evaluate.scores(tokens, split, predicted), evaluate.clean_scores(tokens, split, predicted)
    return Scores(
        by_task=by_task,
        overall=evaluate.overall(tokens.tasks, by_task),
        overall_2023=evaluate.overall_2023(tokens.tasks, by_task),
        clean_by_task=clean,
        clean_overall=evaluate.clean_overall(tokens.tasks, clean),
    )
