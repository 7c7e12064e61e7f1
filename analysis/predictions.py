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


def write_predictions(folder: Path, corpus: Corpus, split: Split, predicted: Mapping[str, np.ndarray]) -> list[Path]:
    """Writes `predicted` (by task, in the order of `split`'s examples) as `{task}-{dev|test}-output.csv` files.

    The student test file is the course's `test`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for task in corpus.tasks:
        path = folder / f"{task.output_stem}-{'test' if split == 'student' else split}-output.csv"
        rows = zip(corpus.examples[task.name][split], predicted[task.name].tolist(), strict=True)
        lines = [f"id \t {task.output_header} \n"]
        for example, value in rows:
            lines.append(f"{example.id} , {int(value) if isinstance(task.label, Classes) else value} \n")
        path.write_text("".join(lines))
        paths.append(path)
    return paths
