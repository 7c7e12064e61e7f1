"""Every technique: what it trains, that it learns, is saved, goes on after an interruption, is off at strength 0."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from model.data.batches import assemble
from model.data.corpus import read_corpus
from model.data.tasks import CS224N
from model.data.tokens import tokenize
from model.network.multitask import MultitaskBert
from model.network.pretrained import read_encoder
from model.network.saved import read_model, write_model
from model.problem import Problem, check
from model.training.evaluate import predict
from model.training.loop import train
from model.training.step_loss import StepLoss
from tests.model.techniques import SHARING, TECHNIQUES, configured, encoder
from tests.support import tiny_encoder

NO_DROPOUT = {"encoder": {"hidden_dropout": 0.0, "attention_dropout": 0.0}, "head": {"dropout": 0.0}}

every_technique = pytest.mark.parametrize("technique", TECHNIQUES.values(), ids=TECHNIQUES.keys())


def start(config, tokens, *, epochs=2, examples=48):
    return train(config, tokens, tiny_encoder(), epochs=epochs, epoch_examples=examples, seed=0, precision="fp32")


def weights(training):
    return {name: tensor.clone() for name, tensor in training.model.trainable_state().items()}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert [name for name, tensor in one.items() if not torch.equal(tensor, other[name])] == []


def head_weights(config):
    """The names of all heads' weights: a hidden layer is dropout, linear, LayerNorm if there is one, activation."""
    layer = (
        ["dropout", "linear", "norm", "activation"] if config.head.layer_norm else ["dropout", "linear", "activation"]
    )
    for task, part in config.tasks.items():
        if part.cosine != "alone":
            modules = enumerate(layer * (part.task_layers - 1))
            places = [f"hidden.{place}" for place, module in modules if module in ("linear", "norm")]
            yield from (
                f"heads.{task}.{place}.{kind}" for place in [*places, "output.1"] for kind in ("weight", "bias")
            )


@every_technique
def test_trains_exactly_what_it_should(technique):
    config = configured(technique.change)
    model = MultitaskBert(config, CS224N, tiny_encoder())
    plain = MultitaskBert(configured(), CS224N, tiny_encoder()).trainable_state().keys()
    kept = {name for name in plain if not name.startswith(("heads.", *technique.drops))}
    added = {name for name in model.state_dict() if technique.adds and name.startswith(technique.adds)}
    trained = model.trainable_state().keys()
    assert trained == kept | added | set(head_weights(config))
    for beginning in technique.adds:
        assert any(name.startswith(beginning) for name in added), beginning
    assert model.trainable_parameters() == sum(model.state_dict()[name].numel() for name in trained)


@every_technique
def test_every_trained_weight_moves_and_no_other(technique, tokens):
    training = start(configured(technique.change), tokens, epochs=3)
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    for epoch in training:
        assert all(np.isfinite(list(epoch.losses.values())))
    moved = {name for name, tensor in training.model.state_dict().items() if not torch.equal(tensor, before[name])}
    # A constant added to all keys changes no attention: their bias has no gradient but rounding.
    still = {name for name in training.model.trainable_state().keys() - moved if not name.endswith("key.bias")}
    assert still == set()
    assert moved <= training.model.trainable_state().keys()


@every_technique
def test_fits_its_problem(technique, corpus):
    check(configured(technique.change), Problem.of(corpus, tiny_encoder().shape))


@every_technique
def test_predicts_the_same_when_read_again(technique, tokens, tmp_path):
    training = start(configured(technique.change), tokens, epochs=1)
    next(training)
    expected = predict(training.model, tokens, "dev", "fp32")
    write_model(tmp_path, training.model, tiny_encoder(), "fp32")
    for task, predicted in predict(read_model(tmp_path)[0], tokens, "dev", "fp32").items():
        np.testing.assert_array_equal(predicted, expected[task])


@every_technique
def test_goes_on_in_the_same_bits(technique, tokens, tmp_path):
    config = configured(technique.change)
    whole, begun, resumed = (start(config, tokens, epochs=3) for _ in range(3))
    epochs = list(whole)
    next(begun)
    next(begun)
    begun.save(tmp_path / "state")
    resumed.restore(tmp_path / "state")
    last = next(resumed)
    assert last.losses == epochs[-1].losses
    assert last.scores == epochs[-1].scores
    assert_same_bits(weights(resumed), weights(whole))


@pytest.mark.slow
@every_technique
def test_learns_on_the_demo(technique):
    demo, pretrained = read_corpus("demo"), read_encoder("demo")
    rates = {"optimization": {"learning_rate": 2e-4, "head_learning_rate": 2e-3, "batch_size": 16}}
    training = train(
        configured(rates, technique.change), tokenize(demo, pretrained), pretrained,
        epochs=3, epoch_examples=2000, seed=0, precision="fp32",
    )  # fmt: skip
    first, *_, last = training
    assert sum(last.losses.values()) < sum(first.losses.values())


# Strength 0 is off, in the same bits


def forced(part, **values):
    """A part of a configuration with values that it refuses."""
    made = dataclasses.replace(part)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


@pytest.mark.parametrize("name", ["smart", "proximal", "noise_stability"])
def test_a_regularizer_of_weight_0_is_off(name, tokens):
    """Dropout and layer drop are on: the regularizer's own passes must leave their random numbers alone. What a plain
    trial need not compute, and one with a regularizer must, both compute: all tokens of the last layer, for which
    dropout is drawn."""
    base = {"encoder": {"layer_drop": 0.3, "pooling": "mean"}}
    on = configured(base, {name: {}})
    off = forced(on, **{name: forced(getattr(on, name), weight=0.0)})
    plain = start(configured(base), tokens)
    silent = start(off, tokens)
    for expected, epoch in zip(plain, silent, strict=True):
        assert epoch.losses == expected.losses
    assert_same_bits(weights(silent), weights(plain))


