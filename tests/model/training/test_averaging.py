"""The mean of the last epochs' weights."""

import torch

from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert
from model.training.averaging import EpochAverage
from tests.support import tiny_config, tiny_encoder


def test_the_mean_of_the_window_while_training_goes_on_from_the_last():
    model = MultitaskBert(tiny_config(), CS224N, tiny_encoder())
    average, bias = EpochAverage(model, 3), model.get_parameter("bert.pooler.bias")
    start, ends, seen = bias.detach().clone(), [], []
    for epoch in range(5):
        average.begin_epoch()
        with torch.no_grad():
            bias.add_(2.0**epoch)  # what an epoch of training does
        ends.append(bias.detach().clone())
        average.end_epoch()
        seen.append(bias.detach().clone())
    for epoch in range(5):
        torch.testing.assert_close(ends[epoch], start + sum(2.0**e for e in range(epoch + 1)))
        window = ends[max(0, epoch - 2) : epoch + 1]
        torch.testing.assert_close(seen[epoch], sum(window) / len(window))


def test_a_window_of_one_leaves_the_model_alone():
    model = MultitaskBert(tiny_config(), CS224N, tiny_encoder())
    before = {name: tensor.clone() for name, tensor in model.trainable_state().items()}
    average = EpochAverage(model, 1)
    average.begin_epoch()
    average.end_epoch()
    assert average.state() == {}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.trainable_state().items())
