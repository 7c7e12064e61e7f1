"""A configuration to train with a seed of its own (search.retrain). Known without Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One training."""

    config: Mapping[str, Any]
    """The TrialConfig as a dictionary."""
    seed: int
    purpose: str
    """What for, in a few words: shown beside it."""

    @property
    def key(self) -> str:
        """The same for the same training, whatever its purpose."""
        return key_of(self.config, self.seed)


def key_of(config: Mapping[str, Any], seed: int | None) -> str:
    """What tells one training of a run from another."""
    return json.dumps([config, seed], sort_keys=True)
