"""A TrialConfig in lines to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from model.checked import Checked
from model.config import TrialConfig


def describe(config: TrialConfig) -> list[str]:
    """One line for each of the configuration's parts and tasks. Fields at their default are left out: what has no
    effect is among them."""
    parts = list(_parts("", config, "as by default"))
    width = max(len(name) for name, _ in parts)
    return [f"{name:{width}}  {values}" for name, values in parts]


def _parts(name: str, part: Checked, if_plain: str) -> Iterator[tuple[str, str]]:
    """The part called `name` and those inside it, each with its own values; `if_plain` where none is to be told."""
    plain, inside = [], []
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.name == "tasks":
            inside += [(task, item, "as by default") for task, item in value.items()]
        elif isinstance(value, Checked):
            inside.append((field.name, value, "on" if field.default is None else "as by default"))
        elif isinstance(value, tuple):
            inside += [("edge", item, "on") for item in value]
        elif value != field.default:
            plain.append(f"{field.name} {value:.4g}" if isinstance(value, float) else f"{field.name} {value}")
    if name:
        yield name, ", ".join(plain) or if_plain
    for inner in inside:
        yield from _parts(*inner)
