"""How much a run may take in all: `--budget`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

from model.errors import UserError

_UNITS = {"h": 3600, "m": 60, "s": 1}
_ALLOWED = "allowed is a time such as 2h, 1h30m or 45m, or a number of epochs such as 300epochs"


@dataclass(frozen=True)
class Budget:
    """At most one of the two is set. Trials that run when it is used up are stopped, and kept as they are."""

    seconds: float | None = None
    """Wall-clock time, of all sessions of the run."""
    epochs: int | None = None
    """Of all trials together."""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Raises UserError for what is neither a time nor a number of epochs."""
        if text is None:
            return cls()
        if match := re.fullmatch(r"(\d+)epochs?", text):
            budget = cls(epochs=int(match[1]))
        elif re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
            parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", text)
            budget = cls(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
        else:
            raise UserError(f"--budget {text}: {_ALLOWED}")
        if not (budget.seconds or budget.epochs):
            raise UserError(f"--budget {text}: nothing can be done in that; {_ALLOWED}")
        return budget

    def once_more(self, seconds: float, epochs: int) -> str:
        """As much again beyond what a run took so far, as --budget takes it. Only where there is one."""
        if self.epochs is not None:
            return f"{self.epochs + epochs}epochs"
        assert self.seconds is not None, "there is a budget"
        minutes, seconds = divmod(math.ceil(self.seconds + seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if count)

    def used_up(self, seconds: float, epochs: int) -> bool:
        """Whether a run that took `seconds` and `epochs` so far has to end."""
        return (self.seconds is not None and seconds >= self.seconds) or (
            self.epochs is not None and epochs >= self.epochs
        )
