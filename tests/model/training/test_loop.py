"""The training loop: what an epoch is, what it reports, and that it learns."""

import dataclasses

import numpy as np
import pytest
import torch

from model.data.batches import assemble
from model.data.tasks import CS224N
from model.data.tokens import tokenize
from model.training import loop
from model.training.loop import Diverged, train
from model.training.losses import objective
from model.training.precision import Precision
from tests.support import VOCABULARY, tiny_config, tiny_corpus, tiny_encoder

NO_DROPOUT = {"encoder": {"hidden_dropout": 0.0, "attention_dropout": 0.0}, "head": {"dropout": 0.0}}


def start(tokens, config=None, *, epochs=2, epoch_examples=48, seed=0, precision: Precision = "fp32", encoder=None):
    return train(
        config or tiny_config(), tokens, encoder or tiny_encoder(),
        epochs=epochs, epoch_examples=epoch_examples, seed=seed, precision=precision,
    )  # fmt: skip


def numbers(epoch):
    """An epoch without its clock."""
    return dataclasses.replace(epoch, train_seconds=0.0, seconds=0.0)


def weights(training):
    return {name: tensor.clone() for name, tensor in training.model.state_dict().items()}


GOLDEN = [
    {"sentiment": 1.616285, "paraphrase": 0.691435, "similarity": 8.707033},
    {"sentiment": 1.639528, "paraphrase": 0.695156, "similarity": 9.378649},
]


def test_losses_are_what_they_have_been(tokens):
    """A refactor shows the same numbers. No dropout, whose random numbers differ between builds of torch."""
    config = tiny_config(**NO_DROPOUT, paraphrase={"task_layers": 2}, schedule="linear", weight_decay=0.01)
    for epoch, losses in zip(start(tokens, config, epoch_examples=60), GOLDEN, strict=True):
        assert epoch.losses == pytest.approx(losses, abs=1e-4)


def test_an_epoch_tells_what_it_came_to(tokens):
    training = start(tokens, epochs=3)
    epochs = list(training)
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert training.epochs_done == 3
    with pytest.raises(StopIteration):
        next(training)
    for epoch in epochs:
        assert list(epoch.scores) == list(epoch.losses) == [task.name for task in CS224N]
        assert epoch.overall == pytest.approx(
            (epoch.scores["sentiment"] + epoch.scores["paraphrase"] + (epoch.scores["similarity"] + 1) / 2) / 3
        )
        assert epoch.examples == 48
        assert 0 < epoch.train_seconds < epoch.seconds
        assert epoch.trainable_parameters == training.model.trainable_parameters()


def test_losses_are_means_over_examples_before_task_weights(tokens):
    """With steps too small to change anything, the loss of an epoch is that of its examples, one by one."""
    config = tiny_config(**NO_DROPOUT, learning_rate=1e-30, head_learning_rate=1e-30, batch_size=7,
                         similarity={"weight": 100.0})  # fmt: skip
    training = start(tokens, config, epoch_examples=50)
    epoch = next(training)
    training.model.eval()
    for task in CS224N:
        part, split = config.tasks[task.name], tokens.splits[task.name]["train"]
        rows = np.concatenate([rows for ((name, rows),) in training._plan.epoch(1) if name == task.name])
        batches = [assemble(tokens, split, rows[i : i + 1], part.pair_encoding) for i in range(len(rows))]
        with torch.no_grad():
            read_as = objective(task, part)
            losses = [read_as.batch_loss(training.model(task.name, batch), batch.labels) for batch in batches]
        assert epoch.losses[task.name] == pytest.approx(float(torch.stack(losses).mean()), rel=1e-4)


def test_same_seed_same_bits(tokens):
    one, other = start(tokens), start(tokens)
    torch.manual_seed(123)  # nobody else's random numbers matter
    for a, b in zip(one, other, strict=True):
        torch.rand(7)
        assert numbers(a) == numbers(b)
    assert all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


def test_another_seed_other_numbers(tokens):
    assert next(start(tokens)).losses != next(start(tokens, seed=1)).losses


def test_a_task_without_a_share_has_no_loss_and_its_head_stays(tokens):
    training = start(tokens, tiny_config(weight_decay=0.5), epoch_examples=2)
    before = weights(training)
    epoch = next(training)
    assert list(epoch.losses) == ["sentiment", "similarity"]
    assert list(epoch.scores) == ["sentiment", "paraphrase", "similarity"]
    changed = {name for name, tensor in weights(training).items() if not torch.equal(tensor, before[name])}
    assert {name for name in changed if name.startswith("heads.paraphrase.")} == set()
    assert {name.split(".")[1] for name in changed if name.startswith("heads.")} == {"sentiment", "similarity"}


