"""A trained model as a folder: everything that predicting takes, and nothing to unpickle.

encoder/            a Hugging Face folder, tokenizer included: `transformers.AutoModel.from_pretrained` loads it
heads.safetensors   common layers, task heads, and adapters, which Hugging Face's BERT has no place for
config.json         the TrialConfig

Where each task has its own copy of the top layers, each has its own folder, a whole encoder: encoders/sentiment/, ...
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.config import TrialConfig
from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert, without_removed_layers
from model.network.pretrained import Encoder, read_encoder, write_encoder

_ENCODER, _ENCODERS, _HEADS, _CONFIG = "encoder", "encoders", "heads.safetensors", "config.json"


def write_model(folder: Path, model: MultitaskBert, encoder: Encoder) -> None:
    """Writes `model`, which was trained from `encoder`, into `folder`."""
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
    others = {name: tensor for name, tensor in state.items() if not name.startswith(("bert.", "branches."))}
    save_file({name: tensor.cpu().contiguous() for name, tensor in others.items()}, folder / _HEADS)
    (folder / _CONFIG).write_text(json.dumps(model.config.to_dict(), indent=2) + "\n")


def read_model(folder: Path) -> tuple[MultitaskBert, Encoder]:
    """The model that `write_model` wrote, and an encoder of it, whose tokenizer goes with it."""
    config = TrialConfig.from_dict(json.loads((folder / _CONFIG).read_text()))
    tasks = [task for task in CS224N if task.name in config.tasks]
    branched = config.encoder.branch_layers > 0
    folders = {task.name: folder / _ENCODERS / task.name if branched else folder / _ENCODER for task in tasks}
    encoders = {task: read_encoder(str(path)) for task, path in folders.items()}
    encoder = encoders[tasks[0].name]
    # Its layers are those that remained: none is removed once more.
    whole = dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, removed_layers=0, removal="top"))
    model = MultitaskBert(whole, tasks, encoder)
    shared = len(model.bert.layers)
    for task, branch in model.branches.items():
        weights = encoders[task].weights
        branch.load_state_dict(
            {name: torch.tensor(weights[_in_whole_encoder(name, shared)]) for name in branch.state_dict()}
        )
    kept = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(("bert.", "branches."))}
    model.load_state_dict({**kept, **load_file(folder / _HEADS)})
    return model, encoder


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of `state` under `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _in_whole_encoder(name: str, shared: int) -> str:
    """What a branch's weight is called in a whole encoder, above its `shared` layers."""
    if not name.startswith("layers."):
        return name
    _, number, rest = name.split(".", 2)
    return f"layers.{shared + int(number)}.{rest}"
