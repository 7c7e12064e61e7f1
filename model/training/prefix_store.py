"""A bounded folder of what frozen layers put out, on a node's own disk, for all trials and runs there.

FOLDER/KEY/states      the vectors, one sequence after the other, as they were added
FOLDER/KEY/index.npy   int64: where each sequence's vectors start in it, -1 where they are not there; last, their number
FOLDER/KEY/filling     locked by the process that adds to it
FOLDER/reserving       locked by the process that looks for room
FOLDER/KEY/in_use      locked, together with others, by each process that reads it: it is not evicted

States are only ever appended, and the index is replaced as a whole after that: a reader sees all of a sequence or
nothing of it, and what a killed process left behind the last indexed vector is overwritten.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from model.network.packing import ranges

_STATES, _INDEX, _FILLING, _IN_USE, _RESERVING = "states", "index.npy", "filling", "in_use", "reserving"
FREE = 2**30
"""Bytes that are left free on the disk, whatever the bound."""
_PATIENCE = 0.05
"""Seconds between two looks at a lock that another process has."""


def cache_folder() -> Path:
    """Where this machine keeps what can be computed again, as the XDG Base Directory Specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minbert-search" / "prefix"


class NoRoom(Exception):
    """Neither the bound nor the disk has room for more, even without all that nobody reads."""


class PrefixStore:
    """The folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def entry(self, key: str, count: int, width: int, dtype: torch.dtype) -> Entry:
        """The states of `count` sequences, `width` units each, of `dtype`; empty at first. `key` tells what they are
        of."""
        path = self._folder / key
        while True:
            path.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # it was evicted just now
                return Entry(self, path, count, width, dtype)

    def find(self, key: str, count: int, width: int, dtype: torch.dtype) -> Entry | None:
        """The entry of that key, None where there is none."""
        with suppress(FileNotFoundError):
            return Entry(self, self._folder / key, count, width, dtype)

    def reserve(self, file: IO[bytes], before: int, size: int) -> None:
        """Makes `file`, of which `before` bytes count, longer by `size`: what was used least recently, of what nobody
        reads, is evicted for it. Raises NoRoom."""
        with (self._folder / _RESERVING).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file.truncate(before)  # without what a killed process left
            entries = [path for path in self._folder.iterdir() if path.is_dir()]
            for path in sorted(entries, key=_last_use):
                if self._fits(size):
                    break
                _evict(path)
            if not self._fits(size):
                raise NoRoom
            file.truncate(before + size)

    def _fits(self, size: int) -> bool:
        taken = sum(_size(file) for file in self._folder.glob(f"*/{_STATES}"))
        return taken + size <= self._max_bytes and shutil.disk_usage(self._folder).free - size >= FREE


class Entry:
    """What one prefix puts out for one set of sequences. Not evicted while it is open."""

    def __init__(self, store: PrefixStore, path: Path, count: int, width: int, dtype: torch.dtype) -> None:
        self._store, self._path = store, path
        self._count, self._width, self._dtype = count, width, dtype
        in_use = os.open(path / _IN_USE, os.O_RDWR | os.O_CREAT)
        weakref.finalize(self, os.close, in_use)  # and with it the lock
        fcntl.flock(in_use, fcntl.LOCK_SH)
        if os.fstat(in_use).st_ino != os.stat(path / _IN_USE).st_ino:  # evicted before it was locked
            raise FileNotFoundError(path)
        os.utime(in_use)
        self._load()

    def has(self, rows: np.ndarray) -> np.ndarray:
        """Which of the sequences `rows`, (n,), are there. (n,) bool"""
        return self._starts[rows] >= 0

    def read(self, rows: np.ndarray, lengths: np.ndarray) -> Tensor:
        """The vectors of the sequences `rows`, (n,), which are there, of `lengths`, (n,), vectors, one sequence after
        the other: (sum of lengths, width)."""
        return self._states.index_select(0, torch.from_numpy(ranges(self._starts[rows], lengths)))

    def add(
        self,
        rows: np.ndarray,
        vectors: Callable[[np.ndarray], int],
        compute: Callable[[np.ndarray], Iterable[tuple[np.ndarray, Tensor]]],
        while_waiting: Callable[[], None],
    ) -> None:
        """Sees to it that all of `rows`, (n,), are there. `compute` gives, for the rows that are not, groups of them,
        (g,), of equal length, with their states, which are `vectors` of those rows in number: (number, width).

        One process at a time adds; the others wait and call `while_waiting`. Raises NoRoom: what was added before is
        still there.
        """
        if self.has(rows).all():
            return
        with self._alone(while_waiting):
            self._load()
            missing = rows[~self.has(rows)]
            if len(missing):
                try:
                    self._append(vectors(missing), compute(missing))
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    raise NoRoom from error

    def _append(self, vectors: int, groups: Iterable[tuple[np.ndarray, Tensor]]) -> None:
        starts, end, size = self._starts.copy(), self._end, self._width * self._dtype.itemsize
        (self._path / _STATES).touch()
        with (self._path / _STATES).open("r+b") as file:
            self._store.reserve(file, end * size, vectors * size)
            file.seek(end * size)
            for rows, states in groups:
                states = states.to(self._dtype).contiguous()
                file.write(states.flatten().view(torch.uint8).numpy().data)
                starts[rows] = end + len(states) // len(rows) * np.arange(len(rows))
                end += len(states)
        partial = self._path / f"{_INDEX}.partial"
        with partial.open("wb") as file:
            np.save(file, np.append(starts, end))
        partial.replace(self._path / _INDEX)
        self._load()

    def _load(self) -> None:
        """What is indexed now."""
        index = self._index()
        self._starts, self._end = index[:-1], int(index[-1])
        size = self._end * self._width
        states = torch.from_file(str(self._path / _STATES), size=size, dtype=self._dtype) if size else torch.empty(0)
        self._states = states.view(-1, self._width)

    def _index(self) -> np.ndarray:
        """The file; what it would say if nothing had been added where nothing was, or where the disk lost some of it:
        that is computed once more."""
        try:
            index = np.load(self._path / _INDEX, allow_pickle=False)
            if index.shape == (self._count + 1,) and index.dtype == np.int64:
                size = int(index[-1]) * self._width * self._dtype.itemsize
                if (self._path / _STATES).stat().st_size >= size:
                    return index
        except (OSError, EOFError, ValueError):
            pass
        return np.append(np.full(self._count, -1), 0)

    @contextmanager
    def _alone(self, while_waiting: Callable[[], None]) -> Iterator[None]:
        with (self._path / _FILLING).open("w") as file:
            while not _locked(file):
                while_waiting()
                time.sleep(_PATIENCE)
            yield


def _locked(file: IO[Any]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _evict(path: Path) -> None:
    """Removes an entry, unless somebody reads it."""
    with suppress(FileNotFoundError), (path / _IN_USE).open("r") as file:  # it may be gone already
        if _locked(file):
            shutil.rmtree(path, ignore_errors=True)


def _last_use(path: Path) -> float:
    try:
        return (path / _IN_USE).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
