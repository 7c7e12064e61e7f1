"""A task is data: this table is the one place that names the three of CS224N."""

from dataclasses import dataclass
from typing import Literal

Metric = Literal["accuracy", "pearson"]


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
    metric: Metric
    file_stem: str
    """The corpus files are `{file_stem}-{split}.csv`."""
    output_stem: str
    """Predictions go to `{output_stem}-{split}-output.csv`."""
    output_header: str
    """The name of the prediction column in those files, as the course spells it."""

    @property
    def is_pair(self) -> bool:
        return len(self.sentence_columns) == 2

    @property
    def cosine_scale(self) -> float:
        """What a cosine of 1 stands for in what is predicted: 5 for similarity. (Naeem, 4)"""
        return self.label.high if isinstance(self.label, Number) else 1.0


CS224N = (
    Task(
        name="sentiment",
        sentence_columns=("sentence",),
        label_column="sentiment",
        label=Classes(count=5),
        metric="accuracy",
        file_stem="ids-sst",
        output_stem="sst",
        output_header="Predicted_Sentiment",
    ),
    Task(
        name="paraphrase",
        sentence_columns=("sentence1", "sentence2"),
        label_column="is_duplicate",
        label=Binary(),
        metric="accuracy",
        file_stem="quora",
        output_stem="para",
        output_header="Predicted_Is_Paraphrase",
    ),
    Task(
        name="similarity",
        sentence_columns=("sentence1", "sentence2"),
        label_column="similarity",
        label=Number(low=0.0, high=5.0),
        metric="pearson",
        file_stem="sts",
        output_stem="sts",
        output_header="Predicted_Similiary",
    ),
)
"""Sentiment (SST), paraphrase (Quora), similarity (STS): the CS224N default project's three tasks."""
