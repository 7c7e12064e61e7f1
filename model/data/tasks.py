"""A task is data: what is read, what is predicted, how that is scored, and the files that its examples lie in.

The same table describes it everywhere: in the file of --tasks (`model.data.task_file`), in run.json and beside a
trained model's weights.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from model.data.tables import (
    TaskError,
    check_keys,
    choice,
    listed,
    needed,
    optional_text,
    tables,
    task_name,
    text,
    texts,
)

Metric = Literal["accuracy", "macro_f1", "matthews", "pearson", "spearman"]
LabelKind = Literal["classes", "binary", "number"]
Format = Literal["csv", "tsv", "jsonl"]
Split = Literal["train", "dev", "test", "unlabelled"]
"""Of a task's examples (`model.data.corpus`), and the key of the file that it lies in."""

METRICS: dict[LabelKind, tuple[Metric, ...]] = {
    "classes": ("accuracy", "macro_f1", "matthews"),
    "binary": ("accuracy", "macro_f1", "matthews"),
    "number": ("pearson", "spearman"),
}
"""Those that fit a kind of label."""
METRIC_NAMES: dict[Metric, str] = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson's r",
    "spearman": "Spearman's rho",
}
"""In words."""
DEFAULT_SHARE = 0.1
"""Of train that is cut off as dev or as test where there is no file of it."""
MOST_SHARE = 0.5
MOST_CLASSES = 1000
MOST_LABEL = 1_000_000
"""Far from where the squares and products of float32 end."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """Labels 0 to `count` - 1."""

    count: int


@dataclass(frozen=True, kw_only=True)
class Binary:
    """Labels 0 and 1."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """Labels from `low` to `high`, both included."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to read, what to predict, how to score it."""

    name: str
    sentence_columns: tuple[str, ...]
    """One column for a task on single sentences, two for a task on pairs."""
    label_column: str
    label: Classes | Binary | Number
    label_names: tuple[str, ...] = ()
    """What labels are called in files and predictions, that of 0 first; empty where they are numbers there too."""
    metric: Metric

    @property
    def is_pair(self) -> bool:
        return len(self.sentence_columns) == 2

    @property
    def kind(self) -> LabelKind:
        match self.label:
            case Classes():
                return "classes"
            case Binary():
                return "binary"
            case Number():
                return "number"

    @property
    def cosine_scale(self) -> float:
        """What a cosine of 1 stands for in what is predicted: 5 for similarity. (Naeem, 4)"""
        return max(abs(self.label.low), abs(self.label.high)) if isinstance(self.label, Number) else 1.0

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes are called, 0 and 1 of a binary task among them; empty for numbers."""
        match self.label:
            case Classes(count=count):
                return self.label_names or tuple(map(str, range(count)))
            case Binary():
                return self.label_names or ("0", "1")
            case Number():
                return ()

    def to_dict(self) -> dict[str, Any]:
        """What `task_of` makes the same task of: plain values."""
        values: dict[str, Any] = {
            "name": self.name,
            "sentences": list(self.sentence_columns),
            "label": self.label_column,
            "label_kind": self.kind,
        }
        if self.label_names:
            values["labels"] = list(self.label_names)
        elif isinstance(self.label, Classes):
            values["classes"] = self.label.count
        elif isinstance(self.label, Number):
            values["range"] = [self.label.low, self.label.high]
        return values | {"metric": self.metric}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A task, and where its examples lie."""

    task: Task
    train: str
    """A file, as the others: a path from the folder of the data."""
    dev: str | None = None
    """None: the share `dev_share` is cut off train."""
    test: str | None = None
    """None: the share `test_share` is cut off train."""
    unlabelled: str | None = None
    """Only to predict; None: nothing."""
    optional: tuple[Split, ...] = ()
    """Files that count as not named where they are not there."""
    format: Format | None = None
    """Of all files; None: by the end of each one's name."""
    id_column: str | None = None
    """None: an example's id is made of its sentences."""
    dev_share: float = DEFAULT_SHARE
    test_share: float = DEFAULT_SHARE

    def file(self, key: Split) -> str | None:
        return {"train": self.train, "dev": self.dev, "test": self.test, "unlabelled": self.unlabelled}[key]

    def to_dict(self) -> dict[str, Any]:
        """What `source_of` makes the same source of: plain values."""
        values: dict[str, Any] = {key: self.file(key) for key in get_args(Split)}
        values |= {"optional": list(self.optional) or None, "format": self.format, "id": self.id_column}
        shares: dict[Split, float] = {"dev": self.dev_share, "test": self.test_share}
        for key, share in shares.items():
            if self.file(key) is None or key in self.optional:
                values[f"{key}_share"] = share
        return self.task.to_dict() | {key: value for key, value in values.items() if value is not None}


