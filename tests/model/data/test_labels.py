"""Labels that make one doubt."""

from __future__ import annotations

from dataclasses import replace

from model.data.corpus import Corpus, Example, Split
from model.data.labels import doubtful_labels
from model.data.tasks import CS224N, Binary, Classes, Task

STARS = replace(CS224N[0], name="stars", label=Classes(count=4), label_names=("none", "one", "two", "three"))
SAME = replace(CS224N[1], name="same", label=Binary())


def corpus_of(task: Task, train: list[tuple[str, float]], dev: list[float]) -> Corpus:
    rows: dict[Split, list[Example]] = {
        "train": [Example(str(i), (text,), label) for i, (text, label) in enumerate(train)],
        "dev": [Example(str(i), ("text",), label) for i, label in enumerate(dev)],
    }
    return Corpus("own", (task,), {task.name: rows})


def test_labels_that_are_hardly_there() -> None:
    train = [("a", 0.0), ("b", 1.0), ("c", 3.0)]
    assert doubtful_labels(corpus_of(STARS, train, [1, 1, 3])) == [
        "stars: 'two' is in no row of train",
        "stars: 'none', 'two' are each in no row of dev",
        "stars: 'three' is in one row of dev alone",
    ]
    assert doubtful_labels(corpus_of(SAME, train[:2], [1, 1])) == ["same: '0' is in no row of dev"]


def test_many_of_them_are_not_all_named() -> None:
    many = replace(CS224N[0], label=Classes(count=20))
    (line, *_) = doubtful_labels(corpus_of(many, [("a", 0.0)], [0, 0]))
    assert line == "sentiment: '1', '2', '3', '4', '5', '6', '7', '8' and 11 others are each in no row of train"


def test_sentences_with_several_labels() -> None:
    train = [("a film", 0.0), ("A  film", 1.0), ("a film", 1.0), ("b", 1.0), ("b", 1.0)]
    line = "same: 3 rows of train have sentences that stand there with another label too"
    assert doubtful_labels(corpus_of(SAME, train, [0, 0, 1, 1])) == [line]


def test_numbers_may_differ() -> None:
    assert doubtful_labels(corpus_of(CS224N[2], [("a", 0.0), ("a", 1.5)], [])) == []
