"""Pretrained encoders: Hugging Face's BERT folders in and out, every key accounted for.

Only safetensors and JSON are read: nothing that a user hands over is unpickled.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from model.errors import UserError
from model.network.bert import Bert
from model.network.shape import CONFIG_FILE, BertShape, from_hub, local_folder, read_config, read_json, shape_of, shown
from model.network.tokenizer import TOKENIZER_FILES, read_tokenizer, write_tokenizer

_KEYS = (
    ("embeddings.word_embeddings.weight", "embeddings.word.weight"),
    ("embeddings.position_embeddings.weight", "embeddings.position.weight"),
    ("embeddings.token_type_embeddings.weight", "embeddings.segment.weight"),
    ("embeddings.LayerNorm.", "embeddings.norm."),
    ("encoder.layer.#.attention.self.", "layers.#.attention."),
    ("encoder.layer.#.attention.output.dense.", "layers.#.attention.output."),
    ("encoder.layer.#.attention.output.LayerNorm.", "layers.#.attention_norm."),
    ("encoder.layer.#.intermediate.dense.", "layers.#.intermediate."),
    ("encoder.layer.#.output.dense.", "layers.#.output."),
    ("encoder.layer.#.output.LayerNorm.", "layers.#.output_norm."),
    ("pooler.dense.", "pooler."),
)
"""Beginnings of Hugging Face's keys and of ours; # is a layer's number. What follows is the same in both."""

_NOT_THE_ENCODER = re.compile(r"(cls|classifier|qa_outputs)\.|embeddings\.position_ids$")
"""Keys that belong to the heads of other tasks, or hold no weights."""

_WEIGHTS_FILE, _INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_PADDING = 128
"""Embeddings are sometimes padded to a multiple of this: a tokenizer may know fewer tokens, but not by so many."""


@dataclass(frozen=True)
class Encoder:
    """A pretrained BERT as plain values: it travels between processes, and every trial starts from it."""

    name: str
    """What it was asked for by: `demo`, a folder, or a hub id."""
    config: Mapping[str, Any]
    """Hugging Face's config.json."""
    weights: Mapping[str, np.ndarray] = field(repr=False)
    """fp32, under the names that `Bert`'s parameters have."""
    tokenizer: str = field(repr=False)
    """The text of a tokenizer.json."""

    @property
    def shape(self) -> BertShape:
        return shape_of(self.config, self.name)

    @property
    def num_layers(self) -> int:
        return self.shape.num_layers

    @property
    def hidden_size(self) -> int:
        return self.shape.hidden_size

    def fingerprint(self) -> str:
        """A hash of shape, weights and tokenizer: equal for equal encoders, whatever they are called."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:  # of large encoders it takes a second, and every trial asks
        digest = hashlib.sha256(f"{self.shape}{self.tokenizer}".encode())
        for key, array in sorted(self.weights.items()):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def keeping(self, layers: Sequence[int]) -> Encoder:
        """An encoder of these layers only, by their numbers from 0."""
        weights = {key: array for key, array in self.weights.items() if not key.startswith("layers.")}
        for new, old in enumerate(layers):
            start = f"layers.{old}."
            for key, array in self.weights.items():
                if key.startswith(start):
                    weights[f"layers.{new}.{key.removeprefix(start)}"] = array
        config = {**self.config, "num_hidden_layers": len(layers)}
        return Encoder(name=self.name, config=config, weights=weights, tokenizer=self.tokenizer)

    def load_into(self, bert: Bert) -> None:
        """Gives `bert`, which must have this encoder's shape, copies of the weights in place of its parameters: these
        may be on the device `meta`."""
        bert.load_state_dict({key: torch.tensor(array) for key, array in self.weights.items()}, assign=True)


def read_encoder(name: str) -> Encoder:
    """The encoder called `name`: `demo`, a folder in Hugging Face's layout, or a hub id such as `bert-base-uncased`.

    Raises UserError, naming the file and the key, where it is not a whole BERT.
    """
    config, shape = read_config(name)
    folder = _folder(name)
    weights = _translate(*_read_weights(folder), shape)
    tokenizer = read_tokenizer(folder)
    known = max(tokenizer.get_vocab().values()) + 1
    if known > shape.vocab_size:
        raise UserError(
            f"{folder}: the tokenizer knows {known} tokens; vocab_size is {shape.vocab_size} in {CONFIG_FILE}"
        )
    if known <= shape.vocab_size - _PADDING:
        warnings.warn(
            f"{folder}: the tokenizer knows {known} tokens, the model {shape.vocab_size}: do they belong together?",
            stacklevel=2,
        )
    return Encoder(name=name, config=config, weights=weights, tokenizer=tokenizer.to_str())


def write_encoder(folder: Path, encoder: Encoder, weights: Mapping[str, torch.Tensor]) -> None:
    """Writes `weights` (under `Bert`'s names) as a folder that `transformers.AutoModel.from_pretrained` loads.

    Configuration and tokenizer are those of `encoder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {**encoder.config, "architectures": ["BertModel"], "dtype": "float32"}
    config.pop("torch_dtype", None)
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    named = {_to_hugging_face(key): tensor.detach() for key, tensor in weights.items()}
    write_tensors(folder / _WEIGHTS_FILE, named)
    write_tokenizer(folder, Tokenizer.from_str(encoder.tokenizer), encoder.shape.max_positions)


def write_tensors(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes a safetensors file, which whoever the umask lets may read: `save_file` itself moves a temporary one there,
    which is its owner's alone."""
    file.touch()
    mode = file.stat().st_mode
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, file, metadata={"format": "pt"})
    file.chmod(mode)


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """What a safetensors file holds, by name. Raises UserError where it is none, or not a whole one."""
    if file.is_dir():
        raise UserError(f"{file}: a folder, not a safetensors file")
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: not a whole safetensors file ({error})") from None


def _folder(name: str) -> Path:
    """Where the files of the encoder called `name` lie; of a hub repository only those that are read are fetched."""
    folder = local_folder(name)
    if folder is not None:
        return folder
    wanted = [CONFIG_FILE, _WEIGHTS_FILE, _INDEX_FILE, "model-*.safetensors", *TOKENIZER_FILES]
    with from_hub(name):
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted))


def _read_weights(folder: Path) -> tuple[dict[str, torch.Tensor], Path]:
    """The weights in a folder, under Hugging Face's names, and the file that stands for them in messages."""
    file, index = folder / _WEIGHTS_FILE, folder / _INDEX_FILE
    if os.path.lexists(file):
        return read_tensors(file), file
    if not os.path.lexists(index):
        found = "; pytorch_model.bin is not read, since pickles can run code" if any(folder.glob("*.bin")) else ""
        raise UserError(f"{folder}: neither {_WEIGHTS_FILE} nor {_INDEX_FILE}{found}")
    weights: dict[str, torch.Tensor] = {}
    for name in _shards(index):
        if not (folder / name).exists():
            raise UserError(f"{folder / name}: no such file, though {index} names it")
        shard = read_tensors(folder / name)
        for key in weights.keys() & shard.keys():
            raise UserError(f"{folder / name}: the key {shown(key)} stands in another file too")
        weights |= shard
    return weights, index


def _shards(index: Path) -> list[str]:
    """The names of the files that an index names: of the same folder, so that none leads elsewhere."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise UserError(f"{index}: weight_map is no table from key to file")
    names = sorted(set(weight_map.values()))
    for name in names:
        if not re.fullmatch(r"\w[\w.-]*\.safetensors", name):
            raise UserError(f"{index}: weight_map names {shown(name)}; allowed are *.safetensors files beside it")
    return names


def _translate(theirs: Mapping[str, torch.Tensor], file: Path, shape: BertShape) -> dict[str, np.ndarray]:
    """Hugging Face's weights under our names; every key of theirs is used or known not to be the encoder's, and every
    one of ours is filled, in its own shape, with finite numbers. `file` is named where that is not so."""
    bare = {key: bare for key in theirs if not _NOT_THE_ENCODER.match(bare := key.removeprefix("bert."))}
    _check_sizes({bare[key]: theirs[key] for key in bare}, file, shape)
    # On the meta device this would save some memory, and import PyTorch's compiler: two seconds of a search's start.
    expected = {key: tuple(tensor.shape) for key, tensor in Bert(shape).state_dict().items()}
    weights: dict[str, np.ndarray] = {}
    for key, name in bare.items():
        ours = _from_hugging_face(name)
        if ours not in expected:
            raise UserError(f"{file}: no place in a BERT of {shape.num_layers} layers for the key {shown(key)}")
        if ours in weights:
            raise UserError(f"{file}: the key {name!r} stands in it twice, with 'bert.' and without")
        _check_shape(key, theirs[key], expected[ours], file)
        weights[ours] = _as_fp32(key, theirs[key], file)
    missing = sorted(expected.keys() - weights.keys())
    if missing == ["pooler.bias", "pooler.weight"]:
        warnings.warn(
            f"{file.parent} has no pooler: it starts from random weights, pooling='mean' does not use it", stacklevel=2
        )
        weights.update(_new_pooler(shape))
    elif missing:
        raise UserError(f"{file}: the key {_to_hugging_face(missing[0])!r} is missing ({len(missing)} in all)")
    return weights


def _check_sizes(theirs: Mapping[str, torch.Tensor], file: Path, shape: BertShape) -> None:
    """Whether the weights have the config's sizes: before anything of these sizes is made, which may be beyond all
    memory."""
    layers = {match[1] for key in theirs if (match := re.match(r"encoder\.layer\.(\d+)\.", key))}
    if len(layers) != shape.num_layers:
        raise UserError(
            f"{file}: weights of {len(layers)} layers; num_hidden_layers is {shape.num_layers} in {CONFIG_FILE}"
        )
    for key, rows in (
        ("embeddings.word_embeddings.weight", shape.vocab_size),
        ("embeddings.position_embeddings.weight", shape.max_positions),
        ("embeddings.token_type_embeddings.weight", shape.num_segments),
        ("encoder.layer.0.intermediate.dense.weight", shape.intermediate_size),
    ):
        if key not in theirs:
            raise UserError(f"{file}: the key {key!r} is missing")
        _check_shape(key, theirs[key], (rows, shape.hidden_size), file)


def _check_shape(key: str, tensor: torch.Tensor, expected: tuple[int, ...], file: Path) -> None:
    if tuple(tensor.shape) != expected:
        raise UserError(f"{file}: {key!r} has shape {tuple(tensor.shape)}; {expected} follows from {CONFIG_FILE}")


def _as_fp32(key: str, tensor: torch.Tensor, file: Path) -> np.ndarray:
    if tensor.dtype not in _DTYPES:
        allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in _DTYPES)
        raise UserError(f"{file}: {key!r} is of {str(tensor.dtype).removeprefix('torch.')}; allowed are {allowed}")
    array = tensor.to(torch.float32).numpy()
    if not np.isfinite(array).all():
        raise UserError(f"{file}: {key!r} has numbers that are not finite in fp32")
    return array


def _new_pooler(shape: BertShape) -> dict[str, np.ndarray]:
    """As BERT initializes it: normal with standard deviation 0.02; the same at every reading."""
    weight = np.random.default_rng(0).normal(0, 0.02, (shape.hidden_size, shape.hidden_size))
    return {"pooler.weight": weight.astype(np.float32), "pooler.bias": np.zeros(shape.hidden_size, np.float32)}


def _from_hugging_face(key: str) -> str:
    key = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", key))
    return _rename(key, [(theirs, ours) for theirs, ours in _KEYS])


def _to_hugging_face(key: str) -> str:
    # Longest beginning first: `layers.#.attention.output.` before `layers.#.attention.`
    return _rename(key, sorted(((ours, theirs) for theirs, ours in _KEYS), key=lambda pair: -len(pair[0])))


def _rename(key: str, table: list[tuple[str, str]]) -> str:
    """`key` with its beginning replaced as in `table`, or as it is where none fits."""
    for source, target in table:
        match = re.match(re.escape(source).replace(r"\#", r"(\d+)"), key)
        if match:
            return target.replace("#", match[1] if match.groups() else "") + key[match.end() :]
    return key
