"""A trained model as a folder: everything that predicting takes, and nothing to unpickle.

encoder/            a Hugging Face folder, tokenizer included: `transformers.AutoModel.from_pretrained` loads it
heads.safetensors   common layers, task heads, and adapters, which Hugging Face's BERT has no place for
config.json         the TrialConfig
tasks.json          the tasks: what they read, and what their labels are called
evaluation.json     how its scores were computed, and how it predicts: the precision, and tokens that texts are cut to

Where each task has its own copy of the top layers, each has its own folder, a whole encoder: encoders/sentiment/, ...

An ensemble is a folder of such folders, members/NAME/, and ensemble.json: by task, then member, how often its outputs
count.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor

from model.config import TrialConfig
from model.data.tables import TaskError
from model.data.tasks import Task, tasks_of
from model.errors import UserError
from model.network.multitask import MultitaskBert, without_removed_layers
from model.network.pretrained import Encoder, read_encoder, read_tensors, write_encoder, write_tensors
from model.network.shape import LEAST_TOKENS, read_json, shown
from model.problem import Problem, check
from model.training.precision import ConcretePrecision

_ENCODER, _ENCODERS, _HEADS = "encoder", "encoders", "heads.safetensors"
_CONFIG, _TASKS, _EVALUATION = "config.json", "tasks.json", "evaluation.json"
_ENSEMBLE, _MEMBERS = "ensemble.json", "members"
MOST_COUNT = 1000
"""Of an ensemble's member."""
_WHOLE = f"a model folder has {_CONFIG}, {_TASKS}, {_EVALUATION}, {_HEADS} and {_ENCODER}/ or {_ENCODERS}/"


def write_model(
    folder: Path, model: MultitaskBert, encoder: Encoder, precision: ConcretePrecision, max_tokens: int | None = None
) -> None:
    """Writes `model`, which was trained from `encoder` and evaluated in `precision`, into `folder`. Its texts were cut
    to sequences of `max_tokens`; None: of as many as the encoder takes."""
    encoder = without_removed_layers(model.config.encoder, encoder)
    state = model.state_dict()
    bert = _under("bert.", state)
    if model.branches:
        shared = len(model.bert.layers)
        for task in model.branches:
            branch = _under(f"branches.{task}.", state)
            top = {_in_whole_encoder(name, shared): tensor for name, tensor in branch.items()}
            write_encoder(folder / _ENCODERS / task, encoder, {**bert, **top})
    else:
        write_encoder(folder / _ENCODER, encoder, bert)
    write_tensors(folder / _HEADS, {name: state[name] for name in _others(state)})
    _write_json(folder / _CONFIG, model.config.to_dict())
    _write_json(folder / _TASKS, {"tasks": [task.to_dict() for task in model.tasks]})
    cut_to = max_tokens or encoder.shape.max_positions
    _write_json(folder / _EVALUATION, {"precision": precision, "max_tokens": cut_to})


def read_model(folder: Path) -> tuple[MultitaskBert, Encoder]:
    """The model that `write_model` wrote, and an encoder of it, whose tokenizer goes with it.

    Raises UserError, naming the file, where there is none, or not a whole one.
    """
    config, tasks = _read_config(folder / _CONFIG), _read_tasks(folder / _TASKS)
    if sorted(config.tasks) != sorted(task.name for task in tasks):
        own, described = ", ".join(config.tasks), ", ".join(task.name for task in tasks)
        raise UserError(f"{folder / _CONFIG}: it is of the tasks {own}; {_TASKS} beside it is of {described}")
    branched = config.encoder.branch_layers > 0
    folders = {task.name: folder / _ENCODERS / task.name if branched else folder / _ENCODER for task in tasks}
    encoders = {path: _read_encoder(path, config, tasks) for path in dict.fromkeys(folders.values())}
    first, encoder = next(iter(encoders.items()))
    for path, other in encoders.items():
        if (other.shape, other.tokenizer) != (encoder.shape, encoder.tokenizer):
            raise UserError(f"{path}: another shape or tokenizer than in {first}")
    # Its layers are those that remained: none is removed once more.
    whole = dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, removed_layers=0, removal="top"))
    model = MultitaskBert(whole, tasks, encoder)
    shared = len(model.bert.layers)
    for task, branch in model.branches.items():
        weights = encoders[folders[task]].weights
        branch.load_state_dict(
            {name: torch.tensor(weights[_in_whole_encoder(name, shared)]) for name in branch.state_dict()}
        )
    state = model.state_dict()
    model.load_state_dict({**state, **_read_heads(folder / _HEADS, {name: state[name] for name in _others(state)})})
    return model, encoder


def read_precision(folder: Path) -> ConcretePrecision:
    """What the model in `folder` was evaluated in. Raises UserError, naming the file, where it can't be told."""
    precision = _read_json(folder / _EVALUATION).get("precision")
    allowed = get_args(ConcretePrecision)
    if precision not in allowed:
        raise UserError(f"{folder / _EVALUATION}: precision is {shown(precision)}; allowed are {', '.join(allowed)}")
    return cast(ConcretePrecision, precision)


