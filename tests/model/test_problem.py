"""Which configurations fit a problem."""

import dataclasses

import pytest

from model.config import AdapterConfig, NoiseStabilityConfig, SmartConfig, TrialConfig
from model.data.tasks import CS224N, Binary, Classes, Number
from model.problem import Problem, check, losses_for
from tests.support import refused, tiny_config, tiny_corpus, tiny_encoder


def problem_of(tasks=CS224N):
    """Of 4 layers with 4 attention heads each."""
    return Problem(tasks=tasks, num_layers=4, hidden_size=16, num_heads=4, train_size={}, dev_size={})


FROZEN = "with freeze_depth = 4, every layer of the encoder"
HEADS_ALONE = {"freeze_depth": 4, "pooling": "mean"}
IN_TRAINED_LAYERS = AdapterConfig(pal_size=8, layers="trainable")
ALONE = {"pair_encoding": "bi", "cosine": "alone", "loss": "cosine_embedding"}


def encoder(**values):
    """A configuration with these fields of its encoder."""
    return tiny_config(encoder=values)


def one_task(**values):
    """A configuration of sentiment alone, with these fields of its encoder."""
    return TrialConfig.from_dict({"tasks": {"sentiment": {}}, "encoder": values})


def pairs_of_three_classes():
    """A task such as natural language inference."""
    return dataclasses.replace(CS224N[1], label=Classes(count=3))


def test_is_made_of_corpus_and_encoder():
    assert Problem.of(tiny_corpus(train=9, dev=5), tiny_encoder(layers=3, hidden=8, heads=4).shape) == Problem(
        tasks=CS224N,
        num_layers=3,
        hidden_size=8,
        num_heads=4,
        train_size={"sentiment": 9, "paraphrase": 9, "similarity": 9},
        dev_size={"sentiment": 5, "paraphrase": 5, "similarity": 5},
    )


@pytest.mark.parametrize(
    "config",
    [
        tiny_config(),
        tiny_config(paraphrase={"loss": "cross_entropy", "pair_encoding": "bi", "pair_features": "product"}),
        tiny_config(paraphrase=ALONE, similarity={"loss": "mae", "ranking_weight": 0.5}),
        tiny_config(paraphrase={"pair_encoding": "bi", "ranking_weight": 0.5}),
        tiny_config(similarity={**ALONE, "threshold": 0.0}),
        encoder(freeze_depth=3, hidden_dropout=0.3, pooling="mean"),
        encoder(freeze_depth=4),
        tiny_config(encoder=HEADS_ALONE, learning_rate=2e-5),
        dataclasses.replace(encoder(freeze_depth=4), smart=SmartConfig()),
        tiny_config(encoder={"freeze_depth": 2}, layer_decay=0.5),
        tiny_config(encoder={"removed_layers": 3}, layer_decay=0.5),  # the embeddings lie below the one layer
        encoder(removed_layers=3, freeze_depth=1),
        encoder(removed_layers=2, removal="alternate", branch_layers=2),
        encoder(freeze_depth=3, branch_layers=1),
        encoder(freeze_depth=3, adapter=IN_TRAINED_LAYERS),
        # Adapters in every layer: frozen layers lie above trained ones, with dropout, layer drop and noise.
        dataclasses.replace(
            encoder(
                freeze_depth=4,
                hidden_dropout=0.3,
                attention_dropout=0.3,
                layer_drop=0.3,
                adapter=AdapterConfig(pal_size=204),
            ),
            noise_stability=NoiseStabilityConfig(),
        ),
        dataclasses.replace(encoder(freeze_depth=3), noise_stability=NoiseStabilityConfig()),
    ],
)
def test_fits(config):
    check(config, problem_of())


