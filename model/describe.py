"""A TrialConfig in lines to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from model.checked import Checked
from model.config import TrialConfig


def describe(config: TrialConfig) -> list[str]:
    """One line for each of the configuration's parts and tasks. Fields at their default are left out: what has no
    effect is among them."""
    parts = list(_parts("", config))
    width = max(len(name) for name, _ in parts)
    return [f"{name:{width}}  {values or 'as by default'}" for name, values in parts]


def _parts(name: str, part: Checked) -> Iterator[tuple[str, str]]:
    """The part called `name` and those inside it, each with its own plain values."""
    plain, inside = [], []
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.name == "tasks":
            inside += value.items()
        elif isinstance(value, Checked):
            inside.append((field.name, value))
        elif isinstance(value, tuple):
            inside += [("edge", item) for item in value]
        elif value != field.default:
            plain.append(f"{field.name} {value:.4g}" if isinstance(value, float) else f"{field.name} {value}")
    if name:
        yield name, ", ".join(plain)
    for inner, value in inside:
        yield from _parts(inner, value)
