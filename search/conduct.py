"""A run from its ledger's end to its own: listeners, judge, searcher and Ray Tune put together, and what came of it."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

from model.console import Console
from model.data.tokens import Tokens
from model.errors import UserError
from model.network.pretrained import Encoder
from model.training.precision import Precision
from search import tuner
from search.budget import Budget
from search.disk import is_full, room_for_states
from search.halt import Cause, Halt
from search.inputs import Inputs
from search.judge import Judge
from search.leaderboard import front_table, leaderboard_table
from search.ledger import Ledger
from search.progress import Progress, progress
from search.records import (
    Decision,
    End,
    History,
    Session,
    SessionEnd,
    TrialRecord,
    count_states,
    leaderboard,
    put_down,
    winner,
)
from search.resources import Shares
from search.run_folder import RunFolder, RunInfo, next_command, resume_command, watch_command
from search.strategy import Strategy, most_paused, strategy_of
from search.tensorboard import TensorBoard
from search.trainable import MinbertTrial, TrialSettings

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


def conduct(
    run: RunFolder,
    info: RunInfo,
    inputs: Inputs,
    tokens: Tokens,
    encoder: Encoder,
    shares: Shares,
    console: Console,
    begun: float,
) -> int:
    """Runs the trials that are left, under a Ray that was started, and shows what came of all. The exit code.

    `begun` is when the command was, by the monotonic clock. Raises UserError for a space that breaks in a draw, and for
    a full disk.
    """

    def strategy(ledger: Ledger, halt: Halt) -> Strategy:
        return strategy_of(
            info.search,
            inputs.space,
            inputs.problem,
            ledger,
            halt,
            epochs=info.epochs,
            trials=info.trials,
            seed=info.seed,
            early_stopping=info.early_stopping,
            objectives=info.objectives,
        )

    cause: Cause | None = None
    with session(run, begun, resume_command(run)) as ledger:
        try:
            cause = carry_on(run, info, ledger, strategy, tokens, encoder, shares, console)
        finally:
            show_end(run, ledger.history, info, console, used_up=cause == "budget")
        return INTERRUPTED if cause == "interrupted" else exit_code(list(ledger.records.values()))


@contextmanager
def session(run: RunFolder, begun: float, go_on: str) -> Iterator[Ledger]:
    """The run's ledger, open, and what a driver that died left behind tidied up. Begin and end are written to it.

    Turns a full disk into a UserError, which names the command `go_on`.
    """
    try:
        with Ledger(run.ledger) as ledger:
            for record in ledger.records.values():
                tidy(run, record)  # its driver may have died just before that
            ledger.append(Session(setup_seconds=time.monotonic() - begun))
            try:
                yield ledger
            finally:
                with suppress(OSError):  # where the disk is full
                    ledger.append(SessionEnd())
    except OSError as error:
        if not is_full(error):
            raise
        raise UserError(full_disk(run, go_on)) from error


def carry_on(
    run: RunFolder,
    info: RunInfo,
    ledger: Ledger,
    strategy_for: Callable[[Ledger, Halt], Strategy],
    tokens: Tokens,
    encoder: Encoder,
    shares: Shares,
    console: Console,
) -> Cause | None:
    """Runs what is suggested to its end. The cause that halted it, None where none did."""
    settings = TrialSettings(
        run=run.path,
        epochs=info.epochs,
        epoch_examples=info.epoch_examples,
        seed=info.seed,
        precision=cast(Precision, info.precision),
        threads=shares.threads,
        device=shares.device,
        cache_bytes=int(info.cache_gb * 1e9),
        state_bytes=room_for_states(
            encoder.weights.values(),
            shares.concurrent,
            most_paused(info.search, epochs=info.epochs, early_stopping=info.early_stopping),
        ),
    )
    parameters = {"tokens": tokens, "encoder": encoder, "settings": settings}
    shown = listeners(run, info, ledger, console)

    def tell_of_interruption() -> None:
        console.may_be_unread = True  # all is still to be stopped in order
        console.print("Stopping all trials; once more to break off.")

    halt = Halt(Budget.parse(info.budget), ledger.history, on_interrupt=tell_of_interruption)
    decider, searcher_for = strategy_for(ledger, halt)
    judge = Judge(ledger, info.epochs, decider)
    searcher = searcher_for()
    with shown:
        cause = tuner.search(run, ledger, searcher, judge, MinbertTrial, parameters, shares, halt)
        if cause is None:
            judge.close()
    return cause


def listeners(run: RunFolder, info: RunInfo, ledger: Ledger, console: Console) -> Progress:
    """All who hear what is written to the ledger from now on; the one to be shown meanwhile is returned."""
    board = TensorBoard(run)
    board.take_up(ledger.history)
    shown = progress(console, ledger.history, info.tasks, info.trials, info.epochs)
    ledger.listen(board)
    ledger.listen(shown)
    ledger.listen(lambda event, record: tidy(run, record) if isinstance(event, Decision | End) else None)
    return shown


def tidy(run: RunFolder, record: TrialRecord) -> None:
    """A trial that has ended needs its states no more: its best weights stay. A paused one needs the newest."""
    if record.state == "running":
        return
    for path in run.states(record.name):
        if record.has_ended or path != run.state(record.name):
            shutil.rmtree(path, ignore_errors=True)


def full_disk(run: RunFolder, go_on: str) -> str:
    """For a user whose disk is full."""
    free = shutil.disk_usage(run.path).free
    return (
        f"{run.path}: no space left on its disk ({free / 1e6:.0f} MB free). All that was saved is whole: free some, "
        f"then go on by {go_on}"
    )


def exit_code(records: list[TrialRecord]) -> int:
    """1 where no trial can win, with the reason; if all failed, with the first error."""
    if winner(records):
        return 0
    reason = count_states(put_down(records)) or "there was none"
    errors = [record.error for record in records if record.error]
    if errors and len(errors) == len(records):
        reason += f", the first with\n{errors[0].traceback}"
    print(f"error: no trial can win: {reason}", file=sys.stderr)
    return 1


def show_end(run: RunFolder, history: History, info: RunInfo, console: Console, *, used_up: bool = False) -> None:
    """The leaderboard, with several objectives the Pareto front, how the trials ended, and what to type next; `used_up`
    says whether the budget is."""
    records = put_down(history.trials.values())
    if any(record.best for record in records):
        console.print(leaderboard_table(leaderboard(records), info.tasks, width=console.width))
        if len(info.objectives) > 1:
            console.print(front_table(records, info.objectives))
    by_budget = f"budget of {info.budget} used up; " if used_up else ""
    early = "" if used_up or all(record.has_ended for record in records) else " early"
    lines = [f"Ended{early}: {by_budget}{ends(records)}"] if records else []
    wanted = used_up if info.trials is None else info.trials > len(records)
    if wanted or not all(record.has_ended for record in records):
        more = ""
        if used_up:
            lines.append("A larger budget goes on, such as this:")
            larger = Budget.parse(info.budget).once_more(history.seconds_spent(), history.epochs_spent())
            more = f" --budget {larger}"
        lines.append(f"Go on: {resume_command(run)}{more}")
    if winner(records):
        lines.append(f"Next:  {next_command(run)}")
        lines.append(f"Watch: {watch_command(run.path.parent)}")
    for line in lines:
        console.say(line)


def ends(records: list[TrialRecord]) -> str:
    """How many trials ended how, and what went wrong with them."""
    errors = Counter(record.error.type for record in records if record.error)
    retries = Counter(retry.reason for record in records for retry in record.retries)
    text = count_states(records)
    if errors:
        text += " (" + ", ".join(f"{count} by {name}" for name, count in errors.items()) + ")"
    if retries:
        text += "; taken up again: " + ", ".join(f"{count} {reason}" for reason, count in retries.items())
    return text
