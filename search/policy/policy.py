"""What a policy is asked, beside what it decides: who has an empty place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from search.judge import Decider
from search.policy.candidates import Candidate
from search.policy.encoding import Drawn


@dataclass(frozen=True)
class Option:
    """Something that can be done next."""

    trial: str | None
    """Who goes on; None for a new trial."""
    drawn: Drawn
    source: str = ""
    """Who proposed a new one."""

    @property
    def candidate(self) -> Candidate:
        """A new trial's configuration."""
        assert isinstance(self.drawn, Candidate)
        return self.drawn


class Policy(Decider, Protocol):
    """Pauses trials, and says which of them go on, and which new ones begin."""

    def has_more(self) -> bool:
        """Whether there is anything that is worth an empty place."""
        ...

    def next(self) -> Option | None:
        """What an empty place is to be used for. None: nothing is worth it."""
        ...
