"""The sizes of an encoder, from its config.json alone: all that a space needs to know of it, without torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from model.data.demo import ENCODER as DEMO_ENCODER
from model.errors import UserError

CONFIG_FILE = "config.json"
ActivationName = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"]
"""What `hidden_act` may be."""


@dataclass(frozen=True, kw_only=True)
class BertShape:
    """The sizes of a pretrained encoder."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_positions: int
    """The longest sequence, in tokens, special ones included."""
    num_segments: int
    layer_norm_eps: float
    activation: ActivationName


def read_config(name: str) -> tuple[dict[str, Any], BertShape]:
    """The config.json of the encoder called `name` (`demo`, a folder, or a hub id), and the shape it tells of.

    From the hub only this one file is fetched. Raises UserError where there is none, or not a BERT's.
    """
    folder = local_folder(name)
    if folder is not None:
        config = read_json(folder / CONFIG_FILE)
        return config, shape_of(config, str(folder))
    with from_hub(name):
        path = Path(huggingface_hub.hf_hub_download(name, CONFIG_FILE))
    config = read_json(path)
    return config, shape_of(config, name)


def local_folder(name: str) -> Path | None:
    """The folder of the encoder called `name`; None for one on the hub."""
    if name == "demo":
        return DEMO_ENCODER
    if Path(name).is_dir():
        return Path(name)
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
        raise UserError(f"--encoder {name}: no such folder")
    return None


@contextmanager
def from_hub(name: str) -> Iterator[None]:
    """Around a download: what goes wrong is one UserError."""
    try:
        yield
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"--encoder {name}: no such folder, and not to be had from the hub ({reason})") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in one of an encoder folder's JSON files."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; an encoder folder has {CONFIG_FILE} and model.safetensors") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object")
    return value


def shape_of(config: Mapping[str, Any], where: str) -> BertShape:
    """The shape that a config.json tells of. Raises UserError, naming `where` and the key, for what is no BERT."""
    model_type = config.get("model_type")
    if model_type != "bert":
        raise UserError(f"{where}: model_type is {model_type!r}; only 'bert' can be fine-tuned here")
    position_type = config.get("position_embedding_type", "absolute")
    if position_type != "absolute":
        raise UserError(f"{where}: position_embedding_type is {position_type!r}; only 'absolute' is BERT's")
    if config.get("is_decoder"):
        raise UserError(f"{where}: is_decoder is {config['is_decoder']!r}; only an encoder can be fine-tuned here")
    activations = get_args(ActivationName)
    if config.get("hidden_act", "gelu") not in activations:
        raise UserError(f"{where}: hidden_act is {config['hidden_act']!r}; known are {', '.join(activations)}")
    sizes = {}
    for ours, theirs, least in (
        ("vocab_size", "vocab_size", 1),
        ("hidden_size", "hidden_size", 1),
        ("num_layers", "num_hidden_layers", 1),
        ("num_heads", "num_attention_heads", 1),
        ("intermediate_size", "intermediate_size", 1),
        ("max_positions", "max_position_embeddings", 1),
        ("num_segments", "type_vocab_size", 2),
    ):
        value = config.get(theirs, 2 if theirs == "type_vocab_size" else None)
        if type(value) is not int or value < least:
            raise UserError(f"{where}: {theirs} is {value!r} in {CONFIG_FILE}; allowed is a whole number from {least}")
        sizes[ours] = value
    eps = config.get("layer_norm_eps", 1e-12)
    if not isinstance(eps, float | int) or eps <= 0:
        raise UserError(f"{where}: layer_norm_eps is {eps!r} in {CONFIG_FILE}; allowed is a number above 0")
    if sizes["hidden_size"] % sizes["num_heads"]:
        raise UserError(f"{where}: hidden_size {sizes['hidden_size']} is no multiple of {sizes['num_heads']} heads")
    return BertShape(
        **sizes,
        layer_norm_eps=eps,
        activation=config.get("hidden_act", "gelu"),
    )
