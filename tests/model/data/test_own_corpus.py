"""Files of one's own tasks: formats, names of labels, parts cut off train, and what is said of a broken one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from model.data.corpus import Example, part_of, read_corpus
from model.data.tasks import Source, source_of
from tests.support import refused

VALUES = {
    "name": "nli",
    "sentences": ["a", "b"],
    "label": "gold",
    "label_kind": "classes",
    "labels": ["yes", "maybe", "no"],
    "metric": "accuracy",
    "train": "train.csv",
    "dev": "dev.jsonl",
}
HINT = " (--skip-bad-rows leaves such rows out)"


def source(**changes: object) -> Source:
    values = {**VALUES, **changes}
    return source_of({key: value for key, value in values.items() if value is not None})


def rows(count: int) -> list[dict[str, str]]:
    return [{"a": f"One, {i}.", "b": f"Two {i}.", "gold": ["yes", "maybe", "no"][i % 3]} for i in range(count)]


def write(folder: Path, name: str, made: Sequence[dict[str, str]]) -> None:
    if name.endswith("jsonl"):
        text = "".join(f"{json.dumps(row)}\n" for row in made)
    else:
        mark = "," if name.endswith("csv") else "\t"
        cells = [list(made[0]), *(list(row.values()) for row in made)]
        text = "".join(mark.join(f'"{cell}"' for cell in row) + "\n" for row in cells)
    (folder / name).write_text(text)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_every_format_reads_alike(tmp_path: Path, ending: str) -> None:
    write(tmp_path, f"train.{ending}", rows(60))
    write(tmp_path, f"dev.{ending}", rows(6))
    read = read_corpus(str(tmp_path), sources=[source(train=f"train.{ending}", dev=f"dev.{ending}")])
    dev = read.examples["nli"]["dev"]
    assert [(e.sentences, e.label) for e in dev[:2]] == [(("One, 0.", "Two 0."), 0.0), (("One, 1.", "Two 1."), 1.0)]
    assert len({e.id for e in read.examples["nli"]["train"]}) == read.size("train")["nli"]


def test_a_format_may_be_said(tmp_path: Path) -> None:
    write(tmp_path, "train.tsv", rows(60))
    (tmp_path / "train.tsv").rename(tmp_path / "train.txt")
    write(tmp_path, "dev.tsv", rows(6))
    read = read_corpus(str(tmp_path), ("dev",), sources=[source(train="train.txt", dev="dev.tsv", format="tsv")])
    assert read.size("dev") == {"nli": 6}


def test_json_lines_hold_labels_of_any_plain_kind(tmp_path: Path) -> None:
    labels = ["1", 1, 1.0, True, 0]
    lines = "\n\n".join(json.dumps({"a": " One\u2028. ", "b": "Two.", "gold": label}) for label in labels)
    (tmp_path / "dev.jsonl").write_text(lines)
    read = read_corpus(str(tmp_path), ("dev",), sources=[source(labels=["0", "1", "1.0", "true"])])
    assert [e.label for e in read.examples["nli"]["dev"]] == [1.0, 1.0, 2.0, 3.0, 0.0]
    assert read.examples["nli"]["dev"][0].sentences == ("One\u2028.", "Two.")


def test_parts_are_cut_from_train_by_id(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", rows(400))
    one = source(dev=None, dev_share=0.25, test_share=0.2)
    examples = read_corpus(str(tmp_path), ("train", "dev", "test"), sources=[one]).examples["nli"]
    sizes = {split: len(part) for split, part in examples.items()}
    assert sum(sizes.values()) == 400
    assert sizes["dev"] == pytest.approx(100, abs=25)
    assert sizes["test"] == pytest.approx(80, abs=25)
    shares = {"test": 0.2, "dev": 0.25}
    for split, part in examples.items():
        assert {part_of(e.id, shares) for e in part} == {split}  # type: ignore[arg-type]
    (with_dev,) = [source(test_share=0.2)]
    write(tmp_path, "dev.jsonl", rows(6))
    again = read_corpus(str(tmp_path), ("test",), sources=[with_dev]).examples["nli"]
    assert again["test"] == examples["test"], "which part is test does not hang on dev"


def test_without_ids_the_same_sentences_stay_together(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", [row for row in rows(100) for _ in range(3)])
    examples = read_corpus(str(tmp_path), ("train", "test"), sources=[source(dev=None)]).examples["nli"]
    train, test = ({e.id for e in examples[split]} for split in ("train", "test"))
    assert train.isdisjoint(test)
    assert len(examples["test"]) == 3 * len(test)


def test_an_optional_file_is_read_where_it_is(tmp_path: Path) -> None:
    one = source(dev=None, test="test.csv", unlabelled="new.csv", optional=["test", "unlabelled"], test_share=0.3)
    write(tmp_path, "train.csv", rows(100))
    cut = read_corpus(str(tmp_path), ("test", "unlabelled"), sources=[one])
    assert cut.size("test")["nli"] == pytest.approx(30, abs=12)
    assert cut.size("unlabelled") == {"nli": 0}
    write(tmp_path, "test.csv", rows(7))
    (tmp_path / "new.csv").write_text("b,a\nTwo.,One.\n")
    there = read_corpus(str(tmp_path), ("test", "unlabelled"), sources=[one])
    assert there.size("test") == {"nli": 7}
    (new,) = there.examples["nli"]["unlabelled"]
    assert (new.sentences, new.label) == (("One.", "Two."), None)
    with refused(f"{tmp_path / 'none.csv'}: no such file; task 'nli' needs it"):
        read_corpus(str(tmp_path), ("test",), sources=[source(dev=None, test="none.csv")])


def test_the_fingerprint_follows_the_tasks_too(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", rows(60))
    write(tmp_path, "dev.jsonl", rows(6))
    other = [{"metric": "macro_f1"}, {"labels": ["yes", "maybe", "no", "never"]}, {"name": "other"}]
    found = {read_corpus(str(tmp_path), sources=[source(**change)]).fingerprint() for change in [{}, *other]}
    assert len(found) == 4


def test_two_tasks_may_read_one_file(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", [*rows(60), {"a": "", "b": "Two.", "gold": "yes"}])
    tasks = [source(dev=None), source(name="first", sentences=["a"], dev=None)]
    read = read_corpus(str(tmp_path), ("train",), sources=tasks, skip_bad_rows=True)
    assert {file: skipped.count for file, skipped in read.skipped.items()} == {"train.csv": 1, "train.csv (first)": 1}


BROKEN_LINES = {
    "no JSON": ("{'a': 1}", "not JSON (Expecting property name enclosed in double quotes); allowed is an object in each"
                " line"),
    "a list": ('["One.", "Two.", "yes"]', "a JSON array; allowed is an object in each line"),
    "a number": ("3", "a JSON number; allowed is an object in each line"),
    "too deep": ("[" * 100_000, "not JSON (nested too deeply); allowed is an object in each line"),
    "too many digits": (
        f'{{"a": {"1" * 5000}, "b": "Two.", "gold": "yes"}}',
        "not JSON (Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits); allowed is "
        "an object in each line",
    ),
    "no key": ('{"a": "One.", "gold": "yes"}', "no key 'b' (keys found: 'a', 'gold')"),
    "null": ('{"a": "One.", "b": null, "gold": "yes"}', "a JSON null in 'b'; allowed is text or a number"),
    "an object": ('{"a": "One.", "b": {}, "gold": "yes"}', "a JSON object in 'b'; allowed is text or a number"),
    "nothing": ('{"a": " ", "b": "Two.", "gold": "yes"}', "nothing in column 'a'"),
    "half a character": (
        '{"a": "\\ud800", "b": "Two.", "gold": "yes"}',
        "half a character (a lone surrogate) in column 'a'; allowed is text",
    ),
    "another label": (
        '{"a": "One.", "b": "Two.", "gold": "Yes"}',
        "gold is 'Yes'; allowed are 'yes', 'maybe', 'no'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "message"), BROKEN_LINES.values(), ids=BROKEN_LINES)
def test_a_broken_line_of_json(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, "dev.jsonl", rows(2))
    with (tmp_path / "dev.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with refused(f"{tmp_path / 'dev.jsonl'}:3: {message}{HINT}"):
        read_corpus(str(tmp_path), ("dev",), sources=[source()])
    read = read_corpus(str(tmp_path), ("dev",), sources=[source()], skip_bad_rows=True)
    assert read.size("dev") == {"nli": 2}
    assert read.skipped["dev.jsonl"].messages == (f"{tmp_path / 'dev.jsonl'}:3: {message}",)


BROKEN_TABLES = {
    "no such column": (
        "a,c,gold\nOne.,Two.,yes\n",
        ":1: no column 'b' (comma-separated columns found: 'a', 'c', 'gold')",
    ),
    "tabs": (
        "a\tb\tgold\nOne.\tTwo.\tyes\n",
        ":1: no column 'a' (comma-separated columns found: 'a\\tb\\tgold'); columns are to be comma-separated, in tsv "
        "tab-separated",
    ),
    "semicolons": (
        "a;b;gold\nOne.;Two.;yes\n",
        ":1: no column 'a' (comma-separated columns found: 'a;b;gold'); columns are to be comma-separated, in tsv "
        "tab-separated",
    ),
    "empty": ("", ": empty; its first line names the columns"),
    "a column twice": ("a,b,a,gold\n1,2,3,yes\n", ":1: the column 'a' stands there twice"),
    "a comma too many": (
        "a,b,gold\nOne, two.,Three.,yes\n",
        f":2: 4 fields in a row of 3 columns; a cell with a comma needs quotes{HINT}",
    ),
    "another label": ("a,b,gold\nOne.,Two.,3\n", f":2: gold is '3'; allowed are 'yes', 'maybe', 'no'{HINT}"),
    "an open quote": (
        'a,b,gold\n"One.,Two.,yes\n',
        ":2: not readable as comma-separated text (unexpected end of data); a cell that begins with a quote ends with "
        "one, and has quotes doubled",
    ),
    "no rows": ("a,b,gold\n", ": no rows below the header"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_a_broken_table(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "train.csv").write_text(text)
    with refused(f"{tmp_path / 'train.csv'}{message}"):
        read_corpus(str(tmp_path), ("train",), sources=[source()])


@pytest.mark.parametrize("begins", [b"PK\x03\x04\x14\x00\xff", b"\xd0\xcf\x11\xe0\xa1"])
def test_a_spreadsheet_that_was_renamed(tmp_path: Path, begins: bytes) -> None:
    (tmp_path / "train.csv").write_bytes(begins)
    said = "a spreadsheet or an archive; allowed is text in UTF-8: csv, tsv or jsonl"
    with refused(f"{tmp_path / 'train.csv'}: {said}"):
        read_corpus(str(tmp_path), ("train",), sources=[source()])


@pytest.mark.parametrize("label", [{"label_kind": "binary"}, {"label_kind": "classes", "classes": 2}])
def test_names_of_labels_that_the_table_does_not_have(tmp_path: Path, label: dict[str, object]) -> None:
    (tmp_path / "train.csv").write_text("a,gold\nOne.,yes\n")
    values = {"name": "t", "sentences": ["a"], "label": "gold", "metric": "accuracy", "train": "train.csv"} | label
    allowed = "0 or 1" if label["label_kind"] == "binary" else "a whole number from 0 to 1"
    with refused(
        f"{tmp_path / 'train.csv'}:2: gold is 'yes'; allowed is {allowed}; names of labels are given in the task's "
        f"table as labels = [...]{HINT}"
    ):
        read_corpus(str(tmp_path), ("train",), sources=[source_of(values)])


def test_an_id_for_the_second_time(tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").write_text('{"a": "1", "b": "2", "gold": "no", "n": 7}\n' * 2)
    with refused(f"{tmp_path / 'dev.jsonl'}:2: id '7' stands already in line 1{HINT}"):
        read_corpus(str(tmp_path), ("dev",), sources=[source(id="n")])
    (tmp_path / "dev.jsonl").write_text('{"a": "1", "b": "2", "gold": "no", "n": 7}\n')
    read = read_corpus(str(tmp_path), ("dev",), sources=[source(id="n")])
    assert read.examples["nli"]["dev"] == [Example("7", ("1", "2"), 2.0)]


def test_too_few_rows_and_no_file_and_no_folder(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", rows(1))
    with refused(f"{tmp_path / 'train.csv'}: too few rows to cut a test and dev part from it"):
        read_corpus(str(tmp_path), ("train", "dev", "test"), sources=[source(dev=None)])
    (tmp_path / "dev.jsonl").write_text("\n")
    with refused(f"{tmp_path / 'dev.jsonl'}: no rows"):
        read_corpus(str(tmp_path), ("dev",), sources=[source()])
    with refused(f"--data {tmp_path / 'x'}: no such folder; give the folder that the tasks' files lie in"):
        read_corpus(str(tmp_path / "x"), ("dev",), sources=[source()])
