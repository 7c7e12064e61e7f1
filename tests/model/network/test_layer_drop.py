"""Layers skipped by chance, and layers removed for good."""

import math

import pytest
import torch

from model.network.layer_drop import LayerDrop, remaining_layers


@pytest.mark.parametrize(
    ("removal", "removed", "expected"),
    [
        # Sajjad et al. 2023, figure 1, counted from 0 instead of from 1
        ("top", 4, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("alternate", 4, [0, 1, 2, 3, 5, 7, 9, 11]),
        ("alternate", 6, [1, 3, 5, 7, 9, 11]),
        ("symmetric", 4, [0, 1, 2, 3, 8, 9, 10, 11]),
        ("symmetric", 6, [0, 1, 2, 9, 10, 11]),
        ("symmetric", 3, [0, 1, 2, 3, 4, 8, 9, 10, 11]),
        ("bottom", 4, [4, 5, 6, 7, 8, 9, 10, 11]),
    ],
)
def test_layers_that_remain_of_twelve(removal, removed, expected):
    assert remaining_layers(12, removed, removal) == expected


@pytest.mark.parametrize("removal", ["top", "alternate", "symmetric", "bottom"])
@pytest.mark.parametrize("num_layers", [1, 2, 3, 6, 7])
def test_as_many_remain_as_are_not_removed(removal, num_layers):
    most = num_layers // 2 if removal == "alternate" else num_layers - 1
    for removed in range(most + 1):
        assert len(remaining_layers(num_layers, removed, removal)) == num_layers - removed


def test_probability_0_draws_nothing():
    state = torch.get_rng_state()
    assert LayerDrop(0.0, "uniform", 6).draw(0) == frozenset()
    assert torch.equal(torch.get_rng_state(), state)


def test_probabilities_by_hand():
    def probabilities(growth, progress):
        drop = LayerDrop(0.4, growth, 4)
        drop.progress = progress
        return [drop.probability_at(layer) for layer in range(4)]

    assert probabilities("uniform", 0.0) == [0.4] * 4
    assert probabilities("depth", 0.0) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert probabilities("time", 0.0) == [0.0] * 4
    assert probabilities("time", 0.01) == pytest.approx([p * (1 - math.exp(-1)) for p in (0.1, 0.2, 0.3, 0.4)])
    assert probabilities("time", 1.0) == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("growth", ["uniform", "depth"])
def test_layers_are_skipped_as_often_as_they_should(growth):
    torch.manual_seed(0)
    drop, times = LayerDrop(0.3, growth, 5), 4000
    draws = [drop.draw(2) for _ in range(times)]
    for layer in range(5):
        share = sum(layer in draw for draw in draws) / times
        assert share == pytest.approx(drop.probability_at(layer) if layer >= 2 else 0, abs=0.03)
