"""Which configurations fit a problem."""

import pytest

from model.data.tasks import CS224N, Binary, Classes, Number
from model.problem import Problem, check, losses_for
from tests.support import refused, tiny_config

PROBLEM = Problem(tasks=CS224N, num_layers=4, hidden_size=16, train_size={}, dev_size={})
FROZEN = "with freeze_depth = 4, every layer of the encoder"


@pytest.mark.parametrize(
    "config",
    [
        tiny_config(),
        tiny_config(paraphrase={"loss": "cross_entropy", "pair_encoding": "bi", "pair_features": "product"}),
        tiny_config(encoder={"freeze_depth": 3, "hidden_dropout": 0.3, "pooling": "mean"}),
        tiny_config(encoder={"freeze_depth": 4}),
        tiny_config(encoder={"freeze_depth": 4, "pooling": "mean"}, learning_rate=2e-5),
    ],
)
def test_fits(config):
    check(config, PROBLEM)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            tiny_config(sentiment={"pair_encoding": "cross"}),
            "TrialConfig.tasks['sentiment'].pair_encoding = 'cross': allowed is None, for one sentence",
        ),
        (
            tiny_config(similarity={"pair_encoding": None}),
            "TrialConfig.tasks['similarity'].pair_encoding = None: allowed is 'cross' or 'bi', "
            "for a task on two sentences",
        ),
        (
            tiny_config(sentiment={"loss": "bce"}),
            "TrialConfig.tasks['sentiment'].loss = 'bce': allowed is 'cross_entropy', for Classes(count=5)",
        ),
        (
            tiny_config(paraphrase={"loss": "mse"}),
            "TrialConfig.tasks['paraphrase'].loss = 'mse': allowed is 'bce' or 'cross_entropy', for Binary()",
        ),
        (
            tiny_config(similarity={"loss": "cross_entropy"}),
            "TrialConfig.tasks['similarity'].loss = 'cross_entropy': allowed is 'mse', for Number(low=0.0, high=5.0)",
        ),
        (
            tiny_config(encoder={"freeze_depth": 5}),
            "EncoderConfig.freeze_depth = 5: allowed is 0 to 4, the encoder's layers",
        ),
        (
            tiny_config(encoder={"freeze_depth": 4, "hidden_dropout": 0.2}),
            f"EncoderConfig.hidden_dropout = 0.2 has no effect {FROZEN}: leave it at its default, 0.1",
        ),
        (
            tiny_config(encoder={"freeze_depth": 4, "attention_dropout": 0.2}),
            f"EncoderConfig.attention_dropout = 0.2 has no effect {FROZEN}: leave it at its default, 0.1",
        ),
        (
            tiny_config(encoder={"freeze_depth": 4, "pooling": "mean"}, learning_rate=1e-3),
            f"OptimizationConfig.learning_rate = 0.001 has no effect {FROZEN} and mean pooling: "
            "leave it at its default, 2e-05",
        ),
    ],
)
def test_refuses(config, text):
    with refused(text, ValueError):
        check(config, PROBLEM)


def test_refuses_other_tasks():
    fewer = Problem(tasks=CS224N[:2], num_layers=4, hidden_size=16, train_size={}, dev_size={})
    with refused(
        "TrialConfig.tasks names ['paraphrase', 'sentiment', 'similarity']: "
        "allowed is exactly ['paraphrase', 'sentiment']",
        ValueError,
    ):
        check(tiny_config(), fewer)


def test_every_kind_of_label_has_losses():
    assert {type(task.label): losses_for(task)[0] for task in CS224N} == {
        Classes: "cross_entropy",
        Binary: "bce",
        Number: "mse",
    }
