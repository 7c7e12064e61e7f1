"""Ray, started on this machine or connected to, in silence."""

from __future__ import annotations

import logging
import os
import re
import socket
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants, worker
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray.exceptions import AuthenticationError

from model.errors import UserError
from search.resources import Machine, Node, Shares, places

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0, the old output prints nothing
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning otherwise
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # ledger and TensorBoard have it all
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # search.halt handles Ctrl-C
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # snapshots that nobody reads
    "TUNE_MAX_PENDING_TRIALS_PG": "10000",  # else processes start one after the other where Tune has no limit
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the ledger keeps them
}
"""What Ray reads, here and, by inheritance, in the processes it starts."""


@contextmanager
def started(machine: Machine) -> Iterator[None]:
    """Ray on this machine alone. It listens on the loopback interface only: nobody else can reach it."""
    # Ray resolves a given 127.0.0.1 to the machine's address in the network; this is how it keeps to loopback on
    # systems whose firewalls would ask otherwise. Processes read the variable where they import Ray, as this one has.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    with _quiet():
        _start(machine)
        try:
            yield
        finally:
            ray.shutdown()


def _start(machine: Machine) -> None:
    """Twice, since Ray's own patience of 30 seconds is too short for a machine with much else to do."""
    for last in (False, True):
        try:
            ray.init("local", num_cpus=machine.cores, num_gpus=machine.gpus, include_dashboard=False, **_SILENT)
            return
        except Exception as error:  # Ray has no class for it
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            if last:
                raise UserError("Ray could not be started in a minute: this machine has too much else to do") from error


@contextmanager
def connected(address: str) -> Iterator[Machine]:
    """A cluster that runs already, and what it has."""
    _check_address(address)
    with _quiet():
        # A cluster asks for its token by default; Ray itself would present one to addresses that it found itself only.
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        try:
            ray.init(address, **_SILENT)
        except (ConnectionError, ValueError, AuthenticationError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"--address {address}: no Ray cluster to be reached there, or one that asks for another token than "
                f"RAY_AUTH_TOKEN or ~/.ray/auth_token has ({reason})"
            ) from None
        except RuntimeError as error:
            if "Version mismatch" not in str(error):
                raise
            reason = " ".join(str(error).split())  # the versions come on lines of their own
            raise UserError(f"--address {address}: {reason}") from None
        try:
            yield _machine_of(ray.nodes())
        finally:
            ray.shutdown()


def room(shares: Shares) -> int:
    """How many trials with these shares may run on the connected cluster, as it is now."""
    found = places(_machine_of(ray.nodes()), shares)
    return found if shares.limit is None else min(found, shares.limit)


def _machine_of(nodes: Iterable[Mapping[str, Any]]) -> Machine:
    """Of Ray's description of a cluster, what is alive."""
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    found = tuple(Node(cores=int(has.get("CPU", 0)), gpus=int(has.get("GPU", 0))) for has in resources)
    return Machine(found, is_cluster=True)


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Whatever Ray has to say meanwhile goes to the file at `path`."""
    logger = logging.getLogger("ray")
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)
        handler.close()


class _LogFile(logging.FileHandler):
    """Loses what can't be written, as on a full disk, which the run itself finds out and tells."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is the library's)
        pass


def _check_address(address: str) -> None:
    """Ray itself would try for minutes to reach an address where nobody listens."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not re.fullmatch(r"[\w.-]+|\[[\da-fA-F:]+\]", host) or not port.isdecimal():
        raise UserError(f"--address {address}: allowed is 'auto' or host:port of a cluster's head")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--address {address}: no Ray cluster to be reached there ({error})") from None


_SILENT: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}


@contextmanager
def _quiet() -> Iterator[None]:
    os.environ.update(_ENVIRONMENT)
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    worker._worker_logs_enabled = False  # what raylets say of workers that died: it comes even without log_to_driver
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
