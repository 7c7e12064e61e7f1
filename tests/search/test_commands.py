"""Commands by their name in the console, and as `python -m`: what they call themselves, and what they say to type."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from search.commands import CONSOLE_NAMES, as_typed, command, own_name

ROOT = Path(__file__).parents[2]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def entry_point(name: str) -> Callable[[], int]:
    """What pip makes a program of."""
    module, _, function = SCRIPTS[name].partition(":")
    return getattr(importlib.import_module(module), function)


def test_the_names_are_those_that_pip_makes() -> None:
    assert {name: f"{module}:main" for module, name in CONSOLE_NAMES.items()} == SCRIPTS


@pytest.mark.parametrize(("module", "name"), CONSOLE_NAMES.items())
@pytest.mark.parametrize("typed", ["{name}", "/usr/bin/{name}", "C:/{name}.exe"])
def test_a_command_calls_itself_what_was_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str, name: str, typed: str
) -> None:
    monkeypatch.setattr("sys.argv", [typed.format(name=name), "--help"])
    with pytest.raises(SystemExit) as exit_:
        entry_point(name)()
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name} [-h]")
    monkeypatch.setattr("sys.argv", [str(ROOT / f"{module.replace('.', '/')}.py"), "--help"])
    with pytest.raises(SystemExit):
        entry_point(name)()
    assert capsys.readouterr().out.startswith(f"usage: python -m {module} [-h]")


def test_what_it_can_not_read_is_told_by_the_name_that_was_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["minbert-search", "--trails", "3"])
    with pytest.raises(SystemExit) as exit_:
        entry_point("minbert-search")()
    assert exit_.value.code == 2
    assert "minbert-search --help" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["minbert-best", "--runs-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as exit_:
        entry_point("minbert-best")()
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: no runs here; minbert-search starts one\n"


def test_what_to_type_next_is_called_like_this_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.commands.as_typed", lambda program: f"bin/{program}")
    for argv, search, report in (
        ("bin/minbert-best", "bin/minbert-search", "bin/python -m analysis.report"),
        ("analysis/best.py", "bin/python -m search.run", "bin/python -m analysis.report"),
    ):
        monkeypatch.setattr("sys.argv", [argv])
        assert (command("search.run"), command("analysis.report")) == (search, report)
    assert own_name("analysis.report") == "python -m analysis.report"


def test_programs_are_named_as_the_shell_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_ = tmp_path / "my venv/bin"
    bin_.mkdir(parents=True)
    for program in ("python", "tensorboard"):
        (bin_ / program).touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(bin_ / "python"))
    monkeypatch.setenv("PATH", str(bin_))
    assert as_typed("python") == "python"
    monkeypatch.setenv("PATH", "")
    assert as_typed("tensorboard") == f"'{bin_}/tensorboard'"
    monkeypatch.chdir(bin_.parent)
    assert (as_typed("python"), as_typed("tensorboard")) == ("bin/python", "bin/tensorboard")
    assert as_typed("other") == "other"
