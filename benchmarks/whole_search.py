"""A whole search beside plain Ray Tune with Hugging Face's Trainer: python -m benchmarks.whole_search RUN

The trials of a finished run, with the epochs that each of them took, once more as somebody would write it who has Ray
Tune and transformers: a function for each trial, in a process of its own, that reads the data, loads the encoder, puts
a linear head on it for each task, and lets the Trainer train and evaluate; with the Trainer's defaults, or grouped by
length and in bf16. It is sampled: of each trial a few steps and a few batches of an evaluation are timed, and scaled to
what the trial trained on and was evaluated on.

Left out for the other side, nearly all of it in its favour: heads of more layers, adapters, branches, regularizers,
gradient surgery, averages, both orders of a pair, scores on a sample of train, checkpoints, places that stay empty at
the end, and what stops weak trials: it is given the epochs that ours took.

The Trainer is installed for this alone: .venv/bin/python -m pip install -c constraints.txt -e ".[benchmarks]"
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import ray
import torch
import torch.nn.functional as F
import tyro
from ray import tune
from torch import Tensor, nn
from torch.utils.data import Dataset
from tyro.conf import Positional, arg

from benchmarks.common import check_installed
from model.config import TrialConfig
from model.data.batches import Plan, sequence_lengths
from model.data.corpus import Split, read_corpus
from model.data.tasks import Classes, Task
from model.data.tokens import Tokens, tokenize
from model.errors import UserError, reported
from model.network.layer_drop import remaining_layers
from model.network.pretrained import read_encoder
from model.training.pretrain import save_encoder
from search.inputs import found_again
from search.ledger import read_ledger
from search.records import TrialRecord
from search.run_folder import RunInfo, newest_run, open_run

WARM_UP = 2
"""Steps of each trial before those that are timed."""
EVALUATED = 64
"""Examples in a batch of an evaluation; the Trainer's default is 8."""
PEERS = {"the Trainer's defaults": False, "grouped by length, bf16": True}
"""By name, whether it is made as fast as the Trainer's flags allow."""
Rows = tuple[str, np.ndarray]
"""A batch: its task, and rows of a split."""


@dataclass(frozen=True)
class Arguments:
    """Measures what a run's trials would take with plain Ray Tune and Hugging Face's Trainer."""

    run: Positional[Annotated[str | None, arg(metavar="[RUN]")]] = None
    """Its name; by default the newest."""
    runs_dir: Path = Path("runs")
    """Where runs lie."""
    steps: int = 10
    """Steps that are timed of each trial."""
    evaluation: int = 4
    """Batches that are timed of each task's evaluation."""


