"""What README and docs/ show is true: commands are taken, links lead somewhere, examples run."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import pytest
import tyro

from model.data.corpus import Corpus
from model.data.task_file import read_task_file
from model.data.tasks import _SOURCE_KEYS, _TASK_KEYS
from model.network.pretrained import Encoder
from model.problem import Problem
from search import run
from search.flags import Flags, check_flags
from search.run import with_newest
from search.space import check_space, load_space
from tests.shown import (
    OWN_SPACE,
    OWN_TASKS,
    PAGES,
    README,
    ROOT,
    WITHOUT_FLAGS,
    block,
    commands,
    flags_of,
    main_of,
    write_tickets,
)

EACH_PAGE = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


@EACH_PAGE
def test_commands_are_taken(page: Path) -> None:
    for module, arguments in commands(page):
        if module in WITHOUT_FLAGS:
            assert arguments == []
            continue
        taken = tyro.cli(flags_of(module), args=with_newest(arguments), config=(tyro.conf.FlagCreatePairsOff,))
        if isinstance(taken, Flags):
            check_flags(taken)


def test_commands_are_found() -> None:
    """A page that shows none in a way that is not seen here would pass for the wrong reason."""
    shown = {name: {module for module, _ in commands(page)} for name, page in PAGES.items()}
    looked_at = {"best", "papers", "report", "predict", "export"}
    assert shown["README.md"] >= {"search.run", "model.training.pretrain", *(f"analysis.{name}" for name in looked_at)}
    assert shown["docs/first-search.md"] == {"search.run", "analysis.best", "analysis.predict"}
    assert shown["docs/own-tasks.md"] == {"search.run", "analysis.best", "analysis.predict"}
    assert shown["docs/own-space.md"] == {"search.run"}
    assert shown["docs/report.md"] == {"analysis.best", "analysis.report"}
    assert shown["docs/runs.md"] == {"search.run", "analysis.export"}
    files = (ROOT / "benchmarks").glob("*.py")
    measured = {f"benchmarks.{path.stem}" for path in files if "\ndef main(" in path.read_text()}
    assert shown["benchmarks/README.md"] >= measured


def test_git_ignores_what_the_commands_write() -> None:
    ignored = [line[1:] for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/")]
    flags = ("--optuna", "--csv", "--curves", "--picture", "--tasks")
    found = [arguments for page in PAGES.values() for _, arguments in commands(page)]
    files = {value for one in found for flag, value in pairwise(one) if flag in flags and "." in value}
    assert files == {
        "study.db",
        "trials.csv",
        "mine.npz",
        "searches.svg",
        "scale.svg",
        "driver-cost.svg",
        "my_tasks.toml",
    }
    assert [file for file in files if not any(fnmatch(file, pattern) for pattern in ignored)] == []


@EACH_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(((?!https?:|#)[^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@EACH_PAGE
def test_links_into_a_page_find_their_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(((?!https?:)[^)#]*)#([^)]+)\)", page.read_text()):
        text = (page.parent / target if target else page).read_text()
        headings = [
            re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)", text, re.M)
        ]
        assert anchor in headings, f"{page.name}: {target}#{anchor}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = re.findall(r"\]\(([\w/-]+\.md)", README.read_text())
    assert PAGES.keys() - {"README.md"} == set(linked)


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


def test_their_dry_run_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but where the files lie."""
    monkeypatch.chdir(tmp_path)
    write_tickets()
    ((_, arguments),) = [shown for shown in commands(OWN_TASKS) if "--dry-run" in shown[1]]
    assert run.main(arguments) == 0
    said = capsys.readouterr().out.replace(str(ROOT / "spaces"), "spaces").replace(str(tmp_path), "/home/me")
    shown = block(OWN_TASKS, "space    ").removesuffix("...\n")
    assert said.startswith(shown)
    assert Path("tickets.csv").read_text().startswith(block(OWN_TASKS, "subject,queue"))


@pytest.mark.slow
def test_the_way_from_files_to_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command of the page in its order prints what is shown, but for decimals, which differ between machines."""
    monkeypatch.chdir(tmp_path)
    write_tickets()
    Path("new.csv").write_text(block(OWN_TASKS, "subject\n"))
    shown = commands(OWN_TASKS)
    assert shown.pop() == ("search.run", ["--tasks", "my_tasks.toml", "--budget", "2h", "--run", "tickets-2h"])
    for module, arguments in shown:
        assert not main_of(module)(arguments), (module, arguments)
    said = without_decimals(capsys.readouterr().out)
    for begins in ("┏━━━━━━━┳", "┏━━━━━━━━━━━━━━┳", "subject,predicted"):
        assert without_decimals(block(OWN_TASKS, begins)) in said


def without_decimals(text: str) -> str:
    return re.sub(r"\d\.\d+", "#", text)
