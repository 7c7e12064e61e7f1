"""How a machine is split between trials."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.resources import Machine, Node, places, share, share_again
from tests.support import refused


def machine(*counts: int) -> Machine:
    """Of cores and GPUs, node by node."""
    return Machine(tuple(Node(cores=c, gpus=g) for c, g in zip(counts[::2], counts[1::2], strict=True)))


@pytest.mark.parametrize(
    ("cores", "gpus", "trials", "concurrent", "per_gpu", "expected"),
    [
        (1, 0, 20, None, None, (1, 1, 1, 0)),
        (2, 0, 20, None, None, (2, 1, 1, 0)),
        (8, 0, 20, None, None, (2, 4, 4, 0)),
        (64, 0, 20, None, None, (16, 4, 4, 0)),
        (8, 0, 1, None, None, (1, 8, 8, 0)),
        (8, 0, None, None, None, (2, 4, 4, 0)),
        (16, 2, None, None, 3, (6, 2, 2, 0.3333)),
        (8, 0, 20, 3, None, (3, 2, 2, 0)),
        (8, 0, 20, 8, None, (8, 1, 1, 0)),
        (16, 1, 20, None, None, (1, 16, 16, 1)),
        (16, 2, 20, None, 3, (6, 2, 2, 0.3333)),
        (16, 2, 20, 1, None, (1, 16, 16, 1)),
        (2, 1, 20, None, 4, (4, 1, 0.5, 0.25)),
        (1, 1, 20, None, 6, (6, 1, 0.1666, 0.1666)),
    ],
)
def test_shares(
    cores: int, gpus: int, trials: int | None, concurrent: int | None, per_gpu: int | None, expected: tuple[float, ...]
) -> None:
    shares = share(machine(cores, gpus), trials, concurrent, per_gpu)
    assert (shares.concurrent, shares.threads, shares.cpus, shares.gpus) == expected
    assert shares.cpus * shares.concurrent <= cores
    assert shares.gpus * shares.concurrent <= gpus
    assert shares.device == ("cuda" if gpus else "cpu")


def test_what_a_machine_can_not_do_is_refused() -> None:
    with refused("--concurrent 3: allowed is 1 to 2, for 2 CPU cores"):
        share(machine(2, 0), 20, 3, None)
    with refused("--concurrent 5: allowed is 1 to 4, for 2 GPUs and 8 CPU cores with 2 trials a GPU"):
        share(machine(8, 2), 20, 5, 2)
    with refused("--trials-per-gpu 2 has no effect: no GPU was found"):
        share(machine(2, 0), 20, None, 2)
    for nothing in (machine(), machine(0, 0)):
        with refused("nothing for trials to compute with: no CPU core was found"):
            share(nothing, 20, None, None)
    with refused("nothing for trials to compute with: no CPU core was found on a machine with a GPU"):
        share(machine(8, 0, 0, 1), 20, None, None)


@pytest.mark.parametrize(
    ("nodes", "trials", "concurrent", "per_gpu", "expected"),
    [
        ((4, 0, 4, 0, 4, 0), 20, 2, None, (2, 4, 4)),  # not 6, which no node has
        ((4, 0, 4, 0, 4, 0), 20, 4, None, (4, 2, 2)),  # not 3, of which three fit
        ((16, 0, 2, 0), 20, 3, None, (3, 5, 5)),  # all on the larger one
        ((0, 0, 8, 0), 20, None, None, (2, 4, 4)),  # a head that computes nothing
        ((64, 0, 8, 4), 20, None, None, (4, 2, 2)),  # the cores beside the GPUs alone count
        ((16, 1, 4, 1), 20, None, None, (2, 4, 4)),
        ((16, 1, 4, 1), 20, 1, None, (1, 16, 16)),
        ((16, 4, 1, 4), 20, None, None, (8, 1, 0.25)),
        ((8, 2, 0, 2), 20, None, 2, (4, 2, 2)),  # GPUs without a core are of no use
    ],
)
def test_a_trial_fits_a_node(
    nodes: tuple[int, ...], trials: int, concurrent: int | None, per_gpu: int | None, expected: tuple[float, ...]
) -> None:
    shares = share(machine(*nodes), trials, concurrent, per_gpu)
    assert (shares.concurrent, shares.threads, shares.cpus) == expected


@pytest.mark.parametrize(
    ("nodes", "trials", "per_gpu", "expected"),
    [
        ((1, 0), 20, None, (1, 1)),
        ((6, 0, 6, 0), 20, None, (4, 3)),  # as many as there is room for: 3 would leave cores idle
        ((8, 0, 8, 0), 3, None, (3, 4)),
        ((16, 4, 16, 4), 20, 2, (16, 2)),
    ],
)
def test_a_cluster_is_filled(
    nodes: tuple[int, ...], trials: int, per_gpu: int | None, expected: tuple[int, int]
) -> None:
    cluster = replace(machine(*nodes), is_cluster=True)
    shares = share(cluster, trials, None, per_gpu)
    assert (shares.concurrent, shares.threads, shares.elastic) == (*expected, True)
    limited = share(cluster, trials, 1, per_gpu)
    assert (limited.concurrent, limited.elastic, limited.limit) == (1, True, 1)


@pytest.mark.parametrize(
    ("now", "concurrent", "gpus_per_trial", "expected"),
    [
        (machine(8, 0), 3, 0.0, (3, None)),
        (machine(2, 0), 3, 0.0, (2, None)),  # a smaller one
        (machine(16, 4), 8, 0.5, (8, 2)),
        (machine(16, 1), 8, 0.5, (2, 2)),
        (machine(16, 2), 6, 0.3333, (6, 3)),
        (machine(8, 0), 4, 1.0, (None, None)),  # no GPU any more
        (machine(8, 2), 4, 0.0, (None, None)),
        (machine(16, 4), None, 0.5, (None, 2)),
    ],
)
def test_a_run_is_shared_out_again_as_far_as_it_fits(
    now: Machine, concurrent: int | None, gpus_per_trial: float, expected: tuple[int | None, int | None]
) -> None:
    assert share_again(now, concurrent=concurrent, gpus_per_trial=gpus_per_trial) == expected


def test_words() -> None:
    assert str(machine(16, 1)) == "1 GPU and 16 CPU cores"
    assert str(machine(16, 1, 8, 0)) == "1 GPU and 24 CPU cores on 2 nodes"
    assert str(share(machine(16, 1), 20, None, 4)) == "4 at a time, 4 threads and 0.25 GPU each"
    cluster = replace(machine(8, 0, 8, 0), is_cluster=True)
    assert str(share(cluster, 20, None, None)) == "4 at a time, 4 threads each, more where nodes join"
    assert str(share(machine(1, 0), 20, None, None)) == "1 at a time, 1 thread each"


def test_places_are_counted_as_nodes_come_and_go() -> None:
    shares = share(machine(6, 0, 6, 0), 20, 4, None)
    assert shares.cpus == 3
    assert [places(Machine(()), shares), places(machine(6, 0), shares), places(machine(2, 0, 9, 0), shares)] == [
        0,
        2,
        3,
    ]
    sixth = share(machine(1, 0), 20, 1, None)
    assert places(machine(5, 0), replace(sixth, cpus=0.1666)) == 30
    on_gpus = share(machine(16, 4), 20, None, 2)
    assert places(machine(8, 0, 16, 2), on_gpus) == 4
