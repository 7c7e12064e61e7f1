"""How far a run has come, and whether anything is left to do: its description, ledger and lock together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from search.budget import Budget
from search.lock import is_locked
from search.records import History, count_states, put_down
from search.run_folder import RunFolder, RunInfo


@dataclass(frozen=True)
class Standing:
    """How far a run has come."""

    state: Literal["running", "unfinished", "spent", "done"]
    """Somebody writes to it; nobody does, and trials are left to do; nor may any be done, for the budget is used up;
    all that was asked for is done."""
    words: str


def standing_of(run: RunFolder) -> Standing:
    """How far `run` has come, and whether it goes on. Raises UserError where its ledger is damaged."""
    written_to = is_locked(run.lock)  # asked first: who lets go of it has written how its trials ended
    info, history = run.info(), run.history()
    ended = _ended(history)
    if _is_done(info, ended):
        return Standing("done", f"all {ended} trials ended")
    of_all = f"{ended} of {info.trials}" if info.trials is not None else f"{ended}"
    if written_to:
        return Standing("running", f"running, {of_all} trials ended")
    if _is_spent(info, history):
        trials = count_states(put_down(history.trials.values())) or "no trial begun"
        return Standing("spent", f"budget of {info.budget} used up, {trials}")
    return Standing("unfinished", f"unfinished, {of_all} trials ended")


def nothing_left(run: RunFolder, info: RunInfo, history: History) -> str | None:
    """Why a run that is to be resumed has nothing to do; None where it has."""
    ended = _ended(history)
    if _is_done(info, ended):
        return f"{run.name}: all {ended} trials have ended; --trials N with a larger N goes on with more"
    if _is_spent(info, history):
        return f"{run.name}: its budget of {info.budget} is used up; a larger --budget goes on"
    return None


def _ended(history: History) -> int:
    return sum(record.has_ended for record in history.trials.values())


def _is_done(info: RunInfo, ended: int) -> bool:
    return info.trials is not None and ended >= info.trials


def _is_spent(info: RunInfo, history: History) -> bool:
    return Budget.parse(info.budget).used_up(history.seconds_spent(), history.epochs_spent())
