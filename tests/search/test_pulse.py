"""A trial's sign of life, as it is written and read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.pulse import Beat, Held, Pulse, read_beat
from tests.support import refused


class Clock:
    """Stands still until it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("search.pulse.time", SimpleNamespace(monotonic=lambda: self.now))


def test_beats_are_written_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, path = Clock(monkeypatch), tmp_path / "pulse"
    pulse = Pulse(path, "node-1")
    before = path.stat()
    assert read_beat(path) == Beat(pid=os.getpid(), node="node-1", count=1)
    for _ in range(3):
        clock.now += 1
        pulse.beat()
    assert read_beat(path) == Beat(pid=os.getpid(), node="node-1", count=4)
    after = path.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size) == (before.st_ino, 200)
    pulse.close()


def test_a_beat_a_second_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, path = Clock(monkeypatch), tmp_path / "pulse"
    pulse = Pulse(path, "node")
    counts = []
    for _ in range(10):
        clock.now += 0.3
        pulse.beat()
        beat = read_beat(path)
        counts.append(beat and beat.count)
    assert counts == [1, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    pulse.close()


def test_a_new_process_overwrites_all_of_a_longer_beat(tmp_path: Path) -> None:
    path = tmp_path / "pulse"
    Pulse(path, "a-node-of-a-longer-name").close()
    Pulse(path, "n").close()
    assert read_beat(path) == Beat(pid=os.getpid(), node="n", count=1)


@pytest.mark.parametrize("content", ["", "\0" * 200, '{"pid": 12, "node"', '{"pid": 12}', "[]", "12"])
def test_what_is_no_whole_beat_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "pulse").write_text(content)
    assert read_beat(tmp_path / "pulse") is None
    assert read_beat(tmp_path / "nowhere") is None


HOLDER = """
import sys, time
from pathlib import Path
from search.pulse import Pulse
pulse = Pulse(Path(sys.argv[1]), "node")
print("trains", flush=True)
time.sleep(float(sys.argv[2]))
"""


def test_one_process_at_a_time_trains_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pulse"
    argv = [sys.executable, "-c", HOLDER, str(path), "600"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "trains\n"
        monkeypatch.setattr("search.pulse._PATIENCE", 0.3)
        with refused(f"another process still trains this trial: it holds {path}", Held):
            Pulse(path, "node")
        beat = read_beat(path)
        assert beat is not None
        assert beat.pid == process.pid, "its beat is untouched"
        process.kill()


def test_a_process_that_is_dying_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pulse"
    argv = [sys.executable, "-c", HOLDER, str(path), "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "trains\n"
        Pulse(path, "node").close()
        beat = read_beat(path)
        assert beat is not None
        assert beat.pid == os.getpid()
