"""Ray Tune put together: searcher, scheduler and trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from search.cluster import log_to, room
from search.halt import Cause, Halt
from search.judge import Judge
from search.ledger import Ledger
from search.ledger_searcher import LedgerSearcher
from search.resources import Shares
from search.run_folder import RunFolder
from search.scheduler import JudgedTrials
from search.watch import Watch


def search(
    run: RunFolder,
    ledger: Ledger,
    searcher: LedgerSearcher,
    judge: Judge,
    trainable: type[tune.Trainable],
    parameters: Mapping[str, Any],
    shares: Shares,
    halt: Halt,
) -> Cause | None:
    """Runs the trials that the searcher suggests to their ends, or until something halts them. Each is a `trainable`,
    whose setup gets `parameters`, which lie in Ray's object store and are not copied.

    Whatever comes of them is in the ledger. The cause that halted the run is returned, None where none did. Raises the
    UserError of a space that went wrong in a draw, after the trials that were running have ended, and what else
    concerns all trials, such as the OSError of a full disk.
    """
    if not searcher.has_more():
        return None
    scheduler = JudgedTrials(judge, halt)
    if shares.elastic:
        searcher.room = lambda: room(shares)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, **parameters), {"cpu": shares.cpus, "gpu": shares.gpus}),
        tune_config=tune.TuneConfig(
            num_samples=-1,
            search_alg=searcher,
            scheduler=scheduler,
            max_concurrent_trials=None if shares.elastic else shares.concurrent,  # the searcher sees to it
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(run.ray),
            stop=halt,
            callbacks=[Watch(run, ledger.records, scheduler.will_be_killed)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            verbose=0,
        ),
    )
    run.ray.mkdir(exist_ok=True)
    with log_to(run.ray / "log.txt"), halt.on_signals():
        tuner.fit()
    error = searcher.error or halt.error
    if error is not None:
        raise error
    return halt.cause


def _trial_name(trial: Trial) -> str:
    return trial.config["trial"]
