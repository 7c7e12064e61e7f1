"""A trial that was interrupted ends in the same bits as one that was not."""

import dataclasses

import pytest
import torch

from model.config import ProximalConfig
from model.training import loop
from model.training.checkpoint import Damaged, load_state
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
    (saved, values), state = load_state(tmp_path), training.model.trainable_state()
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], tensor) for name, tensor in state.items())
    assert values == {"epoch": 1}


def test_gives_back_what_was_saved_beside_it(tokens, tmp_path):
    values = {"config": tiny_config().to_dict(), "reports": [{"overall": 0.5}]}
    start(tokens, tiny_config()).save(tmp_path / "state", values)
    restored = start(tokens, tiny_config()).restore(tmp_path / "state")
    assert (restored.values, restored.passed_over) == (values, [])


def test_goes_on_from_the_epoch_before_where_the_last_one_is_damaged(tokens, tmp_path):
    whole = start(tokens, tiny_config())
    expected = []
    for epoch in whole:
        expected.append(numbers(epoch))
        if epoch.number < 3:
            whole.save(tmp_path / "state", {"epoch": epoch.number})
    torn = tmp_path / "state" / "state.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])
    resumed = start(tokens, tiny_config())
    restored = resumed.restore(tmp_path / "state")
    assert (restored.values, resumed.epochs_done) == ({"epoch": 1}, 1)
    assert [text.startswith(f"{torn}: not what was saved: ") for text in restored.passed_over] == [True]
    assert [numbers(epoch) for epoch in resumed] == expected[1:]


@pytest.mark.parametrize(
    ("saved", "other", "text"),
    [
        ({}, {"encoder": {"freeze_depth": 1}}, "'model.bert.embeddings.norm.bias' is in one of them only"),
        (
            {"paraphrase": {"loss": "bce"}},
            {"paraphrase": {"loss": "cross_entropy"}},
            "'model.heads.paraphrase.output.1.bias' has shape (1,), not (2,)",
        ),
        ({"averaged_epochs": 2}, {}, "'average.0.bert.embeddings.norm.bias' is in one of them only"),
        ({}, {"averaged_epochs": 2}, "'average.0.bert.embeddings.norm.bias' is in one of them only"),
    ],
)
def test_the_state_of_another_configuration_is_refused_and_changes_nothing(tokens, tmp_path, saved, other, text):
    one = start(tokens, tiny_config(**saved))
    next(one)
    one.save(tmp_path / "state")
    training, untouched = start(tokens, tiny_config(**other)), start(tokens, tiny_config(**other))
    with refused(f"this state belongs to another configuration: {text}", ValueError):
        training.restore(tmp_path / "state")
    assert_same_state(training, untouched)


def test_the_state_of_another_regularizer_is_refused_and_changes_nothing(tokens, tmp_path):
    start(tokens, tiny_config()).save(tmp_path / "state")
    config = dataclasses.replace(tiny_config(), proximal=ProximalConfig())
    training, untouched = start(tokens, config), start(tokens, config)
    with pytest.raises(ValueError, match=r"^this state belongs to another configuration: 'step_loss\."):
        training.restore(tmp_path / "state")
    assert_same_state(training, untouched)


def assert_same_state(training, other):
    assert training.epochs_done == other.epochs_done
    for name, tensor in other.model.state_dict().items():
        assert torch.equal(training.model.state_dict()[name], tensor), name
    assert numbers(next(training)) == numbers(next(other))


@pytest.mark.usefixtures("fp16_on_a_cpu")
def test_goes_on_in_another_precision(tokens, tmp_path):
    """As on a GPU of another kind: the gradients' scale starts anew where there was none."""
    first = start(tokens, tiny_config(max_grad_norm=None), "fp32")
    next(first)
    first.save(tmp_path / "state")
    second = start(tokens, tiny_config(max_grad_norm=None), "fp16")
    second.restore(tmp_path / "state")
    assert [epoch.number for epoch in second] == [2, 3]


def test_nothing_is_changed_where_no_state_is_whole(tokens, tmp_path):
    one = start(tokens, tiny_config())
    next(one)
    one.save(tmp_path / "state")
    (tmp_path / "state" / "state.json").unlink()
    training = start(tokens, tiny_config())
    with pytest.raises(Damaged):
        training.restore(tmp_path / "state")
    assert_same_state(training, start(tokens, tiny_config()))


def test_says_where_there_is_no_state(tokens, tmp_path):
    with pytest.raises(FileNotFoundError):
        start(tokens, tiny_config()).restore(tmp_path / "none")
