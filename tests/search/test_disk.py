"""Room on a disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from search.disk import check_room, is_full, room_for_states
from tests.support import refused


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (OSError("No space left on device"), False),
        (ValueError(errno.ENOSPC), False),
    ],
)
def test_a_full_disk_is_told_by_its_number(error: Exception, full: bool) -> None:
    assert is_full(error) == full


def test_room_is_looked_for_where_the_folder_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=1_500_000_000)

    monkeypatch.setattr("shutil.disk_usage", usage)
    folder = tmp_path / "runs/new"
    check_room(folder, 1_500_000_000)
    message = (
        f"{folder}: 1.5 GB free, but the trials that run or pause at a time save up to 2.2 GB; free some, or give "
        "another --runs-dir or a smaller --concurrent (with --search tpe, none pauses)"
    )
    with refused(message):
        check_room(folder, 2_200_000_000)
    folder.mkdir(parents=True)
    monkeypatch.setattr("shutil.disk_usage", lambda path: asked.append(path) or SimpleNamespace(free=2_340_000))
    check_room(folder, 1)
    with refused(message.replace("1.5 GB", "2.3 MB").replace("2.2 GB", "1.0 GB")):
        check_room(folder, 1_000_000_000)
    assert asked == [tmp_path, tmp_path, folder, folder]


def test_room_for_the_states_of_all_trials_at_a_time() -> None:
    weights = [np.zeros((10, 20), np.float32), np.zeros(50, np.float16)]
    # Three states of weights and two moments, and the weights of the best epoch, 4 bytes each.
    assert room_for_states(weights, concurrent=1) == (3 * 3 + 1) * 250 * 4
    assert room_for_states(weights, concurrent=1, paused=2) == (3 * 3 + 1 + 2 * (3 + 1)) * 250 * 4
    assert room_for_states(iter(weights), concurrent=3) == 3 * room_for_states(weights, concurrent=1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_system_s_own_error_is_known() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space left") as caught:
        os.write(descriptor, b"x")
    os.close(descriptor)
    assert is_full(caught.value)
