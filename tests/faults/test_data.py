"""Broken data files: each one is refused with one message, or its bad rows are left out where that was asked for."""

import os
import shutil

import pytest

from model.data.corpus import Skipped, read_corpus
from tests.support import refused, tiny_corpus, write_corpus

HEADER = "id\tsentence\tsentiment\n"
HINT = " (--skip-bad-rows leaves such rows out)"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "data"
    write_corpus(folder, tiny_corpus())
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "data")


@pytest.fixture
def file(folder):
    return folder / "ids-sst-dev.csv"


def dev(folder, **options):
    return read_corpus(str(folder), ("dev",), **options)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("id\tid\tsentence\tsentiment\n", ":1: the column 'id' stands there twice"),
        (HEADER + "a\tA\0B\t1\n", f":2: a NUL character in column 'sentence'; allowed is text{HINT}"),
        (HEADER + "a\0\tA.\t1\n", f":2: a NUL character in column 'id'; allowed is text{HINT}"),
        (HEADER + "a\tA.\t1\t\n", f":2: 4 fields in a row of 3 columns{HINT}"),
        (HEADER + "a\tA.\t1\n \n", f":3: 1 field in a row of 3 columns{HINT}"),
        (
            HEADER + 'a\t"A.\t1\nb\t"B."\t1\n',
            ":2: not readable as tab-separated text ('\t' expected after '\"'); "
            "a cell that begins with a quote ends with one, and has quotes doubled",
        ),
        (
            HEADER + 'a\tA.\t1\nb\t"B.\t1\nc\tC."\t1\nd\tD.\t2\n',
            ":3: a cell with tabs and line breaks; is a quote not closed?",
        ),
        (
            HEADER + 'a\t"one\ntwo"\t1\n\nb\tB.\t7\n',
            f":5: sentiment is '7'; allowed is a whole number from 0 to 4{HINT}",
        ),
        (
            HEADER + f"a\t{'A' * 200_000}\t1\n",
            ":2: not readable as tab-separated text (field larger than field limit (131072)); "
            "a cell that begins with a quote ends with one, and has quotes doubled",
        ),
    ],
)
def test_says_what_is_wrong_and_where(folder, file, content, text):
    file.write_text(content, newline="")
    with refused(f"{file}{text}"):
        dev(folder)


def test_refuses_another_encoding(folder, file):
    file.write_bytes((HEADER + "a\tGood.\t4\n").encode("utf-16"))
    with refused(f"{file}:1: not UTF-8 text (invalid start byte)"):
        dev(folder)


def test_a_byte_that_is_no_utf8_is_found_after_a_byte_order_mark(folder, file):
    file.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"a\tA.\t1\nb\t\xff\t1\n")
    with refused(f"{file}:3: not UTF-8 text (invalid start byte)"):
        dev(folder)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_takes_every_line_end_and_counts_lines_by_it(folder, file, line_end):
    rows = ["id\tsentence\tsentiment", "a\tA.\t1", "b\tB.\t2", "c\tC.\t9", ""]
    file.write_text(line_end.join(rows), newline="")
    with refused(f"{file}:4: sentiment is '9'; allowed is a whole number from 0 to 4{HINT}"):
        dev(folder)
    assert [e.id for e in dev(folder, skip_bad_rows=True).examples["sentiment"]["dev"]] == ["a", "b"]


@pytest.mark.parametrize("name", ["sts-dev.csv", "sts-test.csv", "sts-test-student.csv"])
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.mkdir(), "not readable (Is a directory)"),
        (lambda path: path.symlink_to(path), "not readable (Too many levels of symbolic links)"),
        (lambda path: path.symlink_to("nowhere"), "no such file; task 'similarity' needs it"),
    ],
)
def test_says_that_a_file_can_not_be_read(folder, name, make, text):
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    with refused(f"{folder / name}: {text}"):
        read_corpus(str(folder), ("dev", "test", "unlabelled"))


@pytest.mark.parametrize("name", ["x" * 5000, "loop", "data/sts-dev.csv"])
def test_says_that_there_is_no_folder(folder, name):
    (folder.parent / "loop").symlink_to("loop")
    path = folder.parent / name
    with refused(f"--data {path}: no such folder; give a folder with the CS224N files, 'demo' or 'hub'"):
        dev(path)


# ----------------------------------------------------------------------------------------------- bad rows left out


def test_leaves_bad_rows_out_and_counts_them(folder, file):
    bad = {3: "b\tB.\t7", 4: "c\t\t1", 6: "e\tE.", 7: "a\tAgain.\t1", 8: "f\tF\0.\t1"}
    rows = [HEADER.strip(), "a\tA.\t1", *(bad.get(line, f"x{line}\tX.\t2") for line in range(3, 11))]
    file.write_text("\n".join(rows))
    corpus = dev(folder, skip_bad_rows=True)
    assert [e.id for e in corpus.examples["sentiment"]["dev"]] == ["a", "x5", "x9", "x10"]
    assert corpus.skipped == {
        "ids-sst-dev.csv": Skipped(
            5,
            (
                f"{file}:3: sentiment is '7'; allowed is a whole number from 0 to 4",
                f"{file}:4: nothing in column 'sentence'",
                f"{file}:6: 2 fields in a row of 3 columns",
            ),
        )
    }
    assert len(corpus.examples["similarity"]["dev"]) == 24


def test_without_bad_rows_nothing_is_skipped(folder):
    skipping, strict = (read_corpus(str(folder), skip_bad_rows=skip) for skip in (True, False))
    assert skipping.skipped == strict.skipped == {}
    assert skipping.fingerprint() == strict.fingerprint()


def test_the_fingerprint_is_of_what_remains(folder, tmp_path):
    whole = read_corpus(str(folder))
    other = shutil.copytree(folder, tmp_path / "other")
    with (other / "sts-train.csv").open("a", newline="") as file:
        file.write("60\tbad\tA.\tB.\t5.5\r\n")
    assert read_corpus(str(other), skip_bad_rows=True).fingerprint() == whole.fingerprint()


def test_a_train_file_that_is_read_for_train_and_test_is_counted_once(folder):
    with (folder / "quora-train.csv").open("a", newline="") as file:
        file.write("60\tbad\tA.\tB.\tno\r\n")
    corpus = read_corpus(str(folder), ("train", "test"), skip_bad_rows=True)
    assert {name: skipped.count for name, skipped in corpus.skipped.items()} == {"quora-train.csv": 1}


def test_a_file_without_a_good_row_is_refused_all_the_same(folder, file):
    file.write_text(HEADER + "a\tA.\t5\nb\tB.\t6\n")
    with refused(f"{file}:2: sentiment is '5'; allowed is a whole number from 0 to 4; no row can be used"):
        dev(folder, skip_bad_rows=True)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ": empty; its first line names the columns"),
        (HEADER.encode(), ": no rows below the header"),
        (HEADER.encode() + b"a\t\xff\t1\n", ":2: not UTF-8 text (invalid start byte)"),
        (HEADER.encode() + b'a\t"A.\t1\nb\tB."\t1\n', ":2: a cell with tabs and line breaks; is a quote not closed?"),
    ],
)
def test_a_broken_file_is_refused_all_the_same(folder, file, content, text):
    file.write_bytes(content)
    with refused(f"{file}{text}"):
        dev(folder, skip_bad_rows=True)


def test_a_missing_file_is_refused_all_the_same(folder, file):
    os.remove(file)
    with refused(f"{file}: no such file; task 'sentiment' needs it"):
        dev(folder, skip_bad_rows=True)
