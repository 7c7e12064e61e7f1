"""The command line of a search: python -m search.run"""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.console import Console

from model.data.corpus import Corpus, holds_cs224n, read_corpus
from model.errors import reported
from model.problem import Problem
from search.dry_run import dry_run
from search.flags import Flags, check_flags
from search.leaderboard import leaderboard_table
from search.ledger import Ledger, TrialRecord, leaderboard
from search.progress import progress
from search.resources import Machine, Shares, local_machine, share
from search.run_folder import RunFolder, RunInfo, create_run, default_name, versions
from search.space import Space, check_space, load_space

if TYPE_CHECKING:
    from model.network.pretrained import Encoder

# torch and Ray take seconds to import, so that is done inside functions: when flags and space are known to be sound,
# and for a dry run not at all.

MOST_EPOCH_EXAMPLES = 10_000
"""In an epoch by default: with many rows, ASHA should not have to wait for all of them."""


def main(argv: list[str] | None = None) -> int:
    """0 for a finished run, 1 where every trial failed, 2 for what the user got wrong, 130 after Ctrl-C."""
    flags = tyro.cli(Flags, args=argv, prog="python -m search.run")
    with reported():
        try:
            return start(flags, make_console())
        except KeyboardInterrupt:
            return 130


def start(flags: Flags, console: Console) -> int:
    """From flags to the end of the run: read and check everything, then search."""
    check_flags(flags)
    space = load_space(flags.space)
    corpus = read_corpus(flags.data or ("data" if holds_cs224n(Path("data")) else "demo"))
    from model.network.pretrained import read_encoder

    encoder = read_encoder(flags.encoder or ("demo" if corpus.name == "demo" else "bert-base-uncased"))
    problem = Problem.of(corpus, encoder)
    check_space(space, problem)
    if flags.dry_run is not None:
        dry_run(space, problem, flags.dry_run, flags.seed, console)
        return 0
    return search(flags, Inputs(space, corpus, encoder, problem), console)


@dataclass(frozen=True)
class Inputs:
    """What a search is given, read and checked."""

    space: Space
    corpus: Corpus
    encoder: Encoder
    problem: Problem


def search(flags: Flags, inputs: Inputs, console: Console) -> int:
    """Starts Ray, runs the trials, shows what came of them."""
    from model.data.tokens import tokenize
    from search import cluster, tuner
    from search.searcher import OptunaSearcher
    from search.tensorboard import TensorBoard
    from search.trainable import TrialSettings

    with ExitStack() as stack:
        machine = stack.enter_context(cluster.connected(flags.address)) if flags.address else local_machine()
        shares = share(machine, flags.trials, flags.concurrent, flags.trials_per_gpu)
        check_precision(flags, shares)
        name, info = flags.run or default_name(), describe_run(flags, inputs, shares)
        announce((flags.runs_dir / name).resolve(), info, inputs, machine, shares, console)
        if flags.address is None:
            stack.enter_context(cluster.started(machine))
        run = create_run(flags.runs_dir, name, info, inputs.space.source)
        settings = TrialSettings(
            run=run.path,
            epochs=info.epochs,
            epoch_examples=info.epoch_examples,
            seed=info.seed,
            precision=flags.precision,
            threads=shares.threads,
            device=shares.device,
        )
        ledger = stack.enter_context(Ledger(run.ledger))
        ledger.listen(stack.enter_context(closing(TensorBoard(run))))
        shown = progress(console, ledger.records, info.tasks, info.trials, info.epochs)
        ledger.listen(shown)
        searcher = OptunaSearcher(inputs.space, inputs.problem, ledger, info.seed)
        tokens = tokenize(inputs.corpus, inputs.encoder)
        try:
            with shown:
                outcome = tuner.search(
                    run,
                    ledger,
                    searcher,
                    tokens,
                    inputs.encoder,
                    settings,
                    shares,
                    info.trials,
                    on_interrupt=lambda: console.print("Stopping all trials; once more to break off."),
                )
        finally:
            show_end(run, list(ledger.records.values()), info, console)
    if outcome == "interrupted":
        return 130
    return exit_code(list(ledger.records.values()))


