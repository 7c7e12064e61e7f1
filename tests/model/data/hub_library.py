"""A stand-in for the library `datasets`, with the repositories that --data hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import ModuleType, SimpleNamespace

Columns = Mapping[str, list[object]]
QUESTIONS: list[object] = [f"is the cat {i} fine?" for i in range(200)]
SST5: dict[str, Columns] = {
    "train": {"text": ["A good film ", "A dull one"], "label": [3, 1], "label_text": ["positive", "negative"]},
    "validation": {"text": ["Fine"], "label": [2], "label_text": ["neutral"]},
    "test": {"text": ["Awful", "Great"], "label": [0, 4], "label_text": ["very negative", "very positive"]},
}
QQP: dict[str, Columns] = {
    "train": {"question1": QUESTIONS, "question2": QUESTIONS[::-1], "label": [0, 1] * 100, "idx": list(range(200))},
    "validation": {"question1": ["Why?"], "question2": ["How?"], "label": [1], "idx": [0]},
    "test": {"question1": ["Who?"], "question2": ["What?"], "label": [-1], "idx": [0]},
}
STSB: dict[str, Columns] = {
    "train": {"sentence1": QUESTIONS, "sentence2": QUESTIONS, "label": [0.0, 2.5] * 100, "idx": list(range(200))},
    "validation": {"sentence1": ["A cat"], "sentence2": ["A dog"], "label": [3.799999952316284], "idx": [0]},
    "test": {"sentence1": ["A man"], "sentence2": ["A girl"], "label": [-1.0], "idx": [0]},
}


class Library(ModuleType):
    """What is used of `datasets`: repositories by id and subset, each with splits of columns."""

    def __init__(self) -> None:
        super().__init__("datasets")
        self.config = SimpleNamespace(HF_HUB_OFFLINE=False)
        self.held: dict[tuple[str, str | None], dict[str, Columns]] = {
            ("SetFit/sst5", None): dict(SST5),
            ("nyu-mll/glue", "qqp"): dict(QQP),
            ("nyu-mll/glue", "stsb"): dict(STSB),
        }
        self.asked: list[tuple[str, str | None]] = []
        self.read: list[tuple[str, str | None, str]] = []
        self.fails: Exception | None = None

    def load_dataset(self, path: str, name: str | None) -> dict[str, SimpleNamespace]:
        self.asked.append((path, name))
        if self.fails is not None:
            raise self.fails
        return {
            split: SimpleNamespace(to_dict=partial(self._rows, path, name, split)) for split in self.held[path, name]
        }

    def _rows(self, path: str, name: str | None, split: str) -> Columns:
        self.read.append((path, name, split))
        return self.held[path, name][split]
