"""The sizes of an encoder, from its config.json alone: all that a space needs to know of it, without torch."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

import huggingface_hub
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from model.data.demo import ENCODER as DEMO_ENCODER
from model.errors import UserError
from model.hub_address import check_hub_has_address

CONFIG_FILE = "config.json"
ActivationName = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"]
"""What `hidden_act` may be."""
MOST_LEVELS = 100
"""Of nesting in a JSON file."""
MOST = 10_000_000
"""No size is larger: a million tokens are a large vocabulary."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = 100


LEAST_TOKENS = 8
"""Of the sequences that texts are cut to: a pair with its special tokens, and something of each sentence."""


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
        if not isinstance(huggingface_hub.try_to_load_from_cache(name, CONFIG_FILE), str):
            check_hub_has_address()
        path = Path(huggingface_hub.hf_hub_download(name, CONFIG_FILE))
    config = read_json(path)
    return config, shape_of(config, name)


def local_folder(name: str) -> Path | None:
    """The folder of the encoder called `name`; None for one on the hub."""
    if name == "demo":
        return DEMO_ENCODER
    if Path(name).is_dir():
        return Path(name)
    if Path(name).is_file():
        raise UserError(f"--encoder {name}: a file; give the folder it lies in")
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
        raise UserError(f"--encoder {name}: no such folder")
    return None


@contextmanager
def from_hub(name: str) -> Iterator[None]:
    """Around a download: what goes wrong is one UserError."""
    try:
        yield
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        offline = isinstance(error.__cause__, OfflineModeIsEnabled)  # which the error itself says nothing of
        said = str(error.__cause__ if offline else error).strip()
        reason = said.splitlines()[0] if said else type(error).__name__
        raise NotFromHub(f"--encoder {name}: no such folder, and not to be had from the hub ({reason})") from None


class NotFromHub(UserError):
    """An encoder that is neither a folder nor to be had from the hub."""


@contextmanager
def another_can_be_named() -> Iterator[None]:
    """Around the reading of an encoder, in a command with the flag --encoder: says what to give it without the hub.
    What goes on with a run has that run's encoder, and no such choice."""
    try:
        yield
    except NotFromHub as error:
        raise UserError(
            f"{error}; without the hub: --encoder demo, the built-in one, or --encoder path/to/folder"
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in one of an encoder folder's JSON files."""
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text, object_pairs_hook=_with_each_key_once, parse_constant=_refuse_constant)
        _check_depth(value)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; an encoder folder has {CONFIG_FILE} and model.safetensors") from None
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror})") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply; allowed are {MOST_LEVELS} levels") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object")
    return value


def _with_each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {shown(key)} stands in it twice")
        values[key] = value
    return values


def _check_depth(value: object, levels: int = MOST_LEVELS) -> None:
    """Raises RecursionError where `value` is nested so deeply that another process could not be given it."""
    if levels == 0:
        raise RecursionError
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(inner, levels - 1)


def _refuse_constant(name: str) -> NoReturn:
    """Python's own additions to JSON: NaN, Infinity, -Infinity."""
    raise ValueError(f"{name} is no number")


def shown(value: object) -> str:
    """`value` as a message shows it: in one line, and never a long one."""
    return _SHORT.repr(value)


def shape_of(config: Mapping[str, Any], where: str) -> BertShape:
    """The shape that a config.json tells of. Raises UserError, naming `where` and the key, for what is no BERT."""

    def refuse(key: str, allowed: str) -> NoReturn:
        raise UserError(f"{where}: {key} is {shown(config.get(key))} in {CONFIG_FILE}; {allowed}")

    if config.get("model_type") != "bert":
        refuse("model_type", "only 'bert' can be fine-tuned here")
    if config.get("position_embedding_type", "absolute") != "absolute":
        refuse("position_embedding_type", "only 'absolute' is BERT's")
    if config.get("is_decoder"):
        refuse("is_decoder", "only an encoder can be fine-tuned here")
    activations = get_args(ActivationName)
    if config.get("hidden_act", "gelu") not in activations:
        refuse("hidden_act", f"known are {', '.join(activations)}")
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
        if type(value) is not int or not least <= value <= MOST:
            refuse(theirs, f"allowed is a whole number from {least} to {MOST}")
        sizes[ours] = value
    eps = config.get("layer_norm_eps", 1e-12)
    if type(eps) is not float or not 0 < eps < 1:  # nor is nan
        refuse("layer_norm_eps", "allowed is a number between 0 and 1")
    if sizes["hidden_size"] % sizes["num_heads"]:
        refuse("num_attention_heads", f"allowed is what divides hidden_size, {sizes['hidden_size']}")
    return BertShape(
        **sizes,
        layer_norm_eps=eps,
        activation=config.get("hidden_act", "gelu"),
    )
