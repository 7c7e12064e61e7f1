"""The rooms of the house keep to their doors: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("spaces", "model", "search", "analysis", "benchmarks")

FORBIDDEN = {
    "spaces": ("ray", "torch", "search", "analysis", "model.data", "model.network", "model.training"),
    "model": ("ray", "optuna", "search", "spaces", "analysis", "benchmarks"),
    "search": ("spaces", "analysis", "benchmarks"),
    "analysis": ("ray", "spaces", "search", "benchmarks"),
    "benchmarks": ("spaces", "analysis"),
}
ALLOWED_ALL_THE_SAME = {
    "spaces": ("model.data.tasks",),
    "analysis": (
        *(
            "search.run_folder",
            "search.standing",
            "search.commands",
            "search.records",
            "search.ledger",
            "search.leaderboard",
            "search.pareto",
            "search.space",
        ),
        *("search.job", "search.retrain"),  # what trains a given list of configurations
    ),
}


def within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imports(path)
        if within(module, FORBIDDEN[room]) and not within(module, ALLOWED_ALL_THE_SAME.get(room, ()))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("model.training.loop", ("ray", "optuna", "search", "analysis")),
        ("search.standing", ("ray", "torch", "optuna")),
        ("analysis.best", ("ray", "torch", "optuna")),
        ("analysis.winner.refit", ("ray",)),
        ("analysis.report", ("ray", "torch")),
        ("analysis.export", ("ray", "torch")),
        ("analysis.papers", ("ray", "optuna")),
    ],
)
def test_importing_a_module_loads_nothing_it_must_not(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
