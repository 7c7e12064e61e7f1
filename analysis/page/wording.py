"""The report's sentences: what a configuration is, how a run went, how to do it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from analysis.winner.results import Candidate, Kind, Results
from model.config import EncoderConfig, TaskConfig, TrialConfig
from model.data.tasks import Number, Task
from search.commands import command
from search.records import TrialRecord, count_states
from search.run_folder import RunFolder, RunInfo, with_runs_dir


def in_a_sentence(config: TrialConfig) -> str:
    """What a configuration is, in its main lines."""
    parts = [_encoder(config.encoder), *_tasks(config), *_techniques(config), _optimization(config)]
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _encoder(encoder: EncoderConfig) -> str:
    trained = f"the lowest {encoder.freeze_depth} layers frozen" if encoder.freeze_depth else "every layer trained"
    removed = f", {encoder.removed_layers} layers ({encoder.removal}) taken out" if encoder.removed_layers else ""
    branches = f", the top {encoder.branch_layers} a task's own" if encoder.branch_layers else ""
    pooling = "the mean over tokens" if encoder.pooling == "mean" else "the pooler"
    return f"{trained}{removed}{branches}, read from {pooling}"


def _tasks(config: TrialConfig) -> Iterator[str]:
    for name, task in config.tasks.items():
        if task.pair_encoding is not None:
            yield f"{name} reads {_pairs(task)}"
    layers = config.head.common_layers + max(task.task_layers for task in config.tasks.values())
    yield "linear heads" if layers == 1 else f"heads of up to {layers} layers"


def _pairs(task: TaskConfig) -> str:
    if task.pair_encoding == "cross":
        return "both sentences as one sequence"
    return "each sentence by itself" + {
        "none": "",
        "added": " and adds their cosine",
        "alone": " and takes their cosine alone",
    }.get(task.cosine, "")


def _techniques(config: TrialConfig) -> Iterator[str]:
    adapter = config.encoder.adapter
    if adapter is not None:
        kinds = {
            f"bottlenecks of {adapter.bottleneck_size}": adapter.bottleneck,
            f"projected attention of {adapter.pal_size}": adapter.pal_size,
            "LHUC": adapter.lhuc,
        }
        yield "adapters: " + " and ".join(kind for kind, used in kinds.items() if used)
    if config.encoder.layer_drop:
        yield f"layer drop {config.encoder.layer_drop:.2g} ({config.encoder.layer_drop_growth})"
    if config.smart is not None:
        yield f"SMART, weight {config.smart.weight:.2g}"
    if config.proximal is not None:
        yield f"Bregman proximal point, weight {config.proximal.weight:.2g}"
    if config.noise_stability is not None:
        yield f"noise stability, weight {config.noise_stability.weight:.2g}"
    if config.sharing is not None:
        yield "sharing " + ", ".join(f"{edge.upstream} → {edge.downstream}" for edge in config.sharing.edges)


def _optimization(config: TrialConfig) -> str:
    part = config.optimization
    surgery = ", gradient surgery" if part.gradient_surgery else ""
    uncertainty = ", losses weighted by uncertainty" if part.task_weighting == "uncertainty" else ""
    return (
        f"step sizes {part.learning_rate:.2g} (encoder) and {part.head_learning_rate:.2g} (heads), {part.schedule} "
        f"schedule, batches of {part.batch_size}{surgery}{uncertainty}"
    )


def kept(candidate: Candidate, results: Results) -> str:
    """What the model that is kept is."""
    on_dev = ", trained on dev too" if results.with_dev else ""
    return f"the model that is kept ({candidate.kind}{on_dev})"


def kept_on_train(candidate: Candidate, results: Results) -> str:
    """What the model that is kept was when dev could judge it."""
    return "what is kept, before it was trained on dev" if results.with_dev else kept(candidate, results)


def won_by(trial: str, candidate: Candidate) -> str:
    """Who won, the chosen finalist being `trial`."""
    match candidate.kind:
        case "single":
            return trial
        case "soup":
            return f"{trial}, a soup of {plural(len(candidate.names), 'seed')},"
        case "ensemble":
            return f"An ensemble of {plural(len(candidate.names), 'model')}"


def members(kind: Kind, by_task: Mapping[str, Mapping[str, int]]) -> str:
    """A model's members, by task, and, of an ensemble, how often each counts there."""
    told = {task: _counted(counts) for task, counts in by_task.items()}
    return (
        "; ".join(f"{task}: {text}" for task, text in told.items()) if kind == "ensemble" else next(iter(told.values()))
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(name if count == 1 else f"{name} {count} times" for name, count in counts.items())


def error(tasks: Sequence[Task]) -> str:
    """What the figure beside a mistake (analysis.winner.results.Mistake) is."""
    numbers = [isinstance(task.label, Number) for task in tasks]
    of_classes = "how much more probability the predicted class was given than the right one"
    of_numbers = "how far the predicted number is from the right one"
    told = of_numbers if all(numbers) else of_classes
    return f"Error: {told}{f'; of numbers, {of_numbers}' if any(numbers) and not all(numbers) else ''}."


def duration(seconds: float) -> str:
    """In the two largest units; below a minute in three digits, which tell trials apart that are over in seconds."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def plural(count: int, what: str) -> str:
    """1 seed, 2 seeds."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def states(records: Sequence[TrialRecord]) -> str:
    """How many trials are in which state."""
    return count_states(records) or "none yet"


def facts(info: RunInfo, records: Sequence[TrialRecord], seconds: float) -> list[tuple[str, str]]:
    """How the run went."""
    asked = "as many trials as can be" if info.trials is None else plural(info.trials, "trial")
    within = f", within {info.budget}" if info.budget else ""
    stopping = "weak ones stopped early" if info.early_stopping else "none stopped early"
    device = f"{info.gpus_per_trial:g} GPU and " if info.gpus_per_trial else ""
    rows = {file: count for file, count in info.skipped_rows.items() if count}
    leaks = {task: count for task, count in info.dev_rows_in_train.items() if count}
    pretrained = f", pre-trained further from {info.pretrained_from}" if info.pretrained_from else ""
    return [
        ("begun", info.started.replace("T", " ").split(".")[0]),
        ("took", f"{duration(seconds)} in all, {sum(record.epoch for record in records)} epochs"),
        ("asked for", f"{asked} of at most {info.epochs} epochs of {info.epoch_examples} examples{within}; {stopping}"),
        ("search", info.search),
        ("objectives", ", ".join(info.objectives)),
        ("trials", states(records)),
        ("retries", str(sum(len(record.retries) for record in records) or "none")),
        ("space", info.space),
        *((("tasks", info.tasks_file),) if info.tasks_file else ()),
        ("data", f"{info.data} (fingerprint {info.data_fingerprint})"),
        ("dev", ", ".join(f"{task} {size}" for task, size in info.dev_size.items()) + " examples"),
        ("dev rows in train", ", ".join(f"{task} {count}" for task, count in leaks.items()) or "none"),
        ("rows skipped", ", ".join(f"{file} {count}" for file, count in rows.items()) or "none"),
        ("encoder", f"{info.encoder} (fingerprint {info.encoder_fingerprint}){pretrained}"),
        ("texts", f"cut to sequences of {info.max_tokens} tokens"),
        ("machine", f"{info.concurrent} at a time, on {device}{plural(info.threads, 'CPU thread')} each"),
        ("computed in", info.computes_in),
        ("seed", str(info.seed)),
        ("versions", ", ".join(f"{package} {version}" for package, version in info.versions.items()) or "not known"),
    ]


def troubles(records: Sequence[TrialRecord]) -> list[str]:
    """What went wrong with trials, a line each."""
    retried = [
        f"{record.name} was taken up again after epoch {_epochs_before(record, retry.time)} ({retry.reason}): "
        f"{retry.error.type}: {retry.error.message}"
        for record in records
        for retry in record.retries
    ]
    failed = [f"{r.name} failed: {r.error.type}: {r.error.message}" for r in records if r.error]
    diverged = [
        f"{record.name} diverged: after epoch {record.epoch} its figures were no longer finite"
        for record in records
        if record.state == "diverged"
    ]
    return [*retried, *failed, *diverged]


def _epochs_before(record: TrialRecord, time: float) -> int:
    return sum(report.time <= time for report in record.reports)


def again(run: RunFolder) -> RunFolder:
    """Where the same search again would lie."""
    return RunFolder(run.path.with_name(f"{run.name}-again"))


def search_command(run: RunFolder, info: RunInfo) -> str:
    """What to type for the same search again."""
    flags = [
        *("--space", str(run.space), *(("--tasks", info.tasks_file) if info.tasks_file else ()), "--data", info.data),
        *("--encoder", info.pretrained_from or info.encoder),
        *(("--pretrain-epochs", str(info.pretrain_epochs)) if info.pretrain_epochs else ()),
        *("--max-tokens", str(info.max_tokens)),
        *(("--skip-bad-rows",) if info.skipped_rows else ()),
        *("--search", info.search),
        *(("--objectives", *info.objectives) if len(info.objectives) > 1 else ()),
        *(("--trials", str(info.trials)) if info.trials is not None else ()),
        *(("--budget", info.budget) if info.budget else ()),
        *("--epochs", str(info.epochs), "--epoch-examples", str(info.epoch_examples)),
        *(() if info.early_stopping else ("--no-early-stopping",)),
        *(("--concurrent", str(info.concurrent_limit)) if info.concurrent_limit else ()),
        *(("--trials-per-gpu", str(round(1 / info.gpus_per_trial))) if 0 < info.gpus_per_trial < 1 else ()),
        *("--seed", str(info.seed), "--precision", info.precision),
        *("--run", again(run).name),
    ]
    return with_runs_dir(run, f"{command('search.run')} {shlex.join(flags)}")
