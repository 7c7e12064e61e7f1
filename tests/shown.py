"""What README and the other pages show: the commands to type, in order, and blocks of text."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from search.commands import CONSOLE_NAMES

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "benchmarks" / "README.md",
        ROOT / "CONTRIBUTING.md",
    )
}
"""By their names from the root."""
README = PAGES["README.md"]
OWN_SPACE, OWN_TASKS = PAGES["docs/own-space.md"], PAGES["docs/own-tasks.md"]
WITHOUT_FLAGS = ("model.reference",)
Command = tuple[str, list[str]]
"""A module, or a program that is none of this package's, and its arguments."""

_MODULES = {name: module for module, name in CONSOLE_NAMES.items()}
_TYPED = re.compile(
    r"\bpython -m ([a-z_.]+)\b(.*)"  # in a block, in a sentence, or in a comment
    r"|^ {4,}(?:\.venv/bin/(?!python )([\w-]+)|(minbert-\w+|make|sbatch|export))\b(.*)",
    re.MULTILINE,
)


def typed(page: Path) -> list[Command]:
    """All that a page shows to type, in order: of blocks whatever lies in .venv/bin, and the shell's own below."""
    text = page.read_text().replace("\\\n", "")  # a command in two lines
    found = []
    for module, rest, installed, other, more in _TYPED.findall(text):
        program = module or installed or other
        found.append((_MODULES.get(program, program), shlex.split(re.split("[`#>]", rest or more)[0])))
    return found


def commands(page: Path) -> list[Command]:
    """Those of them that are this package's."""
    ours = ("search.", "analysis.", "model.", "benchmarks.")
    return [command for command in typed(page) if command[0].startswith(ours)]


def make(target: str) -> list[Command]:
    """What `make` runs for a target, by the lines below it in Makefile."""
    lines = (ROOT / "Makefile").read_text().partition(f"\n{target}:")[2].partition("\n\n")[0]
    return [(module, shlex.split(rest)) for module, rest in re.findall(r"^\t.*python -m ([\w.]+)(.*)", lines, re.M)]


def main_of(module: str) -> Callable[[list[str]], int | None]:
    """What runs a command of this package, by its module. Anything but 0 and None says that it failed."""
    return importlib.import_module(module).main


def flags_of(module: str) -> Any:
    """The class of a command's flags."""
    found = importlib.import_module(module)
    return found.Arguments if hasattr(found, "Arguments") else found.Flags


def block(page: Path, begins: str) -> str:
    """The indented lines that begin with a text, up to the first line of prose."""
    text = page.read_text()
    lines = text[text.index(f"    {begins}") :].splitlines()
    end = next((i for i, line in enumerate(lines) if line and not line.startswith("    ")), len(lines))
    return textwrap.dedent("\n".join(lines[:end])).rstrip() + "\n"


def write_tickets() -> None:
    """The first task of own-tasks.md and its rows, made as the page makes them, in the working directory."""
    Path("my_tickets.py").write_text(block(OWN_TASKS, "import csv"))
    subprocess.run([sys.executable, "my_tickets.py"], check=True)
    Path("my_tasks.toml").write_text(block(OWN_TASKS, "[[task]]").split("\n\n")[0])