_TASK_KEYS = ("name", "sentences", "label", "label_kind", "classes", "labels", "range", "metric")
_OURS = ("id", "predicted")
"""Columns that files of predictions have beside the task's."""
_SOURCE_KEYS = (*get_args(Split), "optional", "format", "id", "dev_share", "test_share")


def task_of(values: Mapping[str, Any]) -> Task:
    """The task that a table describes. Raises TaskError."""
    check_keys(values, _TASK_KEYS)
    return _task_of(values)


def source_of(values: Mapping[str, Any]) -> Source:
    """The task and its files that a table describes. Raises TaskError."""
    check_keys(values, (*_TASK_KEYS, *_SOURCE_KEYS))
    task = _task_of(values)
    text(values, "train")
    files = {key: optional_text(values, key) for key in get_args(Split)}
    optional = texts(values, "optional") if "optional" in values else ()
    allowed = [key for key in ("dev", "test", "unlabelled") if files[key] is not None]
    for key in optional:
        if key not in allowed:
            raise TaskError("optional", f"optional names {key!r}; allowed are files that are named: {listed(allowed)}")
    source = Source(
        task=task,
        **files,  # type: ignore[arg-type]  # train was found to be there
        optional=optional,  # type: ignore[arg-type]
        format=choice(values, "format", get_args(Format)) if "format" in values else None,
        id_column=optional_text(values, "id"),
        dev_share=_share(values, "dev", files, optional),
        test_share=_share(values, "test", files, optional),
    )
    if source.dev_share + source.test_share >= 1:
        what = f"test_share is {source.test_share} and dev_share {source.dev_share}, which leaves nothing to train on"
        raise TaskError("test_share", f"{what}; allowed are shares that make less than 1 together")
    _check_formats(source)
    _check_files(source)
    for key, columns in (("sentences", task.sentence_columns), ("label", (task.label_column,))):
        for column in columns:
            if column in _OURS and column != source.id_column:
                allowed = "allowed is any column but id and predicted, which files of predictions have of their own"
                raise TaskError(key, f"{key} names {column!r}; {allowed}")
    if source.id_column is not None and source.id_column in (*task.sentence_columns, task.label_column):
        raise TaskError("id", f"id is {source.id_column!r}, which is another column of the task")
    return source


def format_of(source: Source, key: Split) -> Format:
    """What a file of the source is written in."""
    file = source.file(key)
    assert file is not None, "it is asked for a file"
    return source.format or Path(file).suffix.lower().removeprefix(".")  # type: ignore[return-value]  # was checked


def sources_of(found: object) -> tuple[Source, ...]:
    """`source_of` each of a list of tables. Raises TaskError where it is none."""
    sources = tuple(source_of(table) for table in tables(found))
    check_names([source.task for source in sources])
    return sources


def tasks_of(found: object) -> tuple[Task, ...]:
    """`task_of` each of a list of tables. Raises TaskError where it is none."""
    tasks = tuple(task_of(table) for table in tables(found))
    check_names(tasks)
    return tasks


def check_names(tasks: Sequence[Task]) -> None:
    """Raises TaskError where there are no tasks, or two of one name."""
    if not tasks:
        raise TaskError(None, "there is no task; allowed are one or more")
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise TaskError("name", f"two tasks are called {name!r}")


def _task_of(values: Mapping[str, Any]) -> Task:
    name = task_name(values)
    columns = texts(values, "sentences")
    if len(columns) not in (1, 2) or len(set(columns)) < len(columns):
        raise TaskError("sentences", f"sentences is {list(columns)}; allowed are one column or two different ones")
    label_column = text(values, "label")
    if label_column in columns:
        raise TaskError("label", f"label is {label_column!r}, which is a column of sentences")
    kind: LabelKind = choice(values, "label_kind", get_args(LabelKind))
    label, names = _label_of(values, kind)
    metric = choice(values, "metric", METRICS[kind], f" for label_kind = {kind!r}")
    return Task(
        name=name, sentence_columns=columns, label_column=label_column, label=label, label_names=names, metric=metric
    )