@dataclass(frozen=True)
class Sampled:
    """What was timed of one trial."""

    begun: float
    """When its function was called, in seconds of the clock."""
    ended: float
    """When it returned."""
    setup: float
    """Seconds from the function's first line to its first step."""
    example: float
    """Seconds a training example."""
    evaluation: float
    """Seconds of dev as a whole."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(Arguments, args=argv, prog="python -m benchmarks.whole_search")
        for name in ("steps", "evaluation"):
            if getattr(arguments, name) < 1:
                raise UserError(f"--{name} {getattr(arguments, name)}: allowed is a whole number from 1")
        check_installed("transformers", "accelerate")
        run = open_run(arguments.runs_dir, arguments.run) if arguments.run else newest_run(arguments.runs_dir)
        history = read_ledger(run.ledger)
        trials = [trial for trial in history.trials.values() if trial.reports]
        if not trials:
            raise UserError(f"{run.name}: no trial of it ended an epoch")
        info = run.info()
        _check(run.name, info, trials)
        _, encoder = found_again(run, info)
        with tempfile.TemporaryDirectory() as folder:
            save_encoder(Path(folder) / "encoder", encoder)
            common = {
                "data": info.data,
                "skip_bad_rows": bool(info.skipped_rows),
                "encoder": str(Path(folder) / "encoder"),
                "epoch_examples": info.epoch_examples,
                "threads": info.threads,
                "steps": arguments.steps,
                "evaluation": arguments.evaluation,
            }
            ray.init("local", num_cpus=info.concurrent * info.threads, include_dashboard=False, log_to_driver=False)
            print(
                f"{date.today()}, {run.name}: {len(trials)} trials, {history.epochs_spent()} epochs of "
                f"{info.epoch_examples} examples, {info.concurrent} trials at a time, {info.threads} threads each"
            )
            print(f"ours, {info.computes_in}: {history.seconds_spent():.0f} s", flush=True)
            for name, fast in PEERS.items():
                sampled = measure({**common, "fast": fast}, trials, info.concurrent, Path(folder) / name)
                print(comparison(name, trials, sampled, info.concurrent, history.seconds_spent()), flush=True)


def _check(name: str, info: RunInfo, trials: list[TrialRecord]) -> None:
    if info.gpus_per_trial:
        raise UserError(f"{name}: its trials ran on GPUs; CPUs alone are compared here")
    if len(trials) <= info.concurrent:
        raise UserError(f"{name}: {len(trials)} trials ended an epoch; more than ran at a time are needed")
    for trial in trials:
        part = TrialConfig.from_dict(trial.config).optimization
        examples = part.batch_size * (len(info.tasks) if part.tasks_per_step == "all" else 1)
        if info.epoch_examples <= WARM_UP * examples:
            raise UserError(f"{name}: an epoch of {trial.name} has no more than {WARM_UP} steps")


def measure(common: Mapping[str, Any], trials: list[TrialRecord], concurrent: int, folder: Path) -> list[Sampled]:
    """What was timed of each trial."""
    results = tune.Tuner(
        tune.with_resources(sample, {"cpu": common["threads"]}),
        param_space={**common, "trial": tune.grid_search([dict(trial.config) for trial in trials])},
        tune_config=tune.TuneConfig(max_concurrent_trials=concurrent),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    if results.errors:
        raise results.errors[0]
    names = [field.name for field in fields(Sampled)]
    return [Sampled(**{name: (result.metrics or {})[name] for name in names}) for result in results]


def sample(asked: dict[str, Any]) -> dict[str, float]:
    """What Ray Tune runs for each trial."""
    begun = time.time()
    import transformers

    torch.set_num_threads(asked["threads"])
    transformers.utils.logging.set_verbosity_error()
    config = TrialConfig.from_dict(asked["trial"])
    encoder = read_encoder(asked["encoder"])
    tokens = tokenize(read_corpus(asked["data"], skip_bad_rows=asked["skip_bad_rows"]), encoder)
    model = Multitask(transformers.BertModel.from_pretrained(asked["encoder"]), config, tokens.tasks)
    at_a_time = len(tokens.tasks) if config.optimization.tasks_per_step == "all" else 1
    batches = _training(config, tokens, asked["epoch_examples"], grouped=asked["fast"])
    batches = batches[: (WARM_UP + asked["steps"]) * at_a_time]
    started: list[float] = []

    class Clock(transformers.TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            started.append(time.time())

    with tempfile.TemporaryDirectory() as folder:
        trainer = transformers.Trainer(
            model,
            transformers.TrainingArguments(
                folder, per_device_train_batch_size=1, gradient_accumulation_steps=at_a_time, num_train_epochs=1,
                train_sampling_strategy="sequential", learning_rate=config.optimization.learning_rate, report_to=[],
                save_strategy="no", disable_tqdm=True, use_cpu=True, remove_unused_columns=False,
                per_device_eval_batch_size=1, prediction_loss_only=True, bf16=asked["fast"],
            ),
            data_collator=lambda made: made[0],  # a batch already
            train_dataset=Batches(config, tokens, "train", batches),
            callbacks=[Clock()],
        )  # fmt: skip
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        trained = time.time() - started[WARM_UP]
        evaluation = 0.0
        for task in tokens.tasks:
            dev = _evaluation(config, tokens, task, asked["evaluation"], grouped=asked["fast"])
            trainer.evaluate(Batches(config, tokens, "dev", dev[:1]))  # warms up
            since = time.time()
            trainer.evaluate(Batches(config, tokens, "dev", dev))
            seen = sum(len(rows) for _, rows in dev)
            evaluation += (time.time() - since) * len(tokens.splits[task.name]["dev"]) / seen
    examples = sum(len(rows) for _, rows in batches[WARM_UP * at_a_time :])
    setup, example = started[0] - begun, trained / examples
    return asdict(Sampled(begun, time.time(), setup, example, evaluation))


def _training(config: TrialConfig, tokens: Tokens, epoch_examples: int, *, grouped: bool) -> list[Rows]:
    """The batches of the first epoch."""
    lengths = {}
    for task in tokens.tasks:
        split = tokens.splits[task.name]["train"]
        known = sequence_lengths(split, config.tasks[task.name].pair_encoding, tokens.max_length)
        lengths[task.name] = known if grouped else np.zeros_like(known)  # all alike: as they were drawn
    part = config.optimization
    plan = Plan(
        lengths, part.task_mix, part.batch_size, epoch_examples, 0, epochs=1, tasks_per_step=part.tasks_per_step
    )
    return [batch for step in plan.epoch(1) for batch in step]


def _evaluation(config: TrialConfig, tokens: Tokens, task: Task, count: int, *, grouped: bool) -> list[Rows]:
    """Some batches of a task's dev set."""
    split, rng = tokens.splits[task.name]["dev"], np.random.default_rng(0)
    lengths = sequence_lengths(split, config.tasks[task.name].pair_encoding, tokens.max_length)
    rows = np.argsort(lengths) if grouped else rng.permutation(len(split))
    batches = np.array_split(rows, -(-len(rows) // EVALUATED))
    return [(task.name, batches[i]) for i in rng.permutation(len(batches))[:count]]


class Batches(Dataset[dict[str, Any]]):
    """Batches that are put together when they are asked for, padded to their longest sequence."""

    def __init__(self, config: TrialConfig, tokens: Tokens, split: Split, batches: list[Rows]) -> None:
        self._config, self._tokens, self._batches = config, tokens, batches
        self._split: Split = split

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, i: int) -> dict[str, Any]:
        name, rows = self._batches[i]
        split, cross = self._tokens.splits[name][self._split], self._config.tasks[name].pair_encoding == "cross"
        sentences = [[sentence[row].tolist() for row in rows] for sentence in split.sentences]
        sequences = [self._encoded(*pair) for pair in zip(*sentences, strict=True)] if cross else None
        read = [_padded(sequences)] if sequences else [_padded([self._encoded(s) for s in side]) for side in sentences]
        return {"task": name, "sequences": read, "labels": torch.from_numpy(split.labels[rows])}

    def _encoded(self, *sentences: list[int]) -> tuple[list[int], list[int]]:
        """Ids and segments of [CLS] a [SEP], or of [CLS] a [SEP] b [SEP]."""
        room = (self._tokens.max_length - 1 - len(sentences)) // len(sentences)
        parts = [[*sentence[:room], self._tokens.sep_id] for sentence in sentences]
        segments = [number for number, part in enumerate(parts) for _ in part]
        return [self._tokens.cls_id, *(i for part in parts for i in part)], [0, *segments]


def _padded(sequences: list[tuple[list[int], list[int]]]) -> dict[str, Tensor]:
    def column(of: list[list[int]]) -> Tensor:
        return nn.utils.rnn.pad_sequence([torch.tensor(one) for one in of], batch_first=True)

    ids, segments = ([sequence[i] for sequence in sequences] for i in range(2))
    mask = column([[1] * len(one) for one in ids])
    return {"input_ids": column(ids), "token_type_ids": column(segments), "attention_mask": mask}


class Multitask(nn.Module):
    """transformers' BERT with a linear head for each task."""

    def __init__(self, bert: Any, config: TrialConfig, tasks: tuple[Task, ...]) -> None:
        super().__init__()
        part, layers = config.encoder, bert.encoder.layer
        stay = remaining_layers(len(layers), part.removed_layers, part.removal)
        bert.encoder.layer = nn.ModuleList(layers[number] for number in stay)
        frozen = [bert.embeddings, *bert.encoder.layer[: part.freeze_depth]] if part.freeze_depth else []
        for module in frozen:
            module.requires_grad_(False)
        self.bert, self._mean = bert, part.pooling == "mean"
        self._classes = {task.name: isinstance(task.label, Classes) for task in tasks}
        bi = {task.name: config.tasks[task.name].pair_encoding == "bi" for task in tasks}
        width = bert.config.hidden_size
        self.heads = nn.ModuleDict(
            {
                task.name: nn.Linear(width * (3 if bi[task.name] else 1), getattr(task.label, "count", 1))
                for task in tasks
            }
        )

    def forward(self, task: str, sequences: list[dict[str, Tensor]], labels: Tensor) -> dict[str, Tensor]:
        """The task's loss, and its logits, (B, outputs)."""
        vectors = [self._vector(sequence) for sequence in sequences]
        features = torch.cat([*vectors, (vectors[0] - vectors[1]).abs()], dim=-1) if len(vectors) == 2 else vectors[0]
        logits = self.heads[task](features)
        if self._classes[task]:
            return {"loss": F.cross_entropy(logits, labels.long()), "logits": logits}
        return {"loss": F.mse_loss(logits.squeeze(-1), labels), "logits": logits}

    def _vector(self, sequence: dict[str, Tensor]) -> Tensor:
        output, mask = self.bert(**sequence), sequence["attention_mask"].unsqueeze(-1)
        if self._mean:
            vectors: Tensor = (output.last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
            return vectors
        return output.pooler_output


def comparison(name: str, trials: list[TrialRecord], sampled: list[Sampled], places: int, ours: float) -> str:
    """What the trials come to with the other side's times, beside ours."""
    # With so many places the first trial to end makes room for the first one after those that began at once.
    begun, ended = (sorted(getattr(one, which) for one in sampled) for which in ("begun", "ended"))
    between = statistics.median(after - before for before, after in zip(ended, begun[places:], strict=False))
    whole, ratios = 0.0, []
    for trial, one in zip(trials, sampled, strict=True):
        examples = sum(report.examples for report in trial.reports)
        epochs = len(trial.reports) * one.evaluation + examples * one.example
        whole += (between + one.setup + epochs) / places
        ratios.append(epochs / sum(report.seconds for report in trial.reports))
    setup = statistics.median(one.setup for one in sampled)
    return (
        f"plain Ray Tune, {name}: {whole:.0f} s, {whole / ours:.2f} times ours; a trial's epochs take "
        f"{statistics.median(ratios):.2f} times as long ({min(ratios):.2f} to {max(ratios):.2f}), after "
        f"{between:.1f} s for a new process and {setup:.1f} s to its first step"
    )


if __name__ == "__main__":
    sys.exit(main())
