"""What a run is asked to do, in words, and what is left of it."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import tyro

from model.console import Console
from model.data.contamination import contamination
from model.data.corpus import NAMED, Corpus, Skipped
from model.data.scores import score
from model.data.tasks import CS224N_SOURCES
from model.network.pretrained import Encoder
from model.problem import Problem
from search.description import (
    USUAL_TRIALS,
    announce,
    budget_words,
    chance,
    computes_in,
    describe_run,
    differences,
    lasting_name,
    versions,
)
from search.flags import Flags
from search.inputs import Inputs
from search.resources import Machine, Node, Shares
from search.space import load_space
from tests.search.test_run_folder import INFO
from tests.search.test_space import GOOD

CPU, GPU = Shares(concurrent=1, threads=1, cpus=1, gpus=0), Shares(concurrent=1, threads=1, cpus=1, gpus=1)


@pytest.fixture
def inputs(corpus: Corpus, encoder: Encoder, tmp_path: Path) -> Inputs:
    (tmp_path / "space.py").write_text(GOOD)
    problem = Problem.of(corpus, encoder.shape)
    space = load_space(tmp_path / "space.py", problem)
    return Inputs(
        space, CS224N_SOURCES, corpus, contamination(corpus, "dev"), encoder.name, encoder.shape.max_positions, problem
    )


@pytest.mark.parametrize(
    ("argv", "stops", "trials", "budget"),
    [
        ([], True, USUAL_TRIALS, None),
        (["--no-early-stopping", "--trials", "7"], False, 7, None),
        (["--budget", "2h"], True, None, "2h"),
        (["--budget", "300epochs", "--trials", "7"], True, 7, "300epochs"),
    ],
)
def test_run_json_says_what_was_asked(
    inputs: Inputs, encoder: Encoder, argv: list[str], stops: bool, trials: int | None, budget: str | None
) -> None:
    flags = tyro.cli(Flags, args=argv, config=(tyro.conf.FlagCreatePairsOff,))
    info = describe_run(flags, inputs, encoder, CPU)
    assert (info.early_stopping, info.trials, info.budget) == (stops, trials, budget)
    assert info.dev_size == {"sentiment": 24, "paraphrase": 24, "similarity": 24}
    assert info.skipped_rows == {}
    assert info.dev_rows_in_train == {task: len(leak.rows) for task, leak in inputs.leaks.items()}
    assert (info.encoder_fingerprint, info.versions) == (encoder.fingerprint(), versions())


def test_objectives_are_in_one_order_overall_first(inputs: Inputs, encoder: Encoder) -> None:
    given = ["--objectives", "parameters", "seconds", "overall"]
    flags = tyro.cli(Flags, args=given, config=(tyro.conf.FlagCreatePairsOff,))
    assert describe_run(flags, inputs, encoder, CPU).objectives == ["overall", "seconds", "parameters"]
    assert describe_run(Flags(), inputs, encoder, CPU).objectives == ["overall"]


def test_what_trials_compute_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", dict)
    assert computes_in("auto", None, CPU) == "fp32"
    assert computes_in("bf16", None, CPU) == "bf16"
    assert computes_in("auto", "auto", CPU) == "auto"
    assert computes_in("auto", "auto", GPU) == "auto"
    assert computes_in("fp16", "auto", GPU) == "fp16"
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *, including_emulation: True)
    assert computes_in("auto", None, GPU) == "bf16"


def test_chance_is_what_one_prediction_for_all_scores(corpus: Corpus) -> None:
    labels = {task.name: np.array([e.label for e in corpus.examples[task.name]["dev"]]) for task in corpus.tasks}
    expected = {
        task.name: max(score(task.metric, np.full(24, guess), labels[task.name]) for guess in range(5))
        for task in corpus.tasks
    }
    assert chance(corpus) == pytest.approx(expected)
    assert 0 == expected["similarity"] < expected["sentiment"] < expected["paraphrase"]


@pytest.mark.parametrize(
    ("trials", "budget", "early_stopping", "words"),
    [
        (20, None, True, "20 of at most 2 epochs of 48 examples"),
        (20, None, False, "20 of 2 epochs of 48 examples"),
        (None, "2h", True, "as many as can be of at most 2 epochs of 48 examples, within 2h"),
        (20, "9epochs", True, "20 of at most 2 epochs of 48 examples, within 9epochs"),
    ],
)
def test_how_much_there_is_to_do(trials: int | None, budget: str | None, early_stopping: bool, words: str) -> None:
    info = dataclasses.replace(INFO, trials=trials, budget=budget, early_stopping=early_stopping)
    assert budget_words(info) == words


def test_what_the_flags_left_open_is_told(inputs: Inputs) -> None:
    skipped = {"sts-dev.csv": Skipped(count=2, messages=("sts-dev.csv:3: no label", "sts-dev.csv:9: no label"))}
    inputs = dataclasses.replace(inputs, corpus=dataclasses.replace(inputs.corpus, skipped=skipped), leaks={})
    console = Console(file=io.StringIO(), width=40)
    announce(Path("/runs/one"), INFO, inputs, Machine((Node(cores=2, gpus=0),)), CPU, console)
    assert console.file.getvalue().splitlines()[:-1] == [  # type: ignore[attr-defined]
        "run      /runs/one",
        "space    spaces/full.py, 0 points to try first",
        "data     demo (sentiment 60 train, 24 dev; paraphrase 60 train, 24 dev; similarity 60 train, 24 dev)",
        "skipped  2 rows of sts-dev.csv, the first: sts-dev.csv:3: no label",
        "encoder  demo (2 layers, 16 wide)",
        "trials   3 of at most 2 epochs of 48 examples",
        "search   freeze-thaw",
        "machine  2 CPU cores: 1 at a time, 1 thread each",
        "computes in fp32",
    ]


def test_several_objectives_are_told(inputs: Inputs) -> None:
    console, info = Console(file=io.StringIO()), dataclasses.replace(INFO, objectives=["overall", "parameters"])
    announce(Path("/runs/one"), info, inputs, Machine((Node(cores=2, gpus=0),)), CPU, console)
    assert "for      overall, parameters" in console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_versions_name_what_decides_the_numbers() -> None:
    assert {"python", "torch", "ray", "optuna"} <= set(versions())


def test_what_scores_may_depend_on_that_differs() -> None:
    now = versions()
    before = dataclasses.replace(INFO, threads=1, versions=now)
    assert differences(before, before) == []
    before = dataclasses.replace(before, versions={**now, "torch": "1.0", "gone": "2.0"})
    assert differences(before, dataclasses.replace(before, threads=2)) == [
        "note     2 threads a trial, 1 before: last digits may differ",
        f"note     torch {now['torch']}, 1.0 before: scores may differ",
        "note     gone None, 2.0 before: scores may differ",
    ]
    before = dataclasses.replace(INFO, versions=now, gpus_per_trial=1.0, computes_in="fp16")
    assert differences(before, dataclasses.replace(before, gpus_per_trial=0.0, computes_in="bf16")) == [
        "note     computes on CPUs, on GPUs before: last digits may differ",
        "note     computes in bf16, in fp16 before: scores may differ",
    ]


def test_data_by_name_stays_a_name_beside_a_folder_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("hub", "rows"):
        (tmp_path / name).mkdir()
    assert lasting_name("hub", NAMED) == "hub"
    assert lasting_name("hub", ("demo",)) == str(tmp_path / "hub")
    assert lasting_name("rows", NAMED) == str(tmp_path / "rows")
    assert lasting_name("org/name", ("demo",)) == "org/name"
