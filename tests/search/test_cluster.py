"""What a cluster says of itself."""

from __future__ import annotations

import pytest
import ray

from search import cluster
from search.resources import Machine, Node
from tests.support import refused


def test_dead_nodes_do_not_count() -> None:
    nodes = [
        {"Alive": True, "Resources": {"memory": 1.0}},
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
    ]
    assert cluster._machine_of(nodes) == Machine((Node(cores=0, gpus=0), Node(cores=8, gpus=1)), is_cluster=True)


def test_a_cluster_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*_: object, **__: object) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 1.0\n    Python: 3.6\n")

    monkeypatch.setattr(ray, "init", init)
    message = "--address auto: Version mismatch: The cluster was started with: Ray: 1.0 Python: 3.6"
    with refused(message), cluster.connected("auto"):
        pass


@pytest.mark.parametrize("failures", [1, 2])
def test_a_machine_too_busy_for_rays_patience(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    tried = []

    def init(*_: object, **__: object) -> None:
        tried.append(True)
        if len(tried) <= failures:
            raise Exception("The current node timed out during startup. This could happen because ...")  # as Ray has it

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    machine = Machine((Node(cores=1, gpus=0),))
    if failures == 1:
        with cluster.started(machine):
            assert len(tried) == 2
    else:
        message = "Ray could not be started in a minute: this machine has too much else to do"
        with refused(message), cluster.started(machine):
            pass