@pytest.mark.parametrize("pooling", ["pooler", "mean"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_trains_what_is_not_frozen_and_nothing_else(tokens, depth, pooling):
    frozen_all = depth == 2 and pooling == "mean"
    rate = 2e-5 if frozen_all else 1e-3
    config = tiny_config(encoder={"freeze_depth": depth, "pooling": pooling}, weight_decay=0.5, learning_rate=rate)
    training = start(tokens, config)
    before, trained = weights(training), training.model.trainable_state().keys()
    next(training)
    changed = {name for name, tensor in weights(training).items() if not torch.equal(tensor, before[name])}
    # adding a constant to all keys changes no attention: their bias has no gradient but rounding
    assert {name for name in changed ^ trained if not name.endswith("attention.key.bias")} == set()


def movement(tokens, **changes):
    """How far the weights go in an epoch, at most."""
    training = start(tokens, tiny_config(**changes))
    before = weights(training)
    next(training)
    return max(float((tensor - before[name]).abs().max()) for name, tensor in weights(training).items())


def test_gradients_are_clipped_to_their_norm(tokens):
    assert movement(tokens, max_grad_norm=None) > 1e-3
    assert movement(tokens, max_grad_norm=1e-13) < 1e-5  # far below AdamW's epsilon


def test_a_tasks_weight_scales_its_gradient(tokens):
    weightless = {task.name: {"weight": 1e-13} for task in CS224N}
    assert movement(tokens, max_grad_norm=None, **weightless) < 1e-5


def test_step_sizes_follow_the_steps_of_the_whole_trial(tokens, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "set_step_size", lambda optimizer, config, *steps: seen.append(steps))
    list(start(tokens, epochs=3))
    steps = len(seen) // 3
    assert seen == [(step, 3 * steps, step // steps + 1) for step in range(3 * steps)]


def test_learns(encoder):
    tokens = tokenize(tiny_corpus(train=200, dev=60), encoder)
    first, *_, last = start(tokens, tiny_config(**NO_DROPOUT), epochs=8, epoch_examples=600)
    assert last.losses["sentiment"] < 0.5 * first.losses["sentiment"]
    assert last.losses["similarity"] < 0.9 * first.losses["similarity"]
    assert first.scores["sentiment"] < 0.5 < 0.8 < last.scores["sentiment"]


@pytest.mark.parametrize("config", [tiny_config(), tiny_config(encoder={"freeze_depth": 1, "pooling": "mean"})])
def test_bf16_keeps_weights_in_fp32_and_comes_near(tokens, config):
    exact, half = start(tokens, config), start(tokens, config, precision="bf16")
    assert next(half).losses == pytest.approx(next(exact).losses, rel=0.1)
    assert {tensor.dtype for tensor in weights(half).values()} == {torch.float32}


def broken_encoder(name, where: int | slice = slice(None)):
    encoder = tiny_encoder()
    encoder.weights[name][where] = np.nan
    return encoder


def test_says_whose_loss_is_not_finite(tokens):
    training = start(tokens, encoder=broken_encoder("layers.1.output.bias"))
    with pytest.raises(Diverged) as caught:
        next(training)
    assert str(caught.value) == "sentiment loss not finite in epoch 1"
    assert (caught.value.epoch, training.epochs_done) == (1, 0)


def test_says_which_prediction_is_not_finite(encoder):
    odd = VOCABULARY.index("##like")  # in no sentence but those below
    tokens = tokenize(tiny_corpus(), encoder)
    tokens.splits["paraphrase"]["dev"].sentences[1].ids[5] = odd
    training = start(tokens, encoder=broken_encoder("embeddings.word.weight", odd))
    with pytest.raises(Diverged) as caught:
        next(training)
    assert str(caught.value) == "paraphrase prediction not finite in epoch 1"


def test_diverges_later_where_weights_become_infinite(tokens):
    training = start(tokens, epochs=3)
    next(training)
    with torch.no_grad():
        training.model.get_parameter("heads.similarity.output.1.weight").fill_(torch.inf)
    with pytest.raises(Diverged, match=r"^\w+ loss not finite in epoch 2$"):
        next(training)
