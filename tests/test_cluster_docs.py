"""What docs/cluster.md shows is true: its files are what Ray and bash take, its commands exist."""

import re
import shlex
import subprocess
from pathlib import Path

import tyro
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from search.flags import Flags

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "cluster.md").read_text()


def test_ray_takes_its_cluster() -> None:
    cluster = prepare_config(yaml.safe_load((DOCS / "ray-cluster.yaml").read_text()))
    validate_config(cluster)
    (node_type,) = cluster["available_node_types"].values()
    workers = len(cluster["provider"]["worker_ips"])
    assert (node_type["min_workers"], node_type["max_workers"]) == (workers, workers)
    for start in (cluster["head_start_ray_commands"][-1], cluster["worker_start_ray_commands"][-1]):
        assert "RAY_AUTH_MODE=token" in start


def test_bash_takes_its_script() -> None:
    subprocess.run(["bash", "-n", DOCS / "slurm.sh"], check=True)


def test_its_commands_are_taken() -> None:
    script = (DOCS / "slurm.sh").read_text()
    commands = re.findall(r"^[# ]+(?:\S*python -m|sbatch.*/slurm\.sh) search\.run (.*)", TEXT + script, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        tyro.cli(Flags, args=shlex.split(command), config=(tyro.conf.FlagCreatePairsOff,))


def test_its_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(((?!https?:)[^)]+)\)", TEXT)
    assert targets
    assert [target for target in targets if not (DOCS / target).exists()] == []
