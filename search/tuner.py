"""Ray Tune put together: trials spread over a machine or a cluster, in silence."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

import ray
from ray import tune
from ray.tune.experiment import Trial

from model.data.tokens import Tokens
from model.errors import UserError
from model.network.pretrained import Encoder
from search.ledger import Ledger
from search.resources import Machine, Shares
from search.run_folder import RunFolder
from search.scheduler import Asha
from search.searcher import OptunaSearcher
from search.trainable import MinbertTrial, TrialSettings

Outcome = Literal["finished", "interrupted"]

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0, the old output prints nothing
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning otherwise
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # ledger and TensorBoard have it all
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is handled below
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # snapshots that nobody reads
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the ledger keeps them
}
"""What Ray reads, here and, by inheritance, in the processes it starts."""


@contextmanager
def started(machine: Machine) -> Iterator[None]:
    """Ray on this machine alone, reachable from nowhere else."""
    with _ray(address="local", num_cpus=machine.cores, num_gpus=machine.gpus, _node_ip_address="127.0.0.1"):
        yield


@contextmanager
def connected(address: str) -> Iterator[Machine]:
    """A cluster that runs already, and what it has."""
    with _ray(address=address):
        resources = ray.cluster_resources()
        yield Machine(cores=int(resources.get("CPU", 0)), gpus=int(resources.get("GPU", 0)))


def search(
    run: RunFolder,
    ledger: Ledger,
    searcher: OptunaSearcher,
    tokens: Tokens,
    encoder: Encoder,
    settings: TrialSettings,
    shares: Shares,
    trials: int,
) -> Outcome:
    """Runs `trials` trials to their ends, or to Ctrl-C. Whatever comes of them is in the ledger.

    Raises the UserError of a space that went wrong in a draw, after the trials that were running have ended.
    """
    trainable = tune.with_parameters(MinbertTrial, tokens=tokens, encoder=encoder, settings=settings)
    interruption = _Interruption()
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": shares.cpus, "gpu": shares.gpus}),
        tune_config=tune.TuneConfig(
            num_samples=trials,
            search_alg=searcher,
            scheduler=Asha(ledger, settings.epochs),
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
    with _log_to_file(run), interruption:
        tuner.fit()
    if searcher.error is not None:
        raise searcher.error
    return "interrupted" if interruption.wanted else "finished"


@contextmanager
def _ray(**arguments: Any) -> Iterator[None]:
    os.environ.update(_ENVIRONMENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {} if arguments["address"] != "local" else {"include_dashboard": False}
        try:
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options, **arguments)
        except (ConnectionError, ValueError) as error:
            raise UserError(f"--address {arguments['address']}: no Ray cluster to be reached there ({error})") from None
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _log_to_file(run: RunFolder) -> Iterator[None]:
    """Whatever Ray has to say goes to the run's folder, not to the terminal."""
    run.ray.mkdir(exist_ok=True)
    logger = logging.getLogger("ray")
    handler = logging.FileHandler(run.ray / "log.txt")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)
        handler.close()


class _Interruption(tune.Stopper):
    """Ctrl-C: the first lets Ray stop all trials and come to an end in order, a second one breaks off."""

    def __init__(self) -> None:
        self.wanted = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.wanted

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, self._on_signal)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _trial_name(trial: Trial) -> str:
    return trial.config["trial"]
