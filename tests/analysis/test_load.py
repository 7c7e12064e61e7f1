"""A trained model in Python: what it says of lists of texts, for any tasks, and what it can't read."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.predict import load, main
from analysis.winner.mistakes import worst_mistakes
from analysis.winner.predictor import Predictor
from model.config import OptimizationConfig, TaskConfig, TrialConfig
from model.data.corpus import Corpus, Example
from model.data.tasks import Binary, Classes, Number, Task
from model.network.multitask import MultitaskBert
from model.network.saved import member_folder, write_ensemble, write_model
from tests.support import refused, tiny_encoder

ENCODER = tiny_encoder(scale=0.3)
TASKS = (
    Task(
        name="mood", sentence_columns=("text",), label_column="mood", label=Binary(),
        label_names=("so bad", "good"), metric="matthews",
    ),
    Task(
        name="nli", sentence_columns=("a", "b"), label_column="gold", label=Classes(count=3),
        label_names=("yes", "maybe", "no"), metric="macro_f1",
    ),
    Task(name="grade", sentence_columns=("text",), label_column="n", label=Classes(count=4), metric="accuracy"),
    Task(name="close", sentence_columns=("a", "b"), label_column="n", label=Number(low=-1, high=1), metric="spearman"),
)  # fmt: skip
CONFIG = TrialConfig(
    tasks={
        "mood": TaskConfig(loss="bce"),
        "nli": TaskConfig(pair_encoding="cross"),
        "grade": TaskConfig(),
        "close": TaskConfig(pair_encoding="bi", cosine="added", loss="mse"),
    },
    optimization=OptimizationConfig(),
)
HINT = " (--skip-bad-rows leaves such rows out)"
TEXTS = ["the good film .", " a bad song", "the dog likes the cat and the house", "good"] * 40
PAIRS = [("the dog", text) for text in TEXTS]


def written(folder: Path, tasks: tuple[Task, ...] = TASKS, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    model = MultitaskBert(CONFIG, tasks, ENCODER)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.add_(torch.randn_like(parameter))
    write_model(folder, model, ENCODER, "fp32")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Predictor:
    return load(written(tmp_path / "model"), "cpu")


def test_labels_come_back_as_the_files_have_them(model: Predictor) -> None:
    assert [task.name for task in model.tasks] == ["mood", "nli", "grade", "close"]
    assert set(model.predict(TEXTS, "mood")) <= {"so bad", "good"}
    assert set(model.predict(PAIRS, "nli")) <= {"yes", "maybe", "no"}
    assert set(map(type, model.predict(TEXTS, "grade"))) == {int}
    assert set(map(type, model.predict(PAIRS, task="close"))) == {float}
    assert model.predict([], "mood") == []


def test_many_at_once_are_as_one_by_one(model: Predictor) -> None:
    for task, texts in {"mood": TEXTS, "nli": PAIRS}.items():
        together = model.probabilities(texts, task)
        alone = np.concatenate([model.probabilities([text], task) for text in texts[:8]])
        np.testing.assert_allclose(together[:8], alone, atol=1e-5)
        np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
        classes = next(one for one in model.tasks if one.name == task).classes
        assert [classes[row.argmax()] for row in together] == model.predict(texts, task)


def test_the_only_task_that_reads_as_many_texts_need_not_be_named(tmp_path: Path) -> None:
    config = TrialConfig(tasks={"mood": TaskConfig(loss="bce"), "nli": TaskConfig(pair_encoding="cross")})
    write_model(tmp_path / "two", MultitaskBert(config, TASKS[:2], ENCODER), ENCODER, "fp32")
    two = load(str(tmp_path / "two"), "cpu")
    assert two.predict(TEXTS) == two.predict(TEXTS, "mood")
    assert two.predict([list(pair) for pair in PAIRS]) == two.predict(PAIRS, "nli")


@pytest.mark.parametrize(
    ("texts", "task", "message"),
    [
        (["a"], None, "tasks mood and grade read such texts; choose one by name"),
        (["a"], "moody", "there is no task 'moody'; allowed are mood, nli, grade, close"),
        ("a", "mood", "texts is a text; allowed is a list of texts, or of pairs of them"),
        (["a"], "nli", "text 0: 1 of them; task 'nli' reads two texts"),
        ([("a", "b")], "mood", "text 0: 2 of them; task 'mood' reads one text"),
        ([("a", "b"), "a"], "nli", "text 1: 1 of them; task 'nli' reads two texts"),
        (["a", " "], "mood", "text 1: (' ',); allowed is text that is not empty"),
        ([("a", 3)], "nli", "text 0: ('a', 3); allowed is text that is not empty"),
        ([5], None, "text 0: 5; allowed is a text, or a pair of them"),
        (["a", None], "mood", "text 1: None; allowed is a text, or a pair of them"),
        (5, "mood", "texts is 5; allowed is a list of texts, or of pairs of them"),
        (
            [("a", "b"), ("\ud800", "x")],
            "nli",
            "text 1: half a character (a lone surrogate) in column 'a'; allowed is text",
        ),
        (["a\0"], "mood", "text 0: a NUL character in column 'text'; allowed is text"),
        (
            [("a", "b", "c")],
            None,
            "text 0: 3 of them; allowed is one text for mood or grade, two texts for nli or close",
        ),
    ],
)
def test_what_it_cannot_read(model: Predictor, texts: Any, task: str | None, message: str) -> None:
    with refused(message, ValueError):
        model.predict(texts, task)
    with refused(message, ValueError):
        model.probabilities(texts, task)


def test_numbers_have_no_probabilities(model: Predictor) -> None:
    with refused("task 'close' is of numbers, which have no probabilities", ValueError):
        model.probabilities(PAIRS, "close")


def test_a_model_that_says_nothing_finite(model: Predictor) -> None:
    (member,) = model.members.values()
    with torch.no_grad():
        for parameter in member.model.heads.parameters():
            parameter.fill_(torch.inf)
    with refused("text 0: the model's outputs for it are not finite", ValueError):
        model.predict(TEXTS, "mood")
    for task, texts in {"mood": TEXTS, "nli": PAIRS}.items():
        with refused("text 0: the model's outputs for it are not finite", ValueError):
            model.probabilities(texts, task)


@pytest.mark.parametrize("task", ["mood", "grade"])
def test_what_is_undecided_is_null_in_json_lines_and_nan_in_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    network = MultitaskBert(CONFIG, TASKS, ENCODER)
    with torch.no_grad():
        for parameter in network.heads.parameters():
            parameter.fill_(torch.finfo(torch.float32).max)  # finite, as a model's file has to be; what it says is not
    write_model(tmp_path / "model", network, ENCODER, "fp32")
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n')
    main([str(tmp_path / "model"), str(tmp_path / "in.jsonl"), "--task", task])
    said = json.loads(capsys.readouterr().out)
    assert said.pop("text") == "good"
    assert set(said.values()) == {None}
    (tmp_path / "in.csv").write_text("text,n\ngood,1\n")
    main([str(tmp_path / "model"), str(tmp_path / "in.csv"), "--task", task])
    assert capsys.readouterr().out.splitlines()[1] == "good,1" + ",nan" * len(said)


def test_files_get_the_labels_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = written(tmp_path / "model"), tmp_path / "in.csv"
    file.write_text("text,mood\nthe good film .,good\n")
    main([str(folder), str(file), "--task", "mood"])
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert list(row) == ["text", "mood", "predicted", "probability_good"]
    assert row["predicted"] == ("good" if float(row["probability_good"]) > 0.5 else "so bad")
    file.write_text("a,b\nthe dog,a cat\n")
    main([str(folder), str(file), "--task", "nli"])
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert list(row)[2:] == ["predicted", "probability_yes", "probability_maybe", "probability_no"]


def test_json_lines_in_and_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = written(tmp_path / "model"), tmp_path / "in.jsonl"
    rows = [{"a": "the dog é", "b": f"a cat {i}", "other": [i, None]} for i in range(3)]
    file.write_text("\n\n".join(map(json.dumps, rows)))
    main([str(folder), str(file), "--task", "nli"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = load(folder, "cpu").predict([(row["a"], row["b"]) for row in rows], "nli")  # type: ignore[misc]
    assert [one.pop("predicted") for one in found] == said
    assert all(isinstance(one.pop(f"probability_{name}"), float) for one in found for name in TASKS[1].classes)
    assert found == rows
    main([str(folder), str(file), "--task", "close"])
    assert isinstance(json.loads(capsys.readouterr().out.splitlines()[0])["predicted"], float)


def test_half_a_character_in_a_column_that_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file, out = written(tmp_path / "model"), tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"a": "x", "b": "é", "n": "\\\\\\ud800", "\\udc00": 1}\n')
    main([str(folder), str(file), "--task", "nli", "--out", str(out)])
    main([str(folder), str(file), "--task", "nli"])
    text = out.read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    assert text.startswith('{"a": "x", "b": "é", "n": "\\\\\\ud800", "\\udc00": 1, "predicted": ')
    assert json.loads(text)["n"] == "\\\ud800"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": no rows"),
        ("[]\n{\n", ":1: a JSON array; allowed is an object in each line; no row can be used"),
        (
            '{"a": "1", "b": "2"}\n{"a"}\n',
            f":2: not JSON (Expecting ':' delimiter); allowed is an object in each line{HINT}",
        ),
        ('[]\n{"a": "1", "b": "2"}\n', f":1: a JSON array; allowed is an object in each line{HINT}"),
        ('{"a": "1", "b": "2"}\n{"a": "1"}\n', f":2: no key 'b' (keys found: 'a'){HINT}"),
        ('{"a": "1", "b": null}\n', f":1: a JSON null in 'b'; allowed is text or a number{HINT}"),
        ('{"a": "1", "b": " "}\n', f":1: nothing in column 'b'{HINT}"),
        ('{"a": "1", "b": "2", "predicted": 3}\n', ":1: there is a column 'predicted' already; give it another name"),
        (
            '{"a": "1", "b": "2"}\n\n{"a": "1", "b": "2", "probability_no": 0}\n',
            ":3: there is a column 'probability_no' already; give it another name",
        ),
    ],
)
def test_json_lines_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    folder, file = written(tmp_path / "model"), tmp_path / "in.jsonl"
    file.write_text(text)
    with pytest.raises(SystemExit) as exit_:
        main([str(folder), str(file), "--task", "nli"])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"error: {file}{message}\n"


def test_bad_lines_of_json_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = written(tmp_path / "model"), tmp_path / "in.jsonl"
    good = ['{"id": 1, "a": "the dog", "b": "a cat"}', '{"id": 7, "a": "the dog", "b": 3}']
    bad = [
        '{"id": 2',
        "[]",
        "5",
        '{"id": 3, "a": "1"}',
        '{"id": 4, "a": null, "b": "x"}',
        '{"a": "\\ud800", "b": " "}',
        "",
    ]
    file.write_text("\n".join(good))
    main([str(folder), str(file), "--task", "nli"])
    alone = capsys.readouterr().out
    assert [json.loads(line)["id"] for line in alone.splitlines()] == [1, 7]
    bad.append('{"error": "none", "predicted": 1}')  # neither its columns nor what they are called matter
    file.write_text("\n".join([bad[-1], good[0], *bad[:-1], good[1]]))
    main([str(folder), str(file), "--task", "nli", "--skip-bad-rows"])
    printed = capsys.readouterr()
    assert printed.out == alone
    assert printed.err.startswith(f"note: left out: 7 rows of in.jsonl, the first: {file}:1: ")


def test_which_task_fits_is_seen_in_all_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = written(tmp_path / "model"), tmp_path / "in.jsonl"
    file.write_text('{"error": "timeout"}\n{"text": "good dog", "mood": "good"}\n')
    main([str(folder), str(file), "--skip-bad-rows"])
    printed = capsys.readouterr()
    assert json.loads(printed.out)["text"] == "good dog"
    assert printed.err.startswith(f"note: left out: 1 row of in.jsonl, the first: {file}:1: ")


def test_long_texts_are_cut_as_in_training_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = MultitaskBert(CONFIG, TASKS, ENCODER)
    write_model(tmp_path / "model", model, ENCODER, "fp32", max_tokens=10)
    loaded, long = load(tmp_path / "model", "cpu"), "good dog " * 20
    with pytest.warns(UserWarning, match=re.escape("mood: 1 of 1 examples (100.0%) is longer than 10 tokens")) as told:
        one, other = (loaded.probabilities([long + end], "mood") for end in ("bad", "good"))
    assert (len(told), {one.filename for one in told}) == (2, {__file__})
    np.testing.assert_array_equal(one, other)
    (tmp_path / "in.csv").write_text(f"text\n{long}\ngood\n")
    main([str(tmp_path / "model"), str(tmp_path / "in.csv"), "--task", "mood"])
    assert capsys.readouterr().err == (
        "note: mood: 1 of 2 examples (50.0%) is longer than 10 tokens, and is cut there\n"
    )


@pytest.mark.parametrize(
    ("task", "told"), [("close", "1 of 3 examples (33.3%) is"), ("nli", "3 of 3 examples (100.0%) are")]
)
def test_sentences_that_are_encoded_each_by_itself_are_cut_each_by_itself(tmp_path: Path, task: str, told: str) -> None:
    asked = next(one for one in TASKS if one.name == task)
    write_model(tmp_path / "model", MultitaskBert(CONFIG, TASKS, ENCODER), ENCODER, "fp32", max_tokens=10)
    eight, nine = "good " * 8, "good " * 9
    model = load(tmp_path / "model", "cpu")
    found = model.cut(model.given(asked, [(eight, eight), (eight, nine), (eight, "dog")]))
    assert found == [f"{task}: {told} longer than 10 tokens, and {told.split()[-1]} cut there"]
    assert model.cut(model.given(asked, [("good", "dog")])) == []


def test_of_an_ensemble_it_is_said_what_any_member_cuts(tmp_path: Path) -> None:
    for name, most in {"t001": 12, "t002": 10, "t003": 40}.items():
        folder = member_folder(tmp_path, name)
        write_model(folder, MultitaskBert(CONFIG, TASKS, ENCODER), ENCODER, "fp32", max_tokens=most)
    write_ensemble(tmp_path, {task.name: {"t001": 1, "t002": 1, "t003": 1} for task in TASKS})
    ensemble = load(tmp_path, "cpu")
    given = ensemble.given(TASKS[0], [("good " * 9,), ("good " * 20,), ("good",)])
    assert ensemble.cut(given) == ["mood: 2 of 3 examples (66.7%) are longer than 10 tokens, and are cut there"]


def test_members_whose_tasks_are_described_differently(tmp_path: Path) -> None:
    ensemble, turned = tmp_path / "ensemble", Task(**{**vars(TASKS[0]), "label_names": ("good", "so bad")})
    written(member_folder(ensemble, "t001"))
    written(member_folder(ensemble, "t002"), (turned, *TASKS[1:]))
    write_ensemble(ensemble, {task.name: {"t001": 1, "t002": 1} for task in TASKS})
    with refused(f"{ensemble}: the tasks of the member t002 are not described as those of t001"):
        load(ensemble, "cpu")


def test_mistakes_are_told_in_words() -> None:
    examples = {"mood": {"test": [Example("1", ("A.",), 1.0)]}, "nli": {"test": [Example("1", ("A.", "B."), 2.0)]}}
    corpus = Corpus("own", TASKS[:2], examples)  # type: ignore[arg-type]
    outputs = {"mood": np.array([0.1]), "nli": np.array([[0.7, 0.1, 0.2]])}
    read = {"mood": [None], "nli": [64]}
    told = [(one.label, one.predicted, one.read) for one in worst_mistakes(corpus, "test", outputs, read)]
    assert told == [("good", "so bad (90%)", None), ("no", "yes (70%)", 64)]
