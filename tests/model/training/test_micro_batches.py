"""A batch in parts: the losses and gradients of the whole, in less memory."""

import pytest
import torch

from model.training import loop, regularizers
from model.training.loop import Training, train
from model.training.precision import Precision
from tests.model.techniques import PAIRS_APART, configured
from tests.support import tiny_encoder

NO_DROPOUT = {
    "encoder": {"hidden_dropout": 0.0, "attention_dropout": 0.0},
    "head": {"dropout": 0.0},
    "optimization": {"max_grad_norm": None},
}
ALL_TASKS = {"optimization": {"tasks_per_step": "all"}}
SURGERY = {"optimization": {"tasks_per_step": "all", "gradient_surgery": True}}


def start(tokens, *changes, micro_batches, epoch_examples=45, precision: Precision = "fp32", on_step=None):
    return train(
        configured(NO_DROPOUT, *changes), tokens, tiny_encoder(scale=0.3), epochs=2, epoch_examples=epoch_examples,
        seed=3, precision=precision, micro_batches=micro_batches, on_step=on_step,
    )  # fmt: skip


@pytest.fixture
def gradients_of(monkeypatch):
    """An epoch's losses, and the gradients of each of its steps, none of which is taken: all are at the same weights,
    and rounding does not add up."""

    def gradients_of(training):
        steps = []

        def noted(self):
            self._scaler.unscale_(self._optimizer)
            named = self.model.named_parameters()
            steps.append({name: parameter.grad.to_dense() for name, parameter in named if parameter.grad is not None})
            self._optimizer.zero_grad(set_to_none=True)
            self._scaler.update()

        monkeypatch.setattr(Training, "_update", noted)
        return next(training).losses, steps

    return gradients_of


@pytest.mark.parametrize("micro_batches", [2, 3])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimization": {"task_weighting": "uncertainty"}},
        ALL_TASKS,
        SURGERY,
        {**PAIRS_APART, "tasks": {"paraphrase": {"pair_encoding": "bi", "pair_order": "both"}}},
        {"tasks": {"similarity": {"cosine": "alone", "loss": "cosine_embedding"}}},
        {"encoder": {"freeze_depth": 1}},
    ],
    ids=["plain", "uncertainty", "all tasks", "PCGrad", "both orders", "cosine", "frozen"],
)
def test_losses_and_gradients_are_those_of_the_whole_batch(tokens, gradients_of, change, micro_batches):
    losses, steps = gradients_of(start(tokens, change, micro_batches=1))
    losses_in_parts, steps_in_parts = gradients_of(start(tokens, change, micro_batches=micro_batches))
    assert losses_in_parts == pytest.approx(losses, abs=1e-5, rel=1e-5)
    assert len(steps_in_parts) == len(steps) > 1
    for in_parts, whole in zip(steps_in_parts, steps, strict=True):
        torch.testing.assert_close(in_parts, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "tolerance"),
    [
        ({"proximal": {"weight": 100.0, "momentum": 0.5}}, 1e-4),
        ({"smart": {"weight": 1000.0, "epsilon": 0.05, "step_size": 0.02, "noise": 0.01}}, 1e-4),
        ({"noise_stability": {"weight": 3000.0, "noise": 0.02}}, 0.1),  # its mean is over tokens, not examples
    ],
    ids=["proximal", "SMART", "noise stability"],
)
def test_regularizers_have_their_share_in_each_part(tokens, gradients_of, monkeypatch, change, tolerance):
    """With the same noise for every token, and large terms."""
    monkeypatch.setattr(regularizers, "_normal", lambda like, _: torch.linspace(-1, 1, like.shape[-1]).expand_as(like))

    def terms(micro_batches):
        with_term, without = (
            gradients_of(moved(start(tokens, *changes, micro_batches=micro_batches))) for changes in ([change], [])
        )
        assert with_term[0] == pytest.approx(without[0], rel=1e-6)
        return [flat(a) - flat(b) for a, b in zip(with_term[1], without[1], strict=True)]

    for in_parts, whole in zip(terms(2), terms(1), strict=True):
        assert whole.norm() > 0.1
        assert (in_parts - whole).norm() < tolerance * whole.norm()


def moved(training):
    """Away from what the proximal point method holds it to."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in training.model.trainable_state().values():
            weight.add_(0.03 * torch.randn(weight.shape, generator=generator))
    return training


def flat(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients.values()])


def test_the_scale_of_fp16_is_taken_out_of_every_part(tokens, gradients_of, monkeypatch):
    monkeypatch.setattr(loop, "resolve_precision", lambda precision, device: precision)
    _, exact = gradients_of(start(tokens, SURGERY, micro_batches=1))
    training = start(tokens, SURGERY, micro_batches=2, precision="fp16")
    training._scaler.load_state_dict(training._scaler.state_dict() | {"scale": 256.0})  # the first one overflows
    _, half = gradients_of(training)
    for in_parts, whole in zip(half, exact, strict=True):
        torch.testing.assert_close(in_parts, whole, rtol=0.1, atol=0.02)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_batch_of_one_row_is_one_part(tokens, monkeypatch, precision):
    monkeypatch.setattr(loop, "resolve_precision", lambda precision, device: precision)
    change = {"optimization": {"batch_size": 1}}
    one, other = (start(tokens, change, micro_batches=n, epoch_examples=6, precision=precision) for n in (1, 2))
    assert next(one).losses == next(other).losses
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def test_in_parts_or_not_training_learns_the_same(tokens):
    """Whole epochs, with every step taken."""
    whole, in_parts = (start(tokens, micro_batches=count) for count in (1, 2))
    for one, other in zip(whole, in_parts, strict=True):
        assert other.losses == pytest.approx(one.losses, rel=1e-2)


def test_a_sign_of_life_at_each_step_and_each_batch_of_an_evaluation(tokens):
    """60 training and 24 dev examples of three tasks, 512 and 128 at most at once: one batch of each."""
    beats = []
    training = start(tokens, micro_batches=2, on_step=lambda: beats.append(None))
    next(training)
    assert len(beats) == training.steps_in(1) + 3 + 3
