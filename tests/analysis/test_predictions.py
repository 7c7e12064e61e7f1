"""Prediction files, byte for byte as the course's own code writes them."""

from pathlib import Path

import numpy as np

from analysis.predictions import write_predictions
from model.data.corpus import Corpus, Example, Split
from model.data.tasks import CS224N


def test_files_are_in_the_courses_format(tmp_path: Path) -> None:
    examples: dict[str, dict[Split, list[Example]]] = {
        task.name: {"dev": [Example("a1", ("s",) * len(task.sentence_columns), 0.0), Example("b2", ("s",), 0.0)]}
        for task in CS224N
    }
    predicted = {
        "sentiment": np.array([3, 0], dtype=np.float32),
        "paraphrase": np.array([1, 0], dtype=np.float32),
        "similarity": np.array([2.5, 4.75], dtype=np.float32),
    }
    write_predictions(tmp_path, Corpus("made up", CS224N, examples), "dev", predicted)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "sst-dev-output.csv": "id \t Predicted_Sentiment \na1 , 3 \nb2 , 0 \n",
        "para-dev-output.csv": "id \t Predicted_Is_Paraphrase \na1 , 1.0 \nb2 , 0.0 \n",
        "sts-dev-output.csv": "id \t Predicted_Similiary \na1 , 2.5 \nb2 , 4.75 \n",
    }


def test_the_student_file_is_the_courses_test(tmp_path: Path) -> None:
    examples: dict[str, dict[Split, list[Example]]] = {
        task.name: {"student": [Example("x", ("s",), None)]} for task in CS224N
    }
    paths = write_predictions(
        tmp_path,
        Corpus("made up", CS224N, examples),
        "student",
        {task.name: np.zeros(1, dtype=np.float32) for task in CS224N},
    )
    assert [path.name for path in paths] == ["sst-test-output.csv", "para-test-output.csv", "sts-test-output.csv"]
