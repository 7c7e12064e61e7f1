"""Task heads, one part at a time."""

import pytest
import torch
from torch import nn

from model.config import Activation
from model.network.dropout import Dropout
from model.network.heads import TaskHead, cosine, hidden_layers, pair_features, pair_width


def build(count, activation: Activation = "relu", *, layer_norm=False):
    return hidden_layers(6, 4, count, activation=activation, layer_norm=layer_norm, dropout=0.3)


@pytest.mark.parametrize("count", [0, 1, 2, 9])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_hidden_layers_have_their_width_and_parameters(count, layer_norm):
    layers = build(count, layer_norm=layer_norm)
    assert layers(torch.randn(3, 6)).shape == (3, 4 if count else 6)
    linear = (6 * 4 + 4) + (count - 1) * (4 * 4 + 4) if count else 0
    assert sum(p.numel() for p in layers.parameters()) == linear + (count * 8 if layer_norm else 0)


def test_a_hidden_layer_is_dropout_linear_norm_activation():
    assert [type(module) for module in build(2, "gelu", layer_norm=True)] == [
        Dropout, nn.Linear, nn.LayerNorm, nn.GELU,
    ] * 2  # fmt: skip
    assert [module.p for module in build(2) if isinstance(module, Dropout)] == [0.3, 0.3]


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("identity", lambda x: x),
        ("relu", lambda x: x.clamp(min=0)),
        ("tanh", torch.tanh),
        ("gelu", lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5))),
    ],
)
def test_activations(activation, function):
    layers, x = build(1, activation).eval(), torch.randn(5, 6)
    torch.testing.assert_close(layers(x), function(layers.get_submodule("1")(x)))


def test_linear_layers_start_as_berts():
    head = TaskHead(build(0), 400, 300, dropout=0.1, output_dropout=0.0)
    assert head.get_parameter("output.1.weight").std().item() == pytest.approx(0.02, rel=0.05)
    assert not head.get_parameter("output.1.bias").any()


def test_a_head_gives_its_logits_and_what_its_output_layer_reads():
    head, x = TaskHead(build(2), 4, 3, dropout=0.1, output_dropout=0.2).eval(), torch.randn(5, 6)
    logits, hidden = head(x)
    torch.testing.assert_close(hidden, head.hidden(x))
    torch.testing.assert_close(logits, head.get_submodule("output.1")(hidden))


def test_output_dropout_drops_logits_while_training():
    head = TaskHead(build(0), 6, 200, dropout=0.0, output_dropout=0.5)
    x = torch.randn(5, 6)
    share = (head(x).logits == 0).float().mean().item()
    assert 0.4 < share < 0.6
    assert (head.eval()(x).logits != 0).all()


def test_naeems_order_of_dropout_before_relu_comes_to_the_same():
    """Linear, LayerNorm, dropout, ReLU (Naeem, 4) and ours, whose dropout stands before the next linear layer."""
    torch.manual_seed(0)
    linear, norm, x = nn.Linear(6, 4), nn.LayerNorm(4), torch.randn(8, 6)
    orders = ([Dropout(0.4), nn.ReLU()], [nn.ReLU(), Dropout(0.4)])
    outputs = []
    for order in orders:
        torch.manual_seed(1)
        outputs.append(nn.Sequential(linear, norm, *order)(x))
    assert torch.equal(*outputs)


def test_cosine_is_the_formula_times_its_scale():
    u, v = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [-2.0, 0.0]])
    torch.testing.assert_close(cosine(u, v, 5.0), torch.tensor([[5 * 24 / 25], [-5.0]]))


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("concat", [[1.0, 2.0, 4.0, -1.0]]),
        ("difference", [[1.0, 2.0, 4.0, -1.0, 3.0, 3.0]]),
        ("product", [[1.0, 2.0, 4.0, -1.0, 3.0, 3.0, 4.0, -2.0]]),
    ],
)
def test_pair_features(features, expected):
    made = pair_features(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, -1.0]]), features)
    assert made.tolist() == expected
    assert made.shape[1] == 2 * pair_width(features)
