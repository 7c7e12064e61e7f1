"""Dataclasses that check themselves: the machinery under `model.config`.

A ValueError names the field, its value and what is allowed, where a value is made and where it is read from JSON.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, Literal, Self

from model.nearest import nearest


def number(default: float | None, low: float, high: float, *, above: bool = False) -> Any:
    """A float or int field between `low` (exclusive with `above`) and `high`, both in the field's own unit."""
    return field(default=default, metadata={"low": low, "high": high, "above": above})


class Checked:
    """Checks every field against its type and range; gives dictionaries there and back."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __new__(cls, *_: object, **values: object) -> Self:
        """Before `__init__`, whose TypeError for a misspelt field would not name the nearest one."""
        _check_names(cls, values, where=cls.__name__)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for f, hint, origin, optional in _fields(type(self)):
            value = getattr(self, f.name)
            if value is not None or not optional:
                _check_field(f, hint, origin, value, where=type(self).__name__)

    def refuse_without_effect(self, name: str, because: str) -> None:
        value, default = getattr(self, name), self.__dataclass_fields__[name].default
        if value != default:
            raise ValueError(
                f"{type(self).__name__}.{name} = {value!r} has no effect {because}: "
                f"leave it at its default, {default!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: what JSON can hold."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. A key that no field has is refused, with the nearest one named."""
        return _from_dict(cls, values, where=cls.__name__)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)  # evaluates them anew each time, and a search draws some hundred configurations


@functools.cache
def _fields(cls: Any) -> list[tuple[dataclasses.Field[Any], Any, Any, bool]]:
    """Each field with its type, less None, what that is made of, and whether None may be there."""
    found = []
    for f in dataclasses.fields(cls):
        whole = _hints(cls)[f.name]
        hint = _without_none(whole)
        found.append((f, hint, typing.get_origin(hint), hint is not whole))
    return found


def _check_names(cls: Any, values: Mapping[str, object], where: str) -> None:
    names = cls.__dataclass_fields__
    for key in values:
        if key not in names:
            near = nearest(str(key), names)
            hint = f"did you mean {near!r}?" if near else f"its fields are {', '.join(names)}"
            raise ValueError(f"{where} has no field {key!r}: {hint}")


def _check_field(f: dataclasses.Field[Any], hint: Any, origin: Any, value: Any, where: str) -> None:
    def refuse(allowed: str) -> typing.NoReturn:
        raise ValueError(f"{where}.{f.name} = {value!r}: allowed is {allowed}")

    if origin is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            refuse("one of " + ", ".join(map(repr, choices)))
    elif hint is bool:
        if not isinstance(value, bool):
            refuse("True or False")
    elif hint in (int, float):
        low, high, above = f.metadata["low"], f.metadata["high"], f.metadata["above"]
        is_kind = isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
        if not is_kind or not low <= value <= high or (above and value == low):  # neither does nan lie between
            kind = "a whole number" if hint is int else "a number"
            refuse(f"{kind} {'above' if above else 'from'} {low:g} {'up to' if above else 'to'} {high:g}")
    elif origin is tuple:
        part = typing.get_args(hint)[0]
        if not isinstance(value, tuple) or not all(isinstance(item, part) for item in value):
            refuse(f"a tuple of {part.__name__}(...)")
    elif isinstance(hint, type) and not isinstance(value, hint):
        refuse(f"{hint.__name__}(...)" if dataclasses.is_dataclass(hint) else f"a {hint.__name__}")


def _without_none(hint: Any) -> Any:
    """What may be there, of something optional."""
    if type(None) not in typing.get_args(hint):
        return hint
    return next(h for h in typing.get_args(hint) if h is not type(None))


def _from_dict(cls: Any, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} = {values!r}: allowed is a mapping of its fields")
    _check_names(cls, values, where)
    hints = _hints(cls)
    made = {}
    for key, value in values.items():
        hint = _without_none(hints[key])
        if dataclasses.is_dataclass(hint) and not (value is None and hint is not hints[key]):
            value = _from_dict(hint, value, where=f"{where}.{key}")
        elif typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
            part = typing.get_args(hint)[0]
            value = tuple(_from_dict(part, v, where=f"{where}.{key}[{i}]") for i, v in enumerate(value))
        elif typing.get_origin(hint) is Mapping and isinstance(value, Mapping):
            part = typing.get_args(hint)[1]
            value = {name: _from_dict(part, v, where=f"{where}.{key}[{name!r}]") for name, v in value.items()}
        made[key] = value
    for f in dataclasses.fields(cls):
        if f.name not in made and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}.{f.name} is missing")
    return cls(**made)
