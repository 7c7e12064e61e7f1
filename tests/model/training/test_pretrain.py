"""Masked language modelling."""

import statistics

import pytest
import torch

from model.training.pretrain import IGNORED, mask_tokens, pretrain
from tests.support import VOCABULARY, tiny_encoder

CLS, SEP, PAD, MASK = (VOCABULARY.index(token) for token in ("[CLS]", "[SEP]", "[PAD]", "[MASK]"))
SPECIAL = torch.tensor([CLS, SEP, PAD])


def masked(ids, seed=0):
    return mask_tokens(ids, SPECIAL, MASK, len(VOCABULARY), torch.Generator().manual_seed(seed))


def test_of_fifteen_percent_eight_tenths_are_masked_one_replaced_and_one_kept():
    ids = torch.randint(5, len(VOCABULARY), (1000, 200), generator=torch.Generator().manual_seed(1))
    hidden, targets = masked(ids)
    asked = targets != IGNORED
    to_mask = (hidden == MASK) & asked
    kept = (hidden == ids) & asked
    replaced = asked & ~to_mask & ~kept
    by_chance = 0.1 / len(VOCABULARY)  # of a random token to be the right one, or [MASK]
    assert asked.float().mean() == pytest.approx(0.15, abs=0.003)
    assert to_mask.sum() / asked.sum() == pytest.approx(0.8 + by_chance, abs=0.01)
    assert replaced.sum() / asked.sum() == pytest.approx(0.1 - 2 * by_chance, abs=0.01)
    assert kept.sum() / asked.sum() == pytest.approx(0.1 + by_chance, abs=0.01)
    assert torch.equal(targets[asked], ids[asked])
    assert torch.equal(hidden[~asked], ids[~asked])


def test_special_tokens_and_padding_are_left_alone():
    ids = torch.tensor([[CLS, SEP, SEP, PAD]]).repeat(500, 1)
    hidden, targets = masked(ids)
    assert torch.equal(hidden, ids)
    assert (targets == IGNORED).all()


def run(encoder, tokens, *, steps, batch_size=16):
    losses = {}
    weights = pretrain(
        encoder,
        tokens,
        steps=steps,
        learning_rate=3e-3,
        batch_size=batch_size,
        seed=0,
        progress=lambda step, loss: losses.update({step: float(loss)}),
    )
    return weights, losses


def test_the_loss_falls_and_the_weights_are_the_encoders(tokens):
    encoder = tiny_encoder()
    weights, losses = run(encoder, tokens, steps=150)
    values = list(losses.values())
    assert list(losses) == list(range(1, 151))
    assert statistics.fmean(values[-20:]) < statistics.fmean(values[:20]) - 0.5
    assert weights.keys() == encoder.weights.keys()
    changed = {name for name, tensor in weights.items() if not torch.equal(tensor, torch.tensor(encoder.weights[name]))}
    assert weights.keys() - changed == {"pooler.weight", "pooler.bias"}


def test_the_same_seed_gives_the_same_bits(tokens):
    (first, losses), (again, losses_again) = (run(tiny_encoder(), tokens, steps=5) for _ in range(2))
    assert losses == losses_again
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_step_in_which_nothing_is_masked_is_no_harm(tokens):
    _, losses = run(tiny_encoder(), tokens, steps=40, batch_size=1)
    assert all(0 <= loss < 100 for loss in losses.values())
    assert 0.0 in losses.values()
