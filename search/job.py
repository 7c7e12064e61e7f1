"""A configuration to train with a seed of its own (search.retrain). Known without Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.records import TrialRecord


@dataclass(frozen=True)
class Job:
    """One training."""

    config: Mapping[str, Any]
    """The TrialConfig as a dictionary."""
    seed: int
    purpose: str
    """What for, in a few words: shown beside it."""
    epochs: int | None = None
    """Ends after so many, and is the model of the last: for where there is no dev to judge an epoch by. None: it has
    the run's, and is the model of the best."""

    @property
    def key(self) -> str:
        """The same for the same training, whatever its purpose."""
        return _key(self.config, self.seed, self.epochs)


def key_of(record: TrialRecord) -> str:
    """The key of the job that a trial is of."""
    return _key(record.config, record.seed, record.epochs)


def _key(*parts: object) -> str:
    return json.dumps(parts, sort_keys=True)
