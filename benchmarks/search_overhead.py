"""What a search costs beside its trials: python -m benchmarks.search_overhead

Trials of one real second each, which sleep instead of training, by the very searcher, judge, scheduler and Ray Tune of
a search, with ledger, TensorBoard files and printed lines on disk. Without any cost they would take their number times
a second, divided by those that run at a time: that is the floor. Ray is up before the clock starts; its workers are
not.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import tyro
from ray import tune

from benchmarks.driver import on_disk, report_on
from benchmarks.driver_cost import problem_of, score
from model.errors import UserError, reported
from search import cluster, tuner
from search.flags import Search
from search.records import TrialRecord
from search.resources import Machine, Node, share
from search.run_folder import RunFolder
from search.space import load_space

SECONDS = 1.0
"""Of a trial."""


@dataclass(frozen=True)
class Arguments:
    """Measures a search whose trials take a second each."""

    trials: int = 500
    """Of them."""
    workers: int = 2
    """Trials at a time, each with a core, whether or not there are so many: they sleep."""
    search: Search = "freeze-thaw"
    """How trials are chosen."""
    space: Path = Path("spaces/full.py")
    """What they are drawn from."""


class Sleeping(tune.Trainable):
    """A trial whose epoch is a second's sleep."""

    def setup(self, config: dict[str, Any]) -> None:
        self._trial: str = config["trial"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next one in this process."""
        self._trial = new_config["trial"]
        return True

    def step(self) -> dict[str, Any]:
        """A second."""
        time.sleep(SECONDS)
        record = TrialRecord(name=self._trial, source="", params={}, distributions={}, config={})
        return {"outcome": report_on(record, score(int(self._trial[1:])))}


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.search_overhead")
        for name in ("trials", "workers"):
            if getattr(arguments, name) < 1:
                raise UserError(f"--{name} {getattr(arguments, name)}: allowed is a whole number from 1")
        with tempfile.TemporaryDirectory() as folder:
            seconds = measure(arguments, RunFolder(Path(folder)))
        floor = SECONDS * -(-arguments.trials // arguments.workers)
        print(
            f"{date.today()}, {arguments.search}, {arguments.space}: {arguments.trials} trials of {SECONDS:g} s, "
            f"{arguments.workers} at a time: {seconds:.1f} s, {seconds / floor:.3f} times the floor of {floor:g} s"
        )


def measure(arguments: Arguments, run: RunFolder) -> float:
    """Seconds from the first suggestion to the last trial's end."""
    machine = Machine((Node(cores=arguments.workers, gpus=0),))
    shares = share(machine, arguments.trials, arguments.workers, None)
    with (
        cluster.started(machine),
        on_disk(
            run, arguments.search, load_space(arguments.space, problem_of()), problem_of(),
            epochs=1, trials=arguments.trials, seed=0, early_stopping=True,
        ) as parts,
    ):  # fmt: skip
        begun = time.perf_counter()
        if tuner.search(run, parts.ledger, parts.searcher, parts.judge, Sleeping, {}, shares, parts.halt) is not None:
            raise KeyboardInterrupt
        return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
