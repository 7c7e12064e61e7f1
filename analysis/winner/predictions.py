"""Predictions as files, in the course's own format.

The format is that of the CS224N default project's evaluation.py, odd spaces and spelling included, since its graders
read just that: a header `id \\t Predicted_Sentiment `, then rows `ID , VALUE `.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from model.data.corpus import Corpus, Split
from model.data.tasks import Classes


def write_predictions(folder: Path, corpus: Corpus, predicted: Mapping[Split, Mapping[str, np.ndarray]]) -> None:
    """Writes predictions (by split, then task, in the order of the examples) as `{task}-{dev|test}-output.csv` files;
    none for dev where `predicted` has none.

    The course's test is the student file; a task without one gets the labelled test instead.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for task in corpus.tasks:
        source: dict[str, Split] = {
            "dev": "dev",
            "test": "student" if corpus.examples[task.name]["student"] else "test",
        }
        for name, split in source.items():
            if split not in predicted:
                continue
            rows = zip(corpus.examples[task.name][split], predicted[split][task.name].tolist(), strict=True)
            lines = [f"id \t {task.output_header} \n"]
            for example, value in rows:
                lines.append(f"{example.id} , {int(value) if isinstance(task.label, Classes) else value} \n")
            (folder / f"{task.output_stem}-{name}-output.csv").write_text("".join(lines))
