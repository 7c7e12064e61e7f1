"""Uncertainty weights and gradient surgery beside slow twins."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.training.gradients import clip, project_conflicts, uncertainty_weighted


@pytest.mark.parametrize("regression", [True, False])
@pytest.mark.parametrize("log_variance", [-1.3, 0.0, 2.1])
def test_uncertainty_is_equation_7(regression, log_variance):
    sigma = math.sqrt(math.exp(log_variance))
    factor = 1 / (2 * sigma**2) if regression else 1 / sigma**2
    loss, learned = torch.tensor(0.7, requires_grad=True), torch.tensor(log_variance, requires_grad=True)
    got = uncertainty_weighted(loss, learned, regression=regression)
    assert got.item() == pytest.approx(factor * 0.7 + math.log(sigma))
    gradients = torch.autograd.grad(got, [loss, learned])
    assert gradients[0].item() == pytest.approx(factor)
    assert gradients[1].item() == pytest.approx(-factor * 0.7 + 0.5)


def slow_surgery(gradients, shapes, generator):
    """Algorithm 1 as it stands, on flat copies of the shared parameters, in fp64."""
    count = len(gradients)
    reached = [[task for task in range(count) if gradients[task][place] is not None] for place in range(len(shapes))]

    def flat(task):
        parts = [torch.zeros(0, dtype=torch.float64)]
        for place, shape in enumerate(shapes):
            if len(reached[place]) >= 2:
                gradient = gradients[task][place]
                parts.append((torch.zeros(shape) if gradient is None else gradient).double().flatten())
        return torch.cat(parts)

    total = torch.zeros_like(flat(0))
    for i in range(count):
        projected = flat(i)
        for j in generator.permutation([task for task in range(count) if task != i]).tolist():
            other = flat(j)
            if projected @ other < 0:
                projected = projected - (projected @ other) / (other @ other) * other
        total = total + projected
    result = []
    for place, shape in enumerate(shapes):
        if len(reached[place]) >= 2:
            size = torch.zeros(shape).numel()
            result.append(total[:size].reshape(shape))
            total = total[size:]
        else:
            result.append(gradients[reached[place][0]][place].double() if reached[place] else None)
    return result


def same(got, expected):
    assert [g is None for g in got] == [e is None for e in expected]
    for a, b in zip(got, expected, strict=True):
        if b is not None:
            torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)


SHAPES = [(2, 3), (), (4,), (3, 1)]
reach = st.lists(st.booleans(), min_size=len(SHAPES), max_size=len(SHAPES))


@given(st.lists(reach, min_size=2, max_size=5), st.integers(0, 2**31))
def test_surgery_is_like_its_slow_twin(reached, seed):
    rng = np.random.default_rng(seed)
    gradients = [
        [
            torch.tensor(rng.normal(size=shape), dtype=torch.float32) if has else None
            for has, shape in zip(row, SHAPES, strict=True)
        ]
        for row in reached
    ]
    before = [[None if g is None else g.clone() for g in task] for task in gradients]
    got = project_conflicts(gradients, np.random.default_rng(seed))
    same(got, slow_surgery(before, SHAPES, np.random.default_rng(seed)))
    for task, copies in zip(gradients, before, strict=True):
        torch.testing.assert_close(
            [g for g in task if g is not None], [copy for copy in copies if copy is not None], rtol=0, atol=0
        )


def test_without_a_conflict_surgery_is_the_sum_in_the_same_bits():
    gradients = [[torch.rand(5, 3), torch.rand(4)] for _ in range(2)]
    got = project_conflicts(gradients, np.random.default_rng(0))
    assert all(torch.equal(g, a + b) for g, a, b in zip(got, *gradients, strict=True))


def test_two_tasks_in_conflict_by_hand():
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    own = torch.tensor([7.0])
    got = project_conflicts([[first, own], [second, None]], np.random.default_rng(0))
    # (1, 0) + 1/2 (-1, 1), and (-1, 1) + (1, 0)
    torch.testing.assert_close(got[0], torch.tensor([0.5, 1.5]))
    assert got[1] is own


def test_opposite_gradients_and_gradients_of_0():
    one, zero = torch.tensor([1.0, 2.0]), torch.zeros(2)
    for gradients, expected in (([one, -one], zero), ([one, zero], one), ([zero, zero], zero)):
        (got,) = project_conflicts([[gradient] for gradient in gradients], np.random.default_rng(0))
        torch.testing.assert_close(got, expected)


def test_the_order_is_random_and_follows_the_generator():
    gradients = [[torch.tensor(g)] for g in ([1.0, 0.0], [-1.0, 1.0], [-1.0, -0.5])]

    def summed(seed):
        (gradient,) = project_conflicts(gradients, np.random.default_rng(seed))
        assert gradient is not None
        return tuple(gradient.tolist())

    assert len({summed(seed) for seed in range(8)}) > 1
    assert summed(5) == summed(5)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_not_finite_stays_so(broken):
    """The gradient scaler of fp16 has to see it."""
    (got,) = project_conflicts([[torch.tensor([1.0, 2.0])], [torch.tensor([1.0, broken])]], np.random.default_rng(0))
    assert got is not None
    assert not got.isfinite().all()


@pytest.mark.parametrize("limit", [0.1, 1e3])
def test_clipping_counts_sparse_gradients_as_the_dense_ones_they_stand_for(limit):
    torch.manual_seed(0)
    dense, sparse, linear = torch.nn.Embedding(9, 4), torch.nn.Embedding(9, 4, sparse=True), torch.nn.Linear(4, 1)
    sparse.load_state_dict(dense.state_dict())
    ids = torch.tensor([3, 1, 3, 8, 3])  # rows that come more than once: their gradients add up first
    found = []
    for words in (dense, sparse):
        linear.zero_grad()
        linear(words(ids)).square().sum().backward()
        parameters = [*words.parameters(), *linear.parameters(), torch.nn.Parameter(torch.zeros(3))]  # one has none
        if words is dense:
            torch.nn.utils.clip_grad_norm_(parameters, limit)
        else:
            clip(parameters, limit)
        found.append([p.grad.to_dense() for p in parameters if p.grad is not None])
    torch.testing.assert_close(found[1], found[0])
