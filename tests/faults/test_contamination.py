"""Examples of dev and test that stand in train: found, counted, described, and left out of the clean scores."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.contamination import Contaminated, contamination, describe
from model.data.corpus import Corpus, Example, Split, read_corpus
from model.data.scores import clean_overall, overall, score
from model.data.tasks import CS224N
from model.data.tokens import tokenize
from model.training import evaluate
from model.training.loop import train

TRAIN = [
    Example("a", ("The film is good.", "A dog sees the cat."), 4.0),
    Example("b", ("Straße\u2003und  Haus", "x"), 1.0),
    Example("c", ("one", "two"), 2.0),
    Example("d", ("one", "two"), 3.0),
    Example("e", ("same", "same"), 5.0),
]


def corpus_of(train, dev, task=CS224N[2]) -> Corpus:
    return Corpus("made up", (task,), {task.name: {"train": train, "dev": dev}})


def found(train, dev, task=CS224N[2]) -> Contaminated:
    return contamination(corpus_of(train, dev, task), "dev")[task.name]


@pytest.mark.parametrize(
    ("sentences", "label", "grade", "same_label"),
    [
        (("The film is good.", "A dog sees the cat."), 4.0, "exact", 1),
        (("The film is good.", "A dog sees the cat."), 3.0, "exact", 0),
        (("the FILM is good.", " A  dog\tsees the\ncat."), 4.0, "up_to_case", 1),
        (("STRASSE und haus", "X"), 2.0, "up_to_case", 0),
        (("A dog sees the cat.", "The film is good."), 4.0, "swapped", 1),
        (("a dog sees the cat.", "the film is good."), 4.0, "swapped", 1),
        (("one", "two"), 3.0, "exact", 1),
        (("one", "two"), 4.0, "exact", 0),
        (("same", "same"), 5.0, "exact", 1),
        (("Same", "same"), 5.0, "up_to_case", 1),
        (("The film is good", "A dog sees the cat."), 4.0, None, 0),
        (("The film is good.", "two"), 4.0, None, 0),
        (("The filmis good.", "A dog sees the cat."), 4.0, None, 0),
    ],
)
def test_each_row_counts_once_by_the_closest_it_comes(sentences, label, grade, same_label):
    one = found(TRAIN, [Example("other", ("nothing", "like it"), 0.0), Example("row", sentences, label)])
    counts = {"exact": one.exact, "up_to_case": one.up_to_case, "swapped": one.swapped}
    assert counts == {name: int(name == grade) for name in counts}
    assert one.rows.tolist() == ([] if grade is None else [1])
    assert (one.size, one.same_label) == (2, same_label)


def test_the_closest_counts_whatever_comes_first_in_train():
    pair = ("one", "two")
    train = [Example("s", pair[::-1], 1.0), Example("c", ("ONE", "two"), 2.0), Example("e", pair, 3.0)]
    for order in itertools.permutations(train):
        one = found(order, [Example("row", pair, 1.0)])
        assert (one.exact, one.up_to_case, one.swapped, one.same_label) == (1, 0, 0, 1)


def test_single_sentences_are_not_swapped():
    train, dev = (
        [Example("a", ("Good film.",), 4.0)],
        [Example("b", ("good film.",), 4.0), Example("c", ("film",), 1.0)],
    )
    one = found(train, dev, CS224N[0])
    assert (one.rows.tolist(), one.up_to_case, one.swapped) == ([0], 1, 0)


SENTENCE = st.sampled_from(["a", "A", "a ", "b", "B", "a b", "A  b"])
EXAMPLE = st.builds(Example, st.just("id"), st.tuples(SENTENCE, SENTENCE), st.sampled_from([0.0, 1.0]))


def folded(sentences):
    return [" ".join(sentence.lower().split()) for sentence in sentences]


@given(st.lists(EXAMPLE, max_size=6), st.lists(EXAMPLE, max_size=6))
def test_agrees_with_a_look_at_every_pair_of_rows(train, dev):
    """The obvious twin."""
    exact, folds, swaps, rows, same = 0, 0, 0, [], 0
    for number, row in enumerate(dev):
        key = folded(row.sentences)
        in_train = [one for one in train if folded(one.sentences) in (key, key[::-1])]
        if not in_train:
            continue
        rows.append(number)
        same += any(one.label == row.label for one in in_train)
        if any(one.sentences == row.sentences for one in in_train):
            exact += 1
        elif any(folded(one.sentences) == key for one in in_train):
            folds += 1
        else:
            swaps += 1
    one = found(train, dev)
    assert one.rows.tolist() == rows
    assert (one.exact, one.up_to_case, one.swapped, one.same_label) == (exact, folds, swaps, same)


def test_a_line_for_each_task_that_is_not_clean():
    rows = np.arange(12)
    some = {
        "sentiment": Contaminated(1100, rows[:0], 0, 0, 0, 0),
        "paraphrase": Contaminated(3000, rows[:1], 1, 0, 0, 0),
        "similarity": Contaminated(1500, rows, 9, 2, 1, 11),
    }
    assert describe(some, "dev") == [
        "paraphrase: 1 of 3000 dev rows stands in train (1 exact), 0 with the same label",
        "similarity: 12 of 1500 dev rows stand in train (9 exact, 2 up to case and space, 1 swapped), "
        "11 with the same label",
    ]


def test_the_demo_is_clean():
    corpus = read_corpus("demo", ("train", "dev", "test"))
    assert describe(contamination(corpus, "dev"), "dev") == describe(contamination(corpus, "test"), "test") == []


# ---------------------------------------------------------------------------------------------------- clean scores


def contaminated_corpus(corpus: Corpus, rows: dict[str, list[int]]) -> Corpus:
    """`corpus` with these of its dev rows in train too."""
    examples = {
        task: {**splits, "train": [*splits["train"], *(splits["dev"][row] for row in rows.get(task, []))]}
        for task, splits in corpus.examples.items()
    }
    return dataclasses.replace(corpus, examples=examples)


@pytest.fixture
def unlike(corpus) -> Corpus:
    """`corpus` without the chance that a made-up dev row stands in train: each is numbered."""
    examples = {
        task: {
            split: [
                dataclasses.replace(e, sentences=tuple(f"{s} {split} {i}" for s in e.sentences))
                for i, e in enumerate(rows)
            ]
            for split, rows in splits.items()
        }
        for task, splits in corpus.examples.items()
    }
    return dataclasses.replace(corpus, examples=examples)


def test_tokens_know_which_rows_stand_in_train(unlike, encoder):
    dirty = contaminated_corpus(unlike, {"sentiment": [3, 5], "similarity": [0]})
    splits = tokenize(dirty, encoder).splits
    marked = {task: np.flatnonzero(parts["dev"].contaminated).tolist() for task, parts in splits.items()}
    assert marked == {"sentiment": [3, 5], "paraphrase": [], "similarity": [0]}
    for parts in splits.values():
        assert not parts["train"].contaminated.any()
        assert not parts["test"].contaminated.any()
        assert all((part.contaminated.dtype, len(part.contaminated)) == (bool, len(part)) for part in parts.values())


def test_tokens_know_of_test_what_stands_in_dev_too_and_do_without_train(unlike, encoder):
    of = unlike.examples["sentiment"]
    splits: dict[Split, Sequence[Example]] = {
        "train": [of["dev"][0], of["test"][4]],
        "dev": [*of["dev"], of["test"][7]],
        "test": of["test"],
    }
    tasks = CS224N[:1]
    read = tokenize(Corpus("one task", tasks, {"sentiment": splits}), encoder).splits["sentiment"]
    assert [np.flatnonzero(read[split].contaminated).tolist() for split in ("dev", "test")] == [[0], [4, 7]]
    del splits["train"]
    read = tokenize(Corpus("one task", tasks, {"sentiment": splits}), encoder).splits["sentiment"]
    assert not read["dev"].contaminated.any()


def test_clean_scores_leave_contaminated_rows_out(unlike, encoder):
    rows = {"sentiment": [3, 5], "similarity": [0, 1, 2, 20], "paraphrase": list(range(24))}
    tokens = tokenize(contaminated_corpus(unlike, rows), encoder)
    rng = np.random.default_rng(0)
    predicted = {task.name: rng.integers(2, size=24).astype(np.float32) for task in CS224N}
    kept = {task: np.setdiff1d(np.arange(24), rows[task]) for task in ("sentiment", "similarity")}
    clean = evaluate.clean_scores(tokens, "dev", predicted)
    assert clean == {
        task.name: score(
            task.metric,
            predicted[task.name][kept[task.name]],
            tokens.splits[task.name]["dev"].labels[kept[task.name]],
        )
        for task in (CS224N[0], CS224N[2])
    }
    assert clean_overall(CS224N, clean) is None


def test_training_reports_clean_scores_beside_the_others(unlike, encoder, config):
    clean, dirty = (
        next(train(config, tokenize(corpus, encoder), encoder, epochs=1, epoch_examples=24, seed=0))
        for corpus in (unlike, contaminated_corpus(unlike, {"similarity": [0, 1, 2, 3]}))
    )
    assert clean.clean_scores == clean.scores
    assert clean.clean_overall == clean.overall
    assert dirty.clean_scores["sentiment"] == dirty.scores["sentiment"]
    assert dirty.clean_scores["similarity"] != dirty.scores["similarity"]
    assert dirty.clean_overall == overall(CS224N, dirty.clean_scores) != dirty.overall


def test_real_data(real_data):
    corpus = read_corpus(real_data, ("train", "dev", "test"))
    dev = contamination(corpus, "dev")
    assert {task: len(one.rows) for task, one in dev.items()} == {"sentiment": 2, "paraphrase": 0, "similarity": 14}
