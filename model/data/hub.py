"""The three tasks of CS224N from public datasets on the Hugging Face hub: --data hub.

Socher et al. 2013, "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank": SST-5. Wang et al.
2019, "GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding": Quora Question Pairs and
the STS Benchmark (Cer et al. 2017). The same sources as the course's files, other rows in other splits.

GLUE keeps the labels of its test rows to itself. So these are not read, and test is cut off train; SST-5 has its own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.data.rows import BadRow, Cells, checked
from model.data.tasks import Source, Split
from model.errors import UserError
from model.hub_address import check_hub_has_address

LIBRARY = "datasets>=4.0"
"""What the extra `hub` (pyproject.toml) installs."""


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """Where a task's examples lie on the hub."""

    repository: str
    subset: str | None
    """Of a repository that holds several; None: it holds one."""
    columns: Mapping[str, str]
    """What the columns are called there, by what the task calls them."""
    splits: Mapping[Split, str]
    """Those that have labels, by what they are for."""

    def __str__(self) -> str:
        return f"{self.repository} {self.subset}" if self.subset else self.repository


DATASETS: Mapping[str, HubDataset] = {
    "sentiment": HubDataset(
        repository="SetFit/sst5",
        subset=None,
        columns={"sentence": "text", "sentiment": "label"},
        splits={"train": "train", "dev": "validation", "test": "test"},
    ),
    "paraphrase": HubDataset(
        repository="nyu-mll/glue",
        subset="qqp",
        columns={"sentence1": "question1", "sentence2": "question2", "is_duplicate": "label"},
        splits={"train": "train", "dev": "validation"},
    ),
    "similarity": HubDataset(
        repository="nyu-mll/glue",
        subset="stsb",
        columns={"sentence1": "sentence1", "sentence2": "sentence2", "similarity": "label"},
        splits={"train": "train", "dev": "validation"},
    ),
}
"""By task of CS224N."""


class Hub:
    """A store of examples (`model.data.corpus.Store`). A row's number, from 0, is its line and its id."""

    def __init__(self) -> None:
        try:
            self._library: Any = importlib.import_module("datasets")  # an extra
        except ModuleNotFoundError as error:
            if error.name != "datasets":
                raise UserError(f"--data hub: the package datasets can't be imported ({error})") from None
            self._library = None
        except ImportError as error:
            raise UserError(f"--data hub: the package datasets can't be imported ({error})") from None
        if not hasattr(self._library, "load_dataset"):  # a folder called datasets is a package too
            raise UserError(
                f'--data hub: the package datasets is not installed; {sys.executable} -m pip install "{LIBRARY}"'
            )
        self._fetched: dict[str, Mapping[str, Any]] = {}
        """By dataset, its splits by name."""
        self._no_address: OSError | None = None
        try:
            check_hub_has_address()
        except OSError as error:
            self._no_address = error
            # Not told so, the library looks for the hub half a minute a dataset, also where it was fetched before.
            self._library.config.HF_HUB_OFFLINE = True

    def has(self, source: Source, key: Split) -> bool:
        return key in DATASETS[source.task.name].splits

    def name(self, source: Source, key: Split) -> str:
        dataset = DATASETS[source.task.name]
        return f"{dataset} {dataset.splits[key]}"

    place = name

    def rows(self, source: Source, key: Split, columns: Sequence[str]) -> Iterator[tuple[int, Cells | BadRow]]:
        dataset, place = DATASETS[source.task.name], self.name(source, key)
        splits, split = self._splits(dataset), dataset.splits[key]
        if split not in splits:
            raise UserError(f"{dataset}: no split {split!r} (splits found: {', '.join(map(repr, splits))})")
        theirs = {column: dataset.columns[column] for column in columns if column != source.id_column}
        found: Mapping[str, Sequence[object]] = splits[split].to_dict()
        for column in theirs.values():
            if column not in found:
                raise UserError(f"{place}: no column {column!r} (columns found: {', '.join(map(repr, found))})")
        if not any(found.values()):
            raise UserError(f"{place}: no rows")
        for number, values in enumerate(zip(*(found[column] for column in theirs.values()), strict=True)):
            cells = {column: _text(value) for column, value in zip(theirs.values(), values, strict=True)}
            sound = checked(cells)
            if isinstance(sound, BadRow):
                yield number, sound
            else:
                ids = {} if source.id_column is None else {source.id_column: str(number)}
                yield number, ids | {ours: sound[column] for ours, column in theirs.items()}

    def _splits(self, dataset: HubDataset) -> Mapping[str, Any]:
        """All that the dataset has, by name: from the hub, or from what was fetched before. Asked for once."""
        name = str(dataset)
        if name not in self._fetched:
            try:
                self._fetched[name] = self._library.load_dataset(dataset.repository, dataset.subset)
            except Exception as error:  # what may be raised on the way from hub to rows, the library does not say
                missed = isinstance(error, ConnectionError)  # not fetched before; all else is about what was
                reason = self._no_address if self._no_address and missed else error
                raise UserError(
                    f"--data hub: {name} is not to be had from the hub ({_in_a_line(reason)}); what was fetched "
                    "before is read without it, and --data FOLDER reads files"
                ) from None
        return self._fetched[name]


def _in_a_line(error: BaseException) -> str:
    """What went wrong, at the root of it: the library says of a broken file that an error occurred."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = str(error).strip()
    if isinstance(error, KeyError):  # its text is the key alone
        said = f"KeyError: {said}"
    return said.splitlines()[0] if said else type(error).__name__


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
