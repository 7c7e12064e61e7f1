"""Tensors and plain values on disk: safetensors and JSON, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

_TENSORS, _VALUES = "state.safetensors", "state.json"


def save_state(folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Writes `tensors` and `values` (of JSON's kinds) into `folder`, in place of what was there.

    The new state is written beside the old one and then renamed: an interruption leaves one of the two whole.
    """
    partial, old = folder.with_name(f"{folder.name}.partial"), folder.with_name(f"{folder.name}.old")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, partial / _TENSORS)
    (partial / _VALUES).write_text(json.dumps(values))
    if folder.exists():  # where it does not, `old` may be all there is
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_state` wrote. Raises FileNotFoundError where there is none."""
    if not folder.exists():  # it was interrupted between its two renames
        old = folder.with_name(f"{folder.name}.old")
        folder = old if old.exists() else folder
    return load_file(folder / _TENSORS), json.loads((folder / _VALUES).read_text())
