"""What a user may ask of a refit."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from model.errors import UserError

_OFF = tyro.conf.arg(help_behavior_hint="(default: with them)")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What --refit does."""

    finalists: int = 5
    """How many of the search's best trials are trained anew."""
    seeds: int = 3
    """How often each of them is trained, with seeds that the search did not use."""
    prefer: Literal["score", "cheap"] = "score"
    """Of the finalists that can't be told apart from the best, the best is chosen or the cheapest to train."""
    comparison: Annotated[bool, _OFF] = True
    """Leave out the space's points, such as the papers' configurations, trained in the same budget, and the way from
    the best paper's to the winner, step by step: most of the work."""
    with_dev: bool = False
    """Train the model that is kept once more, on train and dev together, and keep that one; test alone judges it."""
    skip_bad_rows: bool = False
    """Leave out rows of test that can't be read, and count them, as --skip-bad-rows of the search did."""
    address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """A running Ray cluster to train on; this machine alone if none is given."""

    def check(self) -> None:
        """Raises UserError where there can be no such refit."""
        for name in ("finalists", "seeds"):
            value = getattr(self, name)
            if value < 1:
                raise UserError(f"--{name} {value}: allowed is a whole number from 1")

    def flags(self) -> list[str]:
        """What was typed to ask it: all that is not the default."""
        typed = []
        for field in dataclasses.fields(self):
            value, name = getattr(self, field.name), field.name.replace("_", "-")
            if value != field.default:
                no_value = {True: f"--{name}", False: f"--no-{name}"}
                typed.append(no_value[value] if isinstance(value, bool) else f"--{name} {shlex.quote(str(value))}")
        return typed
