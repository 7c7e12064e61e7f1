"""The built-in corpus, and the encoder that is shipped for it."""

import itertools
import json
import re
import string

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, RidgeCV
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer

from model.data import demo
from model.data.batches import assemble
from model.data.corpus import read_corpus
from model.data.tasks import CS224N
from model.data.tokens import Tokens, tokenize
from model.network.bert import Bert
from model.network.packing import Packing
from model.network.pretrained import Encoder, read_encoder

NAMES = [task.name for task in CS224N]
SPLITS = ("train", "dev", "test")


def words(sentence: str) -> list[str]:
    return re.findall(r"\w+", sentence.lower())


def labels(task: str, split: str) -> np.ndarray:
    return np.array([label for _, _, label in demo.rows(task, split)])


# --------------------------------------------------------------------------------------------------------- corpus


def test_the_rows_are_the_same_everywhere():
    # Scores on the demo compare between machines and versions only while this stays.
    assert read_corpus("demo", SPLITS).fingerprint() == "82dc92dd16e7dc35"


@pytest.mark.parametrize("task", NAMES)
def test_sizes_ids_and_lengths(task):
    by_split = {split: demo.rows(task, split) for split in SPLITS}
    assert {split: len(rows) for split, rows in by_split.items()} == {"train": 3000, "dev": 600, "test": 600}
    rows = list(itertools.chain(*by_split.values()))
    assert len({id_ for id_, _, _ in rows}) == len(rows)
    assert {len(sentence.split()) for _, sentences, _ in rows for sentence in sentences} <= set(range(5, 21))


@pytest.mark.parametrize("task", NAMES)
def test_no_example_occurs_twice_nor_the_other_way_round(task):
    keys = [
        frozenset(sentence.lower() for sentence in sentences)
        for split in SPLITS
        for _, sentences, _ in demo.rows(task, split)
    ]
    assert len(set(keys)) == len(keys)


def test_labels_are_in_range_and_balanced():
    assert np.all(np.bincount(labels("sentiment", "train").astype(int), minlength=5) > 450)
    assert 0.4 < labels("paraphrase", "train").mean() < 0.55
    similarity = labels("similarity", "train")
    assert similarity.min() == 0.0
    assert similarity.max() == 5.0
    assert np.array_equal(similarity, similarity.round(1))
    assert np.all(np.histogram(similarity, bins=5, range=(0, 5))[0] > 250)


def test_the_vocabulary_is_small():
    vocabulary = {
        word for task in NAMES for _, sentences, _ in demo.rows(task, "train") for s in sentences for word in words(s)
    }
    assert 400 < len(vocabulary) < 700


@pytest.mark.parametrize("task", NAMES)
def test_passages_hold_no_sentence_of_dev_or_test(task):
    held_out = {s for split in ("dev", "test") for _, sentences, _ in demo.rows(task, split) for s in sentences}
    passages = list(itertools.islice(demo.passages(task), 2000))
    assert held_out.isdisjoint(itertools.chain(*passages))
    assert passages[:50] == list(itertools.islice(demo.passages(task), 50))


# ----------------------------------------------------------------------------------------------------- difficulty


def test_the_words_of_a_review_give_its_sentiment_half_the_time():
    vectorizer = CountVectorizer(token_pattern=r"\w+")
    train, dev = ([sentences[0] for _, sentences, _ in demo.rows("sentiment", split)] for split in ("train", "dev"))
    classifier = LogisticRegression(max_iter=500).fit(vectorizer.fit_transform(train), labels("sentiment", "train"))
    assert 0.45 < classifier.score(vectorizer.transform(dev), labels("sentiment", "dev")) < 0.6


def overlaps(task: str, split: str) -> np.ndarray:
    """What two sentences have in common, as words and as pairs of words: (N, 3)."""

    def shared(a: set, b: set) -> list[float]:
        return [len(a & b) / len(a | b), len(a & b) / min(len(a), len(b))]

    rows = []
    for _, (a, b), _ in demo.rows(task, split):
        bigrams = [set(itertools.pairwise(words(sentence))) for sentence in (a, b)]
        rows.append([*shared(set(words(a)), set(words(b))), shared(*bigrams)[0]])
    return np.array(rows)


