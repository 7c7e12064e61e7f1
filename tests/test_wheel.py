"""A wheel has all that the commands need, and they run from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("spaces", "model", "search", "analysis", "benchmarks")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
"""What pip does, without its own environment, for which it would fetch packages."""
SEARCH = "import sys; from search.run import main; sys.argv[0] = 'minbert-search'; sys.exit(main())"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    subprocess.run([sys.executable, "-c", BUILD, built], cwd=source, check=True, capture_output=True)
    (found,) = built.glob("*.whl")
    return found


@pytest.mark.slow
def test_every_file_of_every_room_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.partition("/")[0] in ROOMS}
        (scripts,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("entry_points.txt"))
    tracked = subprocess.run(["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True)
    on_pages = {name for name in tracked.stdout.splitlines() if name.endswith(".md") or "/pictures/" in name}
    assert {*tracked.stdout.splitlines()} - on_pages <= held
    assert not on_pages & held
    assert "minbert-search = search.run:main\n" in scripts
    assert "minbert-best = analysis.best:main\n" in scripts


@pytest.mark.slow
def test_it_searches_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "packages")
    here = tmp_path / "elsewhere"
    here.mkdir()
    path = os.pathsep.join(filter(None, [str(tmp_path / "packages"), os.environ.get("PYTHONPATH")]))

    def said(*flags: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", SEARCH, *flags],
            cwd=here,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "1. point sentence-bert" in said("--dry-run", "1")
    assert "1. point" in said("--dry-run", "1", "--space", "spaces/papers.py")
