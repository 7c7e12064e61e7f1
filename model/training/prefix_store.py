"""A bounded folder of what frozen layers put out, on a node's own disk, for all trials and runs there.

FOLDER/KEY/states      the vectors, one sequence after the other, as they were added
FOLDER/KEY/index.npy   int64: where each sequence's vectors start in it, -1 where they are not there; last, their number
FOLDER/KEY/filling     locked by the process that adds to it
FOLDER/KEY/in_use      locked, together with others, by each process that reads it: it is not evicted
FOLDER/reserving       locked by the process that looks for room
FOLDER/evicted-...     what is being removed

States are only ever appended, and the index is replaced as a whole once they are on the disk: a reader sees all of a
sequence or nothing of it, after a power failure too, and what a killed process left behind the last indexed vector is
overwritten.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from model.errors import UserError
from model.network.packing import ranges

_STATES, _INDEX, _FILLING, _IN_USE, _RESERVING = "states", "index.npy", "filling", "in_use", "reserving"
_EVICTED = "evicted-"
FREE = 2**30
"""Bytes that are left free on the disk at least, whatever the bound."""
_PATIENCE = 0.05
"""Seconds between two looks at a lock that another process has."""
INDEXED_EVERY = 60.0
"""Seconds of computing that a process that dies may lose."""


def cache_folder() -> Path:
    """Where this machine keeps what can be computed again, as the XDG Base Directory Specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minbert-search" / "prefix"


def check_usable(folder: Path) -> None:
    """Raises UserError where files can't be written and locked in `folder`, which is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _RESERVING).open("w") as file:
            _locked(file)
    except OSError as error:
        raise UserError(
            f"{folder}: what frozen layers put out can't be kept there ({error.strerror}); XDG_CACHE_HOME names "
            "another place for caches, --cache-gb 0 does without"
        ) from None


class Unavailable(Exception):
    """The store can't keep what it is asked to, or not read it; the text says why. All can be computed without it."""


@contextmanager
def _unless_unavailable(folder: Path) -> Iterator[None]:
    """Whatever the disk or its file system does not do makes the store unavailable, and stops no trial."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{folder}: {error.strerror or error}") from error


class PrefixStore:
    """The folder."""

    def __init__(self, folder: Path, max_bytes: int, keep_free: int = FREE) -> None:
        """Takes `max_bytes` at most, and leaves `keep_free` on the disk."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._keep_free = keep_free

    def entry(self, key: str, count: int, width: int, dtype: torch.dtype) -> Entry:
        """The states of `count` sequences, `width` units each, of `dtype`; empty at first. `key` tells what they are
        of. Raises Unavailable."""
        path = self._folder / key
        while True:
            with _unless_unavailable(path):
                path.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # it was evicted just now
                    return Entry(self, path, count, width, dtype)

    def find(self, key: str, count: int, width: int, dtype: torch.dtype) -> Entry | None:
        """The entry of that key, None where there is none. Raises Unavailable."""
        with _unless_unavailable(self._folder / key), suppress(FileNotFoundError):
            return Entry(self, self._folder / key, count, width, dtype)

    def reserve(self, file: IO[bytes], before: int, size: int) -> None:
        """Makes `file`, of which `before` bytes count, longer by `size`: what was used least recently, of what nobody
        reads, is evicted for it. Raises Unavailable where that is not enough, and evicts nothing then."""
        with (self._folder / _RESERVING).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file.truncate(before)  # without what a killed process left
            self._make_room(size)
            if hasattr(os, "posix_fallocate"):  # taken now, so that nobody else counts on it
                os.posix_fallocate(file.fileno(), before, size)
            else:
                file.truncate(before + size)

    def _make_room(self, size: int) -> None:
        for path in self._folder.glob(f"{_EVICTED}*"):  # by a process that was killed
            shutil.rmtree(path, ignore_errors=True)
        entries = [path for path in self._folder.iterdir() if path.is_dir()]
        taken, free = sum(map(_size, entries)), shutil.disk_usage(self._folder).free
        lacking = max(taken + size - self._max_bytes, size + self._keep_free - free)
        with ExitStack() as stack:
            idle = [path for path in sorted(entries, key=_last_use) if lacking > 0 and stack.enter_context(_idle(path))]
            if sum(map(_size, idle)) < lacking:
                raise Unavailable(
                    f"{self._folder} has no room for more: trials that run use the {self._max_bytes / 1e9:.3g} GB it "
                    "may take, or the disk has no more to spare"
                )
            for path in idle:
                if lacking > 0:
                    lacking -= _size(path)
                    # As a whole, under its lock: whoever opened it meanwhile finds it gone, not half there.
                    evicted = path.rename(self._folder / f"{_EVICTED}{uuid.uuid4().hex}")
                    shutil.rmtree(evicted, ignore_errors=True)


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

        One process at a time adds; the others wait and call `while_waiting`. Raises Unavailable: what was added before
        is still there.
        """
        if self.has(rows).all():
            return
        with _unless_unavailable(self._path), self._alone(while_waiting):
            self._load()
            missing = rows[~self.has(rows)]
            if len(missing):
                self._append(vectors(missing), compute(missing))

    def _append(self, vectors: int, groups: Iterable[tuple[np.ndarray, Tensor]]) -> None:
        size = self._width * self._dtype.itemsize
        (self._path / _STATES).touch()
        with (self._path / _STATES).open("r+b") as file:
            self._store.reserve(file, self._end * size, vectors * size)
            starts, end, indexed = self._starts.copy(), self._end, time.monotonic()
            file.seek(end * size)
            try:
                for rows, states in groups:
                    states = states.to(self._dtype).contiguous()
                    file.write(states.flatten().view(torch.uint8).numpy().data)
                    starts[rows] = end + len(states) // len(rows) * np.arange(len(rows))
                    end += len(states)
                    if time.monotonic() - indexed > INDEXED_EVERY:
                        self._index_until(file, starts, end)
                        indexed = time.monotonic()
                self._index_until(file, starts, end)
            except BaseException:
                with suppress(OSError):
                    file.truncate(self._end * size)  # what was reserved is for others
                raise

    def _index_until(self, file: IO[bytes], starts: np.ndarray, end: int) -> None:
        """Lets readers have what was written, once it is on the disk."""
        file.flush()
        os.fsync(file.fileno())
        partial = self._path / f"{_INDEX}.partial"
        with partial.open("wb") as index:
            np.save(index, np.append(starts, end))
            index.flush()
            os.fsync(index.fileno())
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
                with (self._path / _STATES).open("rb") as states:
                    if os.fstat(states.fileno()).st_size >= size:
                        return index
        except (FileNotFoundError, EOFError, ValueError):
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


@contextmanager
def _idle(path: Path) -> Iterator[bool]:
    """Whether nobody reads an entry; nobody begins to, meanwhile, unless there is nothing in it yet."""
    try:
        file = (path / _IN_USE).open("r+")
    except FileNotFoundError:  # what a process left that was killed right at its beginning
        yield True
        return
    with file:
        yield _locked(file)


def _last_use(path: Path) -> float:
    try:
        return (path / _IN_USE).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    """Bytes of an entry."""
    try:
        return (path / _STATES).stat().st_size
    except FileNotFoundError:
        return 0
