"""Corpus files: what is read from them, and what is said about a broken one."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from model.data.corpus import Corpus, Example, Split, holds_cs224n, part_of, read_corpus
from model.data.tasks import CS224N, CS224N_SOURCES
from tests.support import refused

SPLITS: tuple[Split, ...] = ("train", "dev", "test", "unlabelled")
HEADERS = {
    "ids-sst": ["id", "sentence", "sentiment"],
    "quora": ["id", "sentence1", "sentence2", "is_duplicate"],
    "sts": ["id", "sentence1", "sentence2", "similarity"],
}


@dataclass
class Folder:
    """A folder of files in the course's format: index column without a name, tabs, CRLF, quotes only where needed."""

    path: Path
    name: str = field(init=False)

    def __post_init__(self):
        self.path.mkdir(exist_ok=True)
        self.name = str(self.path)
        for stem, header in HEADERS.items():
            for split in ("train", "dev"):
                self.write(f"{stem}-{split}", [header, *(self.row(stem, split, i) for i in range(40))])

    @staticmethod
    def row(stem: str, split: str, i: int) -> list[str]:
        label = {"ids-sst": str(i % 5), "quora": f"{i % 2}.0", "sts": str(i / 8)}[stem]
        return [f"{stem}{split}{i}", *(f"Sentence {i}, {part}." for part in HEADERS[stem][1:-1]), label]

    def write(self, name: str, rows: list[list[str]]) -> Path:
        path = self.path / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\r\n")
            writer.writerows(["" if number == 0 else number - 1, *row] for number, row in enumerate(rows))
        return path

    def write_bytes(self, name: str, content: bytes) -> None:
        (self.path / f"{name}.csv").write_bytes(content)


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "data")


def examples(corpus: Corpus, task: str, split) -> dict[str, Example]:
    return {example.id: example for example in corpus.examples[task][split]}


def test_reads_the_course_format(folder):
    corpus = read_corpus(folder.name, SPLITS)
    assert corpus.tasks == CS224N
    assert corpus.size("dev") == {"sentiment": 40, "paraphrase": 40, "similarity": 40}
    assert corpus.size("unlabelled") == {"sentiment": 0, "paraphrase": 0, "similarity": 0}
    assert examples(corpus, "sentiment", "dev")["ids-sstdev7"].sentences == ("Sentence 7, sentence.",)
    assert corpus.examples["paraphrase"]["dev"][3] == Example(
        "quoradev3", ("Sentence 3, sentence1.", "Sentence 3, sentence2."), 1.0
    )
    assert [e.label for e in corpus.examples["similarity"]["dev"]] == [i / 8 for i in range(40)]


def test_reads_quotes_tabs_line_breaks_and_other_alphabets(folder):
    odd = ['He said "no".', "a\tb", "one\r\ntwo", "Ünïcödé 中文 🙂", "it's 'quoted'", "  spaces  "]
    path = folder.write("ids-sst-dev", [HEADERS["ids-sst"], *([f"x{i}", text, "2"] for i, text in enumerate(odd))])
    assert b'"He said ""no""."' in path.read_bytes()
    read = read_corpus(folder.name, ["dev"]).examples["sentiment"]["dev"]
    assert [e.sentences for e in read] == [(text.strip(),) for text in odd]


def test_reads_other_line_ends_orders_and_further_columns(folder):
    folder.write_bytes(
        "sts-dev", b"similarity\tsentence2\tnote\tid\tsentence1\n5.0\tb.\t\ty1\ta.\n\n0\td.\tn\ty2\tc.\n"
    )
    assert read_corpus(folder.name, ["dev"]).examples["similarity"]["dev"] == [
        Example("y1", ("a.", "b."), 5.0),
        Example("y2", ("c.", "d."), 0.0),
    ]


def test_reads_unlabelled_files_without_labels(folder):
    folder.write("quora-test-student", [HEADERS["quora"][:-1], ["s1", "What?", "Why?"], ["s2", "How?", "Who?"]])
    corpus = read_corpus(folder.name, ["unlabelled"])
    assert corpus.examples["paraphrase"]["unlabelled"] == [
        Example("s1", ("What?", "Why?"), None),
        Example("s2", ("How?", "Who?"), None),
    ]


def test_test_part_is_cut_from_train_by_id(folder):
    corpus = read_corpus(folder.name, ("train", "test"))
    for source in CS224N_SOURCES:
        train, test = examples(corpus, source.task.name, "train"), examples(corpus, source.task.name, "test")
        stem = source.train.removesuffix("-train.csv")
        assert not train.keys() & test.keys()
        assert train.keys() | test.keys() == {f"{stem}train{i}" for i in range(40)}
        assert test.keys() == {i for i in train.keys() | test.keys() if in_test_cut(i)}
        assert test