def read_max_tokens(folder: Path, encoder: Encoder) -> int:
    """What the model in `folder`, of `encoder`, cuts sequences to. Raises UserError, naming the file, where it can't be
    told."""
    found, most = _read_json(folder / _EVALUATION).get("max_tokens"), encoder.shape.max_positions
    if type(found) is not int or not LEAST_TOKENS <= found <= most:
        allowed = f"a whole number from {LEAST_TOKENS} to {most}, the encoder's positions"
        raise UserError(f"{folder / _EVALUATION}: max_tokens is {shown(found)}; allowed is {allowed}")
    return found


def member_folder(folder: Path, name: str) -> Path:
    """Where `write_model` is to write the member called `name` of the ensemble in `folder`."""
    return folder / _MEMBERS / name


def write_ensemble(folder: Path, members: Mapping[str, Mapping[str, int]]) -> None:
    """Makes an ensemble of models that lie in their `member_folder`: by task, then name, how often each one's outputs
    count."""
    _write_json(folder / _ENSEMBLE, {"members": {task: dict(counts) for task, counts in members.items()}})


def read_ensemble(folder: Path) -> dict[str, dict[str, int]] | None:
    """What `write_ensemble` was given; None where a single model lies in `folder`. Raises UserError where there is
    neither."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; allowed is one with a trained model, such as runs/NAME/refit/model")
    if (folder / _CONFIG).is_file():
        return None
    path = folder / _ENSEMBLE
    if not path.is_file():
        raise UserError(
            f"{folder}: no trained model: neither {_CONFIG} nor {_ENSEMBLE} is in it; allowed is a folder such as "
            "runs/NAME/refit/model"
        )
    members = read_json(path).get("members")
    if not isinstance(members, dict) or not members:
        raise UserError(f"{path}: members is {shown(members)}; allowed is an object of tasks")
    for task, counts in members.items():
        _check_counts(f"{path}: {task}", counts)
    return members


def _check_counts(where: str, counts: object) -> None:
    if not isinstance(counts, dict) or not counts:
        raise UserError(f"{where} has {shown(counts)}; allowed is an object of members and whole numbers from 1")
    for name, count in counts.items():
        if not re.fullmatch(r"\w[\w.-]*", name):  # no name leads elsewhere
            raise UserError(f"{where} has a member {shown(name)}; allowed are letters, digits, '_', '-' and '.'")
        if type(count) is not int or not 1 <= count <= MOST_COUNT:
            allowed = f"a whole number from 1 to {MOST_COUNT}"
            raise UserError(f"{where}: the member {name} counts {shown(count)}; allowed is {allowed}")


def _read_config(path: Path) -> TrialConfig:
    values = _read_json(path)
    try:
        return TrialConfig.from_dict(values)
    except ValueError as error:
        raise UserError(f"{path}: not a model's configuration: {error}") from None


def _read_tasks(path: Path) -> tuple[Task, ...]:
    try:
        return tasks_of(_read_json(path).get("tasks"))
    except TaskError as error:
        raise UserError(f"{path}: not a model's tasks: {error}") from None


def _read_encoder(path: Path, config: TrialConfig, tasks: tuple[Task, ...]) -> Encoder:
    """The encoder in `path`, which `config` must fit."""
    if not path.is_dir():  # `read_encoder` would look for it on the hub
        raise UserError(f"{path}: no such folder; {_WHOLE}")
    encoder = read_encoder(str(path))
    shape, no_data = encoder.shape, dict.fromkeys(config.tasks, 0)
    problem = Problem(
        tasks=tasks,
        num_layers=shape.num_layers + config.encoder.removed_layers,
        hidden_size=shape.hidden_size,
        num_heads=shape.num_heads,
        train_size=no_data,
        dev_size=no_data,
    )
    try:
        check(config, problem)
    except ValueError as error:
        raise UserError(f"{path}: not of the configuration beside it: {error}") from None
    return encoder


def _read_heads(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in `path`, which must have the names and shapes of those expected."""
    _check_file(path)
    found = read_tensors(path)
    for name in sorted(found.keys() ^ expected.keys()):
        said = "is missing" if name in expected else "has no place"
        raise UserError(f"{path}: the key {shown(name)} {said} in a model of the configuration beside it")
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            shapes = f"{tuple(tensor.shape)}; {tuple(expected[name].shape)}"
            raise UserError(f"{path}: {name!r} has shape {shapes} follows from the configuration beside it")
        if tensor.dtype != torch.float32 or not tensor.isfinite().all():
            raise UserError(f"{path}: {name!r} is not of finite numbers in fp32")
    return found


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UserError(f"{path}: no such file; {_WHOLE}")


def _read_json(path: Path) -> dict[str, Any]:
    _check_file(path)
    return read_json(path)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _others(names: Iterable[str]) -> list[str]:
    """Those that lie neither in the encoder nor in a task's copy of its top."""
    return [name for name in names if not name.startswith(("bert.", "branches."))]


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of `state` under `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _in_whole_encoder(name: str, shared: int) -> str:
    """What a branch's weight is called in a whole encoder, above its `shared` layers."""
    if not name.startswith("layers."):
        return name
    _, number, rest = name.split(".", 2)
    return f"layers.{shared + int(number)}.{rest}"
