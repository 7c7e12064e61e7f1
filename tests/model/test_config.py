"""What a TrialConfig takes and refuses, and its way through JSON."""

import dataclasses
import json
import math
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.config import EncoderConfig, HeadConfig, OptimizationConfig, TaskConfig, TrialConfig
from tests.support import refused

PARTS = (EncoderConfig, HeadConfig, TaskConfig, OptimizationConfig)
SENTIMENT = {"sentiment": TaskConfig()}


def alternatives(hint):
    """The hint without None."""
    return next((h for h in typing.get_args(hint) if h is not type(None)), hint) if may_be_none(hint) else hint


def may_be_none(hint):
    return type(None) in typing.get_args(hint)


def valid(f, hint):
    """A strategy of what a field takes."""
    plain = alternatives(hint)
    if typing.get_origin(plain) is typing.Literal:
        values = st.sampled_from(typing.get_args(plain))
    elif plain is bool:
        values = st.booleans()
    elif plain is int:
        values = st.integers(f.metadata["low"], f.metadata["high"])
    else:
        values = st.floats(f.metadata["low"], f.metadata["high"], exclude_min=f.metadata["above"])
    return values | st.none() if may_be_none(hint) else values


@st.composite
def parts(draw, cls):
    hints = typing.get_type_hints(cls)
    values = {f.name: draw(valid(f, hints[f.name])) for f in dataclasses.fields(cls)}
    if cls is TaskConfig and values["pair_encoding"] != "bi":
        del values["pair_features"]
    if cls is OptimizationConfig:
        for name, schedule in (("decay", "exponential"), ("warmup", "linear")):
            if values["schedule"] != schedule:
                del values[name]
    return cls(**values)


@st.composite
def configs(draw):
    tasks = draw(st.dictionaries(st.text(min_size=1, max_size=8), parts(TaskConfig), min_size=1, max_size=4))
    head = draw(parts(HeadConfig))
    if head.common_layers == 0 and all(task.task_layers == 1 for task in tasks.values()):
        head = HeadConfig(dropout=head.dropout)
    encoder, optimization = draw(parts(EncoderConfig)), draw(parts(OptimizationConfig))
    return TrialConfig(encoder=encoder, head=head, tasks=tasks, optimization=optimization)


@given(configs())
def test_every_configuration_goes_through_json_and_back(config):
    assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict(), allow_nan=False))) == config


def test_from_dict_fills_in_defaults():
    assert TrialConfig.from_dict({"tasks": {"sentiment": {}}}) == TrialConfig(tasks=SENTIMENT)


@pytest.mark.parametrize(
    ("cls", "values", "allowed"),
    [
        (EncoderConfig, {"freeze_depth": -1}, "a whole number from 0 to 96"),
        (EncoderConfig, {"freeze_depth": 1.0}, "a whole number from 0 to 96"),
        (EncoderConfig, {"hidden_dropout": 0.95}, "a number from 0 to 0.9"),
        (EncoderConfig, {"attention_dropout": None}, "a number from 0 to 0.9"),
        (EncoderConfig, {"pooling": "max"}, "one of 'pooler', 'mean'"),
        (HeadConfig, {"common_layers": 10}, "a whole number from 0 to 9"),
        (HeadConfig, {"activation": "RELU"}, "one of 'identity', 'relu', 'gelu', 'tanh'"),
        (HeadConfig, {"layer_norm": 1}, "True or False"),
        (HeadConfig, {"dropout": math.nan}, "a number from 0 to 0.9"),
        (TaskConfig, {"pair_encoding": "both"}, "one of 'cross', 'bi'"),
        (TaskConfig, {"pair_features": None}, "one of 'concat', 'difference', 'product'"),
        (TaskConfig, {"task_layers": 0}, "a whole number from 1 to 9"),
        (TaskConfig, {"task_layers": True}, "a whole number from 1 to 9"),
        (TaskConfig, {"loss": "hinge"}, "one of 'cross_entropy', 'bce', 'mse'"),
        (TaskConfig, {"weight": 0}, "a number above 0 up to 1e+06"),
        (OptimizationConfig, {"learning_rate": 0.0}, "a number above 0 up to 1"),
        (OptimizationConfig, {"head_learning_rate": "1e-3"}, "a number above 0 up to 1"),
        (OptimizationConfig, {"schedule": "cosine"}, "one of 'constant', 'exponential', 'linear'"),
        (OptimizationConfig, {"schedule": "exponential", "decay": 1.5}, "a number above 0 up to 1"),
        (OptimizationConfig, {"schedule": "linear", "warmup": 1}, "a number from 0 to 0.9"),
        (OptimizationConfig, {"weight_decay": -0.1}, "a number from 0 to 1"),
        (OptimizationConfig, {"batch_size": 0}, "a whole number from 1 to 1024"),
        (OptimizationConfig, {"max_grad_norm": math.inf}, "a number above 0 up to 1e+06"),
        (OptimizationConfig, {"task_mix": "random"}, "one of 'in_turn', 'proportional', 'square_root'"),
        (TrialConfig, {"tasks": {}}, "a mapping from task name to TaskConfig"),
        (TrialConfig, {"tasks": SENTIMENT, "encoder": {}}, "EncoderConfig(...)"),
        (TrialConfig, {"tasks": SENTIMENT, "head": None}, "HeadConfig(...)"),
        (TrialConfig, {"tasks": SENTIMENT, "optimization": 1}, "OptimizationConfig(...)"),
    ],
)
def test_refuses(cls, values, allowed):
    name, value = list(values.items())[-1]
    with refused(f"{cls.__name__}.{name} = {value!r}: allowed is {allowed}", ValueError):
        cls(**values)


