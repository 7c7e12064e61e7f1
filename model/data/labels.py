"""What of the labels of train and dev makes one doubt that they are read, or were given, as they are meant."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from model.data.contamination import normalized
from model.data.corpus import Corpus, Example

_SHOWN = 8
"""Names of classes in a line."""


def doubtful_labels(corpus: Corpus) -> list[str]:
    """Lines on the tasks of classes: labels that train never has, or dev not even twice, and sentences that stand in
    train with several labels. Numbers for the same sentences may well differ a little."""
    lines = []
    for task in corpus.tasks:
        train, dev = corpus.examples[task.name]["train"], corpus.examples[task.name]["dev"]
        in_train, in_dev = (Counter(example.label for example in part) for part in (train, dev))
        for found, count, where in (
            (in_train, 0, "in no row of train"),
            (in_dev, 0, "in no row of dev"),
            (in_dev, 1, "in one row of dev alone"),
        ):
            names = [repr(name) for label, name in enumerate(task.classes) if found[label] == count]
            if names:
                lines.append(f"{task.name}: {_few(names)} {'is' if len(names) == 1 else 'are each'} {where}")
        rows = _contradicting(train) if task.classes else 0
        if rows:
            lines.append(f"{task.name}: {rows} rows of train have sentences that stand there with another label too")
    return lines


def _contradicting(examples: Sequence[Example]) -> int:
    """Rows whose sentences, up to case and white space, have another label in another row."""
    labels = defaultdict[tuple[str, ...], Counter[float | None]](Counter)
    for example in examples:
        labels[normalized(example.sentences)][example.label] += 1
    return sum(counts.total() for counts in labels.values() if len(counts) > 1)


def _few(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_SHOWN])} and {more} others"
