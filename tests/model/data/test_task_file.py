"""The file of --tasks: what it says, and every way in which it can be wrong, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.data.tables import NAME, OF_MODULES
from model.data.task_file import read_task_file
from model.data.tasks import (
    CS224N,
    CS224N_FILE,
    CS224N_SOURCES,
    Binary,
    Classes,
    Number,
    Source,
    Task,
    source_of,
    task_of,
)
from tests.support import refused

TABLE = """[[task]]
name = "nli"
sentences = [
    "premise",
    "hypothesis",  # the second one
]
label = "gold"
label_kind = "classes"
labels = ["yes", "maybe", "no"]
metric = "macro_f1"
train = "train.jsonl"
dev = "dev.csv"
"""
REVIEWS = """[[task]]
name = "reviews"
sentences = ["text"]
label = "good"
label_kind = "binary"
metric = "matthews"
train = "reviews.tsv"
dev_share = 0.25
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "tasks.toml"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_reads_tasks_and_their_files(tmp_path: Path) -> None:
    nli, reviews = read_task_file(write(tmp_path, f"# Two tasks.\n\n{TABLE}\n{REVIEWS}"))
    assert nli == Source(
        task=Task(
            name="nli",
            sentence_columns=("premise", "hypothesis"),
            label_column="gold",
            label=Classes(count=3),
            label_names=("yes", "maybe", "no"),
            metric="macro_f1",
        ),
        train="train.jsonl",
        dev="dev.csv",
    )
    assert (reviews.task.label, reviews.dev_share, reviews.test_share) == (Binary(), 0.25, 0.1)
    assert reviews.task.classes == ("0", "1")


def test_the_tasks_of_cs224n_are_such_a_file() -> None:
    assert read_task_file(CS224N_FILE) == CS224N_SOURCES
    assert [task.name for task in CS224N] == ["sentiment", "paraphrase", "similarity"]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_source_is_the_same_after_json(tmp_path: Path, ends: str) -> None:
    read = read_task_file(write(tmp_path, (TABLE + REVIEWS).replace("\n", ends)))
    for source in (*read, *CS224N_SOURCES):
        assert source_of(source.to_dict()) == source
        assert task_of(source.task.to_dict()) == source.task


def test_no_part_of_a_model_is_called_as_an_attribute_of_torchs() -> None:
    for kind in (torch.nn.ModuleDict, torch.nn.ParameterDict):
        for name in dir(kind()):
            added = str(getattr(getattr(kind, name, None), "__module__", "")).startswith("transformers")
            assert name in OF_MODULES or added or not NAME.fullmatch(name)


def test_what_a_cosine_of_1_stands_for() -> None:
    task = CS224N[2]
    ranges = {(0.0, 5.0): 5.0, (-1.0, 1.0): 1.0, (-4.0, 0.0): 4.0}
    for (low, high), scale in ranges.items():
        assert Task(**{**vars(task), "label": Number(low=low, high=high)}).cosine_scale == scale


def changed(line: str, new: str) -> str:
    """TABLE with another line, or with one more."""
    assert f"\n{line}" in TABLE
    return TABLE.replace(f"\n{line}", f"\n{new}", 1)


