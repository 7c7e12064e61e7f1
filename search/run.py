"""The command line of a search: python -m search.run, or minbert-search"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import tyro

from model.console import Console
from model.errors import UserError, reported
from model.network.shape import another_can_be_named, read_config
from search.commands import own_name
from search.description import announce, announce_inputs, computes_in, describe_run, differences
from search.disk import check_room, room_for_states
from search.dry_run import dry_run
from search.flags import Flags, check_flags, without_effect
from search.inputs import Inputs, found_again, given
from search.leaderboard import make_console
from search.ledger import read_ledger, set_aside_damage
from search.lock import locked
from search.resources import Machine, local_machine, share, share_again
from search.run_folder import RunFolder, RunInfo, create_run, default_name, newest_run, open_run
from search.standing import nothing_left

if TYPE_CHECKING:
    from model.data.tokens import Tokens
    from model.network.pretrained import Encoder
    from model.training.precision import Precision

# torch and Ray take seconds to import, so that is done inside functions: when flags and space are known to be sound,
# and for a dry run not at all.


def main(argv: list[str] | None = None) -> int:
    """0 for a finished run, 1 where no trial can win, 2 for what the user got wrong, 130 after Ctrl-C, 141 where nobody
    reads on."""
    begun = time.monotonic()
    arguments = with_newest(sys.argv[1:] if argv is None else argv)
    with reported():
        flags = tyro.cli(Flags, args=arguments, prog=own_name("search.run"), config=(tyro.conf.FlagCreatePairsOff,))
        try:
            check_flags(flags)
            console = make_console()
            return (start if flags.resume is None else resume)(flags, console, begun)
        except KeyboardInterrupt:
            return 130


def with_newest(arguments: list[str]) -> list[str]:
    """`--resume` without a name gets an empty one, which stands for the newest run."""
    followers = [*arguments[1:], "--"]
    pairs = zip(arguments, followers, strict=False)  # without arguments there is one follower too many
    return [
        part
        for word, follower in pairs
        for part in ([word, ""] if word == "--resume" and follower.startswith("--") else [word])
    ]


def start(flags: Flags, console: Console, begun: float) -> int:
    """A new run, from flags to its end: read and check everything, then search."""
    inputs = given(flags)
    if flags.dry_run is not None:
        from model.data.tokens import tokenized
        from model.network.tokenizer import tokenizer_of

        announce_inputs(flags, inputs, console)
        with another_can_be_named():
            tokenizer = tokenizer_of(inputs.encoder_name)
        tokens = tokenized(inputs.corpus, tokenizer, inputs.max_tokens)
        tell_cut(tokens, read_config(inputs.encoder_name)[1].max_positions, console)
        if unused := without_effect(flags):
            text = f"note     of no effect without training: {', '.join(unused)}"
            console.say(text)
        dry_run(inputs.space, inputs.problem, flags.dry_run, flags.seed, console)
        return 0
    with another_can_be_named():
        encoder = inputs.read_encoder()

    from model.data.tokens import tokenize
    from model.training.pretrain import save_encoder
    from search import cluster
    from search.conduct import conduct
    from search.strategy import most_paused

    with ExitStack() as stack:
        machine = stack.enter_context(cluster.connected(flags.address)) if flags.address else local_machine()
        per_gpu = trials_per_gpu(flags, machine, inputs, encoder, flags.precision, console)
        shares = share(machine, flags.trials, flags.concurrent, per_gpu)
        name, info = flags.run or default_name(), describe_run(flags, inputs, encoder, shares)
        path = (flags.runs_dir / name).resolve()
        paused = most_paused(info.search, epochs=info.epochs, early_stopping=info.early_stopping)
        check_room(path.parent, room_for_states(encoder.weights.values(), shares.concurrent, paused))
        check_cache(flags, info)
        announce(path, info, inputs, machine, shares, console)
        tokens = tokenize(inputs.corpus, encoder, info.max_tokens)
        tell_cut(tokens, encoder.shape.max_positions, console)
        if flags.pretrain_epochs:
            encoder, info = pretrained(flags, encoder, tokens, info, RunFolder(path).encoder, console)
        if flags.address is None:
            stack.enter_context(cluster.started(machine))
        run = create_run(flags.runs_dir, name, info, inputs.space.source)
        stack.enter_context(locked(run.lock, f"the run {run.path}"))
        if flags.pretrain_epochs:
            save_encoder(run.encoder, encoder)
        return conduct(run, info, inputs, tokens, encoder, shares, console, begun)


def resume(flags: Flags, console: Console, begun: float) -> int:
    """Goes on with a run where its ledger ends."""
    run = open_run(flags.runs_dir, flags.resume) if flags.resume else newest_run(flags.runs_dir)
    with ExitStack() as stack:
        stack.enter_context(locked(run.lock, f"the run {run.path}"))
        damage = set_aside_damage(run.ledger)
        if damage:
            console.say(damage)
        asked = run.info()
        info = replace(asked, trials=flags.trials or asked.trials, budget=flags.budget or asked.budget)
        nothing = nothing_left(run, info, read_ledger(run.ledger))
        if nothing:
            console.say(nothing)
            return 0
        inputs, encoder = found_again(run, info)

        from model.data.tokens import tokenize
        from search import cluster
        from search.conduct import conduct
        from search.strategy import most_paused

        machine = stack.enter_context(cluster.connected(flags.address)) if flags.address else local_machine()
        had = asked.concurrent_limit if machine.is_cluster else asked.concurrent
        as_before = share_again(machine, concurrent=had, gpus_per_trial=asked.gpus_per_trial)
        per_gpu = trials_per_gpu(flags, machine, inputs, encoder, asked.precision, console) or as_before[1]
        concurrent = flags.concurrent or as_before[0]
        if flags.trials_per_gpu and not flags.concurrent:
            concurrent = None  # as many as that makes
        limit = flags.concurrent or (None if flags.trials_per_gpu else asked.concurrent_limit)
        shares = replace(share(machine, info.trials, concurrent, per_gpu), limit=limit if machine.is_cluster else None)
        info = replace(
            info,
            computes_in=computes_in(info.precision, flags.address, shares),
            concurrent=shares.concurrent,
            concurrent_limit=limit,
            threads=shares.threads,
            gpus_per_trial=shares.gpus,
            cache_gb=asked.cache_gb if flags.cache_gb is None else flags.cache_gb,
        )
        paused = most_paused(info.search, epochs=info.epochs, early_stopping=info.early_stopping)
        paused = max(0, paused - len(list(run.path.glob("trials/*/state"))))  # these have their room
        check_room(run.path, room_for_states(encoder.weights.values(), shares.concurrent, paused))
        check_cache(flags, info)
        announce(run.path, info, inputs, machine, shares, console)
        for difference in differences(asked, info):
            console.say(difference)
        run.write_info(info)
        tokens = tokenize(inputs.corpus, encoder, info.max_tokens)
        if flags.address is None:
            stack.enter_context(cluster.started(machine))
        return conduct(run, info, inputs, tokens, encoder, shares, console, begun)


def tell_cut(tokens: Tokens, most: int, console: Console) -> None:
    """Which texts are not read to their ends, by an encoder that takes `most` tokens."""
    from model.data.tokens import describe_cut

    why = "--max-tokens" if tokens.max_length < most else "the most that the encoder takes"
    for line in describe_cut(tokens):
        console.say(f"cut      {line} ({why})")


def trials_per_gpu(
    flags: Flags, machine: Machine, inputs: Inputs, encoder: Encoder, precision: str, console: Console
) -> int | None:
    """The number that --trials-per-gpu gives, or that its `auto` comes to."""
    if flags.trials_per_gpu != "auto":
        return flags.trials_per_gpu

    from model.data.tokens import tokenize
    from search import cluster
    from search.gpu_memory import trials_that_fit

    if not machine.gpus:
        raise UserError("--trials-per-gpu auto has no effect: no GPU was found")
    tokens = tokenize(inputs.corpus, encoder, inputs.max_tokens)
    with nullcontext() if flags.address else cluster.started(machine):
        found = trials_that_fit(
            machine, inputs.space, inputs.problem, tokens, encoder, cast("Precision", precision), console
        )
    console.say(str(found))
    return found.trials


def check_cache(flags: Flags, info: RunInfo) -> None:
    """Raises UserError where this machine's trials could not keep what frozen layers put out."""
    from model.training.prefix_store import cache_folder, check_usable

    if info.cache_gb and flags.address is None:
        check_usable(cache_folder())


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


if __name__ == "__main__":
    sys.exit(main())