REFUSED = [
    # Tasks
    (
        tiny_config(sentiment={"pair_encoding": "cross"}),
        "TrialConfig.tasks['sentiment'].pair_encoding = 'cross': allowed is None, for one sentence",
    ),
    (
        tiny_config(similarity={"pair_encoding": None}),
        "TrialConfig.tasks['similarity'].pair_encoding = None: allowed is 'cross' or 'bi', for a task on two sentences",
    ),
    (
        tiny_config(sentiment={"loss": "bce"}),
        "TrialConfig.tasks['sentiment'].loss = 'bce': allowed is 'cross_entropy', for Classes(count=5)",
    ),
    (
        tiny_config(paraphrase={"loss": "mse"}),
        "TrialConfig.tasks['paraphrase'].loss = 'mse': allowed is 'bce' or 'cross_entropy' or 'cosine_embedding', "
        "for Binary()",
    ),
    (
        tiny_config(similarity={"loss": "cross_entropy"}),
        "TrialConfig.tasks['similarity'].loss = 'cross_entropy': allowed is 'mse' or 'mae' or 'cosine_embedding', "
        "for Number(low=0.0, high=5.0)",
    ),
    *(
        (
            tiny_config(similarity={**ALONE, "threshold": threshold}),
            f"TrialConfig.tasks['similarity'].threshold = {threshold}: allowed is from 0 up to below 5",
        )
        for threshold in (-0.1, 5.0)
    ),
    (
        tiny_config(paraphrase={**ALONE, "threshold": 0.4}),
        "TaskConfig.threshold = 0.4 has no effect for Binary(): leave it at its default, 2.5",
    ),
    # Layers removed, frozen, branched
    (
        encoder(removed_layers=4),
        "EncoderConfig.removed_layers = 4: allowed is 0 to 3 with removal = 'top', of the encoder's 4 layers",
    ),
    (
        encoder(removed_layers=3, removal="alternate"),
        "EncoderConfig.removed_layers = 3: allowed is 0 to 2 with removal = 'alternate', of the encoder's 4 layers",
    ),
    (encoder(freeze_depth=5), "EncoderConfig.freeze_depth = 5: allowed is 0 to 4, the encoder's layers"),
    (
        encoder(removed_layers=2, freeze_depth=3),
        "EncoderConfig.freeze_depth = 3: allowed is 0 to 2, the encoder's layers",
    ),
    (
        encoder(freeze_depth=3, branch_layers=2),
        "EncoderConfig.branch_layers = 2: allowed is 0 to 1, the layers above freeze_depth = 3",
    ),
    (
        encoder(removed_layers=1, branch_layers=4),
        "EncoderConfig.branch_layers = 4: allowed is 0 to 3, the layers above freeze_depth = 0",
    ),
    # Adapters
    (
        encoder(adapter=AdapterConfig(pal_size=6)),
        "AdapterConfig.pal_size = 6: allowed is a multiple of 4, the encoder's attention heads, or 0",
    ),
    (
        encoder(freeze_depth=4, adapter=IN_TRAINED_LAYERS),
        "AdapterConfig.layers = 'trainable' has no effect with freeze_depth = 4: no layer is trainable: "
        "leave it at its default, 'all'",
    ),
    # What lies in the frozen prefix
    *(
        (
            encoder(freeze_depth=4, **{name: 0.2}),
            f"EncoderConfig.{name} = 0.2 has no effect {FROZEN}: leave it at its default, {default}",
        )
        for name, default in (("hidden_dropout", 0.1), ("attention_dropout", 0.1), ("layer_drop", 0.0))
    ),
    (
        encoder(removed_layers=1, freeze_depth=3, hidden_dropout=0.2),
        "EncoderConfig.hidden_dropout = 0.2 has no effect with freeze_depth = 3, every layer of the encoder: "
        "leave it at its default, 0.1",
    ),
    (
        dataclasses.replace(encoder(freeze_depth=4), noise_stability=NoiseStabilityConfig()),
        f"TrialConfig.noise_stability has no effect {FROZEN}: leave it at None",
    ),
    (
        dataclasses.replace(encoder(**HEADS_ALONE), smart=SmartConfig()),
        f"TrialConfig.smart makes nothing smooth {FROZEN} and mean pooling: nothing below the heads is trained; "
        "leave it at None",
    ),
    *(
        (
            tiny_config(encoder=encoder, learning_rate=rate, tasks_per_step="all", gradient_surgery=True),
            "OptimizationConfig.gradient_surgery = True has no effect where no two tasks train the same weights: "
            "leave it at its default, False",
        )
        for encoder, rate in ((HEADS_ALONE, 2e-5), ({"freeze_depth": 2, "branch_layers": 2}, 1e-3))
    ),
    (
        tiny_config(encoder={"freeze_depth": 3, "layer_drop": 0.2, "layer_drop_growth": "depth"}),
        "EncoderConfig.layer_drop_growth = 'depth' has no effect with one layer above the frozen prefix: "
        "leave it at its default, 'uniform'",
    ),
    (
        tiny_config(encoder=HEADS_ALONE, learning_rate=1e-3),
        f"OptimizationConfig.learning_rate = 0.001 has no effect {FROZEN}, and mean pooling: "
        "leave it at its default, 2e-05",
    ),
    (
        tiny_config(encoder=HEADS_ALONE, learning_rate=2e-5, similarity={"ranking_weight": 0.5}),
        f"TaskConfig.ranking_weight = 0.5 has no effect {FROZEN}, and mean pooling: nothing below the heads is "
        "trained: leave it at its default, 0.0",
    ),
    (
        tiny_config(encoder=HEADS_ALONE, learning_rate=2e-5, similarity={"cosine": "alone"}),
        f"TrialConfig.tasks['similarity'].cosine = 'alone' leaves nothing to train {FROZEN}, and mean pooling: nothing "
        "below the heads is trained",
    ),
    *(
        (
            tiny_config(encoder={"freeze_depth": depth}, layer_decay=0.95),
            f"OptimizationConfig.layer_decay = 0.95 has no effect with freeze_depth = {depth}: no two layers are "
            "trained: leave it at its default, 1.0",
        )
        for depth in (3, 4)
    ),
]


