"""Adapters beside slow twins, where each of them acts, and what is trained and saved of them."""

import copy
import math
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import nn

from model.network.adapters import Adapters, Bottleneck, LayerAdapter, ProjectedAttention, Projections, UnitScales
from model.network.bert import Layer
from model.network.packing import Packing
from tests.support import tiny_encoder

Module = TypeVar("Module", bound=nn.Module)
SHAPE = tiny_encoder(layers=3).shape  # C = 16, I = 32, H = 2
OFF: dict[str, Any] = {"bottleneck": None, "bottleneck_size": 6, "pal_size": 0, "lhuc": False}
KINDS: dict[str, dict[str, Any]] = {
    "on_feed_forward": {"bottleneck": "after_feed_forward"},
    "on_output": {"bottleneck": "after_layer_norm"},
    "on_skip": {"pal_size": 4},
    "on_units": {"lhuc": True},
}
"""By the method in which each kind acts."""
ALL: dict[str, Any] = {"bottleneck": "after_layer_norm", "pal_size": 4, "lhuc": True}
LENGTHS = (5, 3, 1)
PACKING = Packing.of(np.array(LENGTHS))


def adapters(layers=(0, 2), **changes) -> Adapters:
    """As they start, in fp64."""
    torch.manual_seed(0)
    return Adapters(SHAPE, layers, **OFF | changes).double()


