"""One process at a time: locks of the kernel's on files, free at once when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from model.errors import UserError

_LOOK = 0.2
"""Seconds that `is_locked` never takes: who wants the lock waits for them."""


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock at `path`. Where its disk can't say, none does."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds the lock at `path`. Raises a UserError that names `what` and its holder where another process has it, and
    one that says so where its disk knows no locks."""
    with path.open("a+", encoding="utf-8") as file:
        try:
            free = try_lock(file, patience=_LOOK)
        except OSError as error:
            raise UserError(
                f"{path}: its disk can't lock files ({error.strerror}): two searches could write to {what} at once; "
                "give --runs-dir on another one"
            ) from None
        if not free:
            raise UserError(f"{what} is in use by {_holder(file)}")
        file.truncate(0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
        file.write(json.dumps(holder) + "\n")
        file.flush()
        yield


def try_lock(file: IO[Any], patience: float = 0.0) -> bool:
    """Whether `file` could be locked, within `patience` seconds. The lock lasts until the file is closed.

    Raises OSError where its disk knows no locks, or is out of reach."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
        time.sleep(0.1)


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):  # it has yet to write its name
        return "another process"
