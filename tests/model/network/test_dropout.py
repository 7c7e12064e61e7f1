"""Dropout's own random numbers: how many fall out, which, and what becomes of the others."""

import pytest
import torch

from model.network.dropout import Dropout, dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_falls_out_and_the_scale_of_the_rest(p, dtype):
    torch.manual_seed(0)
    found = dropout(torch.ones(1000, 401, dtype=dtype), p)
    assert found.dtype == dtype
    gone = (found == 0).float()
    assert abs(float(gone.mean()) - p) < 5 * (p * (1 - p) / gone.numel()) ** 0.5
    assert set(found[found != 0].tolist()) == {torch.tensor(1 / (1 - p), dtype=dtype).item()}
    # Each unit by itself: neighbours, those of one drawn number of 64 bits among them, know nothing of each other.
    flat = gone.flatten() - gone.mean()
    for distance in (1, 2, 3, 4, 401):
        together = float((flat[distance:] * flat[:-distance]).mean()) / (p * (1 - p))
        assert abs(together) < 5 / gone.numel() ** 0.5, distance


def test_gradients_pass_where_values_do():
    x = torch.randn(7, 5, requires_grad=True)
    torch.manual_seed(1)
    found = dropout(x, 0.4)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    torch.testing.assert_close(gradient * x, found)


def test_the_seed_says_which_ones_fall_out():
    x, found = torch.ones(64), []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(dropout(x, 0.5))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_nothing_falls_out_at_0_or_in_evaluation():
    x = torch.randn(5)
    assert dropout(x, 0.0) is x
    assert Dropout(0.5).eval()(x) is x
    assert dropout(torch.empty(0, 3), 0.5).shape == (0, 3)
