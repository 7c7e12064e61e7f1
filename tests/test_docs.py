"""What README and docs/ show is true: commands are taken, links lead somewhere, examples run."""

from __future__ import annotations

import csv
import re
import shlex
import textwrap
from collections.abc import Callable
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tyro

from analysis import best, export, papers, predict, report
from benchmarks import best_by_epochs, scale
from model.data.corpus import Corpus
from model.data.task_file import read_task_file
from model.data.tasks import _SOURCE_KEYS, _TASK_KEYS
from model.network.pretrained import Encoder
from model.problem import Problem
from model.training import pretrain
from search import run
from search.commands import CONSOLE_NAMES
from search.flags import Flags, check_flags
from search.run import with_newest
from search.space import check_space, load_space

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
OWN_SPACE, OWN_TASKS = (ROOT / "docs" / name for name in ("own-space.md", "own-tasks.md"))
FLAGS: dict[str, Any] = {
    "search.run": Flags,
    "analysis.best": best.Arguments,
    "analysis.papers": papers.Arguments,
    "analysis.report": report.Arguments,
    "analysis.predict": predict.Arguments,
    "analysis.export": export.Arguments,
    "model.training.pretrain": pretrain.Flags,
    "benchmarks.best_by_epochs": best_by_epochs.Arguments,
    "benchmarks.scale": scale.Arguments,
}
WITHOUT_FLAGS = ("model.reference",)
MAIN: dict[str, Callable[[list[str]], int | None]] = {
    "search.run": run.main,
    "analysis.best": best.main,
    "analysis.report": report.main,
    "analysis.predict": predict.main,
}
MODULES = {name: module for module, name in CONSOLE_NAMES.items()}


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """The module and the arguments of every command of this package that a page shows, in order."""
    text = page.read_text().replace("\\\n", "")  # a command in two lines
    found = re.findall(r"(?:\bpython -m ([a-z_.]+)|^ +(minbert-\w+))\b(.*)", text, re.MULTILINE)
    ours = ("search.", "analysis.", "model.", "benchmarks.")
    return [
        (module or MODULES[name], shlex.split(re.split("[`#>]", rest)[0]))
        for module, name, rest in found
        if name or module.startswith(ours)
    ]


def block(page: Path, begins: str) -> str:
    """The indented lines that begin with a text, up to the first line of prose."""
    text = page.read_text()
    lines = text[text.index(f"    {begins}") :].splitlines()
    end = next((i for i, line in enumerate(lines) if line and not line.startswith("    ")), len(lines))
    return textwrap.dedent("\n".join(lines[:end])).rstrip() + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_taken(page: Path) -> None:
    for module, arguments in commands(page):
        if module in WITHOUT_FLAGS:
            assert arguments == []
            continue
        taken = tyro.cli(FLAGS[module], args=with_newest(arguments), config=(tyro.conf.FlagCreatePairsOff,))
        if isinstance(taken, Flags):
            check_flags(taken)


def test_commands_are_found() -> None:
    """A page that shows none in a way that is not seen here would pass for the wrong reason."""
    shown = {page.name: {module for module, _ in commands(page)} for page in PAGES}
    assert shown["README.md"] >= {module for module in FLAGS if not module.startswith("benchmarks.")}
    assert shown["first-search.md"] == {"search.run", "analysis.best", "analysis.predict"}
    assert shown["own-tasks.md"] == {"search.run", "analysis.best", "analysis.predict"}
    assert shown["own-space.md"] == {"search.run"}
    assert shown["report.md"] == {"analysis.best", "analysis.report"}
    assert shown["runs.md"] == {"search.run", "analysis.export"}


