"""The command from a file of sentences to the same file with predictions."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from analysis.predict import main
from analysis.winner.ensemble import combined
from analysis.winner.predictor import load_predictor
from model.config import TrialConfig
from model.data.corpus import Corpus, Split, read_corpus
from model.data.tasks import CS224N, CS224N_SOURCES, Task
from model.data.tokens import Ragged, _ragged, tokenize
from model.network.multitask import MultitaskBert
from model.network.saved import member_folder, write_ensemble, write_model
from model.training import evaluate
from model.training.cores import usable_cores
from model.training.precision import ConcretePrecision
from tests.support import refused, tiny_config, tiny_encoder, write_corpus

ROOT = Path(__file__).parent.parent.parent
ENCODER = tiny_encoder(scale=0.3)
SPLIT: Split = "unlabelled"


def model_of(config: TrialConfig, seed: int = 0) -> MultitaskBert:
    torch.manual_seed(seed)
    return MultitaskBert(config, CS224N, ENCODER)


@pytest.fixture(autouse=True)
def _as_many_threads_as_the_command() -> None:
    """With another number the last bits differ."""
    torch.set_num_threads(usable_cores())


@pytest.fixture
def data(tmp_path: Path, corpus: Corpus) -> Path:
    write_corpus(tmp_path / "data", corpus)
    return tmp_path / "data"


@pytest.fixture(params=["fp32", "bf16"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    config = tiny_config(similarity={"pair_order": "both"})
    write_model(tmp_path / "model", model_of(config), ENCODER, request.param)
    return tmp_path / "model"


COUNTS = {
    "sentiment": {"t001": 1, "t007-seed-2": 2},
    "paraphrase": {"t001": 1, "t007-seed-2": 1},
    "similarity": {"t007-seed-2": 1},
}


@pytest.fixture
def ensemble(tmp_path: Path) -> Path:
    """Of two configurations: one counts twice as much for sentiment, and alone for similarity."""
    folder = tmp_path / "ensemble"
    members: dict[str, tuple[TrialConfig, ConcretePrecision]] = {
        "t001": (tiny_config(), "fp32"),
        "t007-seed-2": (tiny_config(similarity={"pair_encoding": "cross"}), "bf16"),
    }
    for seed, (name, (config, precision)) in enumerate(members.items()):
        write_model(member_folder(folder, name), model_of(config, seed), ENCODER, precision)
    write_ensemble(folder, COUNTS)
    return folder


def sentences(corpus: Corpus, task: Task, split: Split) -> list[tuple[str, ...]]:
    return [example.sentences for example in corpus.examples[task.name][split]]


def table(text: str, delimiter: str = "\t") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def predicted(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[dict[str, str]]:
    main([str(argument) for argument in arguments])
    return table(capsys.readouterr().out)


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], dtype=np.float32)


# ------------------------------------------------------------------------------------------------ the same as before


def test_the_evaluations_own_predictions_to_the_last_bit(
    folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, precision = tiny_config(similarity={"pair_order": "both"}), (folder / "evaluation.json").read_text()
    computes_in: ConcretePrecision = "bf16" if "bf16" in precision else "fp32"
    tokens = tokenize(read_corpus(str(data), (SPLIT,)), ENCODER)
    said = evaluate.outputs(model_of(config), tokens, SPLIT, computes_in)
    files = {source.task.name: data / str(source.unlabelled) for source in CS224N_SOURCES}

    rows = predicted(capsys, folder, files["sentiment"])
    np.testing.assert_array_equal(column(rows, "predicted"), evaluate.decide(CS224N[0], said["sentiment"]))
    for i in range(5):
        np.testing.assert_array_equal(column(rows, f"probability_{i}"), said["sentiment"][:, i])
    assert {row["predicted"] for row in rows} <= set("01234"), "whole numbers"

    rows = predicted(capsys, folder, files["paraphrase"], "--task", "paraphrase")
    np.testing.assert_array_equal(column(rows, "predicted"), evaluate.decide(CS224N[1], said["paraphrase"]))
    np.testing.assert_array_equal(column(rows, "probability"), said["paraphrase"])
    assert {row["predicted"] for row in rows} <= set("01")

    rows = predicted(capsys, folder, files["similarity"], "--task", "similarity")
    np.testing.assert_array_equal(column(rows, "predicted"), said["similarity"])
    assert not any(name.startswith("probability") for name in rows[0])


def test_from_a_fresh_process(folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(folder), str(data / "sts-test-student.csv"), "--task", "similarity"]
    main(arguments)
    out = tmp_path / "out.tsv"
    command = [sys.executable, "-m", "analysis.predict", *arguments, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
    assert out.read_text() == capsys.readouterr().out


def test_an_ensemble_says_the_mean_of_its_members(ensemble: Path, corpus: Corpus) -> None:
    predictor = load_predictor(ensemble, torch.device("cpu"))
    steps: list[None] = []
    got, batches = {}, 0
    for task in CS224N:
        given = predictor.given(task, sentences(corpus, task, "test"))
        got[task.name] = predictor.said_of(given, lambda: steps.append(None))
        batches += given.batches
    tokens = tokenize(corpus, ENCODER)
    one = evaluate.outputs(model_of(tiny_config(), 0), tokens, "test", "fp32")
    two = evaluate.outputs(model_of(tiny_config(similarity={"pair_encoding": "cross"}), 1), tokens, "test", "bf16")
    for task, said in combined({"t001": one, "t007-seed-2": two}, COUNTS).items():
        np.testing.assert_array_equal(got[task], said)
    np.testing.assert_allclose(got["sentiment"], (one["sentiment"] + 2 * two["sentiment"]) / 3, rtol=1e-5)
    np.testing.assert_array_equal(got["similarity"], two["similarity"])
    assert len(steps) == batches == 5, "nobody is asked in vain"


def test_what_members_read_alike_is_tokenized_once(
    ensemble: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = list[str]()

    def counted(tokenizer: Tokenizer, batch: list[str]) -> Ragged:
        texts.extend(batch)
        return _ragged(tokenizer, batch)

    monkeypatch.setattr("model.data.tokens._ragged", counted)
    given = [text for (text,) in sentences(corpus, CS224N[0], "test")]
    load_predictor(ensemble, torch.device("cpu")).predict(given, "sentiment")
    assert texts == given


def test_an_ensembles_predictions(ensemble: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = predicted(capsys, ensemble, data / "sts-test-student.csv", "--task", "similarity")
    corpus = read_corpus(str(data), (SPLIT,))
    predictor = load_predictor(ensemble, torch.device("cpu"))
    said = predictor.said_of(predictor.given(CS224N[2], sentences(corpus, CS224N[2], SPLIT)))
    np.testing.assert_array_equal(column(rows, "predicted"), said)


def test_what_a_gpu_computed_in_fp16_a_cpu_computes_in_fp32(tmp_path: Path, corpus: Corpus) -> None:
    said = []
    for precision in ("fp16", "fp32"):
        write_model(tmp_path / precision, model_of(tiny_config()), ENCODER, precision)
        predictor = load_predictor(tmp_path / precision, torch.device("cpu"))
        said.append(predictor.said_of(predictor.given(CS224N[2], sentences(corpus, CS224N[2], "test"))))
    np.testing.assert_array_equal(*said)


def test_members_of_different_tasks(ensemble: Path, corpus: Corpus) -> None:
    config = TrialConfig.from_dict({"tasks": {"sentiment": {}}})
    other = MultitaskBert(config, CS224N[:1], ENCODER)
    write_model(member_folder(ensemble, "t007-seed-2"), other, ENCODER, "fp32")
    message = "is of the tasks sentiment; the ensemble is of sentiment, paraphrase, similarity"
    with refused(f"{ensemble}: the member t007-seed-2 {message}"):
        load_predictor(ensemble, torch.device("cpu"))


# --------------------------------------------------------------------------------------------------- files in and out


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "in.csv").write_text(text, encoding="utf-8")
        return tmp_path / "in.csv"

    return write


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_model(tmp_path / "plain", model_of(tiny_config()), ENCODER, "fp32")
    return tmp_path / "plain"


@pytest.mark.parametrize(
    ("name", "delimiter"), [("one.csv", ","), ("one.CSV", ","), ("one.tsv", "\t"), ("one.txt", "\t")]
)
def test_beside_a_single_column_the_files_name_decides(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, delimiter: str
) -> None:
    (tmp_path / name).write_text("sentence\nthe film, they say, is good\nthe plot is bad\n")
    main([str(model), str(tmp_path / name)])
    rows = table(capsys.readouterr().out, delimiter)
    assert [row["sentence"] for row in rows] == ["the film, they say, is good", "the plot is bad"]
    assert all(row["predicted"] in "01234" for row in rows)


def test_rows_keep_what_they_hold(model: Path, file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = file('\ufeffnote,sentence\r\n"a ""b"", c", the film is good \r\n\r\n,"the film\nis bad"\r\n')
    main([str(model), str(path)])
    rows = table(capsys.readouterr().out, ",")
    assert list(rows[0])[:3] == ["note", "sentence", "predicted"]
    assert [(row["note"], row["sentence"]) for row in rows] == [
        ('a "b", c', " the film is good "),
        ("", "the film\nis bad"),
    ]
    main([str(model), str(file("sentence\nthe film is good\nthe film, is bad\n"))])
    alone = table(capsys.readouterr().out, ",")
    assert [row["sentence"] for row in alone] == ["the film is good", "the film, is bad"]
    assert alone[0]["probability_0"] == pytest.approx(rows[0]["probability_0"]), "space around makes no difference"


def test_labels_tell_which_task_is_meant(
    model: Path, file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    row = "the dog\tthe cat\t1.0\n"
    assert "probability" in predicted(capsys, model, file(f"sentence1\tsentence2\tis_duplicate\n{row}"))[0]
    assert "probability" not in predicted(capsys, model, file(f"sentence1\tsentence2\tsimilarity\n{row}"))[0]


def refused_with(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


HINT = " (--skip-bad-rows leaves such rows out)"
PAIRS = "sentence1\tsentence2\nthe dog\tthe cat\n"


@pytest.mark.parametrize(
    ("text", "task", "message"),
    [
        ("", None, "{file}: empty; its first line names the columns"),
        ("\n\n", None, "{file}: empty; its first line names the columns"),
        ("sentence\n", None, "{file}: no rows below the header"),
        ("sentence\tn\na\t1\nb\n", None, "{file}:3: 1 field in a row of 2 columns" + HINT),
        ("sentence\tn\na\t1\n \t2\n", None, "{file}:3: nothing in column 'sentence'" + HINT),
        ("sentence\na\0b\n", None, "{file}:2: a NUL character in column 'sentence'; allowed is text" + HINT),
        (
            'sentence\tn\n"a\t1\n',
            None,
            "{file}:2: not readable as a table (unexpected end of data); a cell that begins with a quote ends with "
            "one, and has quotes doubled",
        ),
        (
            'n\tsentence\n1\t"a\n2\tb"\n',
            None,
            "{file}:2: a cell with tabs and line breaks; is a quote not closed?",
        ),
        (
            "a,b\n1,2\n",
            None,
            "{file}:1: no task fits its columns, 'a', 'b': sentiment reads 'sentence'; paraphrase reads 'sentence1' "
            "and 'sentence2'; similarity reads 'sentence1' and 'sentence2'",
        ),
        (PAIRS, None, "{file}: its columns fit paraphrase and similarity; choose one with --task"),
        (
            PAIRS,
            "sentiment",
            "{file}:1: no column 'sentence' (columns found: 'sentence1', 'sentence2'); task 'sentiment' reads "
            "'sentence'",
        ),
        (
            "sentence,sentence\na,b\n",
            None,
            "{file}:1: the column 'sentence' twice or more (columns found: 'sentence', 'sentence'); task 'sentiment' "
            "reads 'sentence'",
        ),
        ("sentence,predicted\na,b\n", None, "{file}:1: there is a column 'predicted' already; give it another name"),
        (PAIRS, "paraphrases", "--task paraphrases: no such task; did you mean paraphrase?"),
        (PAIRS, "x", "--task x: no such task; the model's tasks are sentiment, paraphrase, similarity"),
    ],
)
def test_what_is_no_file_of_sentences(
    model: Path,
    file: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    text: str,
    task: str | None,
    message: str,
) -> None:
    path = file(text)
    told = refused_with(capsys, model, path, *(["--task", task] if task else []))
    assert told == f"error: {message.format(file=path)}\n"


def test_bad_rows_are_left_out_and_counted(
    model: Path, file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    good = "id,sentence\n1,the film is good\n7,the plot is bad\n"
    main([str(model), str(file(good))])
    alone = capsys.readouterr()
    bad = 'id,sentence\n1,the film is good\n2\n3,the film, is good\n4," "\n5,a\0b\n\n"6\n6",\n7,the plot is bad\n'
    path = file(bad)
    main([str(model), str(path), "--skip-bad-rows"])
    printed = capsys.readouterr()
    assert printed.out == alone.out
    assert printed.err == f"note: left out: 5 rows of in.csv, the first: {path}:3: 1 field in a row of 2 columns\n"
    main([str(model), str(file(good)), "--skip-bad-rows"])
    assert capsys.readouterr() == alone
    path = file("id,sentence\n1\n2,\n")
    told = refused_with(capsys, model, path, "--skip-bad-rows")
    assert told == f"error: {path}:2: 1 field in a row of 2 columns; no row can be used\n"


def test_bad_paths_are_one_message(
    model: Path, file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = file("sentence\nthe film is good\n")
    (tmp_path / "latin.csv").write_bytes("sentence\ncafé\n".encode("latin-1"))

    def told(*arguments: str | Path) -> str:
        return refused_with(capsys, *arguments).removeprefix("error: ").removesuffix("\n")

    assert told(model, tmp_path / "x.csv") == f"{tmp_path}/x.csv: no such file"
    assert told(model, tmp_path) == f"{tmp_path}: not readable (Is a directory)"
    assert told(model, tmp_path / "latin.csv") == f"{tmp_path}/latin.csv:2: not UTF-8 text (invalid continuation byte)"
    assert told(tmp_path / "x", good).startswith(f"{tmp_path}/x: no such folder; allowed is ")
    assert told(tmp_path, good).startswith(f"{tmp_path}: no trained model: neither config.json nor ensemble.json")
    assert told(model, good, "--out", tmp_path) == f"--out {tmp_path}: a folder; give a file"
    missing = tmp_path / "x" / "out.csv"
    assert told(model, good, "--out", missing) == f"--out {missing}: its folder does not exist; give a file"
    assert told(model, good, "--out", good) == f"--out {good}: this is FILE itself; give another file"
    assert good.read_text() == "sentence\nthe film is good\n"
    (model / "heads.safetensors").write_bytes(b"")
    assert told(model, good).startswith(f"{model}/heads.safetensors: not a whole safetensors file (")
