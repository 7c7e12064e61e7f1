"""The tasks of CS224N from the hub, through a stand-in for the library `datasets`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from model.data.corpus import Corpus, part_of, read_corpus
from model.data.hub import DATASETS, LIBRARY
from model.data.tasks import CS224N
from model.errors import UserError
from tests.model.data.hub_library import Library
from tests.support import refused

ROOT = Path(__file__).parents[3]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setitem(sys.modules, "datasets", made)
    monkeypatch.setattr("model.data.hub.check_hub_has_address", lambda: None)
    return made


def read() -> Corpus:
    return read_corpus("hub", ("train", "dev", "test", "unlabelled"))


@pytest.mark.usefixtures("library")
def test_columns_and_labels_are_mapped_to_the_tasks() -> None:
    corpus = read()
    assert (corpus.name, corpus.tasks) == ("hub", CS224N)
    first = {task: [splits["dev"][0].sentences, splits["dev"][0].label] for task, splits in corpus.examples.items()}
    assert first == {
        "sentiment": [("Fine",), 2.0],
        "paraphrase": [("Why?", "How?"), 1.0],
        "similarity": [("A cat", "A dog"), 3.799999952316284],
    }
    reviews = corpus.examples["sentiment"]["train"]
    assert [(e.id, e.sentences, e.label) for e in reviews] == [
        ("0", ("A good film",), 3.0),
        ("1", ("A dull one",), 1.0),
    ]


def test_test_is_a_split_where_it_has_labels_and_else_cut_off_train(library: Library) -> None:
    corpus = read()
    assert [e.label for e in corpus.examples["sentiment"]["test"]] == [0.0, 4.0]
    for task in ("paraphrase", "similarity"):
        splits = corpus.examples[task]
        ids = {split: {e.id for e in splits[split]} for split in ("train", "test")}
        assert ids["test"] == {str(i) for i in range(200) if part_of(str(i), {"test": 0.1}) == "test"}
        assert ids["train"] == {str(i) for i in range(200)} - ids["test"]
    assert all(splits["unlabelled"] == [] for splits in corpus.examples.values())
    assert not any(split == "test" and path == "nyu-mll/glue" for path, _, split in library.read)


def test_test_stays_unseen_where_it_is_not_asked_for(library: Library) -> None:
    corpus = read_corpus("hub")
    assert all(splits.keys() == {"train", "dev"} for splits in corpus.examples.values())
    assert "test" not in {split for _, _, split in library.read}
    assert corpus.size("train") == read().size("train")


def test_the_fingerprint_follows_the_rows(library: Library) -> None:
    before = read_corpus("hub").fingerprint()
    assert read_corpus("hub").fingerprint() == before
    library.held["SetFit/sst5", None]["validation"] = {"text": ["Fine!"], "label": [2]}
    assert read_corpus("hub").fingerprint() != before


def test_a_bad_row_is_named_and_can_be_left_out(library: Library) -> None:
    questions = ["", None, "When?"]
    library.held["nyu-mll/glue", "qqp"]["validation"] = {
        "question1": ["Why?"] * 3,
        "question2": questions,
        "label": [1, 0, -1],
    }
    first = "nyu-mll/glue qqp validation:0: nothing in column 'question2'"
    with refused(f"{first} (--skip-bad-rows leaves such rows out)"):
        read_corpus("hub")
    with refused(f"{first}; no row can be used"):
        read_corpus("hub", skip_bad_rows=True)
    questions[0] = "How?"
    corpus = read_corpus("hub", skip_bad_rows=True)
    (skipped,) = corpus.skipped.items()
    assert skipped[0] == "nyu-mll/glue qqp validation"
    assert skipped[1].messages == (
        "nyu-mll/glue qqp validation:1: nothing in column 'question2'",
        "nyu-mll/glue qqp validation:2: is_duplicate is '-1'; allowed is 0 or 1",
    )


def test_a_column_that_is_not_there(library: Library) -> None:
    library.held["SetFit/sst5", None]["train"] = {"sentence": ["Fine"], "label": [2]}
    with refused("SetFit/sst5 train: no column 'text' (columns found: 'sentence', 'label')"):
        read_corpus("hub")


def test_a_split_that_is_not_there(library: Library) -> None:
    del library.held["nyu-mll/glue", "qqp"]["validation"]
    with refused("nyu-mll/glue qqp: no split 'validation' (splits found: 'train', 'test')"):
        read_corpus("hub")


def test_a_split_without_rows(library: Library) -> None:
    library.held["SetFit/sst5", None]["validation"] = {"text": [], "label": []}
    with refused("SetFit/sst5 validation: no rows"):
        read_corpus("hub")


def test_each_dataset_is_asked_for_once(library: Library) -> None:
    read()
    assert library.asked == [("SetFit/sst5", None), ("nyu-mll/glue", "qqp"), ("nyu-mll/glue", "stsb")]


def not_to_be_had(reason: str) -> str:
    return (
        f"--data hub: SetFit/sst5 is not to be had from the hub ({reason}); what was fetched before is read without "
        "it, and --data FOLDER reads files"
    )


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionError("Couldn't reach 'SetFit/sst5' on the Hub\nmore"), "Couldn't reach 'SetFit/sst5' on the Hub"),
        (RuntimeError("Dataset scripts are no longer supported"), "Dataset scripts are no longer supported"),
        (TimeoutError(), "TimeoutError"),
        (caused(RuntimeError("An error occurred"), KeyError("text")), "KeyError: 'text'"),
    ],
)
def test_what_the_hub_does_not_give(library: Library, error: Exception, reason: str) -> None:
    library.fails = error
    with refused(not_to_be_had(reason)):
        read_corpus("hub")


def test_without_a_network_the_library_does_not_look_for_the_hub(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> None:
        raise OSError("no address")

    whole = read_corpus("hub")
    assert not library.config.HF_HUB_OFFLINE
    monkeypatch.setattr("model.data.hub.check_hub_has_address", look)
    assert read_corpus("hub") == whole, "what was fetched before"
    assert library.config.HF_HUB_OFFLINE
    library.fails = ConnectionError("offline mode is enabled")
    with refused(not_to_be_had("no address")):
        read_corpus("hub")
    library.fails = RuntimeError("a broken file")  # of what was fetched before
    with refused(not_to_be_had("a broken file")):
        read_corpus("hub")


@pytest.mark.parametrize("found", [None, ModuleType("datasets")], ids=["nothing", "a folder of that name"])
def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, found: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "datasets", found)
    with pytest.raises(UserError) as caught:
        read_corpus("hub")
    assert str(caught.value) == (
        f'--data hub: the package datasets is not installed; {sys.executable} -m pip install "{LIBRARY}"'
    )


def test_an_extra_that_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "datasets.py").write_text("import a_package_that_it_needs")
    monkeypatch.delitem(sys.modules, "datasets", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with refused("--data hub: the package datasets can't be imported (No module named 'a_package_that_it_needs')"):
        read_corpus("hub")


def test_what_is_to_be_installed_is_the_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["hub"] == [LIBRARY]


def test_every_task_of_the_course_has_a_dataset() -> None:
    assert list(DATASETS) == [task.name for task in CS224N]
    for task in CS224N:
        assert list(DATASETS[task.name].columns) == [*task.sentence_columns, task.label_column]
