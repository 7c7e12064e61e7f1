"""Tensors and plain values on disk: safetensors and JSON, whole or not at all.

FOLDER           the newest state
FOLDER.before    the one it took the place of
FOLDER.new       a whole state about to take FOLDER's place: newer than it, where its writer was killed then
FOLDER.partial   a state being written, which nobody reads

In each of them state.safetensors holds the tensors, and state.json the values, length and checksum of the other file,
and a checksum of itself. So what is read is what was saved, bit by bit, or it is refused.

Nothing is synced to the disk: no killed process loses anything by that, and it would keep a trial waiting for hundreds
of megabytes an epoch. A power failure can tear the newest state; the checksums show it, and the one before, which the
system has had an epoch to write down, is there to fall back on.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

_TENSORS, _VALUES = "state.safetensors", "state.json"
_OUT_OF_REACH = (errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN)
"""What a network's disk says that has lost one node: there it may be as it was, and another node can read it."""
_CHUNK = 1 << 24
"""Bytes of a file that are read at once."""


class Damaged(Exception):
    """What lies there is not, or no longer, what was saved: the message names the file and says what is wrong."""


@dataclass(frozen=True)
class Newest:
    """The newest whole state of a folder."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]
    passed_over: list[str]
    """What is damaged of each newer state, newest first; empty where nothing is."""


def save_state(
    folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any], *, keep_before: bool = False
) -> None:
    """Writes `tensors` and `values` (of JSON's kinds) into `folder`, in place of what was there; `keep_before` leaves
    that beside it, for `load_newest` to fall back on.

    Whenever this is interrupted, `load_newest` finds the new state or the old one, whole. Raises OSError where it
    can't be written, as on a full disk: the old one is untouched then, and nothing of the new one is left.
    """
    partial = _beside(folder, "partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(partial, tensors, values)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _replace(folder, keep_before=keep_before)  # what a killed writer did not get to
    os.replace(partial, _beside(folder, "new"))
    _replace(folder, keep_before=keep_before)


def load_newest(folder: Path) -> Newest:
    """The newest whole state that `save_state` left of `folder`.

    Raises FileNotFoundError where none was saved, and Damaged, which names what is wrong with each, where none is
    whole.
    """
    damaged = list[str]()
    for place in (_beside(folder, "new"), folder, _beside(folder, "before")):
        try:
            tensors, values = load_state(place)
        except FileNotFoundError:
            continue
        except Damaged as error:
            damaged.append(str(error))
        else:
            return Newest(tensors, values, damaged)
    if damaged:
        raise Damaged("; ".join(damaged))
    raise FileNotFoundError(errno.ENOENT, "no state was saved here", str(folder))


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and values of the one state in `folder`, after a look at every byte of it.

    Raises FileNotFoundError where there is no such folder, and Damaged where it does not hold what was saved.
    """
    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "no state was saved here", str(folder))
    with _reading(folder / _VALUES) as path:
        saved = _from_json(path.read_bytes())
        values, size, crc32 = saved["values"], saved["bytes"], saved["crc32"]
    with _reading(folder / _TENSORS) as path:
        if path.stat().st_size != size:
            raise ValueError(f"{path.stat().st_size} bytes of {size}")
        if _crc32(path) != crc32:
            raise ValueError("its checksum does not fit")
        # Copies: views of the file would break where it is replaced, on a network drive, while they are in use.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}, values


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


def _write(folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True)
    path = folder / _TENSORS
    try:
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:  # safetensors has its own words for the system's errors
        code = re.search(r"os error (\d+)", str(error))
        raise error if code is None else OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error
    (folder / _VALUES).write_bytes(
        _to_json({"bytes": path.stat().st_size, "crc32": _crc32(path), "values": dict(values)})
    )


def _replace(folder: Path, *, keep_before: bool) -> None:
    """Puts the new state, if there is one, in `folder`'s place. Wherever it is interrupted, the new state stays whole,
    and a second call does the rest."""
    new, before = _beside(folder, "new"), _beside(folder, "before")
    if not new.exists():
        return
    if folder.exists():
        shutil.rmtree(before, ignore_errors=True)
        os.replace(folder, before)
    os.replace(new, folder)
    if not keep_before:
        shutil.rmtree(before, ignore_errors=True)


@contextmanager
def _reading(path: Path) -> Iterator[Path]:
    """Whatever goes wrong inside is damage of the file at `path`, but for a disk that is out of reach."""
    try:
        yield path
    except OSError as error:
        if error.errno in _OUT_OF_REACH:
            raise
        raise Damaged(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise Damaged(f"{path}: not what was saved: {error}") from error


def _to_json(values: Mapping[str, Any]) -> bytes:
    body = json.dumps(values, allow_nan=False).encode()
    return _head(body) + body[1:]


def _from_json(data: bytes) -> dict[str, Any]:
    """Raises ValueError for anything that `_to_json` did not write."""
    length = len(_head(b""))
    body = b"{" + data[length:]
    if data[:length] != _head(body):
        raise ValueError("its checksum does not fit")
    return json.loads(body)


def _head(body: bytes) -> bytes:
    """What the file begins with in place of its bracket: the checksum of the rest."""
    return b'{"checksum": "%08x", ' % zlib.crc32(body)


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
