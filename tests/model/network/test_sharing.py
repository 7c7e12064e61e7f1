"""The sharing graph's parts beside slow twins."""

import math

import pytest
import torch
from torch import nn

from model.network.sharing import AttentionFusion, ConcatFusion, fusion, scale_gradient


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_scaled_gradient_leaves_the_value_in_its_bits(scale, dtype):
    x = torch.cat([normal(1000), torch.tensor([1e-30, -1e30, math.inf])]).to(dtype).requires_grad_()
    assert torch.equal(scale_gradient(x, scale), x)
    with torch.no_grad():
        assert torch.equal(scale_gradient(x, scale), x)


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0])
def test_the_gradient_behind_is_scaled_and_only_that(scale):
    """Of two linear layers, one behind the edge and one before it."""
    behind, before = nn.Linear(4, 3).double(), nn.Linear(3, 2).double()
    weights = normal(5, 2, seed=1)

    def gradients(edge):
        for module in (behind, before):
            module.zero_grad()
        (before(edge(behind(normal(5, 4)))).tanh() * weights).sum().backward()
        return behind.weight.grad, before.weight.grad

    plain_behind, plain_before = gradients(lambda x: x)
    assert plain_behind is not None
    assert plain_before is not None
    scaled_behind, scaled_before = gradients(lambda x: scale_gradient(x, scale))
    assert scaled_before is not None
    assert torch.equal(scaled_before, plain_before)
    if scale == 0:
        assert scaled_behind is None
    else:
        torch.testing.assert_close(scaled_behind, scale * plain_behind)


def test_the_scale_is_exact():
    x = normal(7).requires_grad_()
    (scale_gradient(x, 0.3) * normal(7, seed=1)).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, 0.3 * normal(7, seed=1))


def test_scales_0_and_1_cost_nothing():
    x = normal(3).requires_grad_()
    assert not scale_gradient(x, 0).requires_grad
    assert scale_gradient(x, 1) is x


def inputs():
    """Own representation, two signals."""
    own, *signals = (normal(4, width, seed=width).requires_grad_() for width in (6, 5, 2))
    return own, signals


def random_weights(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.double()


def slow_attention(module, own, signals):
    """One example at a time, one field at a time."""
    rows = []
    for b in range(len(own)):
        fields = [own[b]]
        for linear, signal in zip(module.projections, signals, strict=True):
            fields.append(linear.weight @ signal[b] + linear.bias)
        scores = [
            module.query.weight[0] @ torch.tanh(module.attention.weight @ field + module.attention.bias)
            for field in fields
        ]
        powers = [torch.exp(score) for score in scores]
        rows.append(sum(p / sum(powers) * field for p, field in zip(powers, fields, strict=True)))
    return torch.stack(rows)


def test_concat_is_like_its_slow_twin():
    own, signals = inputs()
    made = ConcatFusion(6, (5, 2))(own, signals)
    rows = zip(own.tolist(), *(signal.tolist() for signal in signals), strict=True)
    assert made.tolist() == [[*row, *first, *second] for row, first, second in rows]
    weights = normal(4, 13, seed=9)
    (made * weights).sum().backward()
    for tensor, part in zip((own, *signals), weights.split((6, 5, 2), dim=1), strict=True):
        assert tensor.grad is not None
        assert torch.equal(tensor.grad, part)


def test_attention_is_like_its_slow_twin():
    module, (own, signals) = random_weights(AttentionFusion(6, (5, 2))), inputs()
    torch.testing.assert_close(module(own, signals), slow_attention(module, own, signals))
    weights = normal(4, 6, seed=9)
    tensors = {"own": own, "first": signals[0], "second": signals[1], **dict(module.named_parameters())}
    got = torch.autograd.grad((module(own, signals) * weights).sum(), list(tensors.values()))
    expected = torch.autograd.grad((slow_attention(module, own, signals) * weights).sum(), list(tensors.values()))
    for name, a, b in zip(tensors, expected, got, strict=True):
        assert a.any(), name
        torch.testing.assert_close(b, a, msg=lambda message, name=name: f"{name}: {message}")


def test_attention_without_a_preference_is_the_mean():
    module, (own, signals) = random_weights(AttentionFusion(6, (5, 2))), inputs()
    nn.init.zeros_(module.get_parameter("query.weight"))
    projected = [module.get_submodule(f"projections.{i}")(signal) for i, signal in enumerate(signals)]
    torch.testing.assert_close(module(own, signals), (own + projected[0] + projected[1]) / 3)


@pytest.mark.parametrize(
    ("kind", "made", "width", "parameters"),
    [
        ("concat", ConcatFusion, 13, 0),
        ("attention", AttentionFusion, 6, (5 * 6 + 6) + (2 * 6 + 6) + (6 * 6 + 6) + 6),
    ],
)
def test_each_fusion_has_its_name_width_and_parameters(kind, made, width, parameters):
    module, (own, signals) = fusion(kind, 6, (5, 2)), inputs()
    assert type(module) is made
    assert module.width == width
    assert module.double()(own, signals).shape == (4, width)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters


def test_attention_starts_as_berts_linear_layers():
    module = AttentionFusion(300, (400,))
    for name in ("projections.0", "attention"):
        assert module.get_parameter(f"{name}.weight").std().item() == pytest.approx(0.02, rel=0.05)
        assert not module.get_parameter(f"{name}.bias").any()
    assert module.get_parameter("query.weight").std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("kind", ["concat", "attention"])
def test_fusions_compute_in_bf16(kind):
    module, (own, signals) = random_weights(fusion(kind, 6, (5, 2))).float(), inputs()
    own, signals = own.float(), [signals[0].float(), signals[1].bfloat16()]  # as fp32 and bf16 layers hand them on
    exact = module(own, [signals[0], signals[1].float()])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(module(own, signals).float(), exact, rtol=0.05, atol=0.05)
