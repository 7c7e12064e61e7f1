"""What the README shows is true: its space can be searched, its commands exist, its links lead somewhere."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest
import tyro

from analysis import best, export, papers, predict, report
from model.data.corpus import Corpus
from model.data.task_file import read_task_file
from model.data.tasks import _SOURCE_KEYS, _TASK_KEYS
from model.network.pretrained import Encoder
from model.problem import Problem
from model.training import pretrain
from search.flags import Flags
from search.run import with_newest
from search.space import check_space, load_space

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_its_space_is_a_space(tmp_path: Path, corpus: Corpus, encoder: Encoder) -> None:
    lines = README[README.index("    from model.config") :].splitlines()
    end = next(i for i, line in enumerate(lines) if line and not line.startswith("    "))
    path = tmp_path / "readme.py"
    path.write_text(textwrap.dedent("\n".join(lines[:end])))
    problem = Problem.of(corpus, encoder.shape)
    assert set(check_space(load_space(path, problem), problem)) == {
        "pair_encoding",
        "freeze_depth",
        "learning_rate",
    }
    assert load_space(path, problem).points.keys() == {"usual"}


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        ("search.run", Flags),
        ("analysis.best", best.Arguments),
        ("analysis.papers", papers.Arguments),
        ("analysis.report", report.Arguments),
        ("analysis.predict", predict.Arguments),
        ("analysis.export", export.Arguments),
        ("model.training.pretrain", pretrain.Flags),
    ],
)
def test_its_commands_are_taken(module: str, flags: type) -> None:
    commands = re.findall(rf"python -m {module}(.*)", README)
    assert commands
    for command in commands:
        arguments = with_newest(shlex.split(command.split("#")[0].strip("`")))
        tyro.cli(flags, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))


def test_its_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(((?!https?:)[^)]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_its_tasks_are_tasks(tmp_path: Path) -> None:
    lines = README[README.index("    [[task]]") :].splitlines()
    end = next(i for i, line in enumerate(lines) if line and not line.startswith("    "))
    path = tmp_path / "tasks.toml"
    path.write_text(textwrap.dedent("\n".join(lines[:end])))
    tickets, answers = read_task_file(path)
    assert tickets.task.classes == ("billing", "bugs", "praise")
    assert (answers.task.is_pair, answers.id_column) == (True, "uid")


def test_it_documents_every_key_of_a_task() -> None:
    for key in (*_TASK_KEYS, *_SOURCE_KEYS):
        assert f"`{key}" in README or f"\n    {key} = " in README, key
