"""docs/slurm.sh on this machine: stand-ins for what Slurm brings, several Ray nodes for several machines."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.ledger import read_ledger
from search.run_folder import RunFolder
from tests.faults.harness import WAIT, running, wait_until

ROOT = Path(__file__).parent.parent.parent
NODES = 2

SCONTROL = """#!/bin/sh
[ "$1 $2 $3" = "show hostnames here" ] && echo localhost
"""
SRUN = f"""#!{sys.executable}
# Runs a command as often as --ntasks says, each on a node of its own, which it is until all have ended.
import signal, subprocess, sys

first = next(i for i, word in enumerate(sys.argv[1:], 1) if not word.startswith("--"))
flags = dict(word[2:].partition("=")[::2] for word in sys.argv[1:first])
assert flags.get("nodelist") == "localhost" or flags.get("exclude") == "localhost"
here = ["--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0"]
tasks = [subprocess.Popen([*sys.argv[first:], *here]) for _ in range(int(flags["ntasks"]))]
signal.signal(signal.SIGTERM, lambda *_: [task.terminate() for task in tasks])
sys.exit(max(task.wait() for task in tasks))
"""


class Slurm:
    """A job at a time."""

    def __init__(self, folder: Path) -> None:
        self.ray_files = Path(f"/tmp/ray-{os.getpid()}")  # as the script has it, by the job's number
        self._bin = folder / "bin"
        self._bin.mkdir()
        for name, text in (("scontrol", SCONTROL), ("srun", SRUN)):
            (self._bin / name).write_text(text)
            (self._bin / name).chmod(0o755)

    def sbatch(self, *arguments: str) -> subprocess.Popen[str]:
        given = {
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_JOB_NODELIST": "here",
            "SLURM_NNODES": str(NODES),
            "SLURM_CPUS_PER_TASK": "1",
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        pipe = subprocess.PIPE
        command = ["bash", str(ROOT / "docs" / "slurm.sh"), *arguments]
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env={**os.environ, **given})


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    slurm = Slurm(tmp_path)
    yield slurm
    shutil.rmtree(slurm.ray_files, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".venv" / "bin" / "ray").exists(), reason="the script is for a checkout with .venv")
def test_a_job_whose_time_is_up_is_resumed_on_one_machine(slurm: Slurm, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "mine")
    sizes = ("--trials", "3", "--epochs", "4", "--epoch-examples", "200", "--no-early-stopping")
    inputs = ("--data", "demo", "--space", "spaces/smoke.py")
    where = ("--runs-dir", str(run.path.parent))
    job = slurm.sbatch("search.run", *inputs, *sizes, "--run", run.name, *where)
    wait_until(lambda: run.ledger.exists() and read_ledger(run.ledger).epochs_spent() > 0, job)
    job.send_signal(signal.SIGTERM)
    said, errors = job.communicate(timeout=WAIT)
    assert job.returncode == 130, f"{said}\n{errors}"
    shared_out = f"{NODES} CPU cores on {NODES} nodes: {NODES} at a time, 1 thread each, more where nodes join"
    assert f"machine  {shared_out}" in said
    assert "Stopping all trials" in said
    assert running(str(slurm.ray_files)) == {}

    command = [sys.executable, "-m", "search.run", "--resume", run.name, *where]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_TMPDIR": str(slurm.ray_files)}
    here = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=WAIT)
    assert here.returncode == 0, here.stderr
    assert "Ended: 3 completed" in here.stdout
