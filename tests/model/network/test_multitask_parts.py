"""Sharing graph, branches, adapters and layer drop inside MultitaskBert, each beside a slow, obvious twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.data.batches import assemble
from model.data.tasks import CS224N
from model.network.bert import Bert
from model.network.multitask import MultitaskBert
from tests.model.techniques import SHARING, TWO_LAYERS, adapter, configured, edge, encoder
from tests.support import tiny_encoder

ROWS = np.array([3, 0, 7, 5])
APART = {"tasks": {"paraphrase": {"pair_encoding": "bi"}, "similarity": {"pair_encoding": "bi"}}}
TOGETHER = {"tasks": {"paraphrase": {"pair_encoding": "cross"}, "similarity": {"pair_encoding": "cross"}}}


def build(config, layers=2) -> MultitaskBert:
    torch.manual_seed(0)
    model = MultitaskBert(config, CS224N, tiny_encoder(layers=layers))
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def batch_of(model, tokens, task):
    return assemble(tokens, tokens.splits[task]["train"], ROWS, model.config.tasks[task].pair_encoding)


def vectors(model, batch):
    """The pooled output of each sequence."""
    return torch.tanh(model.bert.pooler(batch.packing.first(model.bert(batch.ids, batch.segments, batch.packing))))


def head(model, task, features):
    """Two layers, by hand: logits, and what the output layer reads."""
    get = model.heads[task].get_submodule
    hidden = torch.relu(get("hidden.1")(features))
    return get("output.1")(hidden), hidden


def gradients(model, logits):
    model.zero_grad(set_to_none=True)
    logits.square().sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def assert_twins(model, logits, twin):
    torch.testing.assert_close(logits, twin, rtol=0, atol=1e-5)
    ours, theirs = gradients(model, logits), gradients(model, twin)
    assert {name for name in ours if ours[name].any()} == {name for name in theirs if theirs[name].any()}
    for name in ours.keys() & theirs.keys():
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-5)


def test_sharing_graph_of_bi_encoded_pairs(tokens):
    """Sentiment's head reads each sentence, paraphrase's both and what sentiment's says of them; similarity reads what
    both say, whose heads are frozen. (Grudzinski, 4)"""
    model = build(configured(TWO_LAYERS, APART, SHARING))
    batch = batch_of(model, tokens, "similarity")
    u, v = vectors(model, batch).chunk(2)
    feelings = [head(model, "sentiment", x)[0].detach() for x in (u, v)]
    paraphrase = head(model, "paraphrase", torch.cat([u, v, *feelings], dim=1))[0].detach()
    twin = head(model, "similarity", torch.cat([u, v, *feelings, paraphrase], dim=1))[0]
    assert_twins(model, model("similarity", batch), twin)


def test_sharing_graph_of_cross_encoded_pairs(tokens):
    """One vector stands for the pair: every head upstream reads that one."""
    model = build(configured(TWO_LAYERS, TOGETHER, SHARING))
    batch = batch_of(model, tokens, "similarity")
    pair = vectors(model, batch)
    feeling = head(model, "sentiment", pair)[0].detach()
    paraphrase = head(model, "paraphrase", torch.cat([pair, feeling], dim=1))[0].detach()
    twin = head(model, "similarity", torch.cat([pair, feeling, paraphrase], dim=1))[0]
    assert_twins(model, model("similarity", batch), twin)


@pytest.mark.parametrize("scale", [0.0, 0.25, 1.0])
def test_hidden_signal_with_part_of_its_gradient(tokens, scale):
    change = {"sharing": {"edges": [edge("paraphrase", "sentiment", signal="hidden", gradient_scale=scale)]}}
    model = build(configured(TWO_LAYERS, TOGETHER, change))
    batch = batch_of(model, tokens, "sentiment")
    sentence = vectors(model, batch)
    signal = head(model, "paraphrase", sentence)[1]
    signal = scale * signal + (1 - scale) * signal.detach()
    assert_twins(model, model("sentiment", batch), head(model, "sentiment", torch.cat([sentence, signal], dim=1))[0])


def test_attention_fusion_of_signals(tokens):
    change = {"sharing": {"edges": [edge("sentiment", "similarity", gradient_scale=1.0)], "fusion": "attention"}}
    model = build(configured(TWO_LAYERS, TOGETHER, change))
    batch = batch_of(model, tokens, "similarity")
    pair, fusion = vectors(model, batch), model.fusions["similarity"]
    feeling = head(model, "sentiment", pair)[0]
    fields = [pair, fusion.get_submodule("projections.0")(feeling)]
    scores = [fusion.get_submodule("query")(torch.tanh(fusion.get_submodule("attention")(x))) for x in fields]
    weights = torch.cat(scores, dim=1).softmax(dim=1)
    fused = sum(weights[:, i : i + 1] * field for i, field in enumerate(fields))
    assert_twins(model, model("similarity", batch), head(model, "similarity", fused)[0])


def test_an_upstream_head_is_trained_by_its_own_task_alone(tokens):
    model = build(configured(TWO_LAYERS, APART, SHARING)).train()
    names = gradients(model, model("similarity", batch_of(model, tokens, "similarity")))
    assert {name.split(".")[1] for name in names if name.startswith("heads.")} == {"similarity"}


def test_a_branch_is_a_model_of_its_own_above_what_is_shared(tokens):
    """Each task's top layers moved by themselves: its logits are those of a whole encoder with these layers."""
    model = build(configured(encoder(branch_layers=2)), layers=3)
    plain = build(configured(), layers=3)
    plain.heads.load_state_dict(model.heads.state_dict())
    with torch.no_grad():
        for number, branch in enumerate(model.branches.values()):
            for parameter in branch.parameters():
                parameter.add_(0.05 * (number + 1))
    for task in ("sentiment", "paraphrase", "similarity"):
        branch = model.branches[task]
        for i in (0, 1):
            plain.bert.layers[1 + i].load_state_dict(branch.get_submodule(f"layers.{i}").state_dict())
        plain.bert.pooler.load_state_dict(branch.get_submodule("pooler").state_dict())
        batch = batch_of(model, tokens, task)
        assert torch.equal(model(task, batch), plain(task, batch))
        reached = gradients(model, model(task, batch))
        assert {name.split(".")[1] for name in reached if name.startswith("branches.")} == {task}


