"""How a machine is shared between trials."""

from __future__ import annotations

import pytest

from search.resources import Machine, share
from tests.support import refused


@pytest.mark.parametrize(
    ("cores", "gpus", "trials", "concurrent", "per_gpu", "expected"),
    [
        (1, 0, 20, None, None, (1, 1, 1, 0)),
        (2, 0, 20, None, None, (2, 1, 1, 0)),
        (8, 0, 20, None, None, (2, 4, 4, 0)),
        (64, 0, 20, None, None, (16, 4, 4, 0)),
        (8, 0, 1, None, None, (1, 8, 8, 0)),
        (8, 0, 20, 3, None, (3, 2, 2, 0)),
        (8, 0, 20, 8, None, (8, 1, 1, 0)),
        (16, 1, 20, None, None, (1, 16, 16, 1)),
        (16, 2, 20, None, 3, (6, 2, 2, pytest.approx(1 / 3))),
        (16, 2, 20, 1, None, (1, 16, 16, 1)),
        (2, 1, 20, None, 4, (4, 1, 0.5, 0.25)),
    ],
)
def test_shares(
    cores: int, gpus: int, trials: int, concurrent: int | None, per_gpu: int | None, expected: tuple[float, ...]
) -> None:
    shares = share(Machine(cores=cores, gpus=gpus), trials, concurrent, per_gpu)
    assert (shares.concurrent, shares.threads, shares.cpus, shares.gpus) == expected
    assert shares.cpus * shares.concurrent <= cores
    assert shares.gpus * shares.concurrent <= gpus
    assert shares.device == ("cuda" if gpus else "cpu")


def test_what_a_machine_can_not_do_is_refused() -> None:
    with refused("--concurrent 3: allowed is 1 to 2, for 2 CPU cores"):
        share(Machine(cores=2, gpus=0), 20, 3, None)
    with refused("--concurrent 5: allowed is 1 to 4, for 2 GPUs and 8 CPU cores with 2 trials a GPU"):
        share(Machine(cores=8, gpus=2), 20, 5, 2)
    with refused("--trials-per-gpu 2 has no effect: no GPU was found"):
        share(Machine(cores=2, gpus=0), 20, None, 2)


def test_words() -> None:
    machine = Machine(cores=16, gpus=1)
    assert str(machine) == "1 GPU and 16 CPU cores"
    assert str(share(machine, 20, None, 4)) == "4 at a time, 4 threads and 0.25 GPU each"
    assert str(share(Machine(cores=1, gpus=0), 20, None, None)) == "1 at a time, 1 thread each"
