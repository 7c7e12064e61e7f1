"""One trial in its own process: a TrialConfig in, reports and checkpoints out."""

from __future__ import annotations

import dataclasses
import gc
import json
import socket
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from model.config import TrialConfig
from model.data.tokens import Tokens
from model.network.pretrained import Encoder
from model.training.checkpoint import Damaged, load_newest
from model.training.loop import Diverged, Epoch, Training, train
from model.training.precision import Precision
from model.training.prefix_store import FREE, PrefixStore, cache_folder
from search.disk import device_of
from search.failures import described, kind_of
from search.pulse import Pulse
from search.records import End, Report, Retry, TrialError, kept_of
from search.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class TrialSettings:
    """What all trials of a run have in common, apart from corpus and encoder."""

    run: Path
    """The run's folder, an absolute path."""
    epochs: int
    epoch_examples: int
    seed: int
    """The same for every trial without one of its own: two that differ in one parameter start alike and see the same
    examples."""
    precision: Precision
    threads: int
    device: str
    """`cpu` or `cuda`: Ray shows a trial its own GPU only."""
    cache_bytes: int
    """Disk that outputs of frozen layers may take on this node."""
    state_bytes: int
    """Disk that the trials' own states may take in the run's folder."""


@dataclass(frozen=True)
class DiskFull:
    """A trial could not save its state: none can."""

    errno: int
    message: str
    path: Path


@dataclass(frozen=True)
class NotShared:
    """A node does not see the run's folder: what trials left there would be lost."""

    path: Path
    host: str


Outcome = Report | Retry | End | DiskFull | NotShared
"""What a trial says: an event for the ledger, which the driver writes, or that none can go on."""


def _store(settings: TrialSettings) -> PrefixStore | None:
    """Where this node keeps what frozen layers put out. It leaves room for the trials' states, if that is their disk,
    too."""
    if not settings.cache_bytes:
        return None
    folder, keep_free = cache_folder(), FREE
    if device_of(folder) == device_of(settings.run):
        keep_free += settings.state_bytes
    return PrefixStore(folder, settings.cache_bytes, keep_free)


