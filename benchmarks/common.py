"""What the benchmarks share: their flags' checks, where they ran, and data that is quickly evaluated."""

from __future__ import annotations

import dataclasses
import importlib.util
import platform
from datetime import date
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from model.data.tokens import Tokens
from model.errors import UserError


class Common(Protocol):
    """Flags that all of them have."""

    @property
    def batch_size(self) -> int: ...
    @property
    def repeats(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def device(self) -> Literal["cpu", "cuda"]: ...


def check_common(arguments: Common, *counts: str) -> None:
    """Raises UserError where one of the flags called `counts` is below 1, or there is no such device."""
    values: dict[str, Any] = vars(arguments)
    for name in counts:
        if values[name] < 1:
            raise UserError(f"--{name.replace('_', '-')} {values[name]}: allowed is a whole number from 1")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: there is no GPU here")


def check_installed(*packages: str) -> None:
    """Raises UserError where one of the packages that only benchmarks need is missing."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f'{package} is not installed; .venv/bin/python -m pip install -c constraints.txt -e ".[benchmarks]"'
            )


def check_picture(path: Path | None) -> None:
    """Raises UserError where a picture can't be drawn into the file, before anything is measured for it."""
    if path is None:
        return
    if path.suffix not in (".svg", ".png"):
        raise UserError(f"--picture {path}: allowed is a name that ends in .svg or .png")
    if not path.parent.is_dir():
        raise UserError(f"--picture {path}: no such folder as {path.parent}")


def heading(arguments: Common, *, precision: str | None = None) -> str:
    """When, where and how it was measured."""
    on = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{platform.machine()} CPU"
    computing = f", {precision}" if precision else ""
    return (
        f"{date.today()}, {on}, {arguments.threads} threads{computing}, torch {torch.__version__}, "
        f"batches of {arguments.batch_size}, {arguments.repeats} repeats in turns"
    )


def with_short_evaluation(tokens: Tokens) -> Tokens:
    """Only steps are timed: evaluation after an epoch need not take long."""
    splits = {
        task: {**parts, "dev": dataclasses.replace(
            parts["dev"],
            sentences=tuple(dataclasses.replace(s, starts=s.starts[:9]) for s in parts["dev"].sentences),
            labels=parts["dev"].labels[:8],
            contaminated=parts["dev"].contaminated[:8],
        )}
        for task, parts in tokens.splits.items()
    }  # fmt: skip
    return dataclasses.replace(tokens, splits=splits)
