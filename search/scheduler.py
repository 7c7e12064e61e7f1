"""Ray Tune's scheduler: carries every word from a trial to the judge, and its decision back to Ray.

Each report and decision is on disk before Ray acts on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from model.errors import UserError
from search.failures import death, ran_out_of_memory
from search.halt import Halt
from search.judge import Judge
from search.records import End, Report, Retry, TrialError
from search.trainable import DiskFull, NotShared, Outcome


class JudgedTrials(FIFOScheduler):
    """Takes a trial's results {"outcome": Outcome}. Trials start in the order in which they were suggested."""

    def __init__(self, judge: Judge, halt: Halt) -> None:
        super().__init__()
        self._judge = judge
        self._halt = halt
        self._hung: dict[str, float] = {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial begins, or begins again."""
        self._on_restart(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Ray's question after each epoch: go on, or stop? To Ray a paused trial has ended: it goes on as another."""
        self._hung.pop(trial.config["trial"], None)  # it was slow
        try:
            action = self._action(result["outcome"])
            self._on_restart(trial)
        except (OSError, UserError) as error:  # from the ledger: nothing may happen that it does not know of
            self._halt.for_error(error)  # or from the space, which breaks in a draw
            return TrialScheduler.NOOP
        return TrialScheduler.CONTINUE if action == "continue" else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A trial's process died."""
        name = trial.config["trial"]
        text = Path(trial.error_file).read_text() if trial.error_file else ""
        error = death(text.rsplit("Failure # ", 1)[-1].partition("\n")[2])  # the last one, without its date
        try:
            if not trial.should_recover():
                self._judge.ended(End(trial=name, state="failed", error=self._hang(name) or error))
            elif ran_out_of_memory(error.traceback) and not self._judge.halved(name):
                self._judge.retried(Retry(trial=name, reason="memory", error=error))
            elif hang := self._hang(name):
                self._judge.retried(Retry(trial=name, reason="hung", error=hang))
            else:
                self._judge.retried(Retry(trial=name, reason="died", error=error))
        except OSError as full:
            self._halt.for_error(full)
        self._hung.pop(name, None)

    def will_be_killed(self, name: str, seconds: float) -> None:
        """A trial made no progress for so long: when its process dies, this is why."""
        self._hung[name] = seconds

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles a Tuner for its own restore, which is never used here, and a ledger can't be pickled."""
        return {}

    def _action(self, outcome: Outcome) -> str | None:
        match outcome:
            case Report():
                return self._judge.reported(outcome)
            case Retry():
                return self._judge.retried(outcome)
            case End():
                return self._judge.ended(outcome)
            case DiskFull():
                raise OSError(outcome.errno, outcome.message, str(outcome.path))
            case NotShared():
                raise UserError(
                    f"{outcome.path}: not there on {outcome.host}: all nodes of a cluster must share the folder of "
                    "the runs, at the same path"
                )

    def _on_restart(self, trial: Trial) -> None:
        """What Ray, which restarts a process that dies and counts that itself, is to know of the trial then."""
        name = trial.config["trial"]
        trial.max_failures = trial.num_failures + self._judge.retries_left(name)
        trial.config["micro_batches"] = 2 if self._judge.halved(name) else 1

    def _hang(self, name: str) -> TrialError | None:
        if name not in self._hung:
            return None
        message = f"no progress for {self._hung[name]:.0f} s: terminated, then killed"
        return TrialError(type="Hung", message=message, traceback=message)