@pytest.mark.parametrize("name", ["smart", "proximal", "noise_stability"])
def test_a_regularizer_makes_a_difference(name, tokens):
    change = {"smart": {"epsilon": 0.1, "step_size": 0.1}, "proximal": {}, "noise_stability": {}}[name]
    one, other = start(configured({name: change}), tokens), start(configured(), tokens)
    next(one)
    next(other)
    assert any(not torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


ZEROED = {
    "bottleneck": ("adapter", {"bottleneck": "after_feed_forward"}, ("up.weight",)),
    "bottleneck, after LayerNorm": ("adapter", {"bottleneck": "after_layer_norm", "per_task": False}, ("up.weight",)),
    "projected attention": ("adapter", {"pal_size": 8}, ("decode.weight",)),
    "LHUC": ("adapter", {"lhuc": True}, ()),
}


@pytest.mark.parametrize(("part", "values", "zeroed"), ZEROED.values(), ids=ZEROED.keys())
def test_a_zero_initialised_adapter_is_the_base(part, values, zeroed, tokens):
    torch.manual_seed(0)
    base = MultitaskBert(configured(), CS224N, tiny_encoder())
    torch.manual_seed(0)
    adapted = MultitaskBert(configured(encoder(**{part: values})), CS224N, tiny_encoder())
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if name.startswith("adapters.") and name.endswith(zeroed):
                parameter.zero_()
    for task, predicted in predict(adapted, tokens, "dev", "fp32").items():
        np.testing.assert_array_equal(predicted, predict(base, tokens, "dev", "fp32")[task])


def test_branches_start_as_the_base(tokens):
    torch.manual_seed(0)
    base = predict(MultitaskBert(configured(), CS224N, tiny_encoder()), tokens, "dev", "fp32")
    torch.manual_seed(0)
    branched = MultitaskBert(configured(encoder(branch_layers=2)), CS224N, tiny_encoder())
    for task, predicted in predict(branched, tokens, "dev", "fp32").items():
        np.testing.assert_array_equal(predicted, base[task])


def test_signals_that_a_head_gives_no_weight_to_change_nothing(tokens):
    torch.manual_seed(0)
    base = MultitaskBert(configured(), CS224N, tiny_encoder())
    shared = MultitaskBert(configured(SHARING, {"tasks": {"paraphrase": {"pair_encoding": "cross"}}}), CS224N,
                           tiny_encoder())  # fmt: skip
    with torch.no_grad():
        for name, parameter in shared.heads.named_parameters():
            theirs = base.heads.get_parameter(name)
            parameter.zero_()
            parameter[..., : theirs.shape[-1]] = theirs
    for task, predicted in predict(shared, tokens, "dev", "fp32").items():
        np.testing.assert_allclose(predicted, predict(base, tokens, "dev", "fp32")[task], atol=1e-6)


def test_layers_that_are_never_skipped_are_off(tokens):
    """A probability too small to come up: the random numbers it takes are drawn apart from no one else's, so without
    dropout the bits are the same."""
    rare = configured(NO_DROPOUT, encoder(layer_drop=1e-9))
    plain, off = start(configured(NO_DROPOUT), tokens), start(rare, tokens)
    next(plain)
    next(off)
    assert_same_bits(weights(plain), weights(off))


def test_removing_layers_is_starting_from_an_encoder_without_them(tokens):
    """In the same bits, but for the name of the encoder."""
    small = tiny_encoder().keeping([1])
    torch.manual_seed(0)
    one = MultitaskBert(configured(), CS224N, small)
    torch.manual_seed(0)
    other = MultitaskBert(configured(encoder(removed_layers=1, removal="bottom")), CS224N, tiny_encoder())
    assert_same_bits(one.state_dict(), other.state_dict())


def test_uncertainty_at_its_start_is_the_plain_loss_of_classes_and_half_that_of_numbers(tokens):
    """exp(0) L + 0 / 2, and exp(0) / 2 L + 0 / 2: of the gradients of a first step, too."""
    gradients = {}
    for weighting in ("fixed", "uncertainty"):
        config = configured(NO_DROPOUT, {"optimization": {"task_weighting": weighting}})
        torch.manual_seed(0)
        model = MultitaskBert(config, CS224N, tiny_encoder()).train()
        step_loss = StepLoss(model, CS224N, "fp32")
        for task in config.tasks:
            model.zero_grad(set_to_none=True)
            rows = np.arange(8)
            batch = assemble(tokens, tokens.splits[task]["train"], rows, config.tasks[task].pair_encoding)
            step_loss(task, batch)[1].backward()
            gradients[task, weighting] = model.bert.pooler.weight.grad
    for task, share in (("sentiment", 1.0), ("paraphrase", 1.0), ("similarity", 0.5)):
        torch.testing.assert_close(gradients[task, "uncertainty"], share * gradients[task, "fixed"])


def test_nothing_is_trained_in_a_step_that_skips_all_that_is(tokens):
    """Every trained layer skipped, nothing above them trained but another task's head: no step, and no error."""
    change = {
        "encoder": {"freeze_depth": 1, "layer_drop": 0.9, "pooling": "mean"},
        "tasks": {"similarity": {"cosine": "alone"}},
        "optimization": {"task_mix": "in_turn"},
    }
    training = start(configured(change), tokens, epochs=1)
    skips = training.model.layer_drop.draw
    training.model.layer_drop.draw = lambda first: skips(first) | {1}
    before = weights(training)
    assert np.isfinite(next(training).losses["similarity"])
    moved = {name for name, tensor in weights(training).items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in moved} == {"heads"}
