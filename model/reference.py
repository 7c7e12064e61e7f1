"""docs/reference.md, every field of TrialConfig, from the code: python -m model.reference > docs/reference.md"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from model.checked import Checked
from model.config import TrialConfig
from model.errors import reported

HEAD = """# Every field of TrialConfig

Written by `python -m model.reference` from the docstrings in [model/config.py](../model/config.py), which also has the
checks of what goes together. A space returns a `TrialConfig`; what it does not say is as by default, and a technique is
off by default. In brackets stands the paper that a field is taken from, with its section, table or equation; the five
reports among them are listed in [papers.md](papers.md).
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for part in _parts(TrialConfig) for line in _section(part))])


def _parts(whole: type[Checked]) -> list[type[Checked]]:
    """`whole` and all that is inside it, each once, in the order of the fields."""
    found = [whole]
    for hint in typing.get_type_hints(whole).values():
        for part in _inside(hint):
            found += [one for one in _parts(part) if one not in found]
    return found


def _inside(hint: Any) -> Iterator[type[Checked]]:
    """The parts of a configuration that a type is made of."""
    if isinstance(hint, type) and issubclass(hint, Checked):
        yield hint
    for argument in typing.get_args(hint):
        yield from _inside(argument)


def _section(part: type[Checked]) -> list[str]:
    hints, docs = typing.get_type_hints(part), field_docs(part)
    rows = [
        f"| `{field.name}` | {_values(field, hints[field.name])} | {_default(field)} | {_cell(docs[field.name])} |"
        for field in dataclasses.fields(part)
    ]
    table = ["| field | allowed | default | meaning |", "|---|---|---|---|", *rows]
    return [f"## {part.__name__}", "", _line(part.__doc__ or ""), "", *table, ""]


def field_docs(part: type[Checked]) -> dict[str, str]:
    """The docstring under each field: nothing but the source knows it."""
    (definition,) = ast.parse(inspect.getsource(part)).body
    assert isinstance(definition, ast.ClassDef), "it is the source of a class"
    docs = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            assert isinstance(below, ast.Expr), "a docstring is under each field"
            docs[statement.target.id] = ast.literal_eval(below.value)
    return docs


def _values(field: dataclasses.Field[Any], hint: Any) -> str:
    """What may stand in a field."""
    if type(None) in typing.get_args(hint):
        (given,) = (one for one in typing.get_args(hint) if one is not type(None))
        return f"{_values(field, given)}, or `None`"
    parts = [f"[{part.__name__}](#{part.__name__.lower()})" for part in _inside(hint)]
    match typing.get_origin(hint):
        case origin if origin is Literal:
            return ", ".join(f"`{choice!r}`" for choice in typing.get_args(hint))
        case origin if origin is Mapping:
            return f"{parts[0]} by name"
        case origin if origin is tuple:
            return f"one {parts[0]} or more"
    if parts:
        return parts[0]
    if hint is bool:
        return "`True`, `False`"
    if hint is str:
        return "text"
    low, high = f"{field.metadata['low']:g}", f"{field.metadata['high']:g}"
    kind = "whole number" if hint is int else "number"
    return f"{kind} above {low}, up to {high}" if field.metadata["above"] else f"{kind} from {low} to {high}"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    return "its defaults" if field.default_factory is not dataclasses.MISSING else "must be given"


def _cell(doc: str) -> str:
    return _line(doc).replace("|", r"\|")


def _line(doc: str) -> str:
    return " ".join(doc.split())


if __name__ == "__main__":
    with reported():
        sys.stdout.write(reference())
