"""The command line of a search: python -m search.run"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.console import Console

from model.data.corpus import Corpus, holds_cs224n, read_corpus
from model.errors import reported
from model.network.shape import read_config
from model.problem import Problem
from search.dry_run import dry_run
from search.flags import Flags, check_flags
from search.leaderboard import leaderboard_table, make_console
from search.ledger import Ledger, TrialRecord, leaderboard, winner
from search.progress import progress
from search.resources import Machine, Shares, local_machine, share
from search.run_folder import RunFolder, RunInfo, create_run, default_name, next_command, versions, watch_command
from search.space import Space, check_space, load_space

if TYPE_CHECKING:
    from model.data.tokens import Tokens
    from model.network.pretrained import Encoder

# torch and Ray take seconds to import, so that is done inside functions: when flags and space are known to be sound,
# and for a dry run not at all.

MOST_EPOCH_EXAMPLES = 10_000
"""In an epoch by default: with many rows, ASHA should not have to wait for all of them."""


def main(argv: list[str] | None = None) -> int:
    """0 for a finished run, 1 where no trial can win, 2 for what the user got wrong, 130 after Ctrl-C."""
    flags = tyro.cli(Flags, args=argv, prog="python -m search.run", config=(tyro.conf.FlagCreatePairsOff,))
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
    encoder_name = flags.encoder or ("demo" if corpus.name == "demo" else "bert-base-uncased")
    problem = Problem.of(corpus, read_config(encoder_name)[1])
    check_space(space, problem)
    if flags.dry_run is not None:
        dry_run(space, problem, flags.dry_run, flags.seed, console)
        return 0
    from model.network.pretrained import read_encoder

    return search(flags, Inputs(space, corpus, read_encoder(encoder_name), problem), console)


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
    from model.training.pretrain import save_encoder
    from search import cluster, tuner
    from search.scheduler import Asha
    from search.searcher import OptunaSearcher
    from search.tensorboard import TensorBoard
    from search.trainable import TrialSettings

    with ExitStack() as stack:
        machine = stack.enter_context(cluster.connected(flags.address)) if flags.address else local_machine()
        shares = share(machine, flags.trials, flags.concurrent, flags.trials_per_gpu)
        name, info = flags.run or default_name(), describe_run(flags, inputs, shares)
        path = (flags.runs_dir / name).resolve()
        announce(path, info, inputs, machine, shares, console)
        tokens = tokenize(inputs.corpus, inputs.encoder)
        encoder = inputs.encoder
        if flags.pretrain_epochs:
            encoder, info = pretrained(flags, encoder, tokens, info, RunFolder(path).encoder, console)
        if flags.address is None:
            stack.enter_context(cluster.started(machine))
        run = create_run(flags.runs_dir, name, info, inputs.space.source)
        if flags.pretrain_epochs:
            save_encoder(run.encoder, encoder)
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
        scheduler = Asha(ledger, info.epochs, early_stopping=info.early_stopping)
        try:
            with shown:
                outcome = tuner.search(
                    run,
                    ledger,
                    searcher,
                    scheduler,
                    tokens,
                    encoder,
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


def pretrained(
    flags: Flags, encoder: Encoder, tokens: Tokens, info: RunInfo, folder: Path, console: Console
) -> tuple[Encoder, RunInfo]:
    """The encoder after --pretrain-epochs, on all cores or the GPU of this machine; and the run's description with it.

    The encoder is called by `folder`, which it is to be kept in.
    """
    import torch

    from model.training.cores import usable_cores
    from model.training.pretrain import further_pretrained

    torch.set_num_threads(usable_cores())
    further = further_pretrained(
        encoder,
        tokens,
        name=str(folder),
        epochs=flags.pretrain_epochs,
        seed=flags.seed,
        precision=flags.precision,
        console=console,
    )
    torch.cuda.empty_cache()  # the trials need this GPU's memory
    return further, replace(
        info, encoder=further.name, encoder_fingerprint=further.fingerprint(), pretrained_from=info.encoder
    )


def exit_code(records: list[TrialRecord]) -> int:
    """1 where no trial can win, with the reason; if all failed, with the first error."""
    if winner(records):
        return 0
    states = Counter(record.state for record in records)
    reason = ", ".join(f"{count} {state}" for state, count in states.items()) or "there was none"
    errors = [record.error for record in records if record.error]
    if errors and len(errors) == len(records):
        reason += f", the first with\n{errors[0].traceback}"
    print(f"error: no trial can win: {reason}", file=sys.stderr)
    return 1


def computes_in(flags: Flags, shares: Shares) -> str:
    """What --precision comes to; on a cluster only its nodes know. Refuses what the trials' device can't compute in."""
    import torch

    from model.training.precision import resolve_precision

    if flags.address and shares.device == "cuda":
        return flags.precision
    resolved = resolve_precision(flags.precision, torch.device(shares.device))
    return flags.precision if flags.address else resolved


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
        pretrain_epochs=flags.pretrain_epochs,
        pretrained_from=None,
        tasks=[task.name for task in corpus.tasks],
        dev_size=corpus.size("dev"),
        chance=chance(corpus),
        trials=flags.trials,
        epochs=flags.epochs,
        epoch_examples=flags.epoch_examples or default_epoch_examples(inputs.problem),
        early_stopping=flags.early_stopping,
        seed=flags.seed,
        precision=flags.precision,
        computes_in=computes_in(flags, shares),
        concurrent=shares.concurrent,
        threads=shares.threads,
        gpus_per_trial=shares.gpus,
        versions=versions(),
    )


def chance(corpus: Corpus) -> dict[str, float]:
    """By task, the best that one and the same prediction for all of dev scores: of accuracy the share of the most
    frequent label, of Pearson's r 0."""
    labels = {task.name: [example.label for example in corpus.examples[task.name]["dev"]] for task in corpus.tasks}
    return {
        task.name: Counter(labels[task.name]).most_common(1)[0][1] / len(labels[task.name])
        if task.metric == "accuracy"
        else 0.0
        for task in corpus.tasks
    }