def test_shared_words_do_not_tell_paraphrases():
    classifier = LogisticRegression(max_iter=500).fit(overlaps("paraphrase", "train"), labels("paraphrase", "train"))
    assert classifier.score(overlaps("paraphrase", "dev"), labels("paraphrase", "dev")) < 0.65


def test_shared_words_tell_similarity_in_part():
    predicted = RidgeCV().fit(overlaps("similarity", "train"), labels("similarity", "train"))
    r = np.corrcoef(predicted.predict(overlaps("similarity", "dev")), labels("similarity", "dev"))[0, 1]
    assert 0.5 < r < 0.8


def test_the_same_words_mean_different_things():
    """Pairs of the very same words, of which one asks or tells what another does not."""
    same = [
        label
        for _, (a, b), label in demo.rows("paraphrase", "train")
        if sorted(words(a)) == sorted(words(b)) and label == 0
    ]
    assert len(same) > 10


# -------------------------------------------------------------------------------------------------------- encoder


@pytest.fixture(scope="module")
def shipped() -> Encoder:
    return read_encoder("demo")


def test_the_folder_is_small_and_whole():
    files = {path.name: path.stat().st_size for path in demo.ENCODER.iterdir()}
    assert files.keys() == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }
    assert sum(files.values()) <= 2 * 2**20


def test_special_tokens_come_first_and_any_english_text_is_known(shipped):
    tokenizer = Tokenizer.from_str(shipped.tokenizer)
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert [tokenizer.token_to_id(token) for token in special] == [0, 1, 2, 3, 4]
    assert "[UNK]" not in tokenizer.encode(f"{string.printable} Zyzzyva\u2019s café — 1 “quixotic” axiom…").tokens


def test_every_word_of_the_corpus_is_one_token(shipped):
    tokenizer = Tokenizer.from_str(shipped.tokenizer)
    for task in NAMES:
        for _, sentences, _ in demo.rows(task, "test"):
            for sentence in sentences:
                assert not [token for token in tokenizer.encode(sentence).tokens if token.startswith("##")]


def test_transformers_loads_it_with_the_same_outputs(shipped):
    theirs = AutoModel.from_pretrained(demo.ENCODER).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(demo.ENCODER)
    ours = Bert(shipped.shape).eval()
    shipped.load_into(ours)
    _, (a, b), _ = demo.rows("similarity", "dev")[0]
    encoded = tokenizer(a, b, return_tensors="pt")
    assert encoded["input_ids"][0].tolist() == Tokenizer.from_str(shipped.tokenizer).encode(a, b).ids
    with torch.no_grad():
        expected = theirs(**encoded).last_hidden_state
        ids, segments = encoded["input_ids"][0], encoded["token_type_ids"][0]
        assert torch.allclose(ours(ids, segments, Packing.of(np.array([len(ids)]))), expected[0], atol=1e-5)


def probe(encoder: Encoder, tokens: Tokens) -> float:
    """Pearson r on test of a linear model, fitted on dev, of the frozen encoder's mean output for either sentence."""
    bert = Bert(encoder.shape).eval()
    encoder.load_into(bert)
    features = []
    for split in ("dev", "test"):
        batch = assemble(tokens, tokens.splits["similarity"][split], np.arange(600), "bi")
        with torch.no_grad():
            u, v = batch.packing.mean(bert(batch.ids, batch.segments, batch.packing)).chunk(2)
        features.append(torch.cat(((u - v).abs(), u * v), dim=1).numpy())
    fitted = RidgeCV(alphas=(1.0, 10.0, 100.0)).fit(features[0], labels("similarity", "dev"))
    return float(np.corrcoef(fitted.predict(features[1]), labels("similarity", "test"))[0, 1])


def test_pre_training_shows_in_the_frozen_encoder(shipped):
    tokens = tokenize(read_corpus("demo", ("dev", "test")), shipped)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 0.02, array.shape).astype(np.float32)
        if array.ndim > 1
        else np.ones_like(array) * ("norm.weight" in name)
        for name, array in shipped.weights.items()
    }
    untrained = Encoder(**{**vars(shipped), "weights": weights})
    assert probe(shipped, tokens) > probe(untrained, tokens) + 0.05


def test_the_config_is_plain_bert():
    config = json.loads((demo.ENCODER / "config.json").read_text())
    assert (config["model_type"], config["num_hidden_layers"], config["hidden_size"]) == ("bert", 4, 96)