def randomized(module: Module, std: float = 0.5) -> Module:
    """With random weights, biases and scales too, in fp64."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=std)
    return module.double()


def at(whole: Adapters, layer: int) -> LayerAdapter:
    adapter = whole.at(layer)
    assert adapter is not None
    return adapter


def encoder_layer(dropout: float = 0.0) -> Layer:
    torch.manual_seed(1)
    return Layer(SHAPE, dropout, dropout).double()


def states(seed: int = 2, width: int = 16) -> torch.Tensor:
    return torch.randn(sum(LENGTHS), width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def adapted(layer, hidden, adapter):
    """A layer with an adapter, written out."""
    attended = layer.attention_norm(hidden + layer.dropout(layer.attention(hidden, hidden, PACKING)))
    units = adapter.on_units(layer.activation(layer.intermediate(attended)))
    feed_forward = adapter.on_feed_forward(layer.dropout(layer.output(units)))
    skip = adapter.on_skip(attended, hidden, PACKING)
    return adapter.on_output(layer.output_norm(skip + feed_forward))


def assert_same_gradients(module: nn.Module, x, ours, slow):
    """Values and gradients, of the input and of every parameter, of `ours(x)` and `slow(x)`."""
    x = x.requires_grad_()
    weights = torch.randn(ours(x).shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    torch.testing.assert_close(ours(x), slow(x))
    names, parameters = zip(("input", x), *module.named_parameters(), strict=True)
    got = torch.autograd.grad((weights * ours(x)).sum(), parameters)
    expected = torch.autograd.grad((weights * slow(x)).sum(), parameters)
    for name, a, b in zip(names, expected, got, strict=True):
        assert a.any(), name
        torch.testing.assert_close(b, a, msg=lambda message, name=name: f"{name}: {message}")


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def test_bottleneck_is_like_its_slow_twin():
    module = randomized(Bottleneck(16, 6))

    def slow(x):
        inner = gelu(torch.einsum("tc,sc->ts", x, module.down.weight) + module.down.bias)
        return x + torch.einsum("ts,cs->tc", inner, module.up.weight) + module.up.bias

    assert_same_gradients(module, states(), module, slow)


def test_unit_scales_are_like_their_slow_twin():
    module = randomized(UnitScales(32))
    assert_same_gradients(module, states(width=32), module, lambda x: x * (2 / (1 + torch.exp(-module.scale))))


def slow_projected_attention(module, projections, sequence):
    """One head at a time, one query at a time; a sequence (T, C) without padding."""
    narrow = sequence @ projections.encode.weight.T
    size = narrow.shape[1] // module.num_heads
    rows = []
    for t in range(len(sequence)):
        heads = []
        for h in range(module.num_heads):
            part = slice(h * size, (h + 1) * size)
            query = module.query.weight[part] @ narrow[t]
            keys = [module.key.weight[part] @ token for token in narrow]
            values = [module.value.weight[part] @ token for token in narrow]
            powers = [torch.exp(query @ key / math.sqrt(size)) for key in keys]
            heads.append(sum(p * value for p, value in zip(powers, values, strict=True)) / sum(powers))
        rows.append(projections.decode.weight @ torch.cat(heads))
    return torch.stack(rows)


def test_projected_attention_is_like_its_slow_twin():
    projections = Projections(16, 8)
    module = ProjectedAttention(projections, num_heads=2)
    both = randomized(nn.ModuleList([projections, module]))

    def ours(hidden):
        return torch.cat([module(hidden, PACKING), module(hidden, PACKING, first_only=True)])

    def slow(hidden):
        found = [slow_projected_attention(module, projections, sequence) for sequence in hidden.split(LENGTHS)]
        return torch.cat([*found, *(sequence[:1] for sequence in found)])

    assert_same_gradients(both, states(), ours, slow)


@pytest.mark.parametrize("method", KINDS)
def test_an_adapter_acts_in_its_place_only(method):
    adapter = at(randomized(adapters(**KINDS[method])), 2)
    arguments: dict[str, Any] = {
        "on_units": (states(width=32),),
        "on_feed_forward": (states(),),
        "on_skip": (states(), states(4), PACKING),
        "on_output": (states(),),
    }
    for name, values in arguments.items():
        result = getattr(adapter, name)(*values)
        assert (result is values[0]) == (name != method), name
        assert result.shape == values[0].shape


def test_projected_attention_reads_the_layers_input():
    adapter = at(randomized(adapters(pal_size=4)), 0)
    attended, hidden = states(), states(4)
    expected = attended + adapter.get_submodule("projected_attention")(hidden, PACKING)
    assert torch.equal(adapter.on_skip(attended, hidden, PACKING), expected)


@pytest.mark.parametrize("changes", [*KINDS.values(), ALL], ids=str)
def test_a_layer_with_a_zero_adapter_is_the_layer(changes):
    whole, layer, hidden = adapters(**changes), encoder_layer(), states()
    for parameter in whole.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(adapted(layer, hidden, at(whole, 0)), layer(hidden, PACKING))


@pytest.mark.parametrize("changes", [*KINDS.values(), ALL], ids=str)
def test_a_layer_with_a_new_adapter_is_nearly_the_layer(changes):
    whole, layer, hidden = adapters(**changes), encoder_layer(), states()
    difference = (adapted(layer, hidden, at(whole, 0)) - layer(hidden, PACKING)).abs().max()
    assert difference < 1e-3
    assert (difference > 0) == (changes != {"lhuc": True})


@pytest.mark.parametrize("changes", [*KINDS.values(), ALL], ids=str)
def test_a_layer_hands_its_adapter_what_it_should(changes):
    whole, layer, hidden = randomized(adapters(**changes)), encoder_layer(dropout=0.3), states()
    torch.manual_seed(5)
    expected = adapted(layer, hidden, at(whole, 2))
    torch.manual_seed(5)
    assert torch.equal(layer(hidden, PACKING, at(whole, 2)), expected)


def test_weights_start_as_they_should():
    torch.manual_seed(0)
    bottleneck, projections = Bottleneck(300, 200), Projections(300, 200)
    attention = ProjectedAttention(projections, num_heads=4)
    for linear in (bottleneck.down, bottleneck.up, projections.decode):
        # cut off at two standard deviations, a normal distribution keeps 0.88 of its own
        assert linear.weight.std().item() == pytest.approx(0.88e-3, rel=0.02)
        assert 1.9e-3 < linear.weight.abs().max().item() <= 2e-3
    for linear in (projections.encode, attention.query, attention.key, attention.value):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not bottleneck.down.bias.any()
    assert not bottleneck.up.bias.any()
    assert torch.equal(UnitScales(300)(torch.ones(300)), torch.ones(300))


BOTTLENECK = ("bottleneck.down.weight", "bottleneck.down.bias", "bottleneck.up.weight", "bottleneck.up.bias")
ATTENTION = tuple(f"projected_attention.{name}.weight" for name in ("query", "key", "value"))
SHARED = ("projections.encode.weight", "projections.decode.weight")


@pytest.mark.parametrize(
    ("changes", "shared", "each", "count"),
    [
        ({"bottleneck": "after_feed_forward"}, (), BOTTLENECK, 2 * (2 * 16 * 6 + 6 + 16)),
        ({"bottleneck": "after_layer_norm"}, (), BOTTLENECK, 2 * (2 * 16 * 6 + 6 + 16)),
        ({"pal_size": 4}, SHARED, ATTENTION, 2 * 16 * 4 + 2 * 3 * 4 * 4),
        ({"lhuc": True}, (), ("lhuc.scale",), 2 * 32),
        (ALL, SHARED, (*BOTTLENECK, *ATTENTION, "lhuc.scale"), 2 * (214 + 3 * 16 + 32) + 2 * 64),
    ],
    ids=str,
)
def test_each_parameter_stands_once_by_its_name(changes, shared, each, count):
    whole = adapters(layers=(1, 2), **changes)
    expected = [*shared, *(f"layers.{layer}.{name}" for layer in (1, 2) for name in each)]
    assert sorted(whole.state_dict()) == sorted(expected)
    assert sorted(name for name, _ in whole.named_parameters()) == sorted(expected)
    assert sum(tensor.numel() for tensor in whole.state_dict().values()) == count


def test_the_projections_learn_from_all_layers():
    whole, hidden = randomized(adapters(pal_size=4)), states()

    def gradients(*layers):
        total = sum(
            (at(whole, layer).on_skip(hidden, hidden, PACKING).sin().sum() for layer in layers),
            torch.tensor(0.0),
        )
        return torch.autograd.grad(total, [whole.get_parameter(name) for name in SHARED])

    for lower, upper, both in zip(gradients(0), gradients(2), gradients(0, 2), strict=True):
        assert lower.any()
        assert upper.any()
        torch.testing.assert_close(both, lower + upper)


def test_only_the_layers_named_have_an_adapter():
    whole = adapters(layers=(0, 2), lhuc=True)
    assert [whole.at(layer) is None for layer in range(4)] == [False, True, False, True]
    assert at(whole, 0) is not at(whole, 2)


def test_a_copy_is_whole_and_independent():
    whole, hidden = randomized(adapters(**ALL)), states()
    copied = copy.deepcopy(whole)
    before = at(whole, 0).on_skip(hidden, hidden, PACKING)
    assert torch.equal(at(copied, 0).on_skip(hidden, hidden, PACKING), before)
    with torch.no_grad():
        copied.get_parameter("projections.decode.weight").zero_()
    assert torch.equal(at(copied, 0).on_skip(hidden, hidden, PACKING), hidden)
    assert torch.equal(at(whole, 0).on_skip(hidden, hidden, PACKING), before)


def test_saved_weights_bring_the_adapters_back():
    saved, other, layer, hidden = randomized(adapters(**ALL)), adapters(**ALL), encoder_layer(), states()
    other.load_state_dict(saved.state_dict())
    assert torch.equal(adapted(layer, hidden, at(other, 2)), adapted(layer, hidden, at(saved, 2)))


@pytest.mark.parametrize("changes", [*KINDS.values(), ALL], ids=str)
def test_adapters_compute_in_bf16(changes):
    whole, layer, hidden = randomized(adapters(**changes), 0.3).float(), encoder_layer().float(), states().float()
    exact = adapted(layer, hidden, at(whole, 0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = adapted(layer, hidden, at(whole, 0))
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)
    rough.float().square().sum().backward()
    for name, parameter in whole.named_parameters():
        assert (parameter.grad is None) == name.startswith("layers.2."), name
