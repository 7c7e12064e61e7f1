"""Sequences without padding beside padded ones, written out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.network.packing import ROUND, Packing, ranges

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
    assert torch.equal(packing.pack(padded.unsqueeze(1), len(x)), x)
    assert (packing.mask is None) == (len(set(of.tolist())) == 1), "nothing is padded"


@given(lengths)
def test_gradients_come_back_from_the_tokens_alone(of):
    """What a reader says of the places after a sequence's end is left out: it has no business there."""
    packing = Packing.of(of)
    x, weights = tokens_of(packing), torch.randn(len(of), of.max(), 3, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((packing.pad(x) * weights).sum(), x)
    expected = torch.cat([row[:length] for row, length in zip(weights, of.tolist(), strict=True)])
    assert torch.equal(gradient, expected)


@given(lengths, st.integers(1, 3))
def test_heads_are_parts_of_the_padded_sequences(of, num_heads):
    packing = Packing.of(of)
    x = tokens_of(packing, 2 * num_heads)
    heads = packing.heads(packing.widen(x), num_heads)
    assert torch.equal(heads, packing.pad(x).unflatten(-1, (num_heads, 2)).transpose(1, 2))
    assert torch.equal(packing.pack(heads, len(x)), x)
    assert torch.equal(packing.narrow(packing.pack(heads, len(packing.tokens))), x)
    assert torch.equal(packing.heads(x, num_heads), heads), "with idle tokens or without"
    assert packing.heads(packing.widen(x), num_heads).equal(heads), "what is kept of the first call serves again"


@given(lengths, st.integers(1, 3))
def test_gradients_of_heads_are_those_of_the_tokens_alone(of, num_heads):
    packing = Packing.of(of)
    x = packing.widen(tokens_of(packing, 2 * num_heads))
    weights = torch.randn(len(of), num_heads, of.max(), 2, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((packing.heads(x, num_heads) * weights).sum(), x)
    apart = weights.transpose(1, 2).flatten(2)
    expected = torch.cat([row[:length] for row, length in zip(apart, of.tolist(), strict=True)])
    assert torch.equal(packing.narrow(gradient), expected)
    assert not gradient[len(packing.positions) :].any(), "idle tokens are read by nobody"
    torch.autograd.gradcheck(lambda h: packing.pack(h, len(packing.positions)), weights.clone().requires_grad_())


@given(lengths)
def test_idle_tokens_make_the_number_round(of):
    packing = Packing.of(of)
    x = tokens_of(packing)
    wide = packing.widen(x)
    assert len(wide) == len(x) + packing.idle == len(packing.tokens)
    assert torch.equal(packing.narrow(wide), x)
    assert not wide[len(x) :].any()
    assert len(wide) % ROUND == 0 or packing.mask is None, "nothing is padded"
    assert 0 <= packing.idle < ROUND


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