class MinbertTrial(tune.Trainable):
    """Ray's side of a trial. Never ends by itself, never raises but where its process is lost: the driver decides.

    A trial whose process died begins again in another one, here and not by Ray's own checkpoints: it finds its state in
    its folder, repeats its reports, in case the driver missed one, and goes on.
    """

    def setup(self, config: dict[str, Any], tokens: Tokens, encoder: Encoder, settings: TrialSettings) -> None:  # type: ignore[override]
        """Once a process; `tokens` and `encoder` lie in Ray's object store and are not copied."""
        torch.set_num_threads(settings.threads)
        self._tokens = tokens
        self._encoder = encoder
        self._settings = settings
        self._run = RunFolder(settings.run)
        self._store = _store(settings)
        self._pulse: Pulse | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial in the same process, which saves starting one."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One epoch, or whatever else there is to tell."""
        try:
            return {"outcome": self._next_outcome()}
        except Exception as error:
            return {"outcome": self._failure(error)}

    def cleanup(self) -> None:
        """Lets go of the model and its optimizer. The process lives on, beside others on the same GPU."""
        self._training: Training | None = None
        if self._settings.device == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def _begin(self, config: dict[str, Any]) -> None:
        self.cleanup()  # before the next model takes its memory
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None
        self._name: str = config["trial"]
        self._config: dict[str, Any] = json.loads(json.dumps(config["config"]))  # as a saved state has it
        self._seed: int = self._settings.seed if config["seed"] is None else config["seed"]
        self._epochs: int | None = config["epochs"]
        self._micro_batches: int = config["micro_batches"]
        self._reports: list[Report] = []
        self._to_tell: deque[Outcome] = deque()

    def _next_outcome(self) -> Outcome:
        if self._training is None:
            if not self._run.path.is_dir():
                return NotShared(self._run.path, socket.gethostname())
            self._training = self._started()
        if self._to_tell:
            return self._to_tell.popleft()
        report = self._report(next(self._training))
        self._reports.append(report)
        self._save(self._training, report)
        return report

    def _started(self) -> Training:
        """The trial's training, taken up where its folder has a state of it."""
        if self._pulse is None:
            self._run.write_config(self._name, self._config)
            self._pulse = Pulse(self._run.pulse(self._name), ray.get_runtime_context().get_node_id())
        training = self._from_the_start(self._pulse)
        try:
            restored = training.restore(self._run.state(self._name))
        except FileNotFoundError:
            return training
        except Damaged as error:
            self._tell_damage(str(error))
            return training
        except ValueError:  # of a trial that the ledger lost, with its name and another configuration
            self._tell_damage(f"{self._run.state(self._name)}: of another configuration")
            return training
        if (restored.values["config"], restored.values["seed"]) != (self._config, self._seed):  # with the same weights
            self._tell_damage(f"{self._run.state(self._name)}: of another configuration or seed")
            return self._from_the_start(self._pulse)
        if restored.passed_over:
            self._tell_damage("; ".join(restored.passed_over))
        self._reports = [Report(**values) for values in restored.values["reports"]]
        if not self._has_kept(training):
            self._reports = []
            return self._from_the_start(self._pulse)
        self._to_tell.extend(self._reports)
        return training

    def _from_the_start(self, pulse: Pulse) -> Training:
        settings = self._settings
        return train(
            TrialConfig.from_dict(self._config),
            self._tokens,
            self._encoder,
            epochs=settings.epochs,
            epoch_examples=settings.epoch_examples,
            seed=self._seed,
            precision=settings.precision,
            device=settings.device,
            micro_batches=self._micro_batches,
            on_step=pulse.beat,
            store=self._store,
        )

    def _has_kept(self, training: Training) -> bool:
        """Whether the weights that the trial keeps are there, as they must be beside a state, or could be written from
        it."""
        kept, folder = kept_of(self._reports, self._epochs), self._run.checkpoint(self._name)
        if kept is None:
            return True
        try:
            # Of a later epoch than any the state knows where a newer state was damaged: that epoch comes again.
            if load_newest(folder).values["epoch"] in (kept.epoch, training.epochs_done + 1):
                return True
            damage = f"{folder}: not the weights of epoch {kept.epoch}"
        except (Damaged, FileNotFoundError) as error:
            damage = str(error)
        if kept.epoch == training.epochs_done:
            training.save_model(folder)
            return True
        self._tell_damage(damage)
        return False

    def _tell_damage(self, what: str) -> None:
        error = TrialError(type="Damaged", message=what, traceback=what)
        self._to_tell.append(Retry(trial=self._name, reason="damaged", error=error))

    def _save(self, training: Training, report: Report) -> None:
        """First the whole state, then the weights that the trial keeps, if they are this epoch's: where the process
        dies in between, they are written from the state. Each has all of a hung trial's time."""
        assert self._pulse is not None, "a training was begun with it"
        self._pulse.beat()
        values = {
            "config": self._config,
            "seed": self._seed,
            "reports": [dataclasses.asdict(report) for report in self._reports],
        }
        training.save(self._run.state(self._name), values)
        self._pulse.beat()
        if kept_of(self._reports, self._epochs) is report:
            training.save_model(self._run.checkpoint(self._name))

    def _failure(self, error: Exception) -> Outcome:
        """The one place that turns an exception into what becomes of its trial."""
        if isinstance(error, Diverged):
            return End(trial=self._name, state="diverged")
        match kind_of(error):
            case "memory" if self._micro_batches == 1:
                self._micro_batches = 2
                self._reports, self._to_tell = [], deque()
                self.cleanup()
                return Retry(trial=self._name, reason="memory", error=described(error))
            case "disk":
                assert isinstance(error, OSError)
                return DiskFull(error.errno or 0, error.strerror or "", self._run.path)
            case "process":
                raise error  # Ray starts another one, where there is a place for it
            case _:
                return End(trial=self._name, state="failed", error=described(error))

    def _report(self, epoch: Epoch) -> Report:
        best = max([epoch.overall, *(report.overall for report in self._reports)])
        return Report.of(self._name, epoch, best)
