"""The tasks of CS224N through the library `datasets` itself, from a stand-in for the hub on this machine."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.data.corpus import read_corpus
from tests.model.data.hub_library import QQP, SST5, STSB, Columns, Library
from tests.model.hub_server import HubServer, hub_of, in_a_process

pytestmark = pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="it needs the extra hub")

READ = """
import json, sys, warnings
warnings.simplefilter("error")
from dataclasses import replace
from model.data.corpus import read_corpus
from model.data.hub import DATASETS
from model.errors import UserError
answers = []
for name in sys.argv[1:]:
    DATASETS["sentiment"] = replace(DATASETS["sentiment"], repository=name)
    try:
        corpus = read_corpus("hub", ("train", "dev", "test"))
        answers.append([corpus.fingerprint(), corpus.size("train")])
    except UserError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""
CARD = """---
configs:
{configs}
dataset_info:
{infos}
---
# A card
"""
CONFIG = """- config_name: {name}
  data_files:
  - split: train
    path: {name}/train-*
  - split: validation
    path: {name}/validation-*
  - split: test
    path: {name}/test-*
"""
INFO = """- config_name: {name}
  features:
  - name: {first}
    dtype: string
  - name: {second}
    dtype: string
  - name: label
    dtype: {label}
  - name: idx
    dtype: int32
  splits:
  - name: train
    num_examples: 200
  - name: validation
    num_examples: 1
  - name: test
    num_examples: 1
"""
CLASSES = """
      class_label:
        names:
          '0': not_duplicate
          '1': duplicate"""
BROKEN = {
    "nowhere": "Dataset 'org/nowhere' doesn't exist on the Hub or cannot be accessed.",
    "gated": "Dataset 'org/gated' is a gated dataset on the Hub. You must be authenticated to access it.",
    "program": "Dataset scripts are no longer supported, but found program.py",
    "bad-card": "while parsing a flow node",
    "no-json": "JSON parse error: Missing a name for object member. in row 0",
}
"""By the name of a repository, what is wrong with it, as the library has it."""


def write_lines(folder: Path, splits: dict[str, Columns]) -> Path:
    """A repository of SetFit's: a file of JSON lines for each split."""
    folder.mkdir()
    (folder / "README.md").write_text("---\nlanguage: en\n---\n# A card\n")
    for split, columns in splits.items():
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        name = {"validation": "dev"}.get(split, split)
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def write_glue(folder: Path) -> Path:
    """A repository with a folder of parquet files for each subset, and a card that says so."""
    import pyarrow
    from pyarrow import parquet

    subsets = {"qqp": (QQP, pyarrow.int64(), CLASSES), "stsb": (STSB, pyarrow.float32(), "float32")}
    infos = []
    for name, (splits, label, described) in subsets.items():
        (folder / name).mkdir(parents=True)
        for split, columns in splits.items():
            table = pyarrow.table({**columns, "label": pyarrow.array(columns["label"], label)})
            parquet.write_table(table, folder / name / f"{split}-00000-of-00001.parquet")
        first, second, *_ = splits["train"]
        infos.append(INFO.format(name=name, first=first, second=second, label=described))
    configs = "".join(CONFIG.format(name=name) for name in subsets)
    (folder / "README.md").write_text(CARD.format(configs=configs.rstrip(), infos="".join(infos).rstrip()))
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    root = tmp_path_factory.mktemp("repositories")
    made = {"SetFit/sst5": write_lines(root / "sst5", SST5), "nyu-mll/glue": write_glue(root / "glue")}
    made |= {f"org/{name}": write_lines(root / name, SST5) for name in (*BROKEN, "no-dev", "other-column")}
    del made["org/nowhere"]
    (root / "program" / "program.py").write_text("raise SystemExit")
    (root / "bad-card" / "README.md").write_text("---\nconfigs: [\n---\n")
    (root / "no-json" / "train.jsonl").write_text("{nonsense\n")
    (root / "no-dev" / "dev.jsonl").unlink()
    for split in ("train", "dev", "test"):
        (root / "other-column" / f"{split}.jsonl").write_text('{"sentence": "Fine", "label": 2}\n')
    with hub_of({f"datasets/{name}": folder for name, folder in made.items()}, gated=["datasets/org/gated"]) as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def answers(hub: HubServer, home: Path) -> dict[str, Any]:
    """What comes of reading each repository in the place of SetFit/sst5."""
    names = ("SetFit/sst5", *(f"org/{name}" for name in (*BROKEN, "no-dev", "other-column")))
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home)}
    return dict(zip(names, in_a_process(READ, names, environment), strict=True))


def test_the_library_gives_what_its_stand_in_does(answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", Library())
    monkeypatch.setattr("model.data.hub.check_hub_has_address", lambda: None)
    corpus = read_corpus("hub", ("train", "dev", "test"))
    assert answers["SetFit/sst5"] == [corpus.fingerprint(), corpus.size("train")]


def not_to_be_had(name: str, reason: str) -> str:
    return (
        f"--data hub: {name} is not to be had from the hub ({reason}); what was fetched before is read without it, and "
        "--data FOLDER reads files"
    )


@pytest.mark.parametrize("name", BROKEN)
def test_a_repository_that_is_no_use_is_refused(answers: dict[str, Any], name: str) -> None:
    assert answers[f"org/{name}"] == not_to_be_had(f"org/{name}", BROKEN[name])


def test_what_a_repository_lacks_is_named(answers: dict[str, Any]) -> None:
    assert answers["org/no-dev"] == "org/no-dev: no split 'validation' (splits found: 'train', 'test')"
    assert answers["org/other-column"] == (
        "org/other-column train: no column 'text' (columns found: 'sentence', 'label')"
    )


def test_what_was_fetched_before_is_read_without_the_hub(answers: dict[str, Any], home: Path) -> None:
    environment = {"HF_ENDPOINT": "http://nowhere.invalid", "HF_HOME": str(home)}
    one, other = in_a_process(READ, ("SetFit/sst5", "org/other"), environment)
    assert one == answers["SetFit/sst5"]
    assert other.startswith("--data hub: org/other is not to be had from the hub ([Errno ")
    one, other = in_a_process(READ, ("SetFit/sst5", "org/other"), environment | {"HF_HUB_OFFLINE": "1"})
    assert one == answers["SetFit/sst5"]
    assert other == not_to_be_had("org/other", "Couldn't reach 'org/other' on the Hub (OfflineModeIsEnabled)")