def test_names_the_task_that_is_none():
    with refused("TrialConfig.tasks['sts'] = 3: allowed is TaskConfig(...)", ValueError):
        TrialConfig(tasks={"sts": 3})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("cls", "f"), [(cls, f) for cls in PARTS for f in dataclasses.fields(cls) if "low" in f.metadata]
)
def test_every_number_has_a_type_and_two_ends(cls, f):
    low, high = f.metadata["low"], f.metadata["high"]
    whole = typing.get_type_hints(cls)[f.name] is int
    outside = [
        low if f.metadata["above"] else math.nextafter(low, -1),
        math.nextafter(high, math.inf),
        low - 1,
        high + 1,
    ]
    for value in (
        *outside,
        math.nan,
        math.inf,
        -math.inf,
        str(high),
        True,
        False,
        [high],
        *([high - 0.5] if whole else []),
    ):
        with pytest.raises(ValueError, match=rf"^{cls.__name__}\.{f.name} = .*: allowed is a (whole )?number "):
            cls(**{f.name: value})


def test_none_stands_for_one_sentence_and_for_no_clipping():
    assert TaskConfig(pair_encoding=None) == TaskConfig()
    assert OptimizationConfig(max_grad_norm=None).max_grad_norm is None


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: TaskConfig(pair_features="product"),
            "TaskConfig.pair_features = 'product' has no effect with pair_encoding = None: "
            "leave it at its default, 'concat'",
        ),
        (
            lambda: TaskConfig(pair_encoding="cross", pair_features="difference"),
            "TaskConfig.pair_features = 'difference' has no effect with pair_encoding = 'cross': "
            "leave it at its default, 'concat'",
        ),
        (
            lambda: OptimizationConfig(decay=0.5),
            "OptimizationConfig.decay = 0.5 has no effect with schedule = 'constant': leave it at its default, 0.9",
        ),
        (
            lambda: OptimizationConfig(schedule="exponential", warmup=0.2),
            "OptimizationConfig.warmup = 0.2 has no effect with schedule = 'exponential': leave it at its default, 0.1",
        ),
        (
            lambda: TrialConfig(tasks=SENTIMENT, head=HeadConfig(activation="gelu")),
            "HeadConfig.activation = 'gelu' has no effect without a hidden layer in any head: "
            "leave it at its default, 'relu'",
        ),
        (
            lambda: TrialConfig(tasks=SENTIMENT, head=HeadConfig(layer_norm=True)),
            "HeadConfig.layer_norm = True has no effect without a hidden layer in any head: "
            "leave it at its default, False",
        ),
    ],
)
def test_refuses_a_field_without_effect(make, text):
    with refused(text, ValueError):
        make()


@pytest.mark.parametrize("hidden", [{"head": {"common_layers": 1}}, {"tasks": {"sentiment": {"task_layers": 2}}}])
def test_one_hidden_layer_anywhere_gives_activation_an_effect(hidden):
    values = {"tasks": {"sentiment": {}}, **hidden}
    values["head"] = {**values.get("head", {}), "activation": "tanh", "layer_norm": True}
    assert TrialConfig.from_dict(values).head.activation == "tanh"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"taks": {}}, "TrialConfig has no field 'taks': did you mean 'tasks'?"),
        ({"xyz": 1}, "TrialConfig has no field 'xyz': its fields are encoder, head, tasks, optimization"),
        (
            {"encoder": {"freeze": 2}},
            "TrialConfig.encoder has no field 'freeze': did you mean 'freeze_depth'?",
        ),
        (
            {"tasks": {"sts": {"pair_encodings": "bi"}}},
            "TrialConfig.tasks['sts'] has no field 'pair_encodings': did you mean 'pair_encoding'?",
        ),
        ({"encoder": 3}, "TrialConfig.encoder = 3: allowed is a mapping of its fields"),
        ({"tasks": {"sts": None}}, "TrialConfig.tasks['sts'] = None: allowed is a mapping of its fields"),
        ({"tasks": [1]}, "TrialConfig.tasks = [1]: allowed is a mapping from task name to TaskConfig"),
        ([], "TrialConfig = []: allowed is a mapping of its fields"),
        ({"tasks": {"a": {"loss": "l1"}}}, "TaskConfig.loss = 'l1': allowed is one of 'cross_entropy', 'bce', 'mse'"),
    ],
)
def test_from_dict_refuses(values, text):
    with refused(text, ValueError):
        TrialConfig.from_dict(values)


def test_from_dict_refuses_what_names_no_tasks():
    with refused("TrialConfig.tasks is missing", ValueError):
        TrialConfig.from_dict({"encoder": {}})


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EncoderConfig().freeze_depth = 3  # type: ignore[misc]