def exit_code(records: list[TrialRecord]) -> int:
    """1, with the first error, where every trial failed."""
    errors = [record.error for record in records if record.error]
    if len(errors) < len(records):
        return 0
    print(f"error: every trial failed, the first with\n{errors[0].traceback}", file=sys.stderr)
    return 1


def make_console() -> Console:
    """A terminal's own width; in a pipe, wide enough for the leaderboard."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def check_precision(flags: Flags, shares: Shares) -> None:
    """Refuses what the trials' device can't compute in. (A cluster's GPUs may be on other machines than this.)"""
    import torch

    from model.training.precision import resolve_precision

    if shares.device == "cpu":
        resolve_precision(flags.precision, torch.device("cpu"))


def describe_run(flags: Flags, inputs: Inputs, shares: Shares) -> RunInfo:
    """What run.json says."""
    corpus, encoder = inputs.corpus, inputs.encoder
    return RunInfo(
        started=datetime.now().isoformat(timespec="microseconds"),
        space=str(inputs.space.path),
        data=lasting_name(corpus.name),
        data_fingerprint=corpus.fingerprint(),
        encoder=lasting_name(encoder.name),
        encoder_fingerprint=encoder.fingerprint(),
        tasks=[task.name for task in corpus.tasks],
        trials=flags.trials,
        epochs=flags.epochs,
        epoch_examples=flags.epoch_examples or default_epoch_examples(inputs.problem),
        seed=flags.seed,
        precision=flags.precision,
        concurrent=shares.concurrent,
        threads=shares.threads,
        gpus_per_trial=shares.gpus,
        versions=versions(),
    )


def lasting_name(name: str) -> str:
    """What finds data or encoder again from any directory: `demo`, a hub id, or a folder's absolute path."""
    return str(Path(name).resolve()) if name != "demo" and Path(name).is_dir() else name


def default_epoch_examples(problem: Problem) -> int:
    """A third of the training examples, so that a trial sees all of them in a few epochs, up to a limit."""
    return max(1, min(sum(problem.train_size.values()) // 3, MOST_EPOCH_EXAMPLES))


def announce(path: Path, info: RunInfo, inputs: Inputs, machine: Machine, shares: Shares, console: Console) -> None:
    """Says what was taken where the flags left it open."""
    sizes = ", ".join(f"{task} {train}" for task, train in inputs.problem.train_size.items())
    encoder = inputs.encoder
    for what, value in (
        ("run", path),
        ("space", f"{info.space}, {len(inputs.space.points)} points to try first"),
        ("data", f"{info.data} ({sizes} training examples)"),
        ("encoder", f"{info.encoder} ({encoder.num_layers} layers, {encoder.hidden_size} wide)"),
        ("trials", f"{info.trials} of at most {info.epochs} epochs of {info.epoch_examples} examples"),
        ("machine", f"{machine}: {shares}"),
        ("watch", f"tensorboard --logdir {path.parent}"),
    ):
        console.print(f"{what:8} {value}", soft_wrap=True, highlight=False, markup=False)


def show_end(run: RunFolder, records: list[TrialRecord], info: RunInfo, console: Console) -> None:
    """The leaderboard, and what to type next."""
    ranked = leaderboard(records)
    if not ranked or ranked[0].best is None:
        return
    console.print(leaderboard_table(ranked, info.tasks))
    runs_dir = "" if run.path.parent == Path("runs").resolve() else f" --runs-dir {run.path.parent}"
    console.print(f"Next:  python -m analysis.best {run.name} --refit{runs_dir}", soft_wrap=True, highlight=False)
    console.print(f"Watch: tensorboard --logdir {run.path.parent}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
