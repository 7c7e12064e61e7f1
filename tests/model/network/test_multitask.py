"""MultitaskBert: encoder, common layers and heads together."""

import itertools

import numpy as np
import pytest
import torch

from model.config import Activation, Pooling
from model.data.batches import assemble
from model.data.tasks import CS224N
from model.network.bert import Bert
from model.network.multitask import MultitaskBert
from model.network.packing import Packing
from model.training.losses import objective
from tests.support import refused, tiny_config, tiny_encoder

C = 16  # hidden size of the tiny encoder
ROWS = np.array([3, 0, 7, 5])


def build(config, encoder=None) -> MultitaskBert:
    torch.manual_seed(0)
    return MultitaskBert(config, CS224N, encoder or tiny_encoder())


def batch_of(tokens, config, task, rows=ROWS):
    return assemble(tokens, tokens.splits[task]["train"], rows, config.tasks[task].pair_encoding)


def head_parameters(model) -> dict[str, int]:
    parts = {"common": model.common, **model.heads}
    return {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}


BI = {"pair_encoding": "bi"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (tiny_config(), {"common": 0, "sentiment": 5 * C + 5, "paraphrase": C + 1, "similarity": 2 * C + 1}),
        (
            tiny_config(paraphrase={**BI, "loss": "cross_entropy"}, similarity={**BI, "pair_features": "product"}),
            {"common": 0, "sentiment": 5 * C + 5, "paraphrase": 4 * C + 2, "similarity": 4 * C + 1},
        ),
        (
            tiny_config(head={"common_layers": 2, "layer_norm": True}),
            {
                "common": 2 * (C * C + C + 2 * C),
                "sentiment": 5 * C + 5,
                "paraphrase": C + 1,
                "similarity": 2 * C + 1,
            },
        ),
        (
            tiny_config(sentiment={"task_layers": 3}, similarity={"task_layers": 2, "pair_features": "difference"}),
            {
                "common": 0,
                "sentiment": 2 * (C * C + C) + 5 * C + 5,
                "paraphrase": C + 1,
                "similarity": (3 * C * C + C) + C + 1,
            },
        ),
    ],
)
def test_parameters_are_counted_exactly(config, expected):
    model = build(config)
    assert head_parameters(model) == expected
    encoder = sum(parameter.numel() for parameter in Bert(tiny_encoder().shape).parameters())
    assert model.trainable_parameters() == encoder + sum(expected.values())
    assert model.trainable_parameters() == sum(t.numel() for t in model.trainable_state().values())


@pytest.mark.parametrize("features", ["concat", "difference", "product"])
@pytest.mark.parametrize("pooling", ["pooler", "mean"])
def test_a_bi_encoded_pair_in_one_pass_is_like_two_passes(tokens, features, pooling):
    config = tiny_config(
        encoder={"pooling": pooling}, head={"common_layers": 1}, similarity={"pair_features": features}
    )
    model = build(config).eval()
    split = tokens.splits["similarity"]["train"]
    with torch.no_grad():
        together = model("similarity", batch_of(tokens, config, "similarity"))
        for at, row in enumerate(ROWS):
            u, v = (pooled_alone(model, tokens, sentences[row]) for sentences in split.sentences)
            parts = {"concat": [u, v], "difference": [u, v, (u - v).abs()], "product": [u, v, (u - v).abs(), u * v]}
            alone = model.heads["similarity"](torch.cat(parts[features], dim=1)).logits
            torch.testing.assert_close(together[at : at + 1], alone, rtol=0, atol=1e-5)


def pooled_alone(model, tokens, sentence) -> torch.Tensor:
    ids = torch.tensor([tokens.cls_id, *sentence, tokens.sep_id])
    hidden = model.bert(ids, torch.zeros_like(ids), Packing.of(np.array([len(ids)])))
    pooler = torch.tanh(model.bert.pooler(hidden[:1]))
    return model.common(pooler if model.config.encoder.pooling == "pooler" else hidden.mean(0, keepdim=True))