def in_test_cut(example_id: str) -> bool:
    return part_of(example_id, {"test": 0.1}) == "test"


def test_test_part_is_a_tenth_and_stays_the_same_for_good():
    assert sum(in_test_cut(f"id{i}") for i in range(10_000)) == pytest.approx(1000, abs=100)
    assert [i for i in range(60) if in_test_cut(f"id{i}")] == [5, 23, 33, 40, 55]


def test_test_part_does_not_depend_on_the_order_of_the_file(folder):
    before = read_corpus(folder.name, ("train", "test"))
    folder.write("sts-train", [HEADERS["sts"], *(folder.row("sts", "train", i) for i in reversed(range(40)))])
    after = read_corpus(folder.name, ("train", "test"))
    for split in ("train", "test"):
        assert examples(before, "similarity", split) == examples(after, "similarity", split)
    assert before.fingerprint() != after.fingerprint()


def test_a_labelled_test_file_is_the_test_split_and_leaves_train_whole(folder):
    folder.write("ids-sst-test", [HEADERS["ids-sst"], ["t1", "Fine.", "4"]])
    corpus = read_corpus(folder.name, ("train", "test"))
    assert corpus.examples["sentiment"]["test"] == [Example("t1", ("Fine.",), 4.0)]
    assert len(corpus.examples["sentiment"]["train"]) == 40
    assert len(corpus.examples["paraphrase"]["train"]) < 40


def test_splits_may_be_any_iterable(folder):
    assert read_corpus(folder.name, (split for split in SPLITS[1:2])).size("dev") == {
        "sentiment": 40,
        "paraphrase": 40,
        "similarity": 40,
    }


def test_only_some_splits_are_what_is_read_of_them_alone(folder):
    folder.write("sts-test", [HEADERS["sts"], folder.row("sts", "dev", 1), ["bad", "A.", "B.", "6"]])
    kept = read_corpus(folder.name, SPLITS, skip_bad_rows=True).only(SPLITS[:2])
    alone = read_corpus(folder.name, SPLITS[:2], skip_bad_rows=True)
    assert (kept.examples, kept.fingerprint()) == (alone.examples, alone.fingerprint())
    assert {file: skipped.count for file, skipped in kept.skipped.items()} == {"sts-test.csv": 1}


def test_fingerprint_follows_the_data_alone(folder, tmp_path):
    moved = Folder(tmp_path / "elsewhere")
    fingerprint = read_corpus(folder.name).fingerprint()
    assert read_corpus(moved.name).fingerprint() == fingerprint
    assert read_corpus(moved.name, ("dev",)).fingerprint() != fingerprint
    whole = [folder.row("sts", "dev", i) for i in range(40)]
    seen = {fingerprint}
    for changed in (["other", *whole[5][1:]], [*whole[5][:-1], "0.3"], [whole[5][0], "New.", *whole[5][2:]], whole[6]):
        rest = whole[6:] if changed != whole[6] else whole[7:]
        moved.write("sts-dev", [HEADERS["sts"], *whole[:5], changed, *rest])
        seen.add(read_corpus(moved.name).fingerprint())
    assert len(seen) == 5


def test_holds_cs224n_looks_for_the_train_files(folder):
    assert holds_cs224n(folder.path)
    (folder.path / "sts-train.csv").unlink()
    assert not holds_cs224n(folder.path)


HEADER = b"\tid\tsentence\tsentiment\r\n"
HINT = " (--skip-bad-rows leaves such rows out)"
QUOTES = "; a cell that begins with a quote ends with one, and has quotes doubled"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ": empty; its first line names the columns"),
        (b"\tid\tsentence\r\n", ":1: no column 'sentiment' (tab-separated columns found: 'id', 'sentence')"),
        (
            b"id,sentence\n",
            ":1: no column 'id' (tab-separated columns found: 'id,sentence'); columns are to be tab-separated, in csv "
            "comma-separated",
        ),
        (HEADER, ": no rows below the header"),
        (HEADER + b"0\ta\tGood.\t4\r\n1\tb\tBad.\t\r\n", f":3: nothing in column 'sentiment'{HINT}"),
        (HEADER + b"0\ta\tGood.\t4\r\n1\tb\tBad.\r\n", f":3: 3 fields in a row of 4 columns{HINT}"),
        (HEADER + b"0\ta\t \t4\r\n", f":2: nothing in column 'sentence'{HINT}"),
        (HEADER + b"0\t\tGood.\t4\r\n", f":2: nothing in column 'id'{HINT}"),
        (HEADER + b'0\ta\t"one\r\ntwo"\t1\r\n1\tb\t\t1\r\n', f":4: nothing in column 'sentence'{HINT}"),
        (HEADER + b"0\ta\tA.\t1\r\n1\tb\tB.\t2\r\n2\ta\tC.\t3\r\n", f":4: id 'a' stands already in line 2{HINT}"),
        (HEADER + b"0\ta\t\xff.\t1\r\n", ":2: not UTF-8 text (invalid start byte)"),
        (
            HEADER + b'0\ta\t"A.\t1\r\n1\tb\tB.\t1\r\n',
            f":2: not readable as tab-separated text (unexpected end of data){QUOTES}",
        ),
        (
            HEADER + b'0\ta\t"A" x.\t1\r\n',
            f":2: not readable as tab-separated text ('\t' expected after '\"'){QUOTES}",
        ),
        (HEADER + b"0\ta\tA.\t1\tB.\r\n", f":2: 5 fields in a row of 4 columns{HINT}"),
    ],
)
def test_says_what_is_wrong_and_where(folder, content, text):
    folder.write_bytes("ids-sst-dev", content)
    with refused(f"{folder.path / 'ids-sst-dev.csv'}{text}"):
        read_corpus(folder.name, ("dev",))


