"""Checks of the values in a task's table. Each raises TaskError: what is wrong, and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from model.nearest import nearest

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
OF_MODULES = frozenset(
    """
    T_destination add_module apply bfloat16 buffers call_super_init children clear compile copy cpu cuda double
    dump_patches eval extra_repr float forward fromkeys get get_buffer get_extra_state get_parameter get_submodule
    half ipu items keys load_state_dict modules mtia named_buffers named_children named_modules named_parameters
    parameters pop popitem register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
    register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule setdefault share_memory state_dict
    to to_empty train training type update values xpu zero_grad
    """.split()  # noqa: SIM905 - a list would have a line for each
)
"""Attributes of the torch modules that hold a part of the model for each task: no part can be called so."""


class TaskError(ValueError):
    """What is wrong with a task's table, and what is allowed."""

    def __init__(self, key: str | None, message: str) -> None:
        super().__init__(message)
        self.key = key
        """Where: None where something is missing."""


def tables(found: object) -> list[Mapping[str, Any]]:
    """A list of tables, in what was read."""
    if not isinstance(found, list):
        raise TaskError(None, f"tasks are {found!r}; allowed is a list of tables")
    for table in found:
        if not isinstance(table, Mapping):
            raise TaskError(None, f"a task is {table!r}; allowed is a table")
    return found


def check_keys(values: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuses a key that is none of `allowed`, and names the nearest one."""
    for key in values:
        if key not in allowed:
            near = nearest(key, allowed)
            hint = f"did you mean {near!r}?" if near else f"allowed are {listed(allowed)}"
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
        example = f", such as {json.dumps([found], ensure_ascii=False)}" if isinstance(found, str) and found else ""
        raise TaskError(key, f"{key} is {found!r}; allowed is a list of texts{example}")
    return tuple(found)


def choice(values: Mapping[str, Any], key: str, choices: Sequence[Any], why: str = "") -> Any:
    """One of `choices`, which must be there; `why` says what these follow from."""
    allowed = f"{listed(choices)}{why}"
    found = needed(values, key, f"one of {allowed}")
    if found not in choices:
        raise TaskError(key, f"{key} is {found!r}; allowed is one of {allowed}")
    return found


def task_name(values: Mapping[str, Any]) -> str:
    """What a task is called, which parameters, files and parts of models are called after."""
    name = text(values, "name")
    if not NAME.fullmatch(name):
        raise TaskError("name", f"name is {name!r}; allowed are up to 40 letters, digits, '_' and '-', a letter first")
    if name == "overall":
        raise TaskError("name", f"name is {name!r}, which is what the mean of all tasks is called; give it another")
    if name in OF_MODULES:
        raise TaskError("name", f"name is {name!r}, which means something to torch's modules; give it another")
    return name


def listed(choices: Sequence[str]) -> str:
    """For a message."""
    return ", ".join(choices) or "none"
