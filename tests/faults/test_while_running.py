"""What a run keeps from others while it goes on: its folder from a second driver, its ports from the network."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from search.run_folder import resume_command
from tests.faults.harness import WAIT, Search

LIMIT = 30.0
"""Seconds: far longer than Python takes to load Torch and Ray."""
LISTEN = "0A"
"""A socket's state, in the kernel's table."""


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    """A run that goes on, in a step that would take an hour."""
    search = Search(tmp_path_factory.mktemp("running"))
    driver = search.start(plan={"t001": {2: "dawdle"}})
    driver.wait_for(search.met("t001", 2))
    yield search
    driver.be_killed()


def test_a_second_driver_is_refused(search: Search) -> None:
    """At once: it does not wait for the first."""
    before, holder = search.run.ledger.read_bytes(), json.loads(search.run.lock.read_text())
    begun = time.monotonic()
    said, errors = Search(search.folder).resume().ends(2)
    assert time.monotonic() - begun < LIMIT
    assert (said, errors) == (
        "",
        f"error: the run {search.run.path} is in use by process {holder['pid']} on {holder['host']}, "
        f"since {holder['since']}\n",
    )
    assert search.processes()[holder["pid"]]
    assert search.run.ledger.read_bytes() == before


def test_the_same_command_again_says_how_to_go_on(search: Search) -> None:
    said, errors = Search(search.folder).start().ends(2)
    assert (said, errors) == (
        "",
        f"error: {search.run.path} exists; go on with it by {resume_command(search.run)}, "
        "or name another run with --run\n",
    )


def test_nobody_else_in_the_network_can_reach_it(search: Search) -> None:
    listening = addresses(search.processes())
    assert len(listening) > 2, "Ray's"
    assert all(address.is_loopback for address in listening), listening


def test_nobody_else_in_the_network_can_reach_tensorboard(search: Search) -> None:
    """By the command that a run prints."""
    program = str(Path(sys.executable).with_name("tensorboard"))
    with subprocess.Popen(
        [program, "--logdir", str(search.runs_dir), "--port", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + WAIT
            while not (listening := addresses([process.pid])):
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            process.kill()
    assert all(address.is_loopback for address in listening), listening


def addresses(pids: Iterable[int]) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """That the processes listen on for TCP."""
    inodes = {inode for pid in pids for inode in sockets(pid)}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in inodes:
                found.append(address_of(fields[1].partition(":")[0]))
    return found


def sockets(pid: int) -> list[str]:
    """The inodes of a process's sockets."""
    try:
        links = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # it has ended meanwhile
        return []
    return [link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")]


def address_of(words: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """From the kernel's hexadecimal, of which each group of four bytes is in the machine's order."""
    groups = [bytes.fromhex(words[i : i + 8]) for i in range(0, len(words), 8)]
    packed = b"".join(group[::-1] if sys.byteorder == "little" else group for group in groups)
    address = ipaddress.ip_address(packed)
    return getattr(address, "ipv4_mapped", None) or address


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("0100007F", "127.0.0.1"),
        ("00000000", "0.0.0.0"),
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "127.0.0.1"),
        ("00000000000000000000000000000000", "::"),
    ],
)
def test_addresses_are_read_right(words: str, address: str) -> None:
    assert str(address_of(words)) == address
