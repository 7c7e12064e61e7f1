"""A run on a cluster that asks for a token, and loses a node."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from search.pulse import read_beat
from tests.faults.harness import EPOCHS, RAY_FILES, Search, figures

TOKEN = {"RAY_AUTH_TOKEN": "a" * 64}


@dataclass(frozen=True)
class Nodes:
    """A cluster in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    def lose(self, node: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{node}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "lost\n"


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    ours = {"RAY_AUTH_MODE": "token", "RAY_TMPDIR": tempfile.mkdtemp(dir=RAY_FILES)}
    command = [sys.executable, "-m", "tests.faults.two_nodes"]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=nowhere, text=True, env={**os.environ, **TOKEN, **ours}
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "no cluster can be had here"
        yield Nodes(process, address)
        process.communicate(timeout=60)  # closes its input


@pytest.mark.slow
def test_who_has_another_token_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    search = Search(tmp_path)
    _, errors = search.start("--address", nodes.address, environment={"RAY_AUTH_TOKEN": "b" * 64}).ends(2)
    assert errors.splitlines()[-1].startswith(
        f"error: --address {nodes.address}: no Ray cluster to be reached there, or one that asks for another "
        "token than RAY_AUTH_TOKEN or ~/.ray/auth_token has ("
    )
    assert "Traceback" not in errors
    assert not search.run.path.exists()


@pytest.mark.slow
def test_a_trial_on_a_lost_node_ends_elsewhere_in_the_same_bits(
    nodes: Nodes, tmp_path: Path, uninterrupted: Search
) -> None:
    search = Search(tmp_path)
    flags = ("--address", nodes.address, "--no-early-stopping")
    driver = search.start(*flags, trials=2, concurrent=2, plan={"t001": {3: "dawdle"}}, environment=TOKEN)
    driver.wait_for(search.met("t001", 3))
    driver.until(lambda history: history.trials["t001"].epoch == 2)
    beat = read_beat(search.run.pulse("t001"))
    assert beat is not None
    nodes.lose(beat.node)
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
