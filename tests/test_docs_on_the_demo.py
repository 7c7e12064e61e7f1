"""Every command of README and docs/ runs, from the first to the last, in one folder, as for somebody who reads on.

What the pages ask for is done on the demo with everything small (SIZES); nothing else of a command is changed. What the
pages take for given lies in the folder under the names that they use: files of the course, an encoder by each name, a
table of sentences. A page that is added, and a command of this package, of make or of .venv/bin, is run too, or the
tests here fail.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from model.data import demo
from model.data.corpus import Corpus, read_corpus
from model.data.hub import DATASETS
from model.data.tasks import Split
from search.conduct import INTERRUPTED
from search.run_folder import RunFolder, newest_run
from tests.model.data.hub_library import Library
from tests.shown import OWN_SPACE, OWN_TASKS, PAGES, Command, block, main_of, make, typed, write_tickets
from tests.support import write_corpus

SIZES: dict[str, dict[str, list[str]]] = {
    "search.run": {"--trials": ["2"], "--epochs": ["2"], "--epoch-examples": ["64"]},
    "analysis.best": {"--finalists": ["2"], "--seeds": ["1"]},
    "benchmarks.scale": {"--workers": ["1", "2"]},
}
"""What is put in the place of a command's own, or beside what it has."""
TRIALS = {"16": "8"}
"""In the place of numbers of trials other than SIZES's: benchmarks.scale learns from no fewer than eight."""
ROWS: dict[Split, int] = {"train": 200, "dev": 60, "test": 40}
"""Of the demo for each task, and so in the course's files and on the hub, which are written from it."""
ENCODERS = ("bert-base-uncased", "google-bert/bert-large-uncased", "path/to/folder", "path/to/all-MiniLM-L6-v2")
"""Names that the pages call encoders by: folders, so that none is fetched. All are the demo's."""

PLAYED = [
    *("README.md", "docs/first-search.md", "docs/report.md", "docs/runs.md", "docs/search.md", "docs/papers.md"),
    *("docs/own-space.md", "docs/own-tasks.md"),
]
"""Pages whose commands are run here, in this order."""
NOT_PLAYED = {
    "docs/cluster.md": "ray up, ray attach and sbatch need machines: tests/test_cluster_docs.py, tests/faults",
    "docs/gpus.md": "--trials-per-gpu auto needs a GPU; its other command is the README's",
    "docs/reference.md": "written by its command: tests/model/test_reference.py",
    "benchmarks/README.md": "measurements of minutes to hours: tests/benchmarks",
    "CONTRIBUTING.md": "make test-all, which runs this",
}
"""The other pages, and why."""
NOT_RUN = {
    "make test": "runs the tests but this one",
    "pip install -c constraints.txt -e .[hub]": "fetches a package, which has a stand-in here",
}
"""Commands of the pages above that are not run, and why."""


def test_every_page_is_played_or_it_is_said_why_not() -> None:
    assert sorted([*PLAYED, *NOT_PLAYED]) == sorted(PAGES)
    shown = [part for name in PLAYED for command in typed(PAGES[name]) for part in parts(command)]
    unknown = {as_text(command) for command in shown if command[0] != "tensorboard" and "." not in command[0]}
    assert unknown == NOT_RUN.keys()


