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
from search.ledger import Ledger, Report
from search.resources import Machine, Node, share
from search.run_folder import create_run
from search.scheduler import Asha
from search.searcher import OptunaSearcher
from search.space import load_space
from search.trainable import MinbertTrial, TrialSettings
from tests.search.events import report
from tests.search.test_run_folder import INFO
from tests.search.test_space import GOOD
from tests.support import tiny_corpus

EPOCHS = 4
DIVERGES, RAISES, DIES, NEVER_BEGINS = "diverges", "raises", "dies", "never begins"
SCRIPT: dict[str, list[Any]] = {
    "t001": [0.3, 0.5, 0.4, 0.6],
    "t002": [0.4, 0.2],  # below 0.5 at the rung of epoch 2
    "t003": [0.7, DIVERGES],
    "t004": [0.6, RAISES],
    "t005": [DIES],
    "t006": [0.9, 0.9, 0.9, 0.8],
    "t007": [0.1, 0.6],  # below 0.63, at two thirds of 0.4, 0.5 and 0.9
    "t008": [NEVER_BEGINS],
}
BREAKS_AT = len(SCRIPT)
"""The ninth draw breaks the space."""
SPACE = GOOD.replace(
    "    head = HeadConfig()\n", f"    head = HeadConfig(dropout=0.1 + (trial.number >= {BREAKS_AT}))\n"
)


class ScriptedTrial(MinbertTrial):
    """Reports what SCRIPT says."""

    def step(self) -> dict[str, Any]:
        self._epoch += 1
        match SCRIPT[self._name][self._epoch - 1]:
            case "diverges":
                return {"epoch": self._epoch, "best": None, "report": None}
            case "raises":
                raise ZeroDivisionError("as the script has it")
            case "dies":
                os._exit(1)
            case overall:
                self._best = max(self._best, overall)
                made: Report = report(self._name, self._epoch, overall, best=self._best)
                return {"epoch": self._epoch, "best": self._best, "report": made}

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._name, self._epoch, self._best = config["trial"], 0, 0.0
        if SCRIPT[self._name] == [NEVER_BEGINS]:
            raise MemoryError("no room for a model")


class WatchedTuner(tune.Tuner):
    """Keeps what Ray says of the trials at the end."""

    def fit(self) -> tune.ResultGrid:
        results = super().fit()
        WatchedTuner.states = {t.config["trial"]: t.status for t in results._experiment_analysis.trials}
        return results

    states: dict[str, str]


def main(folder: Path) -> None:
    tuner.MinbertTrial, tuner.tune.Tuner = ScriptedTrial, WatchedTuner
    (folder / "space.py").write_text(SPACE)
    run = create_run(folder, "run", INFO, SPACE)
    sizes = tiny_corpus().size("train")
    problem = Problem(
        tasks=tiny_corpus().tasks, num_layers=2, hidden_size=16, num_heads=2, train_size=sizes, dev_size=sizes
    )
    machine = Machine((Node(cores=1, gpus=0),))
    settings = TrialSettings(
        run=run.path, epochs=EPOCHS, epoch_examples=1, seed=0, precision="fp32", threads=1, device="cpu"
    )
    nothing: Any = None
    error = ""
    with cluster.started(machine), Ledger(run.ledger) as ledger:
        searcher = OptunaSearcher(load_space(folder / "space.py"), problem, ledger, seed=0)
        try:
            shares = share(machine, 99, None, None)
            asha = Asha(ledger, EPOCHS, early_stopping=True)
            tuner.search(run, ledger, searcher, asha, nothing, nothing, settings, shares, 99, on_interrupt=lambda: None)
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
            "errors": {name: (r.error.type, r.error.message) for name, r in ledger.records.items() if r.error},
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
