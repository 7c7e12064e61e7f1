"""A trained model as a folder."""

import numpy as np
import pytest
import torch
import transformers

from model.data.tasks import CS224N
from model.network.multitask import MultitaskBert
from model.network.saved import read_model, write_model
from model.training.evaluate import predict
from tests.support import tiny_config


@pytest.mark.parametrize(
    "config",
    [
        tiny_config(),
        tiny_config(
            encoder={"freeze_depth": 1, "pooling": "mean"},
            head={"common_layers": 2, "layer_norm": True, "activation": "gelu"},
            similarity={"pair_features": "product", "task_layers": 3},
            schedule="linear",
        ),
    ],
    ids=["plain", "deep"],
)
def test_predicts_the_same_when_read_again(tmp_path, config, encoder, tokens):
    torch.manual_seed(0)
    model = MultitaskBert(config, CS224N, encoder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    expected = predict(model, tokens, "dev", "fp32")
    write_model(tmp_path, model, encoder)
    again, its_encoder = read_model(tmp_path)
    assert again.config == config
    assert its_encoder.tokenizer == encoder.tokenizer
    for task, predicted in predict(again, tokens, "dev", "fp32").items():
        np.testing.assert_array_equal(predicted, expected[task])

    theirs = transformers.AutoModel.from_pretrained(tmp_path / "encoder").eval()
    ids = torch.tensor([[2, 8, 20, 30, 3], [2, 9, 3, 21, 3]])
    with torch.no_grad():
        hidden = model.eval().bert(ids, torch.zeros_like(ids), None)
        torch.testing.assert_close(theirs(input_ids=ids).last_hidden_state, hidden, rtol=0, atol=1e-5)


def test_holds_nothing_to_unpickle(tmp_path, config, encoder):
    write_model(tmp_path, MultitaskBert(config, CS224N, encoder), encoder)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".safetensors", ".json", ".txt"}
