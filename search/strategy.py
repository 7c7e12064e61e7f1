"""What `--search` stands for: who suggests trials, and who decides how far they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from model.problem import Problem
from search.halt import Halt
from search.judge import Decider
from search.ledger import Ledger
from search.ledger_searcher import LedgerSearcher
from search.pareto import OVERALL_ALONE, Objective
from search.policy import freeze_thaw, one_epoch
from search.policy.candidates import Candidates
from search.policy.freeze_thaw import FreezeThaw
from search.policy.one_epoch import OneEpoch
from search.policy.policy import Policy
from search.policy.rungs import Rungs
from search.policy_searcher import PolicySearcher
from search.searcher import OptunaSearcher, SamplerFor, random, tpe
from search.space import Space

Strategy = tuple[Decider, Callable[[], LedgerSearcher]]
"""Who decides, and what makes the searcher: after a judge has settled by the decider what a killed driver left
undecided, since the searcher takes up what has not ended then."""
SAMPLERS: Mapping[str, SamplerFor] = {"tpe": tpe, "random": random}


def most_paused(name: str, *, epochs: int, early_stopping: bool) -> int:
    """Trials that can be paused at a time."""
    if name == "one-epoch":
        return one_epoch.KEPT if epochs > 1 else 0
    pauses = name == "freeze-thaw" and early_stopping and len(freeze_thaw.rungs(epochs)) > 1
    return freeze_thaw.KEPT if pauses else 0


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
    objectives: Sequence[Objective] = OVERALL_ALONE,
) -> Strategy:
    """The one called `name`, for trials of at most `epochs` epochs, `trials` in all, if that is a number; freeze-thaw
    alone knows other `objectives`."""
    if name in SAMPLERS:
        rungs = Rungs(epochs, early_stopping=early_stopping, records=ledger.records.values())
        return rungs, lambda: OptunaSearcher(
            space, problem, ledger, halt, SAMPLERS[name], source=name, trials=trials, seed=seed
        )
    candidates = Candidates(space, problem, seed=seed)
    if name == "one-epoch":
        assert trials is not None, "the flags are refused otherwise"
        policy: Policy = OneEpoch(candidates, ledger.history, trials=trials)
    else:
        policy = FreezeThaw(
            candidates,
            ledger.history,
            epochs=epochs,
            trials=trials,
            seed=seed,
            early_stopping=early_stopping,
            objectives=objectives,
        )
    return policy, lambda: PolicySearcher(policy, ledger, halt)
