"""A given list of configurations, each with a seed of its own, trained like a search's trials: spread, watched, and
resumable.

They go to a folder `retrained` inside the run's, which has a ledger, trials and a lock as the run itself has
(search.run_folder). A configuration and seed that are there already are not trained again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from rich.console import Console

from model.data.tokens import Tokens
from model.network.pretrained import Encoder
from search import cluster
from search.candidates import LedgerSearcher
from search.conduct import carry_on, session
from search.disk import check_room, room_for_states
from search.halt import Halt
from search.job import Job, key_of
from search.ledger import Ledger, read_ledger, set_aside_damage
from search.lock import locked
from search.records import Suggested, TrialRecord
from search.resources import local_machine, share, share_again
from search.run_folder import RunFolder, next_command


def retrain(
    run: RunFolder, jobs: Sequence[Job], tokens: Tokens, encoder: Encoder, address: str | None, console: Console
) -> list[TrialRecord]:
    """Trains what of `jobs` has not been trained, with the run's budget for a trial, on the cluster at `address` or on
    this machine. All their records, in the order of the jobs: some may have diverged or failed.

    Raises KeyboardInterrupt after an orderly Ctrl-C: the next call goes on. Raises UserError where another process does
    the same, for a full disk, and for a machine without room.
    """
    begun = time.monotonic()
    folder = run.retrained
    folder.path.mkdir(exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(locked(folder.lock, f"the folder {folder.path}"))
        damage = set_aside_damage(folder.ledger)
        if damage:
            console.print(damage, soft_wrap=True, highlight=False, markup=False)
        records = read_ledger(folder.ledger).trials
        left = _left(jobs, records)
        if left:
            with session(folder, begun, next_command(run)) as ledger:
                _train(run, folder, ledger, left, tokens, encoder, address, stack, console)
            records = ledger.records
        by_key = {key_of(record.config, record.seed): record for record in records.values()}
        return [by_key[job.key] for job in jobs]


def _left(jobs: Sequence[Job], records: Mapping[str, TrialRecord]) -> list[Job]:
    """Jobs that have not ended, once each."""
    ended = {key_of(record.config, record.seed) for record in records.values() if record.state != "running"}
    return list({job.key: job for job in jobs if job.key not in ended}.values())


def _train(
    run: RunFolder,
    folder: RunFolder,
    ledger: Ledger,
    jobs: Sequence[Job],
    tokens: Tokens,
    encoder: Encoder,
    address: str | None,
    stack: ExitStack,
    console: Console,
) -> None:
    asked = run.info()
    machine = stack.enter_context(cluster.connected(address)) if address else local_machine()
    concurrent, per_gpu = share_again(machine, concurrent=asked.concurrent, gpus_per_trial=asked.gpus_per_trial)
    shares = share(machine, len(jobs), concurrent, per_gpu)
    check_room(folder.path, room_for_states(encoder.weights.values(), shares.concurrent))
    if address is None:
        stack.enter_context(cluster.started(machine))
    ended = sum(record.state != "running" for record in ledger.records.values())
    info = replace(asked, trials=ended + len(jobs), budget=None, early_stopping=False)
    console.print(f"Training {len(jobs)} configurations: {shares}", highlight=False)

    def searcher(ledger: Ledger, halt: Halt) -> GivenSearcher:
        return GivenSearcher(jobs, ledger, halt)

    if carry_on(folder, info, ledger, searcher, tokens, encoder, shares, console) is not None:
        raise KeyboardInterrupt


class GivenSearcher(LedgerSearcher):
    """Suggests the jobs in their order."""

    def __init__(self, jobs: Sequence[Job], ledger: Ledger, halt: Halt) -> None:
        super().__init__(ledger, halt)
        begun = {key_of(r.config, r.seed): r.name for r in ledger.records.values() if r.state == "running"}
        self._unfinished.extend(begun[job.key] for job in jobs if job.key in begun)
        self._new = [job for job in reversed(jobs) if job.key not in begun]

    def _is_left(self) -> bool:
        return bool(self._new)

    def _next(self) -> str | None:
        job = self._new[-1]
        suggested = Suggested(
            trial=f"r{len(self._ledger.records) + 1:03d}",
            source=job.purpose,
            params={},
            distributions={},
            config=dict(job.config),
            seed=job.seed,
        )
        try:
            self._ledger.append(suggested)
        except OSError as error:
            self._halt.for_error(error)
            return None
        self._new.pop()
        return suggested.trial

    def _is_done(self, name: str) -> None:
        pass  # nobody learns from it
