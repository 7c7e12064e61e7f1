"""Groups of parameters, and step sizes over time."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.config import OptimizationConfig
from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert
from model.training import optimizer as module
from model.training.loop import train
from model.training.optimizer import build_optimizer, schedule_factor, set_step_size
from model.training.row_adamw import RowAdamW
from tests.model.techniques import configured
from tests.support import tiny_config, tiny_encoder


def groups(config):
    """By (peak step size, decay): the names of the parameters."""
    model = MultitaskBert(config, CS224N, tiny_encoder())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimizer = build_optimizer(model, config.optimization)
    return model, {
        (group["peak"], group["weight_decay"]): {names[id(parameter)] for parameter in group["params"]}
        for group in optimizer.param_groups
    }


HEAD = {"common_layers": 1, "layer_norm": True}
RATES: dict[str, Any] = {"learning_rate": 1e-4, "head_learning_rate": 1e-3, "weight_decay": 0.1}


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_every_trained_parameter_is_in_the_group_it_belongs_to(depth):
    model, got = groups(tiny_config(encoder={"freeze_depth": depth}, head=HEAD, **RATES))
    trained = model.trainable_state().keys()
    plain = {name for name in trained if name.endswith(".bias") or "norm" in name or name == "common.2.weight"}
    encoder = {name for name in trained if name.startswith("bert.")}
    assert got == {
        (1e-4, 0.1): encoder - plain,
        (1e-4, 0.0): encoder & plain,
        (1e-3, 0.1): trained - encoder - plain,
        (1e-3, 0.0): (trained - encoder) & plain,
    }


def test_a_frozen_encoder_has_no_group():
    _, got = groups(tiny_config(encoder={"freeze_depth": 2, "pooling": "mean"}, head=HEAD, **RATES))
    assert {peak for peak, _ in got} == {1e-3}


@pytest.mark.parametrize("branch_layers", [0, 2])
def test_layer_decay_gives_each_layer_its_share(branch_layers):
    """By hand, for four layers and a decay of a half: the pooler goes with the top layer, the embeddings lie below the
    lowest."""
    config = configured(
        {"encoder": {"branch_layers": branch_layers, "adapter": {"lhuc": True}}},
        {"optimization": {"learning_rate": 0.16, "head_learning_rate": 0.5, "layer_decay": 0.5}},
    )
    model = MultitaskBert(config, CS224N, tiny_encoder(layers=4))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {
        names[id(parameter)]: group["peak"]
        for group in build_optimizer(model, config.optimization).param_groups
        for parameter in group["params"]
    }
    top = "branches.paraphrase" if branch_layers else "bert"
    third = f"{top}.layers.{0 if branch_layers else 2}"
    expected = {"bert.embeddings.word.weight": 0.01, "bert.layers.0.output.bias": 0.02,
                "bert.layers.1.output.bias": 0.04,
                f"{third}.output.bias": 0.08, f"{top}.pooler.weight": 0.16, "heads.paraphrase.output.1.bias": 0.5,
                "adapters.paraphrase.layers.0.lhuc.scale": 0.5}  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found.keys() == model.trainable_state().keys()


@pytest.mark.parametrize(
    ("config", "factors"),
    [
        (OptimizationConfig(), dict.fromkeys(range(20), 1.0)),
        (
            OptimizationConfig(schedule="exponential", decay=0.5),
            {0: 1.0, 3: 1.0, 4: 0.5, 7: 0.5, 8: 0.25, 19: 1 / 16},
        ),
        (
            OptimizationConfig(schedule="linear", warmup=0.25),  # 5 of 20 steps
            {0: 1 / 5, 1: 2 / 5, 3: 4 / 5, 4: 1.0, 5: 1.0, 6: 14 / 15, 10: 10 / 15, 19: 1 / 15, 20: 0.0},
        ),
        (OptimizationConfig(schedule="linear", warmup=0.0), {0: 1.0, 1: 19 / 20, 10: 0.5, 19: 1 / 20, 20: 0.0}),
        (
            OptimizationConfig(schedule="cosine", warmup=0.2),  # 4 of 20 steps
            {0: 1 / 4, 3: 1.0, 4: 1.0, 8: 0.5 + 0.5**1.5, 12: 0.5, 16: 0.5 - 0.5**1.5, 20: 0.0},
        ),
        (OptimizationConfig(schedule="linear", warmup=0.12), {0: 1 / 2.4, 1: 2 / 2.4, 2: 1.0, 3: 17 / 17.6, 20: 0.0}),
    ],
)
def test_step_sizes_by_hand(config, factors):
    got = {step: schedule_factor(config, step, total=20, epoch=step // 4 + 1) for step in factors}
    assert got == pytest.approx(factors)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@given(warmup=st.floats(0, 0.9), total=st.integers(1, 120))
def test_rises_to_its_peak_then_falls(schedule, warmup, total):
    config = OptimizationConfig(schedule=schedule, warmup=warmup)
    factors = [schedule_factor(config, step, total, epoch=1) for step in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert top <= warmup * total


def test_set_step_size_scales_every_group_by_its_peak():
    config = tiny_config(schedule="linear", warmup=0.5, **RATES)
    optimizer = build_optimizer(MultitaskBert(config, CS224N, tiny_encoder()), config.optimization)
    for step, factor in ((0, 0.5), (1, 1.0), (3, 0.5), (0, 0.5)):
        set_step_size(optimizer, config.optimization, step, total=4, epoch=1)
        assert {group["lr"] for group in optimizer.param_groups} == {1e-4 * factor, 1e-3 * factor}


# ---------------------------------------------------------------------------------------------- word embeddings by rows


def test_few_word_embeddings_are_stepped_all_at_once():
    model = MultitaskBert(configured(), CS224N, tiny_encoder())
    assert not isinstance(build_optimizer(model, model.config.optimization), RowAdamW)
    assert not model.bert.embeddings.word.sparse


@pytest.mark.parametrize(
    ("change", "by_rows"),
    [
        ({}, True),
        ({"optimization": {"tasks_per_step": "all"}}, True),
        ({"optimization": {"tasks_per_step": "all", "gradient_surgery": True}}, False),
        ({"proximal": {}}, False),
        ({"encoder": {"freeze_depth": 1}}, False),
    ],
    ids=["plain", "all tasks", "PCGrad", "proximal", "frozen"],
)
def test_word_embeddings_are_stepped_by_rows_where_no_more_is_needed(change, by_rows, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1)
    model = MultitaskBert(configured(change), CS224N, tiny_encoder())
    optimizer = build_optimizer(model, model.config.optimization)
    assert isinstance(optimizer, RowAdamW) == by_rows == model.bert.embeddings.word.sparse


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimization": {"averaged_epochs": 2, "schedule": "linear"}},
        {"optimization": {"tasks_per_step": "all", "max_grad_norm": 0.1}},
        {"smart": {}, "noise_stability": {}},
    ],
    ids=str,
)
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_a_trial_stepped_by_rows_is_the_one_that_is_not(change, micro_batches, tokens, monkeypatch):
    """Up to rounding: losses, scores, and every weight after three epochs."""
    config = configured({"optimization": {"learning_rate": 1e-3, "weight_decay": 0.1}}, change)
    found = []
    for large in (1, module.LARGE):
        monkeypatch.setattr(module, "LARGE", large)
        training = train(
            config, tokens, tiny_encoder(), epochs=3, epoch_examples=48, seed=0, precision="fp32",
            micro_batches=micro_batches,
        )  # fmt: skip
        found.append(([epoch.losses for epoch in training], training.model.trainable_state()))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)


def test_a_trial_stepped_by_rows_goes_on_in_the_same_bits(tokens, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1)
    config = configured({"optimization": {"learning_rate": 1e-3, "weight_decay": 0.1}})

    def start():
        return train(config, tokens, tiny_encoder(), epochs=3, epoch_examples=48, seed=0, precision="fp32")

    whole, begun, resumed = start(), start(), start()
    epochs = list(whole)
    next(begun)
    begun.save(tmp_path / "state")
    resumed.restore(tmp_path / "state")
    assert [epoch.losses for epoch in resumed] == [epoch.losses for epoch in epochs[1:]]
    states = (training.model.trainable_state() for training in (resumed, whole))
    torch.testing.assert_close(*states, rtol=0, atol=0)