@pytest.mark.parametrize(
    ("stem", "allowed", "labels"),
    [
        ("ids-sst", "a whole number from 0 to 4", ["5", "-1", "2.5", "good", "nan", "1e999", "0x1", "0_1", "٣"]),
        ("quora", "0 or 1", ["2", "0.5", "-1", "True", "NaN"]),
        ("sts", "a number from 0 to 5", ["5.1", "-0.1", "inf", "nan", "4,2"]),
    ],
)
def test_refuses_a_label(folder, stem, allowed, labels):
    path = folder.path / f"{stem}-dev.csv"
    for label in labels:
        first, second = folder.row(stem, "dev", 0), folder.row(stem, "dev", 1)
        folder.write(f"{stem}-dev", [HEADERS[stem], first, [*second[:-1], label]])
        with refused(f"{path}:3: {HEADERS[stem][-1]} is {label!r}; allowed is {allowed}{HINT}"):
            read_corpus(folder.name, ("dev",))


def test_refuses_too_few_rows_to_cut_a_test_part_from(folder):
    folder.write_bytes("ids-sst-train", HEADER + b"0\tz0\tGood.\t4\r\n")
    with refused(f"{folder.path / 'ids-sst-train.csv'}: too few rows to cut a test part from it"):
        read_corpus(folder.name, ("test",))


def test_says_which_file_is_missing(folder):
    (folder.path / "quora-train.csv").unlink()
    with refused(f"{folder.path / 'quora-train.csv'}: no such file; task 'paraphrase' needs it"):
        read_corpus(folder.name)


def test_says_that_the_folder_is_missing(tmp_path):
    with refused(f"--data {tmp_path / 'none'}: no such folder; give a folder with the CS224N files, 'demo' or 'hub'"):
        read_corpus(str(tmp_path / "none"))


def test_what_is_not_utf8_far_into_a_file_is_found_there(folder):
    rows = HEADER + b"".join(b"%d\tid%d\tGood.\t4\r\n" % (i, i) for i in range(2000))
    folder.write_bytes("ids-sst-dev", rows + b"x\tx\t\xff\t4\r\n")
    text = f"{folder.path / 'ids-sst-dev.csv'}:2002: not UTF-8 text (invalid start byte)"
    with refused(text):
        read_corpus(folder.name, ("dev",))


def test_reads_a_byte_order_mark(folder):
    folder.write_bytes("ids-sst-dev", b"\xef\xbb\xbfid\tsentence\tsentiment\na\tGood.\t4\n")
    assert read_corpus(folder.name, ("dev",)).examples["sentiment"]["dev"] == [Example("a", ("Good.",), 4.0)]


def test_says_that_a_file_cannot_be_read(folder):
    (folder.path / "sts-dev.csv").unlink()
    (folder.path / "sts-dev.csv").mkdir()
    with refused(f"{folder.path / 'sts-dev.csv'}: not readable (Is a directory)"):
        read_corpus(folder.name, ("dev",))


def test_real_corpus(real_data):
    corpus = read_corpus(real_data, SPLITS)
    for task in CS224N:
        splits = corpus.examples[task.name]
        train, test = examples(corpus, task.name, "train"), examples(corpus, task.name, "test")
        assert len(splits["train"]) > 2500
        assert len(splits["dev"]) > 500
        assert len(splits["unlabelled"]) > 500
        assert not train.keys() & test.keys()
        assert len(test) == pytest.approx((len(train) + len(test)) / 10, rel=0.15)
        assert all(e.label is None for e in splits["unlabelled"])
    assert read_corpus(real_data).fingerprint() == read_corpus(real_data).fingerprint()