@pytest.mark.slow
def test_every_command_runs(small_demo: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    furnish(small_demo)
    monkeypatch.setitem(sys.modules, "datasets", library_with(small_demo))
    done, failed = {*NOT_RUN}, list[str]()
    for name in PLAYED:
        for command in [part for whole in typed(PAGES[name]) for part in parts(whole)]:
            if as_text(command) in done:  # many stand on two pages
                continue
            done.add(as_text(command))
            try:
                play(command)
            except (Exception, SystemExit):  # it takes minutes to come here: the others are tried too
                traceback.print_exc()
                failed.append(f"{name}: {as_text(command)}")
    assert failed == []


def play(command: Command) -> None:
    """Runs a command, small."""
    program, arguments = command
    if program == "tensorboard":
        serve(arguments)
        return
    assert "." in program, "no way to run it is known here"
    arguments = small(program, named(arguments))
    print(f"\n$ {as_text((program, arguments))}", flush=True)
    code = main_of(program)(arguments)
    if code == INTERRUPTED:
        raise KeyboardInterrupt  # Ctrl-C stops one command in order, and is to stop this, too
    assert not code


def parts(command: Command) -> list[Command]:
    """What make runs in the place of `make`, else the command."""
    program, arguments = command
    return make(*arguments) if program == "make" and as_text(command) not in NOT_RUN else [command]


def as_text(command: Command) -> str:
    return " ".join([command[0], *command[1]])


# What is changed of a command -----------------------------------------------------------------------------------------


def small(program: str, arguments: list[str]) -> list[str]:
    """With SIZES in the place of the command's own."""
    if "--dry-run" in arguments:
        return arguments
    sizes = dict(SIZES.get(program, {}))
    if "--resume" in arguments:  # it goes on with one trial more than there were
        sizes = {"--trials": [str((newest().info().trials or 0) + 1)]}
    elif program == "analysis.best" and "--refit" not in arguments:
        sizes = {}
    elif "--trials" in arguments:
        asked = arguments[arguments.index("--trials") + 1]
        sizes["--trials"] = [TRIALS.get(asked, *sizes["--trials"])]
    for flag, values in sizes.items():
        if flag in arguments:
            at = arguments.index(flag)
            end = next((i for i in range(at + 1, len(arguments)) if arguments[i].startswith("--")), len(arguments))
            arguments = [*arguments[:at], *arguments[end:]]
        arguments = [*arguments, flag, *values]
    return arguments


def named(arguments: list[str]) -> list[str]:
    """Names of runs that there are, where a page says RUN or NAME; and a free one for a new run, where an earlier
    section has one of that name, which later ones read."""
    arguments = [largest().name if argument == "RUN" else argument for argument in arguments]
    arguments = [
        argument.replace("NAME", refitted().name) if argument.startswith("runs/NAME/refit") else argument
        for argument in arguments
    ]
    if "--run" in arguments:
        at = arguments.index("--run") + 1
        while Path("runs", arguments[at]).exists():
            arguments = [*arguments[:at], f"{arguments[at]}-too", *arguments[at + 1 :]]
    return arguments


def newest() -> RunFolder:
    return newest_run(Path("runs"))


def largest() -> RunFolder:
    """The run with the most trials: that of `make search`."""
    return max(map(RunFolder, Path("runs").iterdir()), key=lambda run: len(run.trials()))


def refitted() -> RunFolder:
    """The first that was refitted: that of `make search`."""
    return min((RunFolder(path.parents[1]) for path in Path("runs").glob("*/refit/model")), key=lambda run: run.name)


# What the pages take for given ----------------------------------------------------------------------------------------


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Corpus]:
    """The demo with ROWS, also where a command reads it."""
    for split, count in ROWS.items():
        monkeypatch.setitem(demo.SIZES, split, count)
    demo._labelled.cache_clear()
    yield read_corpus("demo", ("train", "dev", "test"))
    demo._labelled.cache_clear()


def furnish(corpus: Corpus) -> None:
    """Writes into the working directory what the pages name."""
    Path("path/to").mkdir(parents=True)
    write_corpus(Path("path/to/folder"), corpus)
    for name in ENCODERS:
        shutil.copytree(demo.ENCODER, name, dirs_exist_ok=True)
    write_tickets()
    Path("new.csv").write_text(block(OWN_TASKS, "subject\n"))
    Path("my_space.py").write_text(block(OWN_SPACE, "from model.config"))
    sentences = [example.sentences[0] for example in corpus.examples["sentiment"]["test"]]
    for name in ("sentences.csv", "reviews.csv"):
        Path(name).write_text("sentence\n" + "".join(f'"{sentence}"\n' for sentence in sentences))


def library_with(corpus: Corpus) -> Library:
    """The hub's repositories with these rows, of Quora's a pair that lacks a question."""
    library = Library()
    for task in corpus.tasks:
        dataset, splits = DATASETS[task.name], corpus.examples[task.name]
        theirs = [dataset.columns[column] for column in (*task.sentence_columns, task.label_column)]
        library.held[dataset.repository, dataset.subset] = {
            their_split: {
                column: [(*example.sentences, example.label)[i] for example in splits[split]]
                for i, column in enumerate(theirs)
            }
            for split, their_split in dataset.splits.items()
        }
    library.held["nyu-mll/glue", "qqp"]["train"]["question2"][0] = None
    return library


def serve(arguments: list[str]) -> None:
    """TensorBoard answers on this machine and has read the trials; it is ended by its process."""
    program = Path(sys.executable).parent / "tensorboard"
    ask = build_opener(ProxyHandler({})).open
    with subprocess.Popen([program, *arguments, "--port", "0"], stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = (re.search(r"http://localhost:\d+/", line) for line in server.stderr)
            url = next(found.group() for found in said if found)
            deadline = time.monotonic() + 60
            read: list[str] = []
            while not read and time.monotonic() < deadline:
                time.sleep(0.5)
                with ask(f"{url}data/runs") as answer:
                    read = json.load(answer)
        finally:
            server.terminate()
    assert any("/t001" in name for name in read), read
