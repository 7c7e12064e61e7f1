"""What a model says of whole splits, predictions, and scores."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from model.data.batches import assemble
from model.data.scores import constant_score, overall, overall_2023, score
from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert
from model.training import evaluate
from model.training.losses import objective
from tests.support import tiny_config, tiny_encoder


@pytest.fixture(params=["cross", "bi"])
def model(request):
    torch.manual_seed(0)
    pairs = {"pair_encoding": request.param}
    config = tiny_config(paraphrase=pairs, similarity=pairs, encoder={"pooling": "mean"})
    return MultitaskBert(config, CS224N, tiny_encoder(scale=0.3))


def one_by_one(model, tokens, task, split):
    """The obvious twin: no batches, no padding, no order to restore."""
    part, rows = model.config.tasks[task.name], tokens.splits[task.name][split]
    read_as = objective(task, part)
    with torch.no_grad():
        batches = (assemble(tokens, rows, np.array([i]), part.pair_encoding) for i in range(len(rows)))
        return np.concatenate([read_as.outputs(model(task.name, batch)).numpy() for batch in batches])


@pytest.mark.parametrize("batch_size", [5, 128])
def test_outputs_are_in_the_order_of_the_corpus_whatever_the_padding(model, tokens, monkeypatch, batch_size):
    monkeypatch.setattr(evaluate, "BATCH_SIZE", batch_size)
    said = evaluate.outputs(model.train(), tokens, "dev", "fp32")
    predicted = evaluate.predict(model, tokens, "dev", "fp32")
    assert list(said) == list(predicted) == [task.name for task in CS224N]
    for task in CS224N:
        assert said[task.name].dtype == predicted[task.name].dtype == np.float32
        twin = one_by_one(model.eval(), tokens, task, "dev")
        np.testing.assert_allclose(said[task.name], twin, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(predicted[task.name], evaluate.decide(task, said[task.name]))
    assert len(set(said["similarity"].tolist())) > 10


def test_classes_and_binary_labels_have_probabilities(model, tokens):
    said = evaluate.outputs(model, tokens, "dev", "fp32")
    assert {task: array.shape for task, array in said.items()} == {
        "sentiment": (24, 5),
        "paraphrase": (24,),
        "similarity": (24,),
    }
    np.testing.assert_allclose(said["sentiment"].sum(axis=1), 1, atol=1e-6)
    assert all((said[task] > 0).all() and (said[task] < 1).all() for task in ("sentiment", "paraphrase"))


@pytest.mark.parametrize(
    ("task", "said", "expected"),
    [
        (CS224N[0], [[0.1, 0.3, 0.3, 0.2, 0.1], [0, 0, 0, 0, 1]], [1, 4]),
        (CS224N[0], [[0.1, 0.2, np.nan, 0.2, 0.1]], [np.nan]),
        (CS224N[1], [0.5, 0.5 + 2**-24, 0.0, np.inf], [0, 1, 0, np.nan]),
        (CS224N[2], [-0.25, 5.5, np.nan], [-0.25, 5.5, np.nan]),
    ],
)
def test_what_outputs_come_to(task, said, expected):
    decided = evaluate.decide(task, np.array(said, dtype=np.float32))
    assert decided.dtype == np.float32
    np.testing.assert_array_equal(decided, expected)


def test_predictions_do_not_depend_on_precision_much(model, tokens):
    exact, half = (evaluate.predict(model, tokens, "dev", precision) for precision in ("fp32", "bf16"))
    np.testing.assert_allclose(half["similarity"], exact["similarity"], atol=0.05)


def test_predictions_of_some_rows_are_those_of_all(model, tokens):
    rows = {task.name: np.array([7, 2, 11]) for task in CS224N}
    every, some = (evaluate.predict(model, tokens, "train", "fp32", chosen) for chosen in (None, rows))
    for task in some:
        np.testing.assert_allclose(some[task], every[task][rows[task]], atol=1e-5)
    by_hand = np.mean(some["sentiment"] == tokens.splits["sentiment"]["train"].labels[[7, 2, 11]])
    assert evaluate.scores(tokens, "train", some, rows)["sentiment"] == pytest.approx(by_hand)


@pytest.mark.parametrize("encoding", ["cross", "bi"])
def test_both_orders_predict_the_mean_of_the_two(tokens, encoding):
    """Of a pair and of the pair turned round in the data itself."""
    config = tiny_config(similarity={"pair_encoding": encoding})
    both = tiny_config(similarity={"pair_encoding": encoding, "pair_order": "both"})
    model = MultitaskBert(config, CS224N, tiny_encoder(scale=0.3))
    turning = MultitaskBert(both, CS224N, tiny_encoder(scale=0.3))
    turning.load_state_dict(model.state_dict())
    split = tokens.splits["similarity"]["dev"]
    turned = dataclasses.replace(split, sentences=split.sentences[::-1])
    reversed_tokens = type(tokens)(**vars(tokens) | {"splits": {**tokens.splits, "similarity": {"dev": turned}}})
    one, other, mean = (
        evaluate.predict(m, t, "dev", "fp32")["similarity"]
        for m, t in ((model, tokens), (model, reversed_tokens), (turning, tokens))
    )
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_allclose(mean, (one + other) / 2, atol=1e-5)


def test_a_split_without_examples_has_no_predictions(model, tokens):
    nothing = tokens.splits["sentiment"]["dev"]
    sentences = tuple(type(r)(r.ids[:0], r.starts[:1]) for r in nothing.sentences)
    nothing = type(nothing)(sentences, nothing.labels[:0], nothing.contaminated[:0])
    empty = type(tokens)(**vars(tokens) | {"tasks": CS224N[:1], "splits": {"sentiment": {"unlabelled": nothing}}})
    assert evaluate.predict(model, empty, "unlabelled", "fp32")["sentiment"].shape == (0,)
    assert evaluate.outputs(model, empty, "unlabelled", "fp32")["sentiment"].shape == (0, 5)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_accuracy_is_that_of_sklearn(pairs):
    predicted, labels = np.array(pairs, dtype=np.float32).T
    assert score("accuracy", predicted, labels) == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))


@given(st.integers(0, 1000), st.integers(3, 50), st.floats(-1, 1))
def test_pearson_is_that_of_scipy(seed, count, slope):
    rng = np.random.default_rng(seed)
    labels = rng.uniform(0, 5, count).astype(np.float32)
    predicted = (slope * labels + rng.normal(size=count)).astype(np.float32)
    expected, _ = scipy.stats.pearsonr(predicted.astype(np.float64), labels.astype(np.float64))
    assert score("pearson", predicted, labels) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("predicted", "labels"), [([2.5] * 4, [0, 1, 2, 3]), ([0, 1, 2, 3], [1] * 4)])
def test_pearson_of_a_constant_is_0(predicted, labels):
    assert score("pearson", np.array(predicted), np.array(labels)) == 0.0


def test_pearson_reaches_both_ends():
    labels = np.array([0, 1.5, 2, 5], dtype=np.float32)
    assert score("pearson", 2 * labels + 1, labels) == pytest.approx(1)
    assert score("pearson", -labels, labels) == pytest.approx(-1)


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_macro_f1_and_matthews_are_those_of_sklearn(pairs):
    predicted, labels = np.array(pairs, dtype=np.float32).T
    f1 = sklearn.metrics.f1_score(labels, predicted, average="macro")
    assert score("macro_f1", predicted, labels) == pytest.approx(f1, abs=1e-12)
    matthews = sklearn.metrics.matthews_corrcoef(labels, predicted)
    assert score("matthews", predicted, labels) == pytest.approx(matthews, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=30))
def test_spearman_is_that_of_scipy(pairs):
    predicted, labels = np.array(pairs, dtype=np.float32).T
    assume(np.ptp(predicted) > 0 and np.ptp(labels) > 0)
    expected = scipy.stats.spearmanr(predicted, labels)[0]
    assert score("spearman", predicted, labels) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("metric", "expected"), [("accuracy", 0.5), ("macro_f1", 1 / 3), ("matthews", 0.0)])
def test_what_is_not_a_number_is_wrong(metric, expected):
    labels = np.array([0, 1, 0, 1], dtype=np.float32)
    assert score(metric, np.array([0, 1, np.nan, np.nan], dtype=np.float32), labels) < 1
    assert score(metric, np.array([0, 0, 0, 0], dtype=np.float32), labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("accuracy", 0.75), ("macro_f1", 3 / 7), ("matthews", 0.0), ("pearson", 0.0), ("spearman", 0.0)],
)
def test_what_one_prediction_for_all_scores(metric, expected):
    assert constant_score(metric, np.array([1, 0, 1, 1], dtype=np.float32)) == pytest.approx(expected)


def test_overall_puts_every_metric_on_0_to_1():
    tasks = [
        replace(CS224N[0], name=metric, metric=metric)
        for metric in ("accuracy", "macro_f1", "matthews", "pearson", "spearman")
    ]
    lowest = {"accuracy": 0.0, "macro_f1": 0.0, "matthews": -1.0, "pearson": -1.0, "spearman": -1.0}
    assert overall(tasks, lowest) == 0.0
    assert overall(tasks, dict.fromkeys(lowest, 1.0)) == 1.0
    assert overall(tasks, dict.fromkeys(lowest, 0.0)) == pytest.approx(0.3)
    assert overall_2023(tasks, lowest) is None


def test_scores_are_each_tasks_own(tokens):
    labels = {task.name: tokens.splits[task.name]["dev"].labels for task in CS224N}
    assert evaluate.scores(tokens, "dev", labels) == pytest.approx(dict.fromkeys(labels, 1.0))
    wrong = {
        "sentiment": labels["sentiment"] + 1,
        "paraphrase": 1 - labels["paraphrase"],
        "similarity": -labels["similarity"],
    }
    assert evaluate.scores(tokens, "dev", wrong) == pytest.approx(
        {"sentiment": 0.0, "paraphrase": 0.0, "similarity": -1.0}
    )


@pytest.mark.parametrize(
    ("by_task", "formula_2024", "formula_2023"),
    [
        ({"sentiment": 0.459, "paraphrase": 0.840, "similarity": 0.858}, 0.742667, 0.719),
        ({"sentiment": 0.0, "paraphrase": 0.0, "similarity": -1.0}, 0.0, -1 / 3),
        ({"sentiment": 1.0, "paraphrase": 1.0, "similarity": 1.0}, 1.0, 1.0),
        ({"sentiment": 0.2, "paraphrase": 0.6, "similarity": 0.0}, 1.3 / 3, 0.8 / 3),
    ],
)
def test_overall(by_task, formula_2024, formula_2023):
    assert overall(CS224N, by_task) == pytest.approx(formula_2024, abs=1e-6)
    assert overall_2023(CS224N, by_task) == pytest.approx(formula_2023)
