"""Room on the disk of the run folder."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from model.errors import UserError


def is_full(error: BaseException) -> bool:
    """Whether `error` is that of a full disk, or of a quota used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def check_room(folder: Path, needed: int) -> None:
    """Raises UserError where fewer than `needed` bytes are free in `folder`, which need not exist yet."""
    free = shutil.disk_usage(_standing(folder)).free
    if free < needed:
        raise UserError(
            f"{folder}: {_size(free)} free, but the trials that run or pause at a time save up to {_size(needed)}; "
            "free some, or give another --runs-dir or a smaller --concurrent (with --search tpe, none pauses)"
        )


def room_for_states(weights: Iterable[np.ndarray], concurrent: int, paused: int = 0) -> int:
    """Bytes that `concurrent` trials, and so many `paused` ones, take at most to save their state, of an encoder with
    these weights.

    In fp32, a whole state is the weights and AdamW's two moments; a trial keeps two of them and writes a third, a
    paused one keeps the newest, each beside the weights of its best epoch.
    """
    of_weights = 4 * sum(array.size for array in weights)
    return concurrent * (3 * 3 * of_weights + of_weights) + paused * (3 * of_weights + of_weights)


def device_of(folder: Path) -> int:
    """The number of the file system of `folder`, which need not exist yet."""
    return _standing(folder).stat().st_dev


def _standing(folder: Path) -> Path:
    """It, or the nearest folder above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _size(count: float) -> str:
    """A number of bytes for people to read."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
