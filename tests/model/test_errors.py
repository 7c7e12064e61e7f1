"""How a command line ends: on what a user got wrong, on Ctrl-C, and where nobody reads what it writes."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.errors import READER_GONE, reported

ROOT = Path(__file__).parents[2]
ROOMS = ("model", "search", "analysis", "benchmarks")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
BEGIN = """
import os, sys
from model.console import Console
from model.errors import UserError, reported
with reported():
    """


def ended(code: str, *, unread: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit code and error output of a Python that runs `code`, the streams called `unread` being pipes that their
    reader has closed."""
    read, write = os.pipe()
    os.close(read)
    streams = {name: write if name in unread else subprocess.PIPE for name in ("stdout", "stderr")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
        check=False,
        **streams,  # type: ignore[arg-type]
    )
    os.close(write)
    return done.returncode, done.stderr


def test_an_error_and_an_interruption_have_exit_codes_of_their_own() -> None:
    assert ended(BEGIN + "print('all')") == (0, "")
    assert ended(BEGIN + "raise UserError('no such file')") == (2, "error: no such file\n")
    assert ended(BEGIN + "raise KeyboardInterrupt") == (130, "")


@pytest.mark.parametrize(
    "work",
    [
        pytest.param("print('a little')", id="buffered until the end"),
        pytest.param("print('much' * 100_000)", id="more than is buffered"),
        pytest.param("[print('many lines') for _ in range(100_000)]", id="many lines"),
        pytest.param("print('help'); sys.exit(0)", id="as --help does"),
        pytest.param("print('a little'); raise UserError('no such file')", id="an error"),
        pytest.param("Console().print('a little')", id="rich's console"),
        pytest.param("[Console().print('many lines') for _ in range(1000)]", id="many lines of rich's console"),
    ],
)
@pytest.mark.parametrize("unread", [("stdout",), ("stdout", "stderr")])
def test_a_reader_that_has_gone_is_no_error(work: str, unread: tuple[str, ...]) -> None:
    code, said = ended(BEGIN + work, unread=unread)
    assert code == READER_GONE
    if "stderr" not in unread:
        assert said == ("error: no such file\n" if "UserError" in work else "")


def test_a_reader_that_goes_with_ctrl_c_changes_nothing_of_it() -> None:
    work = "console = Console(); console.may_be_unread = True; [console.print('stopping') for _ in range(9)]; "
    assert ended(BEGIN + work + "sys.exit(130)", unread=("stdout",)) == (130, "")


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_file_behind_it_an_output_has_no_reader_that_goes(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    with pytest.raises(BrokenPipeError, match="to another process"), reported():
        raise BrokenPipeError("to another process")


def test_other_broken_pipes_are_told() -> None:
    broken = "read, write = os.pipe(); os.close(read); os.write(write, b'to another process')"
    code, said = ended(BEGIN + broken)
    assert code == 1
    assert said.endswith("BrokenPipeError: [Errno 32] Broken pipe\n")


def test_a_crash_is_told_where_nobody_reads() -> None:
    code, said = ended(BEGIN + "print('a little'); raise ValueError('a bug')", unread=("stdout",))
    assert code != READER_GONE
    assert "ValueError: a bug" in said


@pytest.mark.parametrize(
    "command",
    [
        "search.run --help",
        "analysis.best --help",
        "analysis.papers --help",
        "search.run --dry-run 40 --data demo",
    ],
)
def test_a_command_that_is_not_read_to_its_end(command: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == READER_GONE


FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")) if "tyro.cli(" in path.read_text()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_reported_from_its_flags_on(path: Path) -> None:
    tree = ast.parse(path.read_text())
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.With) and is_call(node.items[0], "reported")]
    inside = sum(is_call(node, "tyro.cli") for block in blocks for node in ast.walk(block))
    assert inside == sum(is_call(node, "tyro.cli") for node in ast.walk(tree)) > 0


def is_call(node: ast.AST, name: str) -> bool:
    call = node.context_expr if isinstance(node, ast.withitem) else node
    return isinstance(call, ast.Call) and ast.unparse(call.func) == name
