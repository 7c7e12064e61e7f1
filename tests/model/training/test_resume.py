"""A trial that was interrupted ends in the same bits as one that was not."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

from model.training import loop
from model.training.loop import train
from model.training.precision import Precision
from tests.support import refused, tiny_config, tiny_encoder

FROZEN = {"freeze_depth": 1, "pooling": "mean", "hidden_dropout": 0.2}


def start(tokens, config, precision: Precision = "fp32", epochs=3):
    return train(config, tokens, tiny_encoder(), epochs=epochs, epoch_examples=40, seed=7, precision=precision)


def numbers(epoch):
    return dataclasses.replace(epoch, train_seconds=0.0, seconds=0.0)


@pytest.fixture
def fp16_on_a_cpu(monkeypatch):
    """For its loss scaling: the state of a GradScaler belongs to the trial's."""
    monkeypatch.setattr(loop, "resolve_precision", lambda precision, device: precision)


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        (tiny_config(), "fp32"),
        (tiny_config(schedule="linear", weight_decay=0.1, task_mix="in_turn"), "fp32"),
        (tiny_config(encoder=FROZEN, schedule="exponential", head={"common_layers": 1}), "fp32"),
        (tiny_config(), "bf16"),
        (tiny_config(max_grad_norm=None), "fp16"),
    ],
    ids=["plain", "linear", "frozen", "bf16", "fp16"],
)
@pytest.mark.parametrize("interrupted_after", [1, 2])
@pytest.mark.usefixtures("fp16_on_a_cpu")
def test_interrupted_or_not_the_bits_are_the_same(tokens, tmp_path, config, precision, interrupted_after):
    whole = start(tokens, config, precision)
    expected = [numbers(epoch) for epoch in whole]

    first = start(tokens, config, precision)
    for _ in range(interrupted_after):
        next(first)
        first.save(tmp_path / "state")
    torch.manual_seed(99)
    second = start(tokens, config, precision)
    second.restore(tmp_path / "state")
    assert second.epochs_done == interrupted_after
    assert [numbers(epoch) for epoch in second] == expected[interrupted_after:]
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name


def test_saving_changes_nothing(tokens, tmp_path):
    undisturbed, saved = start(tokens, tiny_config()), start(tokens, tiny_config())
    for expected, got in zip(undisturbed, saved, strict=True):
        assert numbers(expected) == numbers(got)
        saved.save(tmp_path / "state")
        saved.save_model(tmp_path / "model")


def test_a_finished_trial_stays_finished(tokens, tmp_path):
    one = start(tokens, tiny_config(), epochs=1)
    list(one)
    one.save(tmp_path)
    other = start(tokens, tiny_config(), epochs=1)
    other.restore(tmp_path)
    assert list(other) == []


def test_the_model_of_an_epoch_is_its_trained_weights_alone(tokens, tmp_path):
    training = start(tokens, tiny_config(encoder=FROZEN))
    next(training)
    training.save_model(tmp_path)
    saved, state = load_file(tmp_path / "state.safetensors"), training.model.trainable_state()
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], tensor) for name, tensor in state.items())
    assert json.loads((tmp_path / "state.json").read_text()) == {"epoch": 1}


def test_the_state_of_another_configuration_is_refused(tokens, tmp_path):
    start(tokens, tiny_config()).save(tmp_path)
    other = start(tokens, tiny_config(encoder={"freeze_depth": 1}))
    text = "these weights belong to another configuration: 'bert.embeddings.norm.bias' is in one of them only"
    with refused(text, ValueError):
        other.restore(tmp_path)


def test_says_where_there_is_no_state(tokens, tmp_path):
    with pytest.raises(FileNotFoundError):
        start(tokens, tiny_config()).restore(tmp_path / "none")
