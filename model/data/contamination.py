"""Contamination: examples of one split that stand in an earlier one too: of dev in train, of test in train or dev.

A model may score on them by having learned them by heart, or by having been chosen for them. They are found by their
sentences, whatever their ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.data.corpus import Corpus, Example, Split

_EXACT, _UP_TO_CASE, _SWAPPED, _CLEAN = range(4)


@dataclass(frozen=True)
class Contaminated:
    """The rows of one task's split that stand in an earlier one. Each counts once, by the closest it comes."""

    size: int
    """Rows of the whole split."""
    rows: np.ndarray
    """int64, the numbers of those that stand there, ascending."""
    exact: int
    """The same sentences in the same order."""
    up_to_case: int
    """The same but for case and white space."""
    swapped: int
    """The same, but for case and white space, with a pair's two sentences in the other order."""
    same_label: int
    """That have, there, the label they have in the split; the others have only other labels there."""


def contamination(corpus: Corpus, split: Split, earlier: Split = "train") -> dict[str, Contaminated]:
    """By task name, what of `split` stands in the `earlier` split of the same task."""
    return {
        task.name: contaminated(corpus.examples[task.name][earlier], corpus.examples[task.name][split])
        for task in corpus.tasks
    }


def contaminated(earlier: Sequence[Example], examples: Sequence[Example]) -> Contaminated:
    """What of `examples` stands in `earlier`, both of the same task."""
    as_given: dict[tuple[str, ...], list[int]] = defaultdict(list)
    turned: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        key = normalized(example.sentences)
        as_given[key].append(row)
        if len(key) == 2:
            turned[key[::-1]].append(row)
    grades = np.full(len(examples), _CLEAN)
    same_label = np.zeros(len(examples), dtype=bool)
    for one in earlier:
        key = normalized(one.sentences)
        # Not by indexing, which would add the key.
        for row in as_given.get(key, ()):
            exact = one.sentences == examples[row].sentences
            grades[row] = min(grades[row], _EXACT if exact else _UP_TO_CASE)
            same_label[row] |= one.label == examples[row].label
        for row in turned.get(key, ()):
            grades[row] = min(grades[row], _SWAPPED)
            same_label[row] |= one.label == examples[row].label
    exact, up_to_case, swapped = (int(np.sum(grades == grade)) for grade in (_EXACT, _UP_TO_CASE, _SWAPPED))
    rows = np.flatnonzero(grades != _CLEAN)
    return Contaminated(len(examples), rows, exact, up_to_case, swapped, int(same_label.sum()))


def describe(found: Mapping[str, Contaminated], split: Split, earlier: Split = "train") -> list[str]:
    """A line for every task of which some of `split` stands in `earlier`."""
    return [_line(task, one, split, earlier) for task, one in found.items() if len(one.rows)]


def normalized(sentences: tuple[str, ...]) -> tuple[str, ...]:
    """Without regard to case, every run of white space a single space."""
    return tuple(" ".join(sentence.casefold().split()) for sentence in sentences)


def _line(task: str, one: Contaminated, split: Split, earlier: Split) -> str:
    counts = ((one.exact, "exact"), (one.up_to_case, "up to case and space"), (one.swapped, "swapped"))
    grades = ", ".join(f"{count} {grade}" for count, grade in counts if count)
    # Nothing is said of test's labels before the end.
    labels = "" if split == "test" else f", {one.same_label} with the same label"
    stand = "stands" if len(one.rows) == 1 else "stand"
    return f"{task}: {len(one.rows)} of {one.size} {split} rows {stand} in {earlier} ({grades}){labels}"
