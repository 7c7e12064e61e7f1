"""What a run is asked to do, in run.json and in words."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from model.console import Console
from model.data.contamination import describe
from model.data.corpus import NAMED, Corpus
from model.data.labels import doubtful_labels
from model.data.scores import constant_score
from model.data.tasks import METRIC_NAMES, Source
from model.problem import Problem
from search.flags import Flags
from search.inputs import Inputs
from search.pareto import OBJECTIVES
from search.resources import Machine, Shares
from search.run_folder import RunInfo, watch_command

if TYPE_CHECKING:
    from model.network.pretrained import Encoder

MOST_EPOCH_EXAMPLES = 10_000
"""In an epoch by default: with many rows, nobody should have to wait for all of them to know a weak trial."""
CACHE_GB = 8.0
"""Disk for outputs of frozen layers, unless --cache-gb says otherwise."""
USUAL_TRIALS = 20
"""Unless --trials or --budget says otherwise."""


def describe_run(flags: Flags, inputs: Inputs, encoder: Encoder, shares: Shares) -> RunInfo:
    """What run.json says of a new run."""
    corpus = inputs.corpus
    return RunInfo(
        started=datetime.now().isoformat(timespec="microseconds"),
        space=str(inputs.space.path),
        data=lasting_name(corpus.name, NAMED),
        data_fingerprint=corpus.fingerprint(),
        skipped_rows={file: skipped.count for file, skipped in corpus.skipped.items()},
        dev_rows_in_train={task: len(leak.rows) for task, leak in inputs.leaks.items()},
        encoder=lasting_name(encoder.name, ("demo",)),
        encoder_fingerprint=encoder.fingerprint(),
        max_tokens=inputs.max_tokens,
        pretrain_epochs=flags.pretrain_epochs,
        pretrained_from=None,
        tasks_file=_tasks_file(flags),
        sources=inputs.sources,
        dev_size=corpus.size("dev"),
        chance=chance(corpus),
        trials=flags.trials or (None if flags.budget else USUAL_TRIALS),
        budget=flags.budget,
        epochs=flags.epochs,
        epoch_examples=flags.epoch_examples or default_epoch_examples(inputs.problem),
        search=flags.search,
        objectives=[objective for objective in OBJECTIVES if objective in flags.objectives],
        early_stopping=flags.early_stopping,
        seed=flags.seed,
        precision=flags.precision,
        computes_in=computes_in(flags.precision, flags.address, shares),
        concurrent=shares.concurrent,
        concurrent_limit=flags.concurrent,
        threads=shares.threads,
        gpus_per_trial=shares.gpus,
        cache_gb=CACHE_GB if flags.cache_gb is None else flags.cache_gb,
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Of Python and the packages that decide a run's numbers."""
    found = {"python": platform.python_version()}
    for package in ("torch", "ray", "optuna", "numpy", "scipy", "tokenizers", "minbert-search"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # a checkout that was never installed
            found[package] = "not installed"
    return found


def computes_in(precision: str, address: str | None, shares: Shares) -> str:
    """What --precision comes to; on the cluster at `address` only its nodes know. Refuses what the trials' device can't
    compute in."""
    import torch

    from model.training.precision import Precision, resolve_precision

    if address and shares.device == "cuda":
        return precision
    resolved = resolve_precision(cast(Precision, precision), torch.device(shares.device))
    return precision if address else resolved


def chance(corpus: Corpus) -> dict[str, float]:
    """By task, the best that one and the same prediction for all of dev scores: of accuracy the share of the most
    frequent label, of correlations 0."""
    labels = {task.name: [example.label for example in corpus.examples[task.name]["dev"]] for task in corpus.tasks}
    return {
        task.name: constant_score(task.metric, np.array(labels[task.name], dtype=np.float32)) for task in corpus.tasks
    }


def lasting_name(name: str, named: Sequence[str]) -> str:
    """What finds data or encoder again from any directory: one of `named`, a hub id, or a folder's absolute path."""
    return str(Path(name).resolve()) if name not in named and Path(name).is_dir() else name


def default_epoch_examples(problem: Problem) -> int:
    """A third of the training examples, so that a trial sees all of them in a few epochs, up to a limit."""
    return max(1, min(sum(problem.train_size.values()) // 3, MOST_EPOCH_EXAMPLES))


def announce(path: Path, info: RunInfo, inputs: Inputs, machine: Machine, shares: Shares, console: Console) -> None:
    """Says what was taken where the flags left it open."""
    lines = (
        ("run", path),
        *_given(
            inputs,
            space=info.space,
            tasks_file=info.tasks_file,
            data=info.data,
            encoder=info.encoder,
            pretrain_epochs=info.pretrain_epochs,
        ),
        ("trials", budget_words(info)),
        ("search", info.search),
        *((("for", ", ".join(info.objectives)),) if len(info.objectives) > 1 else ()),
        ("machine", f"{machine}: {shares}"),
        ("computes", "in " + (info.computes_in if info.computes_in != "auto" else "what each node is fastest in")),
        ("watch", watch_command(path.parent)),
    )
    _say(lines, console)


def announce_inputs(flags: Flags, inputs: Inputs, console: Console) -> None:
    """Of the same what is known before there is a run."""
    lines = _given(
        inputs,
        space=str(inputs.space.path),
        tasks_file=_tasks_file(flags),
        data=lasting_name(inputs.corpus.name, NAMED),
        encoder=lasting_name(inputs.encoder_name, ("demo",)),
        pretrain_epochs=flags.pretrain_epochs,
    )
    _say(lines, console)


def _given(
    inputs: Inputs, *, space: str, tasks_file: str | None, data: str, encoder: str, pretrain_epochs: int
) -> list[tuple[str, str]]:
    """What was found in the inputs, which are called by these names, and what each line is about."""
    sizes = "; ".join(_sizes(inputs, task.name) for task in inputs.problem.tasks)
    shape = f"{inputs.problem.num_layers} layers, {inputs.problem.hidden_size} wide"
    first = f", first pre-trained further, epochs: {pretrain_epochs}" if pretrain_epochs else ""
    points = len(inputs.space.points)
    skipped = [("skipped", one.of(file)) for file, one in inputs.corpus.skipped.items()]
    return [
        ("space", f"{space}, {points} {'point' if points == 1 else 'points'} to try first"),
        *(("left out", f"point {name}: {why}") for name, why in inputs.space.left_out.items()),
        *((("tasks", f"{tasks_file}: {_task_words(inputs.sources)}"),) if tasks_file else ()),
        ("data", f"{data} ({sizes})"),
        *skipped,
        *(("in both", line) for line in describe(inputs.leaks, "dev")),
        *(("in both", line) for line in (inputs.test.known if inputs.test else ())),
        *(("labels", line) for line in doubtful_labels(inputs.corpus)),
        ("encoder", f"{encoder} ({shape}){first}"),
    ]


def _sizes(inputs: Inputs, task: str) -> str:
    """How many examples of a task there are in which split: of test as far as this was looked at."""
    sizes = {"train": inputs.problem.train_size, "dev": inputs.problem.dev_size}
    sizes |= {"test": inputs.test.size} if inputs.test else {}
    return f"{task} {', '.join(f'{size[task]} {split}' for split, size in sizes.items())}"


def _say(lines: Iterable[tuple[str, object]], console: Console) -> None:
    for what, value in lines:
        console.say(f"{what:8} {value}")


def _task_words(sources: Sequence[Source]) -> str:
    """What the tasks are, and what judges them."""
    tasks = [source.task for source in sources]
    return ", ".join(
        f"{task.name} ({'pairs, ' if task.is_pair else ''}{task.kind}, {METRIC_NAMES[task.metric]})" for task in tasks
    )


def _tasks_file(flags: Flags) -> str | None:
    return None if flags.tasks is None else str(flags.tasks.resolve())


def budget_words(info: RunInfo) -> str:
    """How much there is to do."""
    most = "at most " if info.early_stopping else ""
    in_all = f"{info.trials}" if info.trials is not None else "as many as can be"
    within = f", within {info.budget}" if info.budget else ""
    return f"{in_all} of {most}{info.epochs} epochs of {info.epoch_examples} examples{within}"


def differences(before: RunInfo, now: RunInfo) -> list[str]:
    """What differs since the run began that scores may depend on, a line each."""
    found = []
    if before.threads != now.threads:
        found.append(f"note     {now.threads} threads a trial, {before.threads} before: last digits may differ")
    if bool(before.gpus_per_trial) != bool(now.gpus_per_trial):
        here_, there = ("on GPUs", "on CPUs") if now.gpus_per_trial else ("on CPUs", "on GPUs")
        found.append(f"note     computes {here_}, {there} before: last digits may differ")
    if before.computes_in != now.computes_in:
        found.append(f"note     computes in {now.computes_in}, in {before.computes_in} before: scores may differ")
    here = versions()
    for package, version in before.versions.items():
        if here.get(package) != version:
            found.append(f"note     {package} {here.get(package)}, {version} before: scores may differ")
    return found
