"""minBERT beside transformers' BertModel and beside a slow twin; what freezing freezes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from model.network import bert as module
from model.network.bert import Bert, attend, pool
from model.network.packing import Packing
from model.network.pretrained import read_encoder
from model.network.shape import BertShape
from tests.support import tiny_encoder

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "attn_implementation": "eager",
}


def theirs_and_ours(tmp_path, **changes) -> tuple[BertModel, Bert]:
    """The same random weights in both; theirs with the attention that is written out."""
    torch.manual_seed(0)
    theirs = BertModel(BertConfig(**SIZES | changes))
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # biases too, which start at 0
    theirs.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tiny_encoder().tokenizer)
    encoder = read_encoder(str(tmp_path))
    ours = Bert(encoder.shape)
    encoder.load_into(ours)
    return theirs.eval(), ours.eval()


def inputs(batch: int = 3, length: int = 11, *, padded: bool, vocab_size: int = 60):
    """Ids, segments, mask."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, vocab_size, (batch, length), generator=generator)
    segments = (torch.arange(length) > 4).long().expand(batch, -1)
    lengths = torch.tensor([length, length // 2, 1]) if padded else torch.full((batch,), length)
    return ids, segments, torch.arange(length) < lengths[:, None]


def packed(ids, segments, mask):
    """The same as ours takes it."""
    return ids[mask], segments[mask], Packing.of(mask.sum(dim=1).numpy())


def states(theirs: BertModel, ours: Bert, ids, segments, mask):
    """(last hidden state without padding, pooled) of both."""
    reference = theirs(input_ids=ids, token_type_ids=segments, attention_mask=mask.long())
    arguments = packed(ids, segments, mask)
    hidden = ours(*arguments)
    pooled = pool(ours.pooler, arguments[2].first(hidden))
    return (reference.last_hidden_state[mask], reference.pooler_output), (hidden, pooled)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_act": "gelu_new"},
        {"hidden_act": "gelu_pytorch_tanh"},
        {"hidden_act": "relu"},
        {"layer_norm_eps": 1e-3},
        {"num_hidden_layers": 1, "num_attention_heads": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_outputs_are_those_of_transformers(tmp_path, changes, padded, short, monkeypatch):
    """By both ways of attention: short sequences on a CPU have their own."""
    monkeypatch.setattr(module, "SHORT", 128 if short else 0)
    theirs, ours = theirs_and_ours(tmp_path, **changes)
    with torch.no_grad():
        expected, got = states(theirs, ours, *inputs(padded=padded))
    for a, b in zip(expected, got, strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-5)


@pytest.mark.parametrize("padded", [True, False])
def test_gradients_are_those_of_transformers(tmp_path, padded):
    theirs, ours = theirs_and_ours(tmp_path)
    expected, got = states(theirs, ours, *inputs(padded=padded))
    for hidden, pooled in (expected, got):
        (hidden.sin().sum() + pooled.square().sum()).backward()
    # the order of parameters is the same in both
    for (name, a), (our_name, b) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-4, msg=f"{our_name}, their {name}")


def slow_attention(attention, hidden, mask):
    """One query at a time, one head at a time; (R, T, C)."""
    queries, keys, values = attention.query(hidden), attention.key(hidden), attention.value(hidden)
    heads, (batch, length, width) = attention.num_heads, hidden.shape
    d = width // heads
    context = torch.zeros_like(hidden)
    for b in range(batch):
        for h in range(heads):
            part = slice(h * d, (h + 1) * d)
            for t in range(length):
                seen = [s for s in range(length) if mask[b, s]]
                scores = [float(queries[b, t, part] @ keys[b, s, part]) / math.sqrt(d) for s in seen]
                total = sum(math.exp(score) for score in scores)
                for s, score in zip(seen, scores, strict=True):
                    context[b, t, part] += math.exp(score) / total * values[b, s, part]
    return attention.output(context)


def test_attention_is_like_its_slow_twin():
    encoder = tiny_encoder(scale=0.5)
    bert = Bert(encoder.shape).eval()
    encoder.load_into(bert)
    hidden = torch.randn(3, 6, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(6) < torch.tensor([6, 3, 1])[:, None]
    with torch.no_grad():
        attention = bert.layers[1].get_submodule("attention")
        packing, slow = Packing.of(mask.sum(dim=1).numpy()), slow_attention(attention, hidden, mask)
        got = attention(hidden[mask], hidden[mask], packing)
        torch.testing.assert_close(got, slow[mask], rtol=0, atol=1e-5)
        of_first = attention(hidden[mask], hidden[:, 0], packing)
        torch.testing.assert_close(of_first, slow[:, 0], rtol=0, atol=1e-5)


def test_dropout_of_attention_is_of_its_weights():
    """Whole weights fall out, the others are scaled: of values of 1 comes the sum of what is left."""
    packing, ones = Packing.of(np.array([4, 2])), torch.ones(6, 2)
    torch.manual_seed(0)
    sums = torch.cat([attend(torch.zeros(6, 2), ones, ones, packing, 1, 0.5)[:4, 0] for _ in range(500)])
    assert set(sums.tolist()) == {0.0, 0.5, 1.0, 1.5, 2.0}, "each of four is a quarter, doubled"
    assert abs(float(sums.mean()) - 1) < 0.05


def test_a_sentence_does_not_see_its_neighbours():
    encoder = tiny_encoder(scale=0.5)
    bert = Bert(encoder.shape).eval()
    encoder.load_into(bert)
    ids, segments, mask = inputs(padded=True, vocab_size=40)
    with torch.no_grad():
        together = bert(*packed(ids, segments, mask)).split(mask.sum(dim=1).tolist())
        for row, found in enumerate(together):
            alone = bert(*packed(*(part[row : row + 1] for part in (ids, segments, mask))))
            torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("depth", [0, 2, 3])
@pytest.mark.parametrize("skipped", [(), (1,), (2,)])
def test_the_first_tokens_alone_are_what_they_are_among_all(depth, skipped):
    """And so are the gradients."""
    bert = frozen(depth, dropout=0.0)
    arguments = packed(*inputs(padded=True, vocab_size=40))
    packing, found = arguments[2], []
    for first_only in (False, True):
        bert.zero_grad()
        hidden = bert.suffix(bert.prefix(*arguments), packing, skipped=skipped, first_only=first_only)[-1]
        first = packing.first(hidden)
        pool(bert.pooler, first).square().sum().backward()
        found.append([first.detach(), *(p.grad for p in bert.parameters() if p.grad is not None)])
    assert (len(hidden) == 3) == (depth < 3 and 2 not in skipped), "no more was computed"
    for all_tokens, alone in zip(*found, strict=True):
        torch.testing.assert_close(alone, all_tokens, rtol=1e-5, atol=1e-6)


def frozen(depth: int, dropout: float = 0.5) -> Bert:
    encoder = tiny_encoder(layers=3)
    bert = Bert(encoder.shape, hidden_dropout=dropout, attention_dropout=dropout, freeze_depth=depth)
    encoder.load_into(bert)
    return bert.train()


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_freeze_depth_says_exactly_what_is_trained(depth):
    bert = frozen(depth)
    prefix = ("embeddings.", *(f"layers.{i}." for i in range(depth))) if depth else ()
    expected = {name for name in bert.state_dict() if not (prefix and name.startswith(prefix))}
    assert {name for name, parameter in bert.named_parameters() if parameter.requires_grad} == expected
    arguments = packed(*inputs(padded=True, vocab_size=40))
    pool(bert.pooler, arguments[2].first(bert(*arguments))).sum().backward()
    assert {name for name, parameter in bert.named_parameters() if parameter.grad is not None} == expected


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_frozen_prefix_computes_the_same_in_training(depth):
    bert = frozen(depth)
    arguments = packed(*inputs(padded=True, vocab_size=40))
    training = bert.prefix(*arguments)
    assert not training.requires_grad
    assert not any(module.training for part in (bert.embeddings, *bert.layers[:depth]) for module in part.modules())
    assert all(layer.training for layer in bert.layers[depth:])
    whole = bert(*arguments)
    assert torch.equal(training, bert.eval().prefix(*arguments))
    if depth < 3:
        assert not torch.equal(whole, bert(*arguments))  # above it there is dropout
    assert torch.equal(bert(*arguments), bert.suffix(training, arguments[2])[-1])


def test_without_freezing_dropout_begins_at_the_embeddings():
    arguments = packed(*inputs(padded=False, vocab_size=40))
    bert = frozen(0)
    assert bert.embeddings.training
    assert bert.prefix(*arguments).requires_grad
    assert not torch.equal(bert.prefix(*arguments), bert.prefix(*arguments))


@pytest.mark.parametrize("kind", ["hidden_dropout", "attention_dropout"])
def test_each_dropout_drops_while_training_only(kind):
    encoder, arguments = tiny_encoder(), packed(*inputs(padded=False, vocab_size=40))
    rates: dict[str, Any] = {kind: 0.5}
    bert = Bert(encoder.shape, **rates)
    encoder.load_into(bert)
    assert not torch.equal(bert(*arguments), bert(*arguments))
    bert.eval()
    assert torch.equal(bert(*arguments), bert(*arguments))


def test_shape_is_taken_from_the_config(tmp_path):
    theirs_and_ours(tmp_path, hidden_act="relu", layer_norm_eps=1e-6)
    assert read_encoder(str(tmp_path)).shape == BertShape(
        vocab_size=60, hidden_size=24, num_layers=3, num_heads=4, intermediate_size=40, max_positions=20,
        num_segments=2, layer_norm_eps=1e-6, activation="relu",
    )  # fmt: skip


@pytest.mark.parametrize("padded", [True, False])
def test_real_outputs_are_those_of_transformers(real_encoder, real_encoder_folder, padded):
    theirs = BertModel.from_pretrained(real_encoder_folder, dtype=torch.float32, attn_implementation="eager").eval()
    ours = Bert(real_encoder.shape).eval()
    real_encoder.load_into(ours)
    arguments = inputs(length=60, padded=padded, vocab_size=real_encoder.shape.vocab_size)
    with torch.no_grad():
        expected, got = states(theirs, ours, *arguments)
    for name, a, b in zip(("last hidden state", "pooler output"), expected, got, strict=True):
        print(f"{name}: {float((a - b).abs().max()):.1e}")
        torch.testing.assert_close(b, a, rtol=0, atol=1e-5)
