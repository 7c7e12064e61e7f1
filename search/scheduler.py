"""ASHA behind the ledger: Ray's own algorithm, with every report and decision on disk before Ray acts on it.

Asynchronous Successive Halving (Li et al. 2020, https://arxiv.org/abs/1810.05934): at epochs 2, 6, 18, ... a trial goes
on only if the best overall it has reached is in the top third of what the trials before it had reached there.

A trial ends here, never in the trial itself, so that this is the one place that knows why.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.exceptions import RayTaskError
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.ledger import Decision, End, EndState, Ledger, Report, TrialError

GRACE = 2
"""Epochs that every trial gets."""
REDUCTION_FACTOR = 3


class Asha(ASHAScheduler):
    """Takes a trial's results {"epoch", "best", "report"}; a report of None says that the trial diverged.

    Without `early_stopping` all `epochs` are grace: every trial trains to its last epoch, unless it diverges or fails.
    """

    def __init__(self, ledger: Ledger, epochs: int, *, early_stopping: bool) -> None:
        super().__init__(
            time_attr="epoch",
            metric="best",
            mode="max",
            max_t=epochs,
            grace_period=min(GRACE, epochs) if early_stopping else epochs,
            reduction_factor=REDUCTION_FACTOR,
        )
        self._ledger = ledger
        self._epochs = epochs

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Ray's question after each epoch: go on, or stop?"""
        name, report = trial.config["trial"], result["report"]
        if report is None:
            return self._stop(name, "diverged")
        self._ledger.append(report)
        if report.epoch >= self._epochs:
            return self._stop(name, "completed")
        rung, cutoff = self._rung_reached(trial, report)
        action = super().on_trial_result(tune_controller, trial, result)
        stops = action == TrialScheduler.STOP
        self._ledger.append(
            Decision(trial=name, epoch=report.epoch, action="stop" if stops else "continue", rung=rung, cutoff=cutoff)
        )
        return self._stop(name, "stopped") if stops else action

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """After a stop. A trial that diverged leaves no mark on the rungs."""
        if result["report"] is not None:
            super().on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A trial raised an error, or its process died."""
        self._ledger.append(End(trial=trial.config["trial"], state="failed", error=_error_of(trial)))

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles a Tuner for its own restore, which is never used here, and a ledger can't be pickled."""
        return {}

    def _stop(self, name: str, state: EndState) -> str:
        self._ledger.append(End(trial=name, state=state))
        return TrialScheduler.STOP

    def _rung_reached(self, trial: Trial, report: Report) -> tuple[int | None, float | None]:
        """The rung that `report` takes the trial to, and what must be reached there: as `_Bracket.on_result` sees it,
        which tells nobody."""
        bracket = self._trial_info[trial.trial_id]
        for milestone, recorded in bracket._rungs:
            if report.epoch >= milestone and trial.trial_id not in recorded:
                cutoff = bracket.cutoff(recorded)
                return int(milestone), None if cutoff is None or math.isnan(cutoff) else float(cutoff)
        return None, None


def _error_of(trial: Trial) -> TrialError:
    """What Ray noted of a trial's failure before it told the scheduler: the exception, pickled by Ray itself in this
    very process, where the trial raised it or its process died; else, from within Ray, its text."""
    if trial.pickled_error_file is None:
        text = Path(trial.error_file).read_text() if trial.error_file else "no further word from Ray"
        return TrialError(type="RayError", message=text.strip().splitlines()[-1], traceback=text)
    with open(trial.pickled_error_file, "rb") as file:
        error = cloudpickle.load(file)
    traceback = re.sub(r"\x1b\[\d+m", "", str(error)).strip()  # Ray colors it
    if isinstance(error, RayTaskError):
        return TrialError(type=type(error.cause).__name__, message=str(error.cause), traceback=traceback)
    return TrialError(type=type(error).__name__, message=traceback, traceback=traceback)
