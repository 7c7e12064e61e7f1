"""A search by a policy to a real judge, whose trials score what an objective says, without Ray."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from model.problem import Problem
from search.budget import Budget
from search.halt import Halt
from search.judge import Judge
from search.ledger import Ledger
from search.pareto import OVERALL_ALONE, Objective
from search.space import Space, load_space
from search.strategy import strategy_of
from tests.search.events import report
from tests.search.test_space import GOOD
from tests.support import PROBLEM

Measure = Callable[[Mapping[str, Any], int], float]
"""What a configuration scores after an epoch, how long that takes, or how many parameters it trains."""
POINTS = 'POINTS = {"first": {"depth": 1, "rate": 1e-5, "pooling": "mean", "common": 0}, "second": {"depth": 2}}\n'


def space_in(folder: Path, source: str = GOOD + POINTS) -> Space:
    (folder / "space.py").write_text(source)
    return load_space(folder / "space.py", PROBLEM)


def climbs(params: Mapping[str, Any], epoch: int) -> float:
    """To a height that the learning rate decides for the most part, with some noise that is the trial's own."""
    off = math.log10(params["rate"] / 3e-4)
    noise = zlib.crc32(json.dumps([dict(params), epoch]).encode()) / 2**32
    height = 0.8 * math.exp(-(off**2)) + 0.1 * (params["pooling"] == "mean")
    return height * (1 - math.exp(-epoch / 2)) + 0.01 * noise


def alike(params: Mapping[str, Any], epoch: int) -> float:
    """Seconds."""
    return 3.0


def as_many(params: Mapping[str, Any], epoch: int) -> float:
    """Parameters."""
    return 1000


class Driven:
    """One that was begun or resumed."""

    def __init__(
        self,
        ledger: Ledger,
        space: Space,
        problem: Problem,
        *,
        trials: int | None,
        epochs: int = 8,
        seed: int = 0,
        early_stopping: bool = True,
        search: str = "freeze-thaw",
        objectives: Sequence[Objective] = OVERALL_ALONE,
    ) -> None:
        self.ledger = ledger
        self.halt = Halt(Budget(), ledger.history, on_interrupt=lambda: None)
        decider, searcher_for = strategy_of(
            search, space, problem, ledger, self.halt,
            epochs=epochs, trials=trials, seed=seed, early_stopping=early_stopping,
            objectives=objectives,
        )  # fmt: skip
        self.policy: Any = decider
        self.judge = Judge(ledger, epochs, decider)
        self.searcher = searcher_for()
        self._numbers = count()
        self._ray_ids: dict[str, str] = {}

    def begins(self) -> str | None:
        """The trial that an empty place gets; None where it is to stay empty."""
        ray_id = str(next(self._numbers))
        found = self.searcher.suggest(ray_id)
        if not isinstance(found, dict):
            return None
        self._ray_ids[found["trial"]] = ray_id
        return found["trial"]

    def trains(
        self, trial: str, score: Measure = climbs, seconds: Measure = alike, parameters: Measure = as_many
    ) -> str:
        """A trial's next epoch, and what becomes of it."""
        record = self.ledger.records[trial]
        epoch = record.epoch + 1
        overall = score(record.params, epoch)
        best = max([overall, *(made.overall for made in record.reports)])
        took = seconds(record.params, epoch)
        made = replace(
            report(trial, epoch, overall, best=best),
            seconds=took,
            train_seconds=took,
            trainable_parameters=round(parameters(record.params, epoch)),
        )
        action = self.judge.reported(made)
        if action != "continue":
            self.done(trial)
        return action

    def done(self, trial: str) -> None:
        """Ray lets go of a trial."""
        self.searcher.on_trial_complete(self._ray_ids.pop(trial))

    def runs(
        self,
        score: Measure = climbs,
        seconds: Measure = alike,
        parameters: Measure = as_many,
        *,
        places: int = 1,
    ) -> None:
        """To the end, all places taking turns."""
        running: list[str] = []
        while True:
            while len(running) < places and (name := self.begins()) is not None:
                running.append(name)
            if not running:
                return
            running = [name for name in running if self.trains(name, score, seconds, parameters) == "continue"]
