"""A disk that fills up while a run goes on, wherever it is first felt: no word lost, and the run goes on after it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.training.checkpoint import load_newest
from search.run_folder import resume_command
from tests.faults.harness import Driver, Search, decisions, figures

SIZE = 2**25
"""Bytes of the small disk: far more than a run takes."""
PAGE = 4096


class Disk:
    """A small one, in memory."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._ballast = path / "ballast"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no disk of a test's own here: {mounted.stderr.strip()}")

    def fill(self) -> None:
        """To the last page."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(PAGE))
            except OSError:
                pass

    def free(self) -> None:
        self._ballast.unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", SIZE)
    yield disk
    disk.unmount()


def ends_for_want_of_space(driver: Driver, search: Search) -> None:
    """With one message that says what to do, and nothing damaged."""
    said, errors = driver.ends(2)
    assert errors.startswith(f"error: {search.run.path}: no space left on its disk (")
    assert errors.endswith(
        f" MB free). All that was saved is whole: free some, then go on by {resume_command(search.run)}\n"
    )
    assert errors.count("\n") == 1
    assert "Traceback" not in said
    search.leaves_nothing_running()
    for record in search.history().trials.values():  # which reads the ledger, and refuses a damaged one
        if record.state == "running" and record.reports:
            assert load_newest(search.run.state(record.name)).passed_over == []


def goes_on_as_if_nothing_had_been(search: Search, uninterrupted: Search) -> None:
    _, errors = search.resume().ends()
    assert errors == ""
    assert decisions(search.history()) == decisions(uninterrupted.history())
    assert figures(search.history()) == figures(uninterrupted.history())


def test_while_a_trial_trains(tmp_path: Path, disk: Disk, uninterrupted: Search) -> None:
    search = Search(tmp_path, runs_dir=disk.path / "runs")
    driver = search.start().until(lambda history: "t001" in history.trials and history.trials["t001"].epoch >= 1)
    disk.fill()
    ends_for_want_of_space(driver, search)
    disk.free()
    goes_on_as_if_nothing_had_been(search, uninterrupted)


def test_too_small_from_the_start(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk", 2**17)
    try:
        search = Search(tmp_path, runs_dir=disk.path / "runs")
        _, errors = search.start().ends(2)
        assert errors == (
            f"error: {search.runs_dir}: 0.1 MB free, but the trials that run or pause at a time save up to "
            "1.1 MB; free some, or give another --runs-dir or a smaller --concurrent (with --search tpe, none pauses)\n"
        )
        assert not search.run.path.exists()
    finally:
        disk.unmount()


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A run of two trials so far."""
    search = Search(tmp_path_factory.mktemp("paused"))
    search.start("--budget", "4epochs").ends()
    assert list(search.history().trials) == ["t001", "t002"]
    return search


@pytest.mark.slow
@pytest.mark.parametrize("place", ["ledger.jsonl", "trials/t003", "ray"])
def test_that_of_one_part_alone(tmp_path: Path, disk: Disk, paused: Search, uninterrupted: Search, place: str) -> None:
    """The ledger; a trial's folder, in which TensorBoard's file is the first that is written; Ray's own files."""
    shutil.copytree(paused.runs_dir, tmp_path / "runs")
    search = Search(paused.folder, runs_dir=tmp_path / "runs")
    path, moved = search.run.path / place, disk.path / "moved"
    if path.exists():
        shutil.move(path, moved)
    else:
        moved.mkdir()
    path.symlink_to(moved)
    disk.fill()
    ends_for_want_of_space(search.resume("--budget", "1h"), search)
    disk.free()
    goes_on_as_if_nothing_had_been(search, uninterrupted)
