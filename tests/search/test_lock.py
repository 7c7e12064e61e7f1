"""Locks between real processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from search.lock import is_locked, locked, try_lock
from tests.support import refused

HOLDER = """
import sys, time
from pathlib import Path
from search.lock import locked
with locked(Path(sys.argv[1]), "the run"):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock at `path`."""
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_at_once_and_told_by_whom(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as process:
        held = json.loads((tmp_path / "lock").read_text())
        assert (held["pid"], held["host"]) == (process.pid, socket.gethostname())
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", held["since"])
        start = time.monotonic()
        by = f"process {process.pid} on {held['host']}, since {held['since']}"
        with refused(f"the run is in use by {by}"), locked(tmp_path / "lock", "the run"):
            pytest.fail("two hold it")
        assert time.monotonic() - start < 2


def test_a_disk_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("search.lock.fcntl.flock", refuse)
    said = (
        f"{tmp_path}/lock: its disk can't lock files (No locks available): two searches could write to the run at "
        "once; give --runs-dir on another one"
    )
    with refused(said), locked(tmp_path / "lock", "the run"):
        pytest.fail("none holds it")
    assert not is_locked(tmp_path / "lock")


def test_a_lock_is_free_as_soon_as_its_holder_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as process:
        process.kill()
        process.wait()
        with locked(tmp_path / "lock", "the run"):
            assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid(), "and nobody else's name"


def test_who_looks_at_a_lock_leaves_it_free(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock"), "there is none"
    with holder(tmp_path / "lock") as process:
        assert is_locked(tmp_path / "lock")
        process.kill()
        process.wait()
        assert not is_locked(tmp_path / "lock")
    with locked(tmp_path / "lock", "the run"):
        assert is_locked(tmp_path / "lock")


def test_who_wants_a_lock_waits_for_one_who_looks(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        with locked(tmp_path / "lock", "the run"):
            pass


def test_a_lock_is_free_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "lock", "the run"):
            pass


def test_a_holder_that_has_yet_to_write_its_name(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a+") as file:
        assert try_lock(file)
        with refused("the run is in use by another process"), locked(tmp_path / "lock", "the run"):
            pytest.fail("two hold it")


def test_waiting_for_a_lock(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a+") as first, (tmp_path / "lock").open("a+") as second:
        assert try_lock(first)
        start = time.monotonic()
        assert not try_lock(second, patience=0.3)
        assert time.monotonic() - start >= 0.3
        threading.Timer(0.3, first.close).start()
        assert try_lock(second, patience=60)