def test_git_ignores_what_the_commands_write() -> None:
    ignored = [line[1:] for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/")]
    flags = ("--optuna", "--csv", "--curves", "--picture", "--tasks")
    pages = (*PAGES, ROOT / "benchmarks" / "README.md")
    found = [arguments for page in pages for _, arguments in commands(page)]
    files = {value for one in found for flag, value in pairwise(one) if flag in flags and "." in value}
    assert files == {"study.db", "trials.csv", "mine.npz", "searches.svg", "scale.svg", "my_tasks.toml"}
    assert [file for file in files if not any(fnmatch(file, pattern) for pattern in ignored)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(((?!https?:|#)[^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_a_page_find_their_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(((?!https?:)[^)#]*)#([^)]+)\)", page.read_text()):
        text = (page.parent / target if target else page).read_text()
        headings = [
            re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)", text, re.M)
        ]
        assert anchor in headings, f"{page.name}: {target}#{anchor}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = re.findall(r"\]\(docs/([\w-]+\.md)", (ROOT / "README.md").read_text())
    assert {page.name for page in PAGES[1:]} == set(linked)


# Your own space ------------------------------------------------------------------------------------------------------


def test_the_space_is_a_space(tmp_path: Path, corpus: Corpus, encoder: Encoder) -> None:
    path = tmp_path / "my_space.py"
    path.write_text(block(OWN_SPACE, "from model.config"))
    problem = Problem.of(corpus, encoder.shape)
    space = load_space(path, problem)
    assert set(check_space(space, problem)) == {"pair_encoding", "freeze_depth", "learning_rate"}
    assert space.points.keys() == {"usual"}


def test_its_dry_run_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_space.py").write_text(block(OWN_SPACE, "from model.config"))
    ((_, arguments),) = [shown for shown in commands(OWN_SPACE) if "--dry-run" in shown[1]]
    assert run.main(arguments) == 0
    assert capsys.readouterr().out == block(OWN_SPACE, "space    ")


# Your own tasks ------------------------------------------------------------------------------------------------------


def test_the_tasks_are_tasks(tmp_path: Path) -> None:
    path = tmp_path / "tasks.toml"
    path.write_text(block(OWN_TASKS, "[[task]]"))
    tickets, answers = read_task_file(path)
    assert tickets.task.classes == ("billing", "bugs", "praise")
    assert (answers.task.is_pair, answers.id_column) == (True, "uid")


def test_every_key_of_a_task_is_documented() -> None:
    text = OWN_TASKS.read_text()
    for key in (*_TASK_KEYS, *_SOURCE_KEYS):
        assert f"`{key}" in text, key


def write_tickets() -> None:
    """The page's first task with rows like those that it shows, in the working directory."""
    header, *rows = csv.reader(block(OWN_TASKS, "subject,queue").splitlines())
    with Path("tickets.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *([f"{text} {i}", label] for i in range(60) for text, label in rows)])
    Path("my_tasks.toml").write_text(block(OWN_TASKS, "[[task]]").split("\n\n")[0])


def test_their_dry_run_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but where the files lie, and how many rows they have."""
    monkeypatch.chdir(tmp_path)
    write_tickets()
    ((_, arguments),) = [shown for shown in commands(OWN_TASKS) if "--dry-run" in shown[1]]
    assert run.main(arguments) == 0
    said = capsys.readouterr().out.replace(str(ROOT / "spaces"), "spaces").replace(str(tmp_path), "/home/me")
    shown = block(OWN_TASKS, "space    ").removesuffix("...\n")
    assert re.sub(r"tickets \d+", "tickets 213", said).startswith(shown)


@pytest.mark.slow
def test_the_way_from_files_to_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command of the page in its order, on rows like those that it shows."""
    monkeypatch.chdir(tmp_path)
    write_tickets()
    Path("new.csv").write_text(block(OWN_TASKS, "subject\n"))
    shown = commands(OWN_TASKS)
    assert shown.pop() == ("search.run", ["--tasks", "my_tasks.toml", "--budget", "2h", "--run", "mine"])
    for module, arguments in shown:
        assert not MAIN[module](arguments), (module, arguments)
    predicted = capsys.readouterr().out.splitlines()[-3:]
    assert predicted[0] == block(OWN_TASKS, "subject,predicted").splitlines()[0]