def configs():
    """Every choice of every field meets every choice of most others."""
    encodings = (("cross", "bce", "cross"), ("bi", "cross_entropy", "bi"))
    poolings: tuple[Pooling, ...] = ("pooler", "mean")
    activations: tuple[Activation, ...] = ("identity", "relu", "gelu", "tanh")
    for pooling, (para, loss, sts), activation, depth in itertools.product(poolings, encodings, activations, (0, 1, 2)):
        yield tiny_config(
            encoder={"pooling": pooling, "freeze_depth": depth},
            head={"common_layers": depth, "activation": activation, "layer_norm": depth == 1, "dropout": 0.2},
            sentiment={"task_layers": 2},
            paraphrase={"pair_encoding": para, "loss": loss, "task_layers": 1 + depth},
            similarity={"pair_encoding": sts, "pair_features": "product" if sts == "bi" else "concat"},
        )


OUTPUTS = {("sentiment", "cross_entropy"): 5, ("paraphrase", "bce"): 1, ("paraphrase", "cross_entropy"): 2,
           ("similarity", "mse"): 1}  # fmt: skip


@pytest.mark.parametrize("config", configs(), ids=lambda c: "-".join(
    map(str, (c.encoder.pooling, c.encoder.freeze_depth, c.head.activation, c.tasks["paraphrase"].pair_encoding))
))  # fmt: skip
def test_every_configuration_trains_what_it_says(config, tokens):
    model = build(config).train()
    for task in CS224N:
        part, batch = config.tasks[task.name], batch_of(tokens, config, task.name)
        logits = model(task.name, batch)
        assert logits.shape == (len(ROWS), OUTPUTS[task.name, part.loss])
        loss = objective(task, part).batch_loss(logits, batch.labels)
        model.zero_grad(set_to_none=True)
        loss.backward()
        assert loss.isfinite()
        others = tuple(f"heads.{other.name}." for other in CS224N if other != task)
        expected = {name for name in model.trainable_state() if not name.startswith(others)}
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        assert gradients.keys() == expected
        assert all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("pooling", ["pooler", "mean"])
def test_trainable_state_is_what_training_changes(depth, pooling):
    model = build(tiny_config(encoder={"freeze_depth": depth, "pooling": pooling}))
    frozen = ("bert.embeddings.", *(f"bert.layers.{i}." for i in range(depth))) if depth else ()
    unused = ("bert.pooler.",) if pooling == "mean" else ()
    expected = {name for name in model.state_dict() if not name.startswith((*frozen, *unused))}
    assert model.trainable_state().keys() == expected


def test_trainable_state_goes_out_and_in(tokens):
    config = tiny_config(encoder={"freeze_depth": 1}, head={"common_layers": 1})
    one, other = build(config).eval(), build(config).eval()
    with torch.no_grad():
        for parameter in one.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.5).add_(0.01)
    batch = batch_of(tokens, config, "paraphrase")
    assert not torch.equal(one("paraphrase", batch), other("paraphrase", batch))
    other.load_trainable_state({name: tensor.clone() for name, tensor in one.trainable_state().items()})
    assert torch.equal(one("paraphrase", batch), other("paraphrase", batch))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"encoder": {"freeze_depth": 1}}, "bert.embeddings.norm.bias"),
        ({"encoder": {"pooling": "mean"}}, "bert.pooler.bias"),
        ({"head": {"common_layers": 1}}, "common.1.bias"),
        ({"sentiment": {"task_layers": 2}}, "heads.sentiment.hidden.1.bias"),
    ],
)
def test_trainable_state_of_another_configuration_is_refused(change, name):
    state, other = build(tiny_config()).trainable_state(), build(tiny_config(**change))
    before = {key: tensor.clone() for key, tensor in other.state_dict().items()}
    with refused(f"these weights belong to another configuration: {name!r} is in one of them only", ValueError):
        other.load_trainable_state(state)
    assert all(torch.equal(tensor, before[key]) for key, tensor in other.state_dict().items())


def test_trainable_state_of_another_shape_is_refused():
    state = build(tiny_config()).trainable_state()
    other = build(tiny_config(similarity={"pair_features": "product"}))
    with refused(
        "these weights belong to another configuration: 'heads.similarity.output.1.weight' has shape (1, 32), "
        "not (1, 64)",
        ValueError,
    ):
        other.load_trainable_state(state)


def test_the_encoder_starts_from_its_weights_and_leaves_them_alone(encoder):
    model = build(tiny_config(), encoder)
    for name, array in encoder.weights.items():
        np.testing.assert_array_equal(model.bert.state_dict()[name].numpy(), array)
    with torch.no_grad():
        model.bert.pooler.bias.add_(1)
    np.testing.assert_array_equal(encoder.weights["pooler.bias"], tiny_encoder().weights["pooler.bias"])
