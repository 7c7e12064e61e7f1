"""What `--search` stands for: who suggests trials, and who decides how far they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from model.problem import Problem
from search.freeze_thaw_searcher import FreezeThawSearcher
from search.halt import Halt
from search.judge import Decider
from search.ledger import Ledger
from search.ledger_searcher import LedgerSearcher
from search.policy.candidates import Candidates
from search.policy.freeze_thaw import KEPT, FreezeThaw, milestones
from search.policy.rungs import Rungs
from search.searcher import OptunaSearcher, SamplerFor, random, tpe
from search.space import Space

Strategy = tuple[Decider, Callable[[], LedgerSearcher]]
"""Who decides, and what makes the searcher: after a judge has settled by the decider what a killed driver left
undecided, since the searcher takes up what has not ended then."""
SAMPLERS: Mapping[str, SamplerFor] = {"tpe": tpe, "random": random}


def most_paused(name: str, *, epochs: int, early_stopping: bool) -> int:
    """Trials that can be paused at a time."""
    return KEPT if name == "freeze-thaw" and early_stopping and len(milestones(epochs)) > 1 else 0


def strategy_of(
    name: str,
    space: Space,
    problem: Problem,
    ledger: Ledger,
    halt: Halt,
    *,
    epochs: int,
    trials: int | None,
    seed: int,
    early_stopping: bool,
) -> Strategy:
    """The one called `name`, for trials of at most `epochs` epochs, `trials` in all, if that is a number."""
    if name == "freeze-thaw":
        candidates = Candidates(space, problem, seed=seed)
        policy = FreezeThaw(
            candidates, ledger.history, epochs=epochs, trials=trials, seed=seed, early_stopping=early_stopping
        )
        return policy, lambda: FreezeThawSearcher(policy, ledger, halt)
    rungs = Rungs(epochs, early_stopping=early_stopping, records=ledger.records.values())
    return rungs, lambda: OptunaSearcher(
        space, problem, ledger, halt, SAMPLERS[name], source=name, trials=trials, seed=seed
    )
