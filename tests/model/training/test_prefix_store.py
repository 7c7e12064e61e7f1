"""The folder of what frozen layers put out: whole sequences or nothing, whatever happens, within its bound."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.training import prefix_store
from model.training.prefix_store import Entry, PrefixStore, Unavailable, cache_folder, check_usable
from tests.support import refused

WIDTH, COUNT = 4, 12
LENGTHS = np.arange(COUNT) % 3 + 1
BYTES = 2 * WIDTH
"""Of a vector."""


def states_of(row: int) -> torch.Tensor:
    """What is computed for a sequence: (T, WIDTH)."""
    return torch.full((int(LENGTHS[row]), WIDTH), float(row)) + torch.arange(WIDTH) / 8


def compute(rows: np.ndarray) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    for row in rows:
        yield np.array([row]), states_of(row)


def opened(store: PrefixStore, key: str = "key") -> Entry:
    return store.entry(key, COUNT, WIDTH, torch.bfloat16)


def add(entry: Entry, *rows: int, by: Callable[[np.ndarray], Any] = compute) -> None:
    entry.add(np.array(rows), lambda missing: int(LENGTHS[missing].sum()), by, lambda: None)


def assert_holds(entry: Entry, *rows: int) -> None:
    assert np.flatnonzero(entry.has(np.arange(COUNT))).tolist() == sorted(rows)
    for row in rows:
        found = entry.read(np.array([row]), LENGTHS[[row]])
        torch.testing.assert_close(found.float(), states_of(row), atol=0, rtol=0)


@pytest.fixture
def store(tmp_path: Path) -> PrefixStore:
    return PrefixStore(tmp_path, 2**20)


def test_what_was_added_is_read_by_all(store: PrefixStore) -> None:
    entry = opened(store)
    assert_holds(entry)
    add(entry, 5, 2, 9)
    add(entry, 2, 0)
    assert_holds(entry, 0, 2, 5, 9)
    assert_holds(opened(store), 0, 2, 5, 9)


def test_sequences_are_read_one_after_the_other(store: PrefixStore) -> None:
    entry = opened(store)
    add(entry, 0, 1, 2)
    rows = np.array([2, 0, 2])
    found = entry.read(rows, LENGTHS[rows]).float()
    torch.testing.assert_close(found, torch.cat([states_of(2), states_of(0), states_of(2)]))


def test_only_what_is_missing_is_computed(store: PrefixStore) -> None:
    asked: list[list[int]] = []

    def watched(rows: np.ndarray) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        asked.append(rows.tolist())
        return compute(rows)

    first, second = opened(store), opened(store)
    add(first, 1, 2, by=watched)
    add(second, 1, 2, 3, by=watched)
    add(second, 1, 3, by=watched)
    assert asked == [[1, 2], [3]]


def test_an_entry_that_is_not_there_is_not_made(store: PrefixStore, tmp_path: Path) -> None:
    assert store.find("other", COUNT, WIDTH, torch.bfloat16) is None
    assert list(tmp_path.iterdir()) == []


class Killed(Exception):
    pass


def test_what_a_killed_process_left_is_overwritten(store: PrefixStore, tmp_path: Path) -> None:
    def killed(rows: np.ndarray) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        yield np.array([7]), 9 + states_of(7)
        raise Killed

    entry = opened(store)
    add(entry, 3)
    with pytest.raises(Killed):
        add(entry, 7, 8, by=killed)
    assert_holds(opened(store), 3)
    add(entry, 8, 7)
    assert_holds(opened(store), 3, 7, 8)
    assert (tmp_path / "key" / "states").stat().st_size == LENGTHS[[3, 7, 8]].sum() * BYTES


@pytest.mark.parametrize("name", ["states", "index.npy"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_what_the_disk_lost_is_computed_once_more(store: PrefixStore, tmp_path: Path, name: str, share: float) -> None:
    add(opened(store), 1, 2, 3)
    path = tmp_path / "key" / name
    os.truncate(path, int(share * path.stat().st_size))
    entry = opened(store)
    assert_holds(entry)
    add(entry, 2)
    assert_holds(entry, 2)


def test_an_index_of_something_else(store: PrefixStore, tmp_path: Path) -> None:
    add(opened(store), 1)
    np.save(tmp_path / "key" / "index.npy", np.zeros(3))
    assert_holds(opened(store))


def test_the_least_recently_used_goes_first_but_nothing_that_is_read(tmp_path: Path) -> None:
    store = PrefixStore(tmp_path, 6 * BYTES)
    for age, key in enumerate(("newest", "older", "oldest")):
        entry = opened(store, key)
        add(entry, 1)  # two vectors
        del entry
        before = time.time() - 100 * age
        os.utime(tmp_path / key / "in_use", (before, before))
    reading = opened(store, "oldest")
    os.utime(tmp_path / "oldest" / "in_use", (0, 0))
    add(opened(store, "another"), 4)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"newest", "oldest", "another"}
    assert_holds(reading, 1)


def test_no_more_than_its_bound(tmp_path: Path) -> None:
    store = PrefixStore(tmp_path, 3 * BYTES)
    entry = opened(store)
    add(entry, 1)
    with pytest.raises(Unavailable):
        add(entry, 2)
    assert_holds(entry, 1)
    add(entry, 0)
    assert_holds(entry, 0, 1)


def test_some_of_the_disk_is_left_free(tmp_path: Path) -> None:
    add(opened(PrefixStore(tmp_path, 2**20)), 1)
    entry = opened(PrefixStore(tmp_path, 2**20, keep_free=2**60), "another")
    with pytest.raises(Unavailable, match="has no room for more"):
        add(entry, 1)
    assert_holds(opened(PrefixStore(tmp_path, 2**20)), 1)  # evicting it would not have been enough


def test_what_can_never_fit_evicts_nothing(tmp_path: Path) -> None:
    store = PrefixStore(tmp_path, 6 * BYTES)
    for key in ("one", "another"):
        add(opened(store, key), 1)
    with pytest.raises(Unavailable):
        add(opened(store, "large"), *range(COUNT))
    for key in ("one", "another"):
        assert_holds(opened(store, key), 1)


def test_who_opens_what_is_being_evicted_gets_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PrefixStore(tmp_path, 3 * BYTES)
    add(opened(store), 1)
    flock, evicted = fcntl.flock, []

    def between(file: Any, operation: int) -> None:
        if operation == fcntl.LOCK_SH and not evicted:  # it has opened the file, and has not locked it yet
            evicted.append(1)
            add(opened(store, "another"), 4)  # for which there is room without the first alone
        flock(file, operation)

    monkeypatch.setattr(prefix_store.fcntl, "flock", between)
    entry = opened(store)
    assert_holds(entry)
    assert evicted
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"key", "another"}


def test_what_killed_processes_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "evicted-before").mkdir()
    (tmp_path / "evicted-before" / "states").write_bytes(bytes(100 * BYTES))
    (tmp_path / "hardly-begun").mkdir()
    (tmp_path / "hardly-begun" / "states").write_bytes(bytes(3 * BYTES))
    store = PrefixStore(tmp_path, 4 * BYTES)
    add(opened(store), 1)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"key"}


def test_readers_are_told_of_nothing_that_is_not_on_the_disk(
    store: PrefixStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure, too: the states are synced before the index that tells of them is there."""
    synced: list[tuple[str, bool]] = []

    def sync(file: int) -> None:
        synced.append((Path(os.readlink(f"/proc/self/fd/{file}")).name, (tmp_path / "key" / "index.npy").exists()))

    monkeypatch.setattr(prefix_store.os, "fsync", sync)
    add(opened(store), 1)
    assert synced == [("states", False), ("index.npy.partial", False)]


