"""Sequences without padding beside padded ones, written out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.network.packing import Packing, ranges

lengths = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(np.array)


def tokens_of(packing: Packing, width: int = 3) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(int(packing.lengths.sum()), width, dtype=torch.float64, requires_grad=True)


@given(lengths)
def test_padded_and_packed_again_is_the_same(of):
    packing = Packing.of(of)
    x = tokens_of(packing)
    padded = packing.pad(x)
    assert padded.shape == (len(of), of.max(), 3)
    for row, sequence in zip(padded, x.split(of.tolist()), strict=True):
        assert torch.equal(row[: len(sequence)], sequence)
        assert torch.equal(row[len(sequence) :], sequence[-1:].expand(of.max() - len(sequence), -1))
    assert torch.equal(packing.pack(padded), x)
    assert (packing.mask is None) == (len(set(of.tolist())) == 1), "nothing is padded"


@given(lengths)
def test_gradients_come_back_from_the_tokens_alone(of):
    """What a reader says of the places after a sequence's end is left out: it has no business there."""
    packing = Packing.of(of)
    x, weights = tokens_of(packing), torch.randn(len(of), of.max(), 3, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((packing.pad(x) * weights).sum(), x)
    expected = torch.cat([row[:length] for row, length in zip(weights, of.tolist(), strict=True)])
    assert torch.equal(gradient, expected)
    torch.autograd.gradcheck(packing.pack, torch.randn(len(of), of.max(), 2, dtype=torch.float64, requires_grad=True))


@given(lengths)
def test_first_tokens_and_means(of):
    packing = Packing.of(of)
    x = tokens_of(packing)
    sequences = x.split(of.tolist())
    torch.testing.assert_close(packing.first(x), torch.stack([sequence[0] for sequence in sequences]))
    torch.testing.assert_close(packing.mean(x), torch.stack([sequence.mean(dim=0) for sequence in sequences]))
    torch.autograd.gradcheck(packing.mean, x)
    assert packing.positions.tolist() == [place for length in of for place in range(length)]


def test_of_one_vector_a_sequence_there_is_nothing_to_choose():
    packing, x = Packing.of(np.array([4, 2])), torch.randn(2, 3)
    assert packing.first(x) is x
    assert packing.mean(x) is x


@pytest.mark.parametrize(("starts", "of"), [([5, 0, 9], [2, 3, 0]), ([], []), ([7], [1])])
def test_ranges(starts, of):
    found = ranges(np.array(starts, dtype=np.int64), np.array(of, dtype=np.int64))
    assert found.tolist() == [i for start, length in zip(starts, of, strict=True) for i in range(start, start + length)]