def lasting_name(name: str) -> str:
    """What finds data or encoder again from any directory: `demo`, a hub id, or a folder's absolute path."""
    return str(Path(name).resolve()) if name != "demo" and Path(name).is_dir() else name


def default_epoch_examples(problem: Problem) -> int:
    """A third of the training examples, so that a trial sees all of them in a few epochs, up to a limit."""
    return max(1, min(sum(problem.train_size.values()) // 3, MOST_EPOCH_EXAMPLES))


def announce(path: Path, info: RunInfo, inputs: Inputs, machine: Machine, shares: Shares, console: Console) -> None:
    """Says what was taken where the flags left it open."""
    sizes = ", ".join(f"{task} {train}" for task, train in inputs.problem.train_size.items())
    encoder, most = inputs.encoder, "at most " if info.early_stopping else ""
    first = f", first pre-trained further, epochs: {info.pretrain_epochs}" if info.pretrain_epochs else ""
    for what, value in (
        ("run", path),
        ("space", f"{info.space}, {len(inputs.space.points)} points to try first"),
        ("data", f"{info.data} ({sizes} training examples)"),
        ("encoder", f"{info.encoder} ({encoder.num_layers} layers, {encoder.hidden_size} wide){first}"),
        ("trials", f"{info.trials} of {most}{info.epochs} epochs of {info.epoch_examples} examples"),
        ("machine", f"{machine}: {shares}"),
        ("computes", "in " + (info.computes_in if info.computes_in != "auto" else "what each node is fastest in")),
        ("watch", watch_command(path.parent)),
    ):
        console.print(f"{what:8} {value}", soft_wrap=True, highlight=False, markup=False)


def show_end(run: RunFolder, records: list[TrialRecord], info: RunInfo, console: Console) -> None:
    """The leaderboard, and what to type next."""
    if not any(record.best for record in records):
        return
    console.print(leaderboard_table(leaderboard(records), info.tasks, width=console.width))
    if winner(records):
        console.print(f"Next:  {next_command(run)}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Watch: {watch_command(run.path.parent)}", soft_wrap=True, highlight=False, markup=False)


if __name__ == "__main__":
    sys.exit(main())
