"""What a machine or cluster has, and how much of it each trial gets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from model.errors import UserError
from model.training.cores import usable_cores


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine of a cluster. A trial runs on one of them."""

    cores: int
    gpus: int

    def slots(self, cpus: Fraction, per_gpu: int | None) -> int:
        """How many trials fit, of `cpus` cores each and, unless `per_gpu` is None, so many on each GPU."""
        by_cores = self.cores // cpus
        return by_cores if per_gpu is None else min(by_cores, self.gpus * per_gpu)


@dataclass(frozen=True)
class Machine:
    """What there is to compute with: the nodes of a cluster, or the one node that is this machine."""

    nodes: tuple[Node, ...]
    is_cluster: bool = False
    """Whether nodes may join and leave."""

    @property
    def cores(self) -> int:
        return sum(node.cores for node in self.nodes)

    @property
    def gpus(self) -> int:
        return sum(node.gpus for node in self.nodes)

    def __str__(self) -> str:
        parts = [_count(count, what) for count, what in ((self.gpus, "GPU"), (self.cores, "CPU core")) if count]
        return " and ".join(parts) + (f" on {len(self.nodes)} nodes" if len(self.nodes) > 1 else "")


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How trials share a machine."""

    concurrent: int
    """Trials at a time; where it is `elastic`, as there is room for now."""
    threads: int
    """CPU threads a trial computes with."""
    cpus: float
    """What a trial asks Ray for."""
    gpus: float
    elastic: bool = False
    """Whether there are more trials at a time where nodes join, and fewer where they leave,"""
    limit: int | None = None
    """but never more than so many."""

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    def __str__(self) -> str:
        threads = _count(self.threads, "thread")
        each = f"{threads} and {self.gpus:.3g} GPU" if self.gpus else threads
        more = ", more where nodes join" if self.elastic and (self.limit or math.inf) > self.concurrent else ""
        return f"{self.concurrent} at a time, {each} each{more}"


def local_machine() -> Machine:
    """This machine, as far as this process may use it."""
    import torch  # here, since it takes seconds and a cluster's driver can do without

    return Machine((Node(cores=usable_cores(), gpus=torch.cuda.device_count()),))


def share(machine: Machine, trials: int | None, concurrent: int | None, trials_per_gpu: int | None) -> Shares:
    """All GPUs where there are any, `trials_per_gpu` (1) trials on each; else the cores, with at most `concurrent`
    trials at a time: by default one for every four cores, but two where there are two cores to use. A cluster is
    elastic: a trial asks for so much, and as many run as find it, up to `concurrent`."""
    if trials_per_gpu is not None and not machine.gpus:
        raise UserError(f"--trials-per-gpu {trials_per_gpu} has no effect: no GPU was found")
    per_gpu = (trials_per_gpu or 1) if machine.gpus else None
    nodes, room = _room(machine, per_gpu)
    if concurrent is not None and concurrent > room:
        each = f" with {_count(per_gpu, 'trial')} a GPU" if per_gpu else ""
        raise UserError(f"--concurrent {concurrent}: allowed is 1 to {room}, for {machine}{each}")
    usual = room if per_gpu else min(room, max(2, machine.cores // 4))
    taken = min(concurrent or usual, trials or room)
    cpus = next(size for size in _sizes(nodes) if sum(node.slots(size, per_gpu) for node in nodes) >= taken)
    if machine.is_cluster and concurrent is None:
        found = sum(node.slots(cpus, per_gpu) for node in nodes)
        taken = min(found, trials or found)
    return Shares(
        concurrent=taken,
        threads=max(1, int(cpus)),
        cpus=_for_ray(cpus),
        gpus=_for_ray(Fraction(1, per_gpu)) if per_gpu else 0,
        elastic=machine.is_cluster,
        limit=concurrent if machine.is_cluster else None,
    )


def places(machine: Machine, shares: Shares) -> int:
    """How many trials with these shares fit on a machine."""
    per_gpu = round(1 / shares.gpus) if shares.gpus else None
    return sum(
        node.slots(Fraction(shares.cpus).limit_denominator(_LEAST.denominator), per_gpu) for node in machine.nodes
    )


def share_again(machine: Machine, *, concurrent: int | None, gpus_per_trial: float) -> tuple[int | None, int | None]:
    """How many trials at a time, and on each GPU, a run is to have on `machine` that had so many where it began: as
    many, as far as they fit. None leaves it to `share`, as where the one has GPUs and the other has not."""
    if bool(machine.gpus) != bool(gpus_per_trial):
        return None, None
    per_gpu = round(1 / gpus_per_trial) if gpus_per_trial else None
    return None if concurrent is None else min(concurrent, _room(machine, per_gpu)[1]), per_gpu


def _room(machine: Machine, per_gpu: int | None) -> tuple[list[Node], int]:
    """The nodes that can train, and how many trials at a time fit on them."""
    nodes = [node for node in machine.nodes if node.cores and (node.gpus or not machine.gpus)]
    if not nodes:
        where = " on a machine with a GPU" if machine.gpus else ""
        raise UserError(f"nothing for trials to compute with: no CPU core was found{where}")
    return nodes, sum(node.slots(_LEAST, per_gpu) if per_gpu else node.cores for node in nodes)


_LEAST = Fraction(1, 10_000)
"""Ray counts in units of this."""


def _sizes(nodes: Sequence[Node]) -> Iterator[Fraction]:
    """The cores that a trial may get, the most first: whole ones, then fractions of one."""
    whole = range(max(node.cores for node in nodes), 0, -1)
    return itertools.chain(map(Fraction, whole), (Fraction(1, trials) for trials in range(2, _LEAST.denominator + 1)))


def _for_ray(amount: Fraction) -> float:
    """Rounded down: Ray would round 1/6 up, and six of them would not fit."""
    return float(amount // _LEAST * _LEAST)


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
