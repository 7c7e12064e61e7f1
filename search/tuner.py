"""Ray Tune put together: searcher, scheduler and trials."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Literal

from ray import tune
from ray.tune.experiment import Trial

from model.data.tokens import Tokens
from model.network.pretrained import Encoder
from search.cluster import log_to
from search.ledger import Ledger
from search.resources import Shares
from search.run_folder import RunFolder
from search.scheduler import Asha
from search.searcher import OptunaSearcher
from search.trainable import MinbertTrial, TrialSettings

Outcome = Literal["finished", "interrupted"]


def search(
    run: RunFolder,
    ledger: Ledger,
    searcher: OptunaSearcher,
    scheduler: Asha,
    tokens: Tokens,
    encoder: Encoder,
    settings: TrialSettings,
    shares: Shares,
    trials: int,
    on_interrupt: Callable[[], None],
) -> Outcome:
    """Runs `trials` trials to their ends, or to Ctrl-C, upon which `on_interrupt` is called.

    Whatever comes of them is in the ledger.

    Raises the UserError of a space that went wrong in a draw, after the trials that were running have ended.
    """
    trainable = tune.with_parameters(MinbertTrial, tokens=tokens, encoder=encoder, settings=settings)
    interruption = _Interruption(on_interrupt)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": shares.cpus, "gpu": shares.gpus}),
        tune_config=tune.TuneConfig(
            num_samples=trials,
            search_alg=searcher,
            scheduler=scheduler,
            max_concurrent_trials=shares.concurrent,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(run.ray),
            stop=interruption,
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            verbose=0,
        ),
    )
    run.ray.mkdir(exist_ok=True)
    with log_to(run.ray / "log.txt"), interruption:
        tuner.fit()
    if searcher.error is not None:
        raise searcher.error
    return "interrupted" if interruption.wanted else "finished"


class _Interruption(tune.Stopper):
    """Ctrl-C: the first lets Ray stop all trials and come to an end in order, a second one breaks off."""

    def __init__(self, on_interrupt: Callable[[], None]) -> None:
        self.wanted = False
        self._on_interrupt = on_interrupt

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.wanted

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as for the searcher

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, self._on_signal)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._on_interrupt()


def _trial_name(trial: Trial) -> str:
    return trial.config["trial"]
