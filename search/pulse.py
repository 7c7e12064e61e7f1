"""A trial's sign of life: a small file in its folder, written over and over while the trial makes progress.

Its lock belongs to the process that trains the trial: a process that was left behind by a dead driver can't go on
writing into the folder beside the one that took its place.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from search.lock import try_lock

_INTERVAL = 1.0
"""Seconds between beats, so that they cost nothing."""
_SIZE = 200
"""Bytes. Always the same ones, written in place: a beat takes no space on a full disk."""
_PATIENCE = 60.0
"""Seconds to wait for a process that is dying."""


@dataclass(frozen=True)
class Beat:
    """What the file says."""

    pid: int
    node: str
    """Ray's id of the node that the process runs on."""
    count: int


class Held(Exception):
    """Another process still trains the trial. On a shared disk, the lock of a node that was lost may outlive it."""


class Pulse:
    """The writer's side."""

    def __init__(self, path: Path, node: str) -> None:
        """Raises Held where another process has the trial and keeps it."""
        path.touch()
        self._file = path.open("r+b", buffering=0)
        if not try_lock(self._file, _PATIENCE):
            self._file.close()
            raise Held(f"another process still trains this trial: it holds {path}")
        self._node = node
        self._count = 0
        self._next = 0.0
        self.beat()

    def beat(self) -> None:
        """The trial has made progress."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        self._count += 1
        line = json.dumps(asdict(Beat(os.getpid(), self._node, self._count)))
        os.pwrite(self._file.fileno(), line.encode().ljust(_SIZE - 1) + b"\n", 0)

    def close(self) -> None:
        """The process has let go of the trial."""
        self._file.close()


def read_beat(path: Path) -> Beat | None:
    """The newest one; None where there is none yet, or none whole."""
    try:
        return Beat(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
