"""Losses beside slow twins, and what logits predict."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.training.losses import batch_loss, predictions

logit = st.floats(-30, 30, width=32)


def slow_cross_entropy(row, label):
    return math.log(sum(math.exp(x) for x in row)) - row[int(label)]


def slow_bce(row, label):
    probability = 1 / (1 + math.exp(-row[0]))
    return -math.log(probability if label else 1 - probability)


def slow_mse(row, label):
    return (row[0] - label) ** 2


@given(st.data(), st.sampled_from(["cross_entropy", "bce", "mse"]), st.integers(1, 5))
def test_losses_are_like_their_slow_twins(data, loss, count):
    width = data.draw(st.integers(2, 5)) if loss == "cross_entropy" else 1
    numbers = logit if loss != "bce" else st.floats(-12, 12, width=32)
    rows = data.draw(st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=count, max_size=count))
    label = {"cross_entropy": st.integers(0, width - 1), "bce": st.integers(0, 1), "mse": st.floats(0, 5, width=32)}[
        loss
    ]
    labels = [float(x) for x in data.draw(st.lists(label, min_size=count, max_size=count))]
    slow = {"cross_entropy": slow_cross_entropy, "bce": slow_bce, "mse": slow_mse}[loss]
    expected = sum(slow(row, y) for row, y in zip(rows, labels, strict=True)) / count
    got = batch_loss(loss, torch.tensor(rows), torch.tensor(labels))
    assert got.shape == ()
    assert got.item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("loss", "width"), [("cross_entropy", 3), ("bce", 1), ("mse", 1)])
def test_losses_are_in_fp32_whatever_the_logits(dtype, loss, width):
    logits = torch.full((2, width), 1.5, dtype=dtype, requires_grad=True)
    got = batch_loss(loss, logits, torch.tensor([1.0, 0.0]))
    assert got.dtype == torch.float32
    got.backward()
    assert logits.grad is not None


@pytest.mark.parametrize("logit", [300.0, -300.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_bce_stays_finite_where_the_sigmoid_is_0_or_1(logit, label):
    expected = 300.0 if (logit > 0) != bool(label) else 0.0
    assert batch_loss("bce", torch.tensor([[logit]]), torch.tensor([label])).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("loss", "logits", "expected"),
    [
        ("cross_entropy", [[0.1, 0.3, 0.2], [9.0, -1.0, 0.0]], [1.0, 0.0]),
        ("bce", [[0.2], [-0.2], [0.0]], [1.0, 0.0, 0.0]),
        ("mse", [[4.2], [-7.0]], [4.2, -7.0]),
    ],
)
def test_predictions(loss, logits, expected):
    for dtype in (torch.float32, torch.bfloat16):
        got = predictions(loss, torch.tensor(logits, dtype=dtype))
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, torch.tensor(expected), rtol=0.01, atol=0)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("loss", "width"), [("cross_entropy", 3), ("bce", 1), ("mse", 1)])
def test_what_is_not_finite_predicts_nothing(loss, width, broken):
    logits = torch.ones(2, width)
    logits[1, -1] = broken
    got = predictions(loss, logits)
    assert got.isfinite().tolist() == [True, False]
    assert got[1].isnan()
