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


def outputs_of(*values: float) -> dict[str, np.ndarray]:
    """Of models that are sure of it."""
    numbers = np.array(values, dtype=np.float32)
    return {"sentiment": np.eye(5)[numbers.astype(int)], "paraphrase": numbers, "similarity": numbers}


def test_files_are_in_the_courses_format(tmp_path: Path) -> None:
    corpus = corpus_of({"dev": ["a1", "b2"], "test": ["c3"], "unlabelled": ["d4"]})
    predicted: dict[Split, dict[str, np.ndarray]] = {
        "dev": outputs_of(1, 0) | {"similarity": np.array([2.5, 4.75], dtype=np.float32)},
        "test": outputs_of(0),
        "unlabelled": outputs_of(1),
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


def test_ones_own_tasks_have_tables_with_labels_and_probabilities(tmp_path: Path) -> None:
    mood = Task(
        name="mood", sentence_columns=("text",), label_column="tone", label=Classes(count=2),
        label_names=("bad, very", "good"), metric="accuracy",
    )  # fmt: skip
    close = replace(CS224N[2], name="close")
    same = replace(CS224N[1], name="same", label_names=("no", "yes"))
    pair = ("D.", "E.")
    examples: dict[str, dict[Split, list[Example]]] = {
        "mood": {"dev": [Example("1", ("A.",), 0.0), Example("2", ("B, C.",), 1.0)], "test": [], "unlabelled": []},
        "close": {"dev": [], "test": [Example("4", pair, 2.5)], "unlabelled": [Example("3", pair, None)]},
        "same": {"dev": [Example("5", pair, 1.0)], "test": [], "unlabelled": []},
    }
    nothing = np.empty(0, dtype=np.float32)
    outputs: dict[Split, dict[str, np.ndarray]] = {
        "dev": {
            "mood": np.array([[0.25, 0.75], [np.nan, 0.5]], dtype=np.float32),
            "close": nothing,
            "same": np.array([0.125], dtype=np.float32),
        },
        "test": {
            "mood": np.empty((0, 2), dtype=np.float32),
            "close": np.array([2.3], dtype=np.float32),
            "same": nothing,
        },
        "unlabelled": {"mood": nothing, "close": np.array([2.3], dtype=np.float32), "same": nothing},
    }
    write_predictions(tmp_path, Corpus("own", (mood, close, same), examples), outputs)
    of_mood, of_close = '"probability_bad, very",probability_good', "id,sentence1,sentence2,similarity,predicted"
    of_same = "id,sentence1,sentence2,is_duplicate,predicted,probability_yes"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "mood-dev.csv": (
            f'id,text,tone,predicted,{of_mood}\n1,A.,"bad, very",good,0.25,0.75\n2,"B, C.",good,nan,nan,0.5\n'
        ),
        "mood-test.csv": f"id,text,tone,predicted,{of_mood}\n",
        "close-dev.csv": f"{of_close}\n",
        "close-test.csv": f"{of_close}\n4,D.,E.,2.5,2.3\n",
        "close-unlabelled.csv": "id,sentence1,sentence2,predicted\n3,D.,E.,2.3\n",
        "same-dev.csv": f"{of_same}\n5,D.,E.,yes,no,0.125\n",
        "same-test.csv": f"{of_same}\n",
    }
    assert in_words(mood, np.zeros(1, dtype=np.float32)) == ["bad, very"]


def test_without_a_student_file_test_is_the_labelled_one(tmp_path: Path) -> None:
    corpus = corpus_of({"dev": [], "test": ["c3"], "unlabelled": []})
    write_predictions(tmp_path, corpus, {"dev": outputs_of(), "test": outputs_of(4), "unlabelled": outputs_of()})
    assert (tmp_path / "sst-test-output.csv").read_text() == "id \t Predicted_Sentiment \nc3 , 4 \n"
