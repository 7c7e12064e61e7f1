"""A trained model as a folder: everything that predicting takes, and nothing to unpickle.

encoder/            a Hugging Face folder, tokenizer included: `transformers.AutoModel.from_pretrained` loads it
heads.safetensors   common layers and task heads
config.json         the TrialConfig
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from model.config import TrialConfig
from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder, read_encoder, write_encoder

_ENCODER, _HEADS, _CONFIG = "encoder", "heads.safetensors", "config.json"


def write_model(folder: Path, model: MultitaskBert, encoder: Encoder) -> None:
    """Writes `model`, which was trained from `encoder`, into `folder`."""
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    bert = {name.removeprefix("bert."): tensor for name, tensor in state.items() if name.startswith("bert.")}
    write_encoder(folder / _ENCODER, encoder, bert)
    save_file({name: t for name, t in state.items() if not name.startswith("bert.")}, folder / _HEADS)
    (folder / _CONFIG).write_text(json.dumps(model.config.to_dict(), indent=2) + "\n")


def read_model(folder: Path) -> tuple[MultitaskBert, Encoder]:
    """The model that `write_model` wrote, and the encoder in it, whose tokenizer goes with it."""
    config = TrialConfig.from_dict(json.loads((folder / _CONFIG).read_text()))
    encoder = read_encoder(str(folder / _ENCODER))
    model = MultitaskBert(config, [task for task in CS224N if task.name in config.tasks], encoder)
    heads = load_file(folder / _HEADS)
    bert = {f"bert.{name}": tensor for name, tensor in model.bert.state_dict().items()}
    model.load_state_dict({**bert, **heads})
    return model, encoder
