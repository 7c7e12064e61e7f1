"""Tokenized corpora."""

import pickle

import numpy as np
import pytest
from tokenizers import Tokenizer

from model.data.corpus import Corpus, Example, Split, read_corpus
from model.data.tasks import CS224N
from model.data.tokens import tokenize, with_dev_in_train
from tests.support import VOCABULARY


def test_rows_are_what_the_tokenizer_says(corpus, encoder, tokens):
    tokenizer = Tokenizer.from_str(encoder.tokenizer)
    for task in CS224N:
        for split, examples in corpus.examples[task.name].items():
            rows = tokens.splits[task.name][split]
            assert len(rows) == len(examples)
            assert rows.labels.tolist() == [np.float32(example.label) for example in examples]
            assert len(rows.sentences) == len(task.sentence_columns)
            for slot, ragged in enumerate(rows.sentences):
                expected = [tokenizer.encode(e.sentences[slot], add_special_tokens=False).ids for e in examples]
                assert [ragged[i].tolist() for i in range(len(examples))] == expected
                assert ragged.lengths.tolist() == [len(ids) for ids in expected]


def test_dev_in_train(tokens):
    merged = with_dev_in_train(tokens)
    for task in CS224N:
        train, dev = (tokens.splits[task.name][split] for split in ("train", "dev"))
        rows = merged.splits[task.name]["train"]
        assert rows.labels.tolist() == [*train.labels, *dev.labels]
        for slot, ragged in enumerate(rows.sentences):
            expected = [part.sentences[slot][i].tolist() for part in (train, dev) for i in range(len(part))]
            assert [ragged[i].tolist() for i in range(len(rows))] == expected
        assert not rows.contaminated.any()
        assert merged.splits[task.name]["dev"].contaminated.all(), "none is clean any more"
        assert not tokens.splits[task.name]["dev"].contaminated.all(), "the others are as before"


def test_arrays_are_flat_and_of_fixed_types(tokens):
    rows = tokens.splits["paraphrase"]["train"]
    assert {(r.ids.dtype.name, r.starts.dtype.name, r.ids.ndim) for r in rows.sentences} == {("int32", "int64", 1)}
    assert rows.labels.dtype == np.float32


def test_knows_the_special_tokens_and_the_longest_sequence(tokens):
    assert [VOCABULARY[i] for i in (tokens.cls_id, tokens.sep_id)] == ["[CLS]", "[SEP]"]
    assert tokens.max_length == 48


def test_takes_empty_splits_missing_labels_unknown_words_and_long_sentences(encoder):
    texts = ["the film", "日本 zzz", "\u200b", "good " * 5000]
    student = [Example(str(i), (text,), None) for i, text in enumerate(texts)]
    nothing: dict[Split, list[Example]] = {"train": [], "unlabelled": []}
    tasks = CS224N[:2]
    corpus = Corpus("odd", tasks, {"sentiment": {**nothing, "unlabelled": student}, "paraphrase": nothing})
    splits = tokenize(corpus, encoder).splits
    read = splits["sentiment"]["unlabelled"]
    unknown = VOCABULARY.index("[UNK]")
    assert [read.sentences[0][i].tolist() for i in (1, 2)] == [[unknown] * 3, []]
    assert read.sentences[0].lengths.tolist() == [2, 3, 0, 5000]
    assert np.isnan(read.labels).all()
    assert [len(splits[task.name]["train"]) for task in tasks] == [0, 0]
    assert splits["paraphrase"]["train"].sentences[1].lengths.tolist() == []


def test_travels_between_processes(tokens):
    there = pickle.loads(pickle.dumps(tokens, protocol=5))  # noqa: S301
    for task in CS224N:
        for here, copy in zip(
            tokens.splits[task.name]["dev"].sentences, there.splits[task.name]["dev"].sentences, strict=True
        ):
            np.testing.assert_array_equal(here.ids, copy.ids)


def test_real_tokens_are_those_of_transformers(real_data, real_encoder, real_encoder_folder):
    auto = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(real_encoder_folder)
    corpus = read_corpus(real_data, ("dev",))
    tokens = tokenize(corpus, real_encoder)
    for task in CS224N:
        texts = [example.sentences[0] for example in corpus.examples[task.name]["dev"]]
        expected = auto(texts, add_special_tokens=False)["input_ids"]
        ragged = tokens.splits[task.name]["dev"].sentences[0]
        assert [ragged[i].tolist() for i in range(len(texts))] == expected