RANGE = "allowed are two numbers from -1000000 to 1000000, the lowest label and the highest one"
BROKEN = {
    "nothing": ("", ": no task in it; each is a table that begins with [[task]]"),
    "no TOML": (TABLE + "dev_share = = 1\n", ":13: not TOML (Invalid value)"),
    "text without quotes": (
        changed('metric = "macro_f1"', "metric = macro_f1"),
        ':10: not TOML (Invalid value); a text stands in quotes, such as "macro_f1"',
    ),
    "labels without quotes": (
        changed('labels = ["yes", "maybe", "no"]', "labels = [yes, no]"),
        ':9: not TOML (Invalid value); a text stands in quotes, such as "yes"',
    ),
    "a bare word behind one with a comma": (
        changed('labels = ["yes", "maybe", "no"]', 'labels = ["a, b", no]'),
        ':9: not TOML (Invalid value); a text stands in quotes, such as "no"',
    ),
    "a column that predictions have": (
        changed('label = "gold"', 'label = "predicted"'),
        ":7: label names 'predicted'; allowed is any column but id and predicted, which files of predictions have of "
        "their own",
    ),
    "an open quote": (TABLE + 'test = """a\n', ":13: not TOML (Unterminated string)"),
    "twice": (TABLE + 'label = "x"\n', ":13: not TOML (Cannot overwrite a value)"),
    "another table": (
        f"{TABLE}\n[search]\ntrials = 3\n",
        ":14: 'search' is no part of it; allowed are [[task]] tables",
    ),
    "one bracket": (TABLE.replace("[[task]]", "[task]"), ":1: task is no list of tables; each begins with [[task]]"),
    "a misspelt key": (changed("metric", "metrics"), ":10: a task has no 'metrics'; did you mean 'metric'?"),
    "a key too many": (
        TABLE + "wheels = 4\n",
        ":13: a task has no 'wheels'; allowed are name, sentences, label, label_kind, classes, labels, range, metric, "
        "train, dev, test, unlabelled, optional, format, id, dev_share, test_share",
    ),
    "no name": (changed('name = "nli"\n', ""), ":1: name is missing; allowed is a text"),
    "a name with a dot": (
        changed('name = "nli"', 'name = "a.b"'),
        ":2: name is 'a.b'; allowed are up to 40 letters, digits, '_' and '-', a letter first",
    ),
    "a name that means something": (
        changed('name = "nli"', 'name = "overall"'),
        ":2: name is 'overall', which is what the mean of all tasks is called; give it another",
    ),
    "a name of torch's": (
        changed('name = "nli"', 'name = "type"'),
        ":2: name is 'type', which means something to torch's modules; give it another",
    ),
    "a name for two": (f"{TABLE}\n\n{TABLE}", ":16: two tasks are called 'nli'"),
    "three sentences": (
        changed('    "premise",', '    "premise", "a",'),
        ":3: sentences is ['premise', 'a', 'hypothesis']; allowed are one column or two different ones",
    ),
    "the same sentence twice": (
        changed('    "premise",', '    "hypothesis",'),
        ":3: sentences is ['hypothesis', 'hypothesis']; allowed are one column or two different ones",
    ),
    "sentences that are no list": (
        REVIEWS.replace('["text"]', '"text"'),
        ":3: sentences is 'text'; allowed is a list of texts, such as [\"text\"]",
    ),
    "a label that is a sentence": (
        changed('label = "gold"', 'label = "premise"'),
        ":7: label is 'premise', which is a column of sentences",
    ),
    "a label that is a number": (changed('label = "gold"', "label = 3"), ":7: label is 3; allowed is a text"),
    "another kind": (
        changed('label_kind = "classes"', 'label_kind = "multiclass"'),
        ":8: label_kind is 'multiclass'; allowed is one of classes, binary, number",
    ),
    "no labels": (
        changed('labels = ["yes", "maybe", "no"]\n', ""),
        ":1: classes is how many labels there are, numbers from 0, and labels is what they are called; neither is "
        "given",
    ),
    "labels and their number": (
        changed("labels", "classes = 3\nlabels"),
        ":9: classes is how many labels there are, numbers from 0, and labels is what they are called; both are given",
    ),
    "one class": (
        changed('labels = ["yes", "maybe", "no"]', "classes = 1"),
        ":9: classes is 1; allowed is a whole number from 2 to 1000",
    ),
    "a label twice": (changed('labels = ["yes",', 'labels = ["no",'), ":9: labels has 'no' twice"),
    "a label with space": (
        changed('labels = ["yes",', 'labels = ["yes ",'),
        ":9: labels has 'yes '; allowed is text without space around it",
    ),
    "three labels of two": (
        changed('label_kind = "classes"', 'label_kind = "binary"'),
        ":9: labels is ['yes', 'maybe', 'no']; allowed are two, that which counts as 0 first",
    ),
    "labels of numbers": (
        changed('label_kind = "classes"', 'label_kind = "number"'),
        ":9: labels has no effect with label_kind = 'number'; leave it out",
    ),
    "no range": (
        REVIEWS.replace('"binary"', '"number"'),
        ":1: range is missing; allowed is two numbers from -1000000 to 1000000, the lowest label and the highest one",
    ),
    "a range upside down": (
        REVIEWS.replace('"binary"', '"number"\nrange = [5, 0]'),
        f":6: range is [5, 0]; {RANGE}",
    ),
    "an endless range": (
        REVIEWS.replace('"binary"', '"number"\nrange = [0, inf]'),
        f":6: range is [0, inf]; {RANGE}",
    ),
    "a range beyond float32": (
        REVIEWS.replace('"binary"', '"number"\nrange = [0, 1e39]'),
        f":6: range is [0, 1e+39]; {RANGE}",
    ),
    "a range beyond floats": (
        REVIEWS.replace('"binary"', f'"number"\nrange = [0, 1{"0" * 400}]'),
        f":6: range is [0, 1{'0' * 400}]; {RANGE}",
    ),
    "a number beyond what is read": (
        REVIEWS.replace('"binary"', f'"number"\nrange = [0, 1{"0" * 5000}]'),
        ": not TOML (Exceeds the limit (4300 digits) for integer string conversion: value has 5001 digits)",
    ),
    "a metric of numbers": (
        changed('metric = "macro_f1"', 'metric = "pearson"'),
        ":10: metric is 'pearson'; allowed is one of accuracy, macro_f1, matthews for label_kind = 'classes'",
    ),
    "no train": (changed('train = "train.jsonl"\n', ""), ":1: train is missing; allowed is a text"),
    "a file of another kind": (
        changed('dev = "dev.csv"', 'dev = "dev.xlsx"'),
        ":12: dev is 'dev.xlsx', whose name does not end in one of csv, tsv, jsonl; give format",
    ),
    "another format": (
        TABLE + 'format = "parquet"\n',
        ":13: format is 'parquet'; allowed is one of csv, tsv, jsonl",
    ),
    "dev that is train": (
        changed('dev = "dev.csv"', 'dev = "./train.jsonl"'),
        ":12: dev is './train.jsonl', which is train too; give it another file",
    ),
    "dev and a share": (
        TABLE + "dev_share = 0.1\n",
        ":13: dev_share has no effect where dev is a file; leave one of them out",
    ),
    "a share of all": (TABLE + "test_share = 1\n", ":13: test_share is 1; allowed is a number above 0, up to 0.5"),
    "a share in words": (
        TABLE + 'test_share = "10%"\n',
        ":13: test_share is '10%'; allowed is a number above 0, up to 0.5",
    ),
    "shares of all together": (
        REVIEWS.replace("dev_share = 0.25", "dev_share = 0.5\ntest_share = 0.5"),
        ":9: test_share is 0.5 and dev_share 0.5, which leaves nothing to train on; allowed are shares that make "
        "less than 1 together",
    ),
    "optional train": (
        TABLE + 'optional = ["train"]\n',
        ":13: optional names 'train'; allowed are files that are named: dev",
    ),
    "an id that is a sentence": (
        TABLE + 'id = "premise"\n',
        ":13: id is 'premise', which is another column of the task",
    ),
    "the second task": (f"{TABLE}\n# The other one.\n\n{REVIEWS}test = 3\n", ":24: test is 3; allowed is a text"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_says_what_is_wrong_and_where(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with refused(f"{path}{message}"):
        read_task_file(path)


def test_a_line_is_found_whatever_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, changed("metric", "metrics").replace("\n", "\r\n"))
    with refused(f"{path}:10: a task has no 'metrics'; did you mean 'metric'?"):
        read_task_file(path)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with refused(f"{tmp_path / 'x.toml'}: no such file"):
        read_task_file(tmp_path / "x.toml")
    with refused(f"{tmp_path}: not readable (Is a directory)"):
        read_task_file(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"# \xff\n")
    with refused(f"{tmp_path / 'bytes.toml'}:1: not UTF-8 text (invalid start byte)"):
        read_task_file(tmp_path / "bytes.toml")
