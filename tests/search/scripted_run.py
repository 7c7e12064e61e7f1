"""A search whose trials follow a script instead of training: python -m tests.search.scripted_run FOLDER

Under the real Ray. Prints, as JSON, how Ray, Optuna and the ledger say that each trial ended.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

from model.errors import UserError
from model.problem import Problem
from search import cluster, tuner
from search import judge as judge_module
from search.budget import Budget
from search.halt import Halt
from search.ledger import Ledger
from search.records import End
from search.resources import Machine, Node, share
from search.run_folder import create_run
from search.searcher import OptunaSearcher, tpe
from search.space import load_space
from search.trainable import MinbertTrial, Outcome, TrialSettings
from tests.search.events import report
from tests.search.scripted import judging
from tests.search.test_run_folder import INFO
from tests.search.test_space import GOOD
from tests.support import PROBLEM, tiny_corpus

EPOCHS = 4
DIVERGES, RAISES, DIES, DIES_ONCE, NEVER_BEGINS = "diverges", "raises", "dies", "dies once", "never begins"
SCRIPT: dict[str, list[Any]] = {
    "t001": [0.3, 0.5, 0.4, 0.6],
    "t002": [0.4, 0.2],  # below 0.5 at the rung of epoch 2
    "t003": [0.7, DIVERGES],
    "t004": [0.6, RAISES],
    "t005": [DIES],
    "t006": [NEVER_BEGINS],  # in a new process: that of t005 is dead
    "t007": [0.9, 0.9, DIES_ONCE, 0.8, 0.7],
    "t008": [0.1, 0.6],  # below 0.63, at two thirds of 0.4, 0.5 and 0.9
}
BREAKS_AT = len(SCRIPT)
"""The ninth draw breaks the space."""
SPACE = GOOD.replace(
    "    head = HeadConfig()\n", f"    head = HeadConfig(dropout=0.1 + (trial.number >= {BREAKS_AT}))\n"
)


class ScriptedTrial(MinbertTrial):
    """Reports what SCRIPT says."""

    def _next_outcome(self) -> Outcome:
        word = self._words.pop(0)
        match word:
            case "diverges":
                return End(trial=self._name, state="diverged")
            case "raises":
                raise ZeroDivisionError("as the script has it")
            case "dies":
                os._exit(1)
            case "dies once":
                if not self._died.exists():
                    self._died.touch()
                    os._exit(1)
                return self._next_outcome()
            case overall:
                self._epoch, self._best = self._epoch + 1, max(self._best, overall)
                return report(self._name, self._epoch, overall, best=self._best)

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._name, self._epoch, self._best, self._micro_batches = config["trial"], 0, 0.0, 2
        self._words = list(SCRIPT[self._name])
        self._died = self._settings.run / f"died-{self._name}"
        if self._words == [NEVER_BEGINS]:
            raise MemoryError("no room for a model")


class WatchedTuner(tune.Tuner):
    """Keeps what Ray says of the trials at the end."""

    def fit(self) -> tune.ResultGrid:
        results = super().fit()
        WatchedTuner.states = {t.config["trial"]: t.status for t in results._experiment_analysis.trials}
        return results

    states: dict[str, str]


def main(folder: Path) -> None:
    tuner.tune.Tuner = WatchedTuner
    judge_module.RETRIES = 1  # each one is a new process
    (folder / "space.py").write_text(SPACE)
    run = create_run(folder, "run", INFO, SPACE)
    sizes = tiny_corpus().size("train")
    problem = Problem(
        tasks=tiny_corpus().tasks, num_layers=2, hidden_size=16, num_heads=2, train_size=sizes, dev_size=sizes
    )
    machine = Machine((Node(cores=1, gpus=0),))
    settings = TrialSettings(
        run=run.path,
        epochs=EPOCHS,
        epoch_examples=1,
        seed=0,
        precision="fp32",
        threads=1,
        device="cpu",
        cache_bytes=0,
        state_bytes=0,
    )
    error = ""
    with cluster.started(machine), Ledger(run.ledger) as ledger:
        halt = Halt(Budget(), ledger.history, on_interrupt=lambda: None)
        judge = judging(ledger, EPOCHS)
        space = load_space(folder / "space.py", PROBLEM)
        searcher = OptunaSearcher(space, problem, ledger, halt, tpe, source="tpe", trials=99, seed=0)
        shares = share(machine, 99, None, None)
        try:
            parameters = {"tokens": None, "encoder": None, "settings": settings}
            tuner.search(run, ledger, searcher, judge, ScriptedTrial, parameters, shares, halt)
        except UserError as raised:
            error = str(raised)
        trials = {f"t{trial.number + 1:03d}": trial for trial in searcher.study.trials}
        found = {
            "error": error,
            "ray": WatchedTuner.states,
            "optuna": {
                name: (trial.state.name, trial.value, sorted(trial.intermediate_values.items()))
                for name, trial in trials.items()
            },
            "ledger": {name: record.state for name, record in ledger.records.items()},
            "retries": {name: [x.reason for x in r.retries] for name, r in ledger.records.items() if r.retries},
            "errors": {name: (r.error.type, r.error.message) for name, r in ledger.records.items() if r.error},
            "tracebacks": {name: r.error.traceback for name, r in ledger.records.items() if r.error},
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
