"""What a step minimizes, put together by hand: value and gradients of each term, with dropout off."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.data.batches import assemble
from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert
from model.training.step_loss import StepLoss
from tests.model.techniques import configured
from tests.support import tiny_encoder

SILENT = {"encoder": {"hidden_dropout": 0.0, "attention_dropout": 0.0}, "head": {"dropout": 0.0}}
BI = {"tasks": {"paraphrase": {"pair_encoding": "bi"}}}
ROWS = np.arange(6)


def begin(*changes):
    torch.manual_seed(0)
    model = MultitaskBert(configured(SILENT, *changes), CS224N, tiny_encoder(scale=0.3)).train()
    step_loss = StepLoss(model, CS224N, "fp32")
    step_loss.begin_epoch(7)
    return model, step_loss


def batch_of(model, tokens, task):
    return assemble(tokens, tokens.splits[task]["train"], ROWS, model.config.tasks[task].pair_encoding)


def noise(shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def assert_twins(model, got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
    gradients = []
    for value in (got, expected):
        model.zero_grad(set_to_none=True)
        value.backward()
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    ours, theirs = gradients
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-6, msg=name)


def by_logits(model, task, batch, hidden):
    hidden = model.trajectory(task, hidden, batch.packing)[-1]
    return model.read(task, model.represent(task, hidden, batch.packing))


def test_the_loss_and_its_weight(tokens):
    model, step_loss = begin({"tasks": {"similarity": {"weight": 3.0}}})
    batch = batch_of(model, tokens, "similarity")
    loss, minimized = step_loss("similarity", batch)
    twin = F.mse_loss(model("similarity", batch).squeeze(-1), batch.labels)
    torch.testing.assert_close(loss, twin.detach())
    assert_twins(model, minimized, 3 * twin)


def test_multiple_negatives_ranking(tokens):
    """Of the pairs that belong together, and of no other, each first sentence finds its partner."""
    model, step_loss = begin(BI, {"tasks": {"paraphrase": {"ranking_weight": 0.5}}})
    batch = batch_of(model, tokens, "paraphrase")
    assert 0 < batch.labels.sum() < len(ROWS)
    u, v = model.represent(
        "paraphrase", model.trajectory("paraphrase", model.prefix(batch), batch.packing)[-1], batch.packing
    )
    ranked = []
    for i in range(len(ROWS)):
        if batch.labels[i] == 1:
            scores = torch.stack([20 * F.cosine_similarity(u[i], v[j], dim=0) for j in range(len(ROWS))])
            ranked.append(-scores.log_softmax(dim=0)[i])
    plain = F.binary_cross_entropy_with_logits(model("paraphrase", batch).squeeze(-1), batch.labels)
    assert_twins(model, step_loss("paraphrase", batch)[1], plain + 0.5 * torch.stack(ranked).mean())


@pytest.mark.parametrize("task", ["sentiment", "paraphrase", "similarity"])
def test_smart(tokens, task):
    model, step_loss = begin({"smart": {"weight": 5.0, "epsilon": 0.05, "step_size": 0.02, "noise": 0.01}})
    batch = batch_of(model, tokens, task)
    hidden = model.prefix(batch)

    def divergence(p, q):
        if task == "similarity":
            return (p - q).square().mean()
        if task == "paraphrase":
            p, q = (torch.cat([F.logsigmoid(x), F.logsigmoid(-x)], dim=1) for x in (p, q))
        else:
            p, q = p.log_softmax(dim=1), q.log_softmax(dim=1)
        return (p.exp() * (p - q) + q.exp() * (q - p)).sum(dim=1).mean()

    clean = by_logits(model, task, batch, hidden)
    move = (0.01 * noise(hidden.shape)).requires_grad_()
    (ascent,) = torch.autograd.grad(
        divergence(by_logits(model, task, batch, hidden.detach() + move), clean.detach()), move
    )
    longest = ascent.abs().amax(dim=-1, keepdim=True).clamp(min=1e-30)
    move = (move.detach() + 0.02 * ascent / longest).clamp(-0.05, 0.05)
    term = divergence(by_logits(model, task, batch, hidden + move), clean)
    assert_twins(model, step_loss(task, batch)[1], plain(task, clean, batch) + 5 * term)


def plain(task, logits, batch):
    match task:
        case "sentiment":
            return F.cross_entropy(logits, batch.labels.long())
        case "paraphrase":
            return F.binary_cross_entropy_with_logits(logits.squeeze(-1), batch.labels)
    return F.mse_loss(logits.squeeze(-1), batch.labels)


@pytest.mark.parametrize("freeze_depth", [0, 1])
def test_proximal_point(tokens, freeze_depth):
    """Against a second model, which holds the weights of before."""
    model, step_loss = begin(
        {"encoder": {"freeze_depth": freeze_depth}}, {"proximal": {"weight": 2.0, "momentum": 0.9}}
    )
    before, _ = begin({"encoder": {"freeze_depth": freeze_depth}})
    batch = batch_of(model, tokens, "similarity")
    moved = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    with torch.no_grad():
        for name in moved:
            model.get_parameter(name).add_(0.1)
    step_loss.after_step()
    with torch.no_grad():
        for name in moved:
            before.get_parameter(name).add_(0.1 * 0.1)  # a tenth of the way
        taught = before("similarity", batch)
    logits = model("similarity", batch)
    twin = plain("similarity", logits, batch) + 2 * (logits - taught).square().mean()
    assert_twins(model, step_loss("similarity", batch)[1], twin)


def test_noise_stability(tokens):
    model, step_loss = begin({"noise_stability": {"weight": 4.0, "noise": 0.1}})
    batch = batch_of(model, tokens, "paraphrase")
    hidden = model.prefix(batch)
    clean = model.trajectory("paraphrase", hidden, batch.packing, whole=True)
    noisy = model.trajectory("paraphrase", hidden + 0.1 * noise(hidden.shape), batch.packing, whole=True)
    term = sum((a - b).square().mean() for a, b in zip(clean[1:], noisy[1:], strict=True))
    loss = plain("paraphrase", by_logits(model, "paraphrase", batch, hidden), batch)
    assert_twins(model, step_loss("paraphrase", batch)[1], loss + 4 * term)


def test_the_noise_of_an_epoch_is_a_function_of_its_seed(tokens):
    model, step_loss = begin({"noise_stability": {"noise": 0.1}})
    batch = batch_of(model, tokens, "sentiment")
    totals = []
    for seed in (1, 1, 2):
        step_loss.begin_epoch(seed)
        totals.append(step_loss("sentiment", batch)[1].item())
    assert totals[0] == totals[1] != totals[2]


REGULARIZERS = {
    "smart": {"epsilon": 1e-12, "step_size": 1e-12, "noise": 1e-12},
    "proximal": {},
    "noise_stability": {"noise": 1e-12},
}


@pytest.mark.parametrize("pooling", ["pooler", "mean"])
@pytest.mark.parametrize("names", [*itertools.combinations(REGULARIZERS, 1), *itertools.combinations(REGULARIZERS, 2)])
def test_a_move_of_nothing_costs_nothing(tokens, names, pooling):
    """Whatever else is on: all passes of a step draw the same dropout masks, or their difference would be chance. The
    teacher says what the model says at first."""
    dropout = {
        "encoder": {"hidden_dropout": 0.3, "attention_dropout": 0.3, "pooling": pooling},
        "head": {"dropout": 0.3},
    }
    torch.manual_seed(0)
    config = configured(dropout, {name: REGULARIZERS[name] for name in names})
    model = MultitaskBert(config, CS224N, tiny_encoder(scale=0.3)).train()
    with torch.no_grad():
        for head in model.heads.parameters():
            head.normal_()  # heads start near 0, where all predictions are alike
    step_loss = StepLoss(model, CS224N, "fp32")
    step_loss.begin_epoch(7)
    for task in ("sentiment", "paraphrase", "similarity"):
        loss, minimized = step_loss(task, batch_of(model, tokens, task))
        weight = config.tasks[task].weight
        assert minimized.item() == pytest.approx(weight * loss.item(), abs=1e-6)
