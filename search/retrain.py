"""A given list of configurations, each with a seed of its own, trained like a search's trials: spread, watched, and
resumable.

They go to a folder inside the run's, which has a ledger, trials and a lock as the run itself has (search.run_folder).
What is there already is not trained again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from model.console import Console
from model.data.tokens import Tokens
from model.errors import UserError
from model.network.pretrained import Encoder
from search import cluster
from search.conduct import carry_on, session
from search.disk import check_room, room_for_states
from search.halt import Halt
from search.job import Job, key_of
from search.ledger import Ledger, read_ledger, set_aside_damage
from search.ledger_searcher import LedgerSearcher
from search.lock import locked
from search.policy.rungs import Rungs
from search.records import Suggested, TrialRecord
from search.resources import local_machine, share, share_again
from search.run_folder import RunFolder
from search.strategy import Strategy


def retrain(
    run: RunFolder,
    folder: RunFolder,
    jobs: Sequence[Job],
    tokens: Tokens,
    encoder: Encoder,
    console: Console,
    *,
    letter: str,
    address: str | None,
    go_on: str,
) -> list[TrialRecord]:
    """Trains what of `jobs` has not been trained in `folder`, with the run's budget for a trial, on the cluster at
    `address` or on this machine; new trials are called `letter` and a number. All their records, in the order of the
    jobs: some may have diverged or failed. What failed before is tried once more.

    Raises KeyboardInterrupt after an orderly Ctrl-C: the next call goes on. Raises UserError where another process does
    the same, for a machine without room, and for a full disk, naming the command `go_on`.
    """
    begun = time.monotonic()
    wanted = dict[str, Job]()
    for job in jobs:
        wanted.setdefault(job.key, job)  # each once, for what it is wanted first
    with ExitStack() as stack:
        _open(folder, stack, console)
        records = read_ledger(folder.ledger).trials
        if _left(wanted, records):
            with session(folder, begun, go_on) as ledger:
                _train(run, folder, ledger, wanted, tokens, encoder, letter, address, stack, console)
            records = ledger.records
        newest = _newest(records)
        return [newest[job.key] for job in jobs]


def _open(folder: RunFolder, stack: ExitStack, console: Console) -> None:
    """The folder, locked for this process, with a ledger that can be read."""
    try:
        folder.path.mkdir(exist_ok=True)
        stack.enter_context(locked(folder.lock, f"the folder {folder.path}"))
        damage = set_aside_damage(folder.ledger)
    except OSError as error:
        raise UserError(f"{folder.path}: can't be written to ({error.strerror})") from None
    if damage:
        console.say(damage)


def _newest(records: Mapping[str, TrialRecord]) -> dict[str, TrialRecord]:
    """The last trial of each training, by its key."""
    return {key_of(record): record for record in records.values()}


def _left(jobs: Mapping[str, Job], records: Mapping[str, TrialRecord]) -> list[Job]:
    """Those of `jobs`, by key, that have not ended in a way that would come again."""
    newest = _newest(records)
    return [job for key, job in jobs.items() if key not in newest or newest[key].state in ("running", "failed")]


def _train(
    run: RunFolder,
    folder: RunFolder,
    ledger: Ledger,
    jobs: Mapping[str, Job],
    tokens: Tokens,
    encoder: Encoder,
    letter: str,
    address: str | None,
    stack: ExitStack,
    console: Console,
) -> None:
    asked, left = run.info(), _left(jobs, ledger.records)
    machine = stack.enter_context(cluster.connected(address)) if address else local_machine()
    _, per_gpu = share_again(machine, concurrent=asked.concurrent, gpus_per_trial=asked.gpus_per_trial)
    # By all jobs, not those that are left: with other threads an interrupted one would end in other bits.
    shares = share(machine, len(jobs), None, per_gpu)
    check_room(folder.path, room_for_states(encoder.weights.values(), shares.concurrent))
    if address is None:
        stack.enter_context(cluster.started(machine))
    new = sum(key not in _newest(ledger.records) for key in jobs)
    info = replace(asked, trials=len(ledger.records) + new, budget=None, early_stopping=False)
    trainings = f"{len(left)} training{'' if len(left) == 1 else 's'}"
    console.print(f"{trainings}: {shares}", highlight=False)

    def strategy(ledger: Ledger, halt: Halt) -> Strategy:
        rungs = Rungs(info.epochs, early_stopping=False)
        return rungs, lambda: ListSearcher(list(jobs.values()), letter, ledger, halt)

    if carry_on(folder, info, ledger, strategy, tokens, encoder, shares, console) is not None:
        raise KeyboardInterrupt


class ListSearcher(LedgerSearcher):
    """Suggests a list of jobs in their order, those that were begun first."""

    def __init__(self, jobs: Sequence[Job], letter: str, ledger: Ledger, halt: Halt) -> None:
        super().__init__(ledger, halt)
        self._letter = letter
        newest = _newest(ledger.records)
        known = {job.key: newest[job.key] for job in jobs if job.key in newest}
        self._unfinished.extend(record.name for record in known.values() if record.state == "running")
        self._new = [job for job in reversed(jobs) if job.key not in known or known[job.key].state == "failed"]

    def _is_left(self) -> bool:
        return bool(self._new)

    def _next(self) -> str | None:
        job = self._new[-1]
        suggested = Suggested(
            trial=f"{self._letter}{len(self._ledger.records) + 1:03d}",
            source=job.purpose,
            params={},
            distributions={},
            config=dict(job.config),
            seed=job.seed,
            epochs=job.epochs,
        )
        try:
            self._ledger.append(suggested)
        except OSError as error:
            self._halt.for_error(error)
            return None
        self._new.pop()
        return suggested.trial

    def _on_done(self, name: str) -> None:
        pass  # nobody learns from it