@pytest.mark.parametrize("skipped", [{0}, {1, 2}, {0, 1, 2}])
def test_a_skipped_layer_hands_on_what_it_reads(tokens, skipped, monkeypatch):
    silent = {"encoder": {"hidden_dropout": 0.0, "attention_dropout": 0.0}, "head": {"dropout": 0.0}}
    model = build(configured(encoder(layer_drop=0.5), silent), layers=3).train()
    monkeypatch.setattr(model.layer_drop, "draw", lambda first: frozenset(skipped))
    batch = batch_of(model, tokens, "paraphrase")
    hidden = model.bert.embeddings(batch.ids, batch.segments, batch.packing)
    for number, layer in enumerate(model.bert.layers):
        if number not in skipped:
            hidden = layer(hidden, batch.packing)
    twin = model.heads["paraphrase"](torch.tanh(model.bert.pooler(batch.packing.first(hidden)))).logits
    assert_twins(model, model("paraphrase", batch), twin)
    model.eval()
    assert not torch.equal(model("paraphrase", batch), twin), "in evaluation no layer is skipped"


def test_each_task_has_its_own_adapters(tokens):
    model = build(configured(adapter(bottleneck="after_layer_norm", bottleneck_size=3, pal_size=4, lhuc=True)))
    for task in ("sentiment", "paraphrase", "similarity"):
        reached = gradients(model, model(task, batch_of(model, tokens, task)))
        assert {name.split(".")[1] for name in reached if name.startswith("adapters.")} == {task}


def test_adapters_are_attached_to_the_layers_they_say(tokens):
    """The numbers of a frozen prefix are not counted twice: layer 2's bottleneck works on layer 2's output."""
    change = {"encoder": {"freeze_depth": 1, "adapter": {"bottleneck": "after_layer_norm", "layers": "trainable"}}}
    model = build(configured(change), layers=3)
    with torch.no_grad():
        for parameter in model.adapters.parameters():
            parameter.normal_(std=0.3)
    batch = batch_of(model, tokens, "paraphrase")
    hidden = model.bert.embeddings(batch.ids, batch.segments, batch.packing)
    for number, layer in enumerate(model.bert.layers):
        hidden = layer(hidden, batch.packing)
        if number >= 1:
            bottleneck = model.adapters["paraphrase"].get_submodule(f"layers.{number}.bottleneck")
            down, up = bottleneck.get_submodule("down"), bottleneck.get_submodule("up")
            hidden = hidden + up(F.gelu(down(hidden)))
    twin = model.heads["paraphrase"](torch.tanh(model.bert.pooler(batch.packing.first(hidden)))).logits
    assert_twins(model, model("paraphrase", batch), twin)


def test_the_prefix_ends_below_the_first_trained_weight():
    """Adapters in all layers: only the embeddings lie below. Their dropout is off, that of the layers is on."""
    frozen: Bert = build(configured(encoder(freeze_depth=2, adapter={"lhuc": True}))).train().bert
    assert frozen.prefix_depth == 0
    assert not frozen.embeddings.training
    assert all(layer.training for layer in frozen.layers)
    assert not any(
        parameter.requires_grad for parameter in (*frozen.embeddings.parameters(), *frozen.layers.parameters())
    )
