"""A configuration in lines to read."""

from model.describe import describe
from tests.model.techniques import adapter, configured, edge


def test_a_line_for_each_part_of_what_is_not_as_by_default():
    config = configured(
        adapter(lhuc=True),
        {"sharing": {"edges": [edge("sentiment", "similarity", gradient_scale=0.5)]}},
        {"smart": {"weight": 0.123456}, "proximal": {}},
    )
    assert describe(config) == [
        "encoder       as by default",
        "adapter       lhuc True",
        "head          as by default",
        "sentiment     as by default",
        "paraphrase    pair_encoding cross, loss bce",
        "similarity    pair_encoding bi, loss mse",
        "sharing       on",
        "edge          upstream sentiment, downstream similarity, gradient_scale 0.5",
        "optimization  learning_rate 0.001, head_learning_rate 0.01, batch_size 8",
        "smart         weight 0.1235",
        "proximal      on",
    ]
