"""Checks of the values in a task's table. Each raises TaskError: what is wrong, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any


class TaskError(ValueError):
    """What is wrong with a task's table, and what is allowed."""

    def __init__(self, key: str | None, message: str) -> None:
        super().__init__(message)
        self.key = key
        """Where: None where something is missing."""


def check_keys(values: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuses a key that is none of `allowed`, and names the nearest one."""
    for key in values:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed are {listed(allowed)}"
            raise TaskError(key, f"a task has no {key!r}; {hint}")


def needed(values: Mapping[str, Any], key: str, allowed: str) -> Any:
    """The value of a key that must be there."""
    if key not in values:
        raise TaskError(None, f"{key} is missing; allowed is {allowed}")
    return values[key]


def text(values: Mapping[str, Any], key: str) -> str:
    """A text that must be there."""
    found = needed(values, key, "a text")
    if not isinstance(found, str) or not found.strip() or "\0" in found:
        raise TaskError(key, f"{key} is {found!r}; allowed is a text")
    return found


def optional_text(values: Mapping[str, Any], key: str) -> str | None:
    """A text that may be there."""
    return text(values, key) if key in values else None


def texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts that must be there."""
    found = needed(values, key, "a list of texts")
    if not isinstance(found, list | tuple) or not found or not all(isinstance(one, str) and one for one in found):
        raise TaskError(key, f"{key} is {found!r}; allowed is a list of texts")
    return tuple(found)


def choice(values: Mapping[str, Any], key: str, choices: Sequence[Any], why: str = "") -> Any:
    """One of `choices`, which must be there; `why` says what these follow from."""
    allowed = f"{listed(choices)}{why}"
    found = needed(values, key, f"one of {allowed}")
    if found not in choices:
        raise TaskError(key, f"{key} is {found!r}; allowed is one of {allowed}")
    return found


def listed(choices: Sequence[str]) -> str:
    """For a message."""
    return ", ".join(choices) or "none"