def _label_of(values: Mapping[str, Any], kind: LabelKind) -> tuple[Classes | Binary | Number, tuple[str, ...]]:
    """The kind of label with its particulars, and the labels' names."""
    fitting = {"classes": ("classes", "labels"), "binary": ("labels",), "number": ("range",)}[kind]
    for key in ("classes", "labels", "range"):
        if key in values and key not in fitting:
            raise TaskError(key, f"{key} has no effect with label_kind = {kind!r}; leave it out")
    names = _label_names(values) if "labels" in values else ()
    match kind:
        case "number":
            return _range_of(values), ()
        case "binary":
            if names and len(names) != 2:
                raise TaskError("labels", f"labels is {list(names)}; allowed are two, that which counts as 0 first")
            return Binary(), names
        case "classes":
            if ("classes" in values) == bool(names):
                both = "both are given" if names else "neither is given"
                raise TaskError(
                    "classes" if names else None,
                    f"classes is how many labels there are, numbers from 0, and labels is what they are called; {both}",
                )
            count = values.get("classes", len(names))
            if type(count) is not int or not 2 <= count <= MOST_CLASSES:
                key = "labels" if names else "classes"
                shown = list(names) if names else repr(count)
                what = "2 to 1000 names" if names else f"a whole number from 2 to {MOST_CLASSES}"
                raise TaskError(key, f"{key} is {shown}; allowed is {what}")
            return Classes(count=count), names


def _label_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    names = texts(values, "labels")
    for name in names:
        if not name.strip() or name != name.strip():
            raise TaskError("labels", f"labels has {name!r}; allowed is text without space around it")
        if names.count(name) > 1:
            raise TaskError("labels", f"labels has {name!r} twice")
    return names


def _range_of(values: Mapping[str, Any]) -> Number:
    allowed = f"two numbers from -{MOST_LABEL} to {MOST_LABEL}, the lowest label and the highest one"
    found = needed(values, "range", allowed)
    numbers = isinstance(found, list | tuple) and all(
        isinstance(end, int | float) and not isinstance(end, bool) and -MOST_LABEL <= end <= MOST_LABEL for end in found
    )
    if not numbers or len(found) != 2 or not found[0] < found[1]:
        raise TaskError("range", f"range is {found!r}; allowed are {allowed}")
    return Number(low=float(found[0]), high=float(found[1]))


def _share(
    values: Mapping[str, Any], split: Literal["dev", "test"], files: Mapping[str, str | None], optional: Sequence[str]
) -> float:
    key = f"{split}_share"
    if key not in values:
        return DEFAULT_SHARE
    if files[split] is not None and split not in optional:
        raise TaskError(key, f"{key} has no effect where {split} is a file; leave one of them out")
    share = values[key]
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    if not is_number or not 0 < share <= MOST_SHARE:
        raise TaskError(key, f"{key} is {share!r}; allowed is a number above 0, up to {MOST_SHARE}")
    return float(share)


def _check_formats(source: Source) -> None:
    for key in get_args(Split):
        file = source.file(key)
        if file is not None and source.format is None:
            ending = Path(file).suffix.lower().removeprefix(".")
            if ending not in get_args(Format):
                allowed = listed(get_args(Format))
                raise TaskError(key, f"{key} is {file!r}, whose name does not end in one of {allowed}; give format")


def _check_files(source: Source) -> None:
    """What is trained on can't judge."""
    named = [(key, file) for key in get_args(Split) if (file := source.file(key)) is not None]
    for place, (key, file) in enumerate(named):
        for other, same in named[:place]:
            if Path(same) == Path(file):
                raise TaskError(key, f"{key} is {file!r}, which is {other} too; give it another file")


CS224N_FILE = Path(__file__).parent / "assets" / "cs224n.toml"
CS224N_SOURCES = sources_of(tomllib.loads(CS224N_FILE.read_text(encoding="utf-8"))["task"])
CS224N = tuple(source.task for source in CS224N_SOURCES)
"""Sentiment (SST), paraphrase (Quora), similarity (STS): the CS224N default project's three tasks."""
