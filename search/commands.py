"""What to type: this package's commands, called in the way in which this one was.

After `pip install`, two of them have a name in the console (pyproject.toml); all of them are `python -m MODULE`.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

CONSOLE_NAMES = {"search.run": "minbert-search", "analysis.best": "minbert-best"}
"""By module."""


def own_name(module: str) -> str:
    """What the command in `module` calls itself in its usage."""
    return CONSOLE_NAMES[module] if _by_name(module) else f"python -m {module}"


def command(module: str) -> str:
    """What to type to run `module` in the environment that this Python is of."""
    return as_typed(CONSOLE_NAMES[module]) if _by_name(module) else f"{as_typed('python')} -m {module}"


def as_typed(program: str) -> str:
    """`program` of the environment that this Python is of: by name where the shell finds that one, else by path."""
    folder = Path(sys.executable).parent
    found = shutil.which(program)
    if found and Path(found).parent.resolve() == folder.resolve():
        return program
    path = Path(sys.executable) if program == "python" else folder / program
    if not path.exists():
        return program
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _by_name(module: str) -> bool:
    """Whether `module` has a name in the console, and one of these names was typed."""
    return module in CONSOLE_NAMES and Path(sys.argv[0]).stem in CONSOLE_NAMES.values()
