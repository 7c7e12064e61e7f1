"""Whether a refit that is there is what the same command would make of it once more: then nothing is computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from analysis.winner.ground import Ground
from analysis.winner.results import Results
from search.ledger import read_ledger
from search.run_folder import versions

ROOMS = Path(__file__).parents[2]


def made_from(ground: Ground) -> str:
    """A hash of all that a refit follows from: what was asked, data with test, encoder, what is computed in, search and
    trainings, versions, and the code itself."""
    asked = (ground.options.flags(), ground.trained.of, ground.info.encoder_fingerprint, versions())
    digest = hashlib.sha256(json.dumps(asked).encode())
    for path in (*_of_run(ground), *_code()):
        found = path.read_bytes() if path.exists() else b""
        digest.update(f"{len(found)} ".encode() + found)
    return digest.hexdigest()


def still_stands(ground: Ground, results: Results) -> bool:
    """Whether `results`, which are those of the folder refit/, follow from what there is now, that folder is whole, and
    no training is left to be done, or to be tried once more."""
    folder = ground.run.refit
    if results.made_from != made_from(ground):
        return False
    ledgers = [read_ledger(one.ledger) for one in (ground.run.retrained, ground.run.retrained_with_dev)]
    states = {record.state for ledger in ledgers for record in ledger.trials.values()}
    whole = (folder / "model").is_dir() and (folder / "predictions").is_dir()
    return whole and not states & {"running", "failed"}


def _of_run(ground: Ground) -> Iterator[Path]:
    run = ground.run
    yield from (run.path / "run.json", run.space, run.ledger, run.retrained.ledger, run.retrained_with_dev.ledger)


def _code() -> list[Path]:
    return sorted(path for room in ("model", "search", "analysis") for path in (ROOMS / room).rglob("*.py"))
