"""Masked language modelling."""

import math
import statistics

import pytest
import torch

from model.training.masked_language import IGNORED, mask_tokens, plan_of, pretrain
from model.training.precision import Precision
from tests.support import VOCABULARY, refused, tiny_encoder

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


def run(encoder, tokens, *, steps, batch_size=16, learning_rate=3e-3, precision: Precision = "fp32"):
    losses = {}
    weights = pretrain(
        encoder,
        tokens,
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=0,
        progress=lambda step, loss: losses.update({step: float(loss)}),
        precision=precision,
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


def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(tokens):
    torch.manual_seed(1)
    first, losses = run(tiny_encoder(), tokens, steps=5)
    torch.manual_seed(2)
    again, losses_again = run(tiny_encoder(), tokens, steps=5)
    assert losses == losses_again
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_bf16_learns_the_same_in_other_bits_and_keeps_its_weights_in_fp32(tokens):
    weights, losses = run(tiny_encoder(), tokens, steps=20)
    rough, rough_losses = run(tiny_encoder(), tokens, steps=20, precision="bf16")
    assert losses != rough_losses
    assert list(rough_losses.values()) == pytest.approx(list(losses.values()), abs=0.05)
    assert {tensor.dtype for tensor in rough.values()} == {torch.float32}
    assert any((tensor != tensor.bfloat16()).any() for tensor in rough.values())
    assert weights.keys() == rough.keys()


def test_a_pass_has_every_sentence_of_every_task_once(tokens):
    plan = plan_of(tokens, batch_size=7, seed=0)
    assert plan.total_steps == 3 * math.ceil(60 / 7)
    for number in (1, 2):
        for task in tokens.tasks:
            rows = [row for ((name, rows),) in plan.epoch(number) if name == task.name for row in rows]
            assert sorted(rows) == list(range(60))


def test_what_leaves_the_finite_numbers_is_refused(tokens):
    text = "further pre-training left the finite numbers, with a learning rate of 1e+38"
    with refused(text):
        run(tiny_encoder(), tokens, steps=3, learning_rate=1e38)


def test_fp16_needs_a_gpu(tokens):
    with refused("--precision fp16: for GPUs only; on a CPU allowed are auto, fp32 and bf16"):
        run(tiny_encoder(), tokens, steps=1, precision="fp16")


def test_a_step_in_which_nothing_is_masked_is_no_harm(tokens):
    _, losses = run(tiny_encoder(), tokens, steps=40, batch_size=1)
    assert all(0 <= loss < 100 for loss in losses.values())
    assert 0.0 in losses.values()
