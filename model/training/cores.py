"""How many CPU cores there are to compute with."""

import math
import os
from pathlib import Path


def usable_cores() -> int:
    """Cores this process may run on, or fewer where a container's quota of CPU time comes to fewer."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, math.floor(int(quota) / int(period))))