@pytest.mark.parametrize(("config", "text"), REFUSED, ids=[text.split(":")[0] for _, text in REFUSED])
def test_refuses(config, text):
    with refused(text, ValueError):
        check(config, problem_of())


def test_refuses_other_tasks():
    text = (
        "TrialConfig.tasks names ['paraphrase', 'sentiment', 'similarity']: "
        "allowed is exactly ['paraphrase', 'sentiment']"
    )
    with refused(text, ValueError):
        check(tiny_config(), problem_of(CS224N[:2]))


def test_branches_need_several_tasks():
    check(one_task(), problem_of(CS224N[:1]))
    with refused(
        "EncoderConfig.branch_layers = 1 has no effect with one task: leave it at its default, 0",
        ValueError,
    ):
        check(one_task(branch_layers=1), problem_of(CS224N[:1]))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"ranking_weight": 0.5},
            "TaskConfig.ranking_weight = 0.5 has no effect for Classes(count=3): no pair belongs together: "
            "leave it at its default, 0.0",
        ),
        (
            {"cosine": "alone", "loss": "cosine_embedding"},
            "TrialConfig.tasks['paraphrase'].loss = 'cosine_embedding': allowed is 'cross_entropy', "
            "for Classes(count=3)",
        ),
    ],
)
def test_a_pair_of_a_class_is_neither_together_nor_apart(values, text):
    with refused(text, ValueError):
        check(
            TrialConfig.from_dict({"tasks": {"paraphrase": {"pair_encoding": "bi", **values}}}),
            problem_of((pairs_of_three_classes(),)),
        )


def test_a_threshold_that_is_not_used_may_lie_outside_of_the_numbers():
    task = dataclasses.replace(CS224N[2], label=Number(low=0.0, high=1.0))
    part = {"pair_encoding": "bi", "loss": "mse"}
    check(TrialConfig.from_dict({"tasks": {"similarity": part}}), problem_of((task,)))


def test_only_pairs_have_a_cosine_to_learn():
    """The loss on cosines is not even offered for a binary label of one sentence."""
    task = dataclasses.replace(CS224N[0], label=Binary())
    with refused(
        "TrialConfig.tasks['sentiment'].loss = 'mse': allowed is 'bce' or 'cross_entropy', for Binary()", ValueError
    ):
        check(TrialConfig.from_dict({"tasks": {"sentiment": {"loss": "mse"}}}), problem_of((task,)))


def test_every_kind_of_label_has_losses():
    assert {type(task.label): losses_for(task) for task in CS224N} == {
        Classes: ("cross_entropy",),
        Binary: ("bce", "cross_entropy"),
        Number: ("mse", "mae"),
    }
