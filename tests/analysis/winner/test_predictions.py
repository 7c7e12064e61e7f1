"""Prediction files, byte for byte as the course's own code writes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.winner.predictions import in_words, write_predictions
from model.data.corpus import Corpus, Example, Split
from model.data.tasks import CS224N, Classes, Task


def corpus_of(ids: dict[Split, list[str]]) -> Corpus:
    examples: dict[str, dict[Split, list[Example]]] = {
        task.name: {split: [Example(i, ("s",), None) for i in names] for split, names in ids.items()} for task in CS224N
    }
    return Corpus("made up", CS224N, examples)


def numbers(*values: float) -> dict[str, np.ndarray]:
    return {task.name: np.array(values, dtype=np.float32) for task in CS224N}


def test_files_are_in_the_courses_format(tmp_path: Path) -> None:
    corpus = corpus_of({"dev": ["a1", "b2"], "test": ["c3"], "unlabelled": ["d4"]})
    predicted: dict[Split, dict[str, np.ndarray]] = {
        "dev": numbers(1, 0) | {"similarity": np.array([2.5, 4.75], dtype=np.float32)},
        "test": numbers(0),
        "unlabelled": numbers(1),
    }
    write_predictions(tmp_path, corpus, predicted)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "sst-dev-output.csv": "id \t Predicted_Sentiment \na1 , 1 \nb2 , 0 \n",
        "para-dev-output.csv": "id \t Predicted_Is_Paraphrase \na1 , 1.0 \nb2 , 0.0 \n",
        "sts-dev-output.csv": "id \t Predicted_Similiary \na1 , 2.5 \nb2 , 4.75 \n",
        "sst-test-output.csv": "id \t Predicted_Sentiment \nd4 , 1 \n",
        "para-test-output.csv": "id \t Predicted_Is_Paraphrase \nd4 , 1.0 \n",
        "sts-test-output.csv": "id \t Predicted_Similiary \nd4 , 1.0 \n",
    }


def test_ones_own_tasks_have_tables_with_what_labels_are_called(tmp_path: Path) -> None:
    mood = Task(
        name="mood", sentence_columns=("text",), label_column="mood", label=Classes(count=2),
        label_names=("bad, very", "good"), metric="accuracy",
    )  # fmt: skip
    close = replace(CS224N[2], name="close")
    examples: dict[str, dict[Split, list[Example]]] = {
        "mood": {"dev": [Example("1", ("A.",), 0.0), Example("2", ("B, C.",), 1.0)], "test": [], "unlabelled": []},
        "close": {"dev": [], "test": [], "unlabelled": [Example("3", ("D.", "E."), None)]},
    }
    nothing = np.empty(0, dtype=np.float32)
    predicted: dict[Split, dict[str, np.ndarray]] = {
        "dev": {"mood": np.array([1, np.nan], dtype=np.float32), "close": nothing},
        "test": {"mood": nothing, "close": nothing},
        "unlabelled": {"mood": nothing, "close": np.array([2.3], dtype=np.float32)},
    }
    write_predictions(tmp_path, Corpus("own", (mood, close), examples), predicted)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "mood-dev.csv": 'id,text,predicted\n1,A.,good\n2,"B, C.",nan\n',
        "mood-test.csv": "id,text,predicted\n",
        "close-dev.csv": "id,sentence1,sentence2,predicted\n",
        "close-test.csv": "id,sentence1,sentence2,predicted\n",
        "close-unlabelled.csv": "id,sentence1,sentence2,predicted\n3,D.,E.,2.3\n",
    }
    assert in_words(mood, np.zeros(1, dtype=np.float32)) == ["bad, very"]


def test_without_a_student_file_test_is_the_labelled_one(tmp_path: Path) -> None:
    corpus = corpus_of({"dev": [], "test": ["c3"], "unlabelled": []})
    write_predictions(tmp_path, corpus, {"dev": numbers(), "test": numbers(4), "unlabelled": numbers()})
    assert (tmp_path / "sst-test-output.csv").read_text() == "id \t Predicted_Sentiment \nc3 , 4 \n"