def test_a_long_computation_is_indexed_now_and_then(store: PrefixStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_store, "INDEXED_EVERY", 0.0)

    def killed(rows: np.ndarray) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        yield from compute(rows[:2])
        raise Killed

    with pytest.raises(Killed):
        add(opened(store), 3, 4, 5, by=killed)
    assert_holds(opened(store), 3, 4)


@pytest.mark.parametrize("harm", ["a file in its place", "removed"])
def test_a_folder_that_can_not_be_used(store: PrefixStore, tmp_path: Path, harm: str) -> None:
    entry = opened(store)
    if harm == "removed":
        shutil.rmtree(tmp_path / "key")
        with pytest.raises(Unavailable, match="No such file"):
            add(entry, 1)
    else:
        (tmp_path / "file").write_text("")
        with pytest.raises(Unavailable, match="Not a directory"):
            opened(PrefixStore(tmp_path / "file", 2**20))


def test_a_user_is_told_of_it_before_a_search(tmp_path: Path) -> None:
    check_usable(tmp_path / "new" / "folder")
    (tmp_path / "file").write_text("")
    with refused(
        f"{tmp_path / 'file' / 'prefix'}: what frozen layers put out can't be kept there (Not a directory); "
        "XDG_CACHE_HOME names another place for caches, --cache-gb 0 does without"
    ):
        check_usable(tmp_path / "file" / "prefix")


def test_a_disk_that_is_full_all_the_same(store: PrefixStore, tmp_path: Path) -> None:
    def full(rows: np.ndarray) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        raise OSError(errno.ENOSPC, "no space left")
        yield

    entry = opened(store)
    add(entry, 1)
    with pytest.raises(Unavailable, match="no space left"):
        add(entry, 2, by=full)
    assert_holds(opened(store), 1)
    assert (tmp_path / "key" / "states").stat().st_size == LENGTHS[1] * BYTES, "what was reserved is for others"


def _add_slowly(folder: Path, computed: Any) -> None:
    def slowly(rows: np.ndarray) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for group in compute(rows):
            time.sleep(0.02)
            computed.put(int(group[0][0]))
            yield group

    add(opened(PrefixStore(folder, 2**20)), *range(COUNT), by=slowly)


def test_many_processes_compute_each_sequence_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    computed = context.Queue()
    processes = [context.Process(target=_add_slowly, args=(tmp_path, computed)) for _ in range(3)]
    for process in processes:
        process.start()
    found = sorted(computed.get(timeout=60) for _ in range(COUNT))
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert found == list(range(COUNT))
    assert computed.empty()
    assert_holds(opened(PrefixStore(tmp_path, 2**20)), *range(COUNT))


def test_who_waits_gives_signs_of_life(store: PrefixStore, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    locked = prefix_store._locked
    # As if another process held it for two looks.
    monkeypatch.setattr(prefix_store, "_locked", lambda file: len(waited) >= 2 and locked(file))
    entry = opened(store)
    entry.add(np.array([1]), lambda missing: int(LENGTHS[missing].sum()), compute, lambda: waited.append(1))
    assert len(waited) == 2
    assert_holds(entry, 1)


def test_the_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "minbert-search/prefix"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path.home() / ".cache/minbert-search/prefix"
