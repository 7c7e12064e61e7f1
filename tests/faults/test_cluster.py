"""A run on a cluster that asks for a token, and whose nodes join and leave."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from model.training.cores import usable_cores
from search.pulse import read_beat
from tests.faults.harness import EPOCHS, RAY_FILES, Search, figures

AWHILE = 10.0
"""Seconds in which a search gives up that is going to."""
TOKEN = {"RAY_AUTH_TOKEN": "a" * 64}


@dataclass(frozen=True)
class LocalCluster:
    """A cluster in a process of its own (tests.faults.local_cluster)."""

    process: subprocess.Popen[str]
    address: str

    def add(self, cores: int) -> str:
        """A node joins. Its id."""
        return self._says(f"add {cores}")

    def lose(self, node: str) -> None:
        assert self._says(f"lose {node}") == "lost"

    def _says(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    ours = {"RAY_AUTH_MODE": "token", "RAY_TMPDIR": tempfile.mkdtemp(dir=RAY_FILES)}
    command = [sys.executable, "-m", "tests.faults.local_cluster"]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=nowhere, text=True, env={**os.environ, **TOKEN, **ours}
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "no cluster can be had here"
        yield LocalCluster(process, address)
        process.communicate(timeout=60)  # closes its input


@pytest.mark.slow
def test_who_has_another_token_is_refused(cluster: LocalCluster, tmp_path: Path) -> None:
    search = Search(tmp_path)
    _, errors = search.start("--address", cluster.address, environment={"RAY_AUTH_TOKEN": "b" * 64}).ends(2)
    assert errors.splitlines()[-1].startswith(
        f"error: --address {cluster.address}: no Ray cluster to be reached there, or one that asks for another "
        "token than RAY_AUTH_TOKEN or ~/.ray/auth_token has ("
    )
    assert "Traceback" not in errors
    assert not search.run.path.exists()


@pytest.mark.slow
def test_a_trial_on_a_lost_node_ends_elsewhere_in_the_same_bits(
    cluster: LocalCluster, tmp_path: Path, uninterrupted: Search
) -> None:
    for _ in range(2):
        cluster.add(usable_cores())  # a trial computes with all of them, as one that runs alone on this machine
    search = Search(tmp_path)
    flags = ("--address", cluster.address, "--no-early-stopping")
    driver = search.start(*flags, trials=2, concurrent=2, plan={"t001": {3: "dawdle"}}, environment=TOKEN)
    driver.wait_for(search.met("t001", 3))
    driver.until(lambda history: history.trials["t001"].epoch == 2)
    beat = read_beat(search.run.pulse("t001"))
    assert beat is not None
    cluster.lose(beat.node)
    said, errors = driver.ends()
    assert errors == ""
    assert search.run.info().threads == uninterrupted.run.info().threads
    trials = search.history().trials
    assert [trial.epoch for trial in trials.values()] == [EPOCHS, EPOCHS]
    assert [retry.reason for retry in trials["t001"].retries] == ["died"]
    assert "t001  its process died" in said
    assert figures(search.history())[0] == figures(uninterrupted.history())[0]
    after = read_beat(search.run.pulse("t001"))
    assert after is not None
    assert after.node != beat.node


@pytest.mark.slow
def test_a_search_goes_on_as_nodes_join_and_leave(cluster: LocalCluster, tmp_path: Path) -> None:
    search = Search(tmp_path)
    plan = {"t001": {2: "dawdle"}, "t002": {3: "dawdle"}}
    first = cluster.add(1)
    flags = ("--address", cluster.address, "--no-early-stopping")
    driver = search.start_demo(*flags, trials=3, plan=plan, environment=TOKEN)
    driver.wait_for(search.met("t001", 2))
    assert set(search.history().trials) == {"t001"}, "as many as there is room for"
    assert nodes_of(search) == {first}

    second = cluster.add(1)
    driver.wait_for(search.met("t002", 3))
    assert nodes_of(search) == {first, second}

    cluster.lose(first)
    driver.until(lambda history: len(history.trials["t001"].retries) == 1)
    cluster.lose(second)
    driver.until(lambda history: len(history.trials["t002"].retries) == 1)
    before = search.history()
    time.sleep(AWHILE)
    assert driver.process.poll() is None
    after = search.history()
    assert after.outcomes == before.outcomes, "nobody trains, and nobody is given up"

    third = cluster.add(1)
    said, errors = driver.ends()
    assert errors == ""
    trials = search.history().trials
    assert [(record.state, record.epoch) for record in trials.values()] == [("completed", EPOCHS)] * 3
    assert after.outcomes == search.history().outcomes[: len(after.outcomes)]
    assert nodes_of(search) == {third}
    assert "Ended: 3 completed; taken up again: 2 died" in said


def nodes_of(search: Search) -> set[str]:
    """Where trials were last seen to train."""
    beats = [read_beat(path) for path in search.run.path.glob("trials/*/pulse")]
    return {beat.node for beat in beats if beat is not None}
