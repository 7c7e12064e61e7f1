"""Groups of parameters, and step sizes over time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.config import OptimizationConfig
from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert
from model.training.optimizer import build_optimizer, schedule_factor, set_step_size
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
        (OptimizationConfig(schedule="linear", warmup=0.12), {0: 1 / 2.4, 1: 2 / 2.4, 2: 1.0, 3: 17 / 17.6, 20: 0.0}),
    ],
)
def test_step_sizes_by_hand(config, factors):
    got = {step: schedule_factor(config, step, steps_per_epoch=4, epochs=5) for step in factors}
    assert got == pytest.approx(factors)


@given(st.floats(0, 0.9), st.integers(1, 20), st.integers(1, 6))
def test_linear_rises_to_its_peak_then_falls(warmup, steps, epochs):
    config = OptimizationConfig(schedule="linear", warmup=warmup)
    factors = [schedule_factor(config, step, steps, epochs) for step in range(steps * epochs)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert top <= warmup * steps * epochs


def test_set_step_size_scales_every_group_by_its_peak():
    config = tiny_config(schedule="linear", warmup=0.5, **RATES)
    optimizer = build_optimizer(MultitaskBert(config, CS224N, tiny_encoder()), config.optimization)
    for step, factor in ((0, 0.5), (1, 1.0), (3, 0.5), (0, 0.5)):
        set_step_size(optimizer, config.optimization, step, steps_per_epoch=4, epochs=1)
        assert {group["lr"] for group in optimizer.param_groups} == {1e-4 * factor, 1e-3 * factor}
