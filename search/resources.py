"""What a machine or cluster has, and how much of it each trial gets."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from model.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What there is to compute with."""

    cores: int
    gpus: int

    def __str__(self) -> str:
        parts = [f"{count} {what}{'' if count == 1 else 's'}" for count, what in self._counts() if count]
        return " and ".join(parts)

    def _counts(self) -> tuple[tuple[int, str], tuple[int, str]]:
        return (self.gpus, "GPU"), (self.cores, "CPU core")


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How trials share a machine."""

    concurrent: int
    """Trials at a time."""
    threads: int
    """CPU threads a trial computes with."""
    cpus: float
    """What a trial asks Ray for."""
    gpus: float

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        each = f"{threads} and {self.gpus:.3g} GPU" if self.gpus else threads
        return f"{self.concurrent} at a time, {each} each"


def local_machine() -> Machine:
    """This machine, as far as this process may use it."""
    import torch  # here, since it takes seconds and a cluster's driver can do without

    return Machine(cores=_usable_cores(), gpus=torch.cuda.device_count())


def share(machine: Machine, trials: int, concurrent: int | None, trials_per_gpu: int | None) -> Shares:
    """All GPUs where there are any, `trials_per_gpu` (1) trials on each; else the cores, with at most `concurrent`
    trials at a time: by default one for every four cores, but two where there are two cores to use."""
    if trials_per_gpu is not None and not machine.gpus:
        raise UserError(f"--trials-per-gpu {trials_per_gpu} has no effect: no GPU was found")
    room = machine.gpus * (trials_per_gpu or 1) if machine.gpus else machine.cores
    if concurrent is not None and concurrent > room:
        each = f" with {trials_per_gpu or 1} trials a GPU" if machine.gpus else ""
        raise UserError(f"--concurrent {concurrent}: allowed is 1 to {room}, for {machine}{each}")
    usual = room if machine.gpus else min(room, max(2, machine.cores // 4))
    taken = min(concurrent or usual, trials)
    threads = max(1, machine.cores // taken)
    return Shares(
        concurrent=taken,
        threads=threads,
        cpus=min(threads, machine.cores / taken),
        gpus=1 / (trials_per_gpu or 1) if machine.gpus else 0,
    )


def _usable_cores() -> int:
    """Cores this process may run on, or fewer where a container's quota of CPU time comes to fewer."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, math.floor(int(quota) / int(period))))
