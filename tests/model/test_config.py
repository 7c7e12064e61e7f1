"""What a TrialConfig takes and refuses, and its way through JSON."""

import ast
import dataclasses
import functools
import inspect
import json
import math
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

import model.config
from model.config import (
    AdapterConfig,
    EdgeConfig,
    EncoderConfig,
    HeadConfig,
    NoiseStabilityConfig,
    OptimizationConfig,
    ProximalConfig,
    SharingConfig,
    SmartConfig,
    TaskConfig,
    TrialConfig,
)
from tests.support import refused

PARTS = (
    AdapterConfig,
    EncoderConfig,
    HeadConfig,
    TaskConfig,
    EdgeConfig,
    SmartConfig,
    ProximalConfig,
    NoiseStabilityConfig,
    OptimizationConfig,
)
"""All that have numbers."""

REQUIRED = {EdgeConfig: {"upstream": "a", "downstream": "b"}, TrialConfig: {"tasks": {"a": TaskConfig()}}}
"""By class, values of the fields that have no default."""

ALONE = TaskConfig(pair_encoding="bi", cosine="alone", loss="mse")
"""A task that reads the cosine alone."""


def hints(cls):
    """Each field's type without None, by name."""
    return {
        name: next((h for h in typing.get_args(hint) if h is not type(None)), hint) if may_be_none(hint) else hint
        for name, hint in typing.get_type_hints(cls).items()
        if name in cls.__dataclass_fields__
    }


def may_be_none(hint):
    return type(None) in typing.get_args(hint)


# Every configuration there can be: values for all fields, then those taken out again that have no effect.


@functools.cache
def field_values(cls, *leaving_out):
    """Values of every field of `cls`, by name."""
    fields = {f.name: (f, hints(cls)[f.name]) for f in dataclasses.fields(cls) if f.name not in leaving_out}
    optional = typing.get_type_hints(cls)
    strategies = {name: valid(f, hint) for name, (f, hint) in fields.items()}
    return st.fixed_dictionaries({n: s | st.none() if may_be_none(optional[n]) else s for n, s in strategies.items()})


def valid(f, hint):
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(typing.get_args(hint))
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(f.metadata["low"], f.metadata["high"])
    return st.floats(f.metadata["low"], f.metadata["high"], exclude_min=f.metadata["above"])


def made(cls, values, *without_effect):
    return cls(**{name: value for name, value in values.items() if name not in without_effect})


@st.composite
def adapters(draw, freeze_depth, several):
    values = draw(field_values(AdapterConfig))
    if values["bottleneck"] is None and values["pal_size"] == 0:
        values["lhuc"] = True
    without = ["bottleneck_size"] if values["bottleneck"] is None else []
    without += [] if several else ["per_task"]
    return made(AdapterConfig, values, *without, *(["layers"] if freeze_depth == 0 else []))


@st.composite
def encoders(draw, several):
    values = draw(field_values(EncoderConfig, "adapter"))
    values["adapter"] = draw(st.none() | adapters(values["freeze_depth"], several))
    without = ["removal"] if values["removed_layers"] == 0 else []
    return made(EncoderConfig, values, *without, *(["layer_drop_growth"] if values["layer_drop"] == 0 else []))


@st.composite
def tasks(draw, optimization):
    values, without = draw(field_values(TaskConfig)), set()
    if values["pair_encoding"] != "bi":
        values["cosine"] = "none"
        without |= {"pair_features", "ranking_weight"}
    if values["pair_encoding"] is None:
        without.add("pair_order")
    losses = {
        "none": ("cross_entropy", "bce", "mse", "mae"),
        "added": ("bce", "mse", "mae"),
        "alone": ("mse", "mae", "cosine_embedding"),
    }
    values["loss"] = draw(st.sampled_from(losses[values["cosine"]]))
    if values["cosine"] == "alone":
        without |= {"pair_order", "pair_features", "task_layers", "activation", "dropout"}
    if values["task_layers"] == 1:
        without.add("activation")
    if values["loss"] != "cosine_embedding":
        without.add("threshold")
    if optimization.task_weighting == "uncertainty":
        without.add("weight")
    if optimization.batch_size == 1:
        without.add("ranking_weight")
    return made(TaskConfig, values, *without)


ONE_TASK = ("tasks_per_step", "task_mix", "gradient_surgery")
"""How tasks take turns, which one alone does not."""


@st.composite
def optimizations(draw, several):
    values = draw(field_values(OptimizationConfig))
    without = {
        "constant": ["decay", "warmup"],
        "exponential": ["warmup"],
        "linear": ["decay"],
        "cosine": ["decay"],
    }[values["schedule"]]
    without.append("task_mix" if values["tasks_per_step"] == "all" else "gradient_surgery")
    return made(OptimizationConfig, values, *without, *([] if several else ONE_TASK))


@st.composite
def heads(draw, tasks):
    values, without = draw(field_values(HeadConfig)), set()
    own = [task for task in tasks if task.task_layers > 1]
    if values["common_layers"] == 0 and all(task.activation is not None for task in own):
        without |= {"activation"} if own else {"width", "activation", "layer_norm"}
    if values["common_layers"] == 0 and all(task.dropout is not None for task in tasks if task.cosine != "alone"):
        without.add("dropout")
    if all(task.cosine == "alone" for task in tasks):
        without.add("output_dropout")
    return made(HeadConfig, values, *without)


@st.composite
def sharings(draw, tasks):
    """Any edges that lead from a task to a later one, hence without a cycle."""
    names, edges = list(tasks), []
    for i, downstream in enumerate(names):
        for upstream in names[:i]:
            up, down = tasks[upstream], tasks[downstream]
            possible = down.cosine != "alone" and (up.pair_encoding != "bi" or down.pair_encoding == "bi")
            if possible and draw(st.booleans()):
                values = draw(field_values(EdgeConfig, "upstream", "downstream"))
                without = ["signal"] if up.task_layers == 1 else []
                edges.append(made(EdgeConfig, {"upstream": upstream, "downstream": downstream, **values}, *without))
    edges = draw(st.permutations(edges))
    return SharingConfig(edges=tuple(edges), **draw(field_values(SharingConfig, "edges"))) if edges else None


@st.composite
def configs(draw):
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4, unique=True))
    optimization = draw(optimizations(len(names) > 1))
    by_name = {name: draw(tasks(optimization)) for name in names}
    return TrialConfig(
        encoder=draw(encoders(len(names) > 1)),
        head=draw(heads(by_name.values())),
        tasks=by_name,
        sharing=draw(sharings(by_name)),
        optimization=optimization,
        smart=draw(st.none() | st.builds(made, st.just(SmartConfig), field_values(SmartConfig))),
        proximal=draw(st.none() | st.builds(made, st.just(ProximalConfig), field_values(ProximalConfig))),
        noise_stability=draw(
            st.none() | st.builds(made, st.just(NoiseStabilityConfig), field_values(NoiseStabilityConfig))
        ),
    )


@given(configs())
def test_every_configuration_goes_through_json_and_back(config):
    assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict(), allow_nan=False))) == config


def test_from_dict_fills_in_defaults():
    assert TrialConfig.from_dict({"tasks": {"sentiment": {}}}) == TrialConfig(tasks={"sentiment": TaskConfig()})


def test_every_technique_is_off_by_default():
    config = TrialConfig(tasks={"a": TaskConfig()})
    parts = (config.encoder.adapter, config.sharing, config.smart, config.proximal, config.noise_stability)
    assert parts == (None,) * 5
    assert (config.encoder.removed_layers, config.encoder.branch_layers, config.encoder.layer_drop) == (0, 0, 0)


def test_adapters_in_frozen_layers_end_the_prefix_at_the_embeddings():
    depths = [
        EncoderConfig(freeze_depth=3, adapter=adapter).prefix_depth
        for adapter in (None, AdapterConfig(lhuc=True, layers="trainable"), AdapterConfig(lhuc=True))
    ]
    assert depths == [3, 3, 0]


# The fields themselves


def test_every_field_says_what_it_is():
    silent = []
    for part in ast.parse(inspect.getsource(model.config)).body:
        if isinstance(part, ast.ClassDef):
            for at, statement in enumerate(part.body):
                following = part.body[at + 1] if at + 1 < len(part.body) else None
                if isinstance(statement, ast.AnnAssign) and not is_text(following):
                    silent.append(f"{part.name}.{ast.unparse(statement.target)}")
    assert silent == []


def is_text(statement):
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def test_every_number_is_known_to_the_tests():
    has_numbers = {
        cls
        for cls in vars(model.config).values()
        if dataclasses.is_dataclass(cls) and {int, float} & set(hints(cls).values())
    }
    assert has_numbers == set(PARTS)


@pytest.mark.parametrize(
    ("cls", "name"),
    [(cls, name) for cls in PARTS for name, hint in hints(cls).items() if hint in (int, float)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_number_has_a_type_and_two_ends(cls, name):
    f, whole = cls.__dataclass_fields__[name], hints(cls)[name] is int
    low, high = f.metadata["low"], f.metadata["high"]
    outside = [
        low if f.metadata["above"] else math.nextafter(low, -math.inf),
        math.nextafter(high, math.inf),
        low - 1,
        high + 1,
        10**400,
    ]
    others = [math.nan, math.inf, -math.inf, str(high), True, False, [high], *([high - 0.5] if whole else [])]
    for value in (*outside, *others):
        with pytest.raises(ValueError, match=rf"^{cls.__name__}\.{name} = .*: allowed is a (whole )?number "):
            cls(**REQUIRED.get(cls, {}), **{name: value})


@pytest.mark.parametrize(
    ("cls", "values", "allowed"),
    [
        # Numbers
        (EncoderConfig, {"freeze_depth": -1}, "a whole number from 0 to 96"),
        (EncoderConfig, {"freeze_depth": 1.0}, "a whole number from 0 to 96"),
        (EncoderConfig, {"hidden_dropout": 0.95}, "a number from 0 to 0.9"),
        (EncoderConfig, {"attention_dropout": None}, "a number from 0 to 0.9"),
        (AdapterConfig, {"bottleneck_size": 0}, "a whole number from 1 to 4096"),
        (HeadConfig, {"width": 0}, "a whole number from 1 to 8192"),
        (HeadConfig, {"dropout": math.nan}, "a number from 0 to 0.9"),
        (TaskConfig, {"task_layers": True}, "a whole number from 1 to 9"),
        (TaskConfig, {"threshold": math.inf}, "a number from -1e+06 to 1e+06"),
        (TaskConfig, {"weight": 0}, "a number above 0 up to 1e+06"),
        (EdgeConfig, {"gradient_scale": 1.5}, "a number from 0 to 1"),
        (SmartConfig, {"steps": 0}, "a whole number from 1 to 10"),
        (SmartConfig, {"epsilon": 0.0}, "a number above 0 up to 1000"),
        (NoiseStabilityConfig, {"weight": 0.0}, "a number above 0 up to 1e+06"),
        (OptimizationConfig, {"learning_rate": 0.0}, "a number above 0 up to 1"),
        (OptimizationConfig, {"head_learning_rate": "1e-3"}, "a number above 0 up to 1"),
        (OptimizationConfig, {"max_grad_norm": math.inf}, "a number above 0 up to 1e+06"),
        # Choices
        (AdapterConfig, {"bottleneck": "before"}, "one of 'after_feed_forward', 'after_layer_norm'"),
        (AdapterConfig, {"layers": None}, "one of 'all', 'trainable'"),
        (AdapterConfig, {"lhuc": 1}, "True or False"),
        (EncoderConfig, {"removal": "middle"}, "one of 'top', 'alternate', 'symmetric', 'bottom'"),
        (EncoderConfig, {"layer_drop_growth": "linear"}, "one of 'uniform', 'depth', 'time'"),
        (EncoderConfig, {"pooling": "max"}, "one of 'pooler', 'mean'"),
        (HeadConfig, {"activation": "RELU"}, "one of 'identity', 'relu', 'gelu', 'tanh'"),
        (HeadConfig, {"layer_norm": None}, "True or False"),
        (TaskConfig, {"pair_encoding": "both"}, "one of 'cross', 'bi'"),
        (TaskConfig, {"pair_order": "swapped"}, "one of 'given', 'both'"),
        (TaskConfig, {"pair_features": None}, "one of 'concat', 'difference', 'product'"),
        (TaskConfig, {"cosine": True}, "one of 'none', 'added', 'alone'"),
        (TaskConfig, {"loss": "hinge"}, "one of 'cross_entropy', 'bce', 'mse', 'mae', 'cosine_embedding'"),
        (EdgeConfig, {"signal": "loss"}, "one of 'logits', 'hidden'"),
        (SharingConfig, {"edges": (), "fusion": "sum"}, "one of 'concat', 'attention'"),
        (SmartConfig, {"norm": "l1"}, "one of 'linf', 'l2'"),
        (OptimizationConfig, {"schedule": "sqrt"}, "one of 'constant', 'exponential', 'linear', 'cosine'"),
        (OptimizationConfig, {"tasks_per_step": 3}, "one of 'one', 'all'"),
        (OptimizationConfig, {"task_mix": "r"}, "one of 'in_turn', 'proportional', 'square_root', 'annealed'"),
        (OptimizationConfig, {"task_weighting": "gradnorm"}, "one of 'fixed', 'uncertainty'"),
        # Texts and parts
        (EdgeConfig, {"upstream": 3}, "a str"),
        (SharingConfig, {"edges": [EdgeConfig(upstream="a", downstream="b")]}, "a tuple of EdgeConfig(...)"),
        (SharingConfig, {"edges": ("a",)}, "a tuple of EdgeConfig(...)"),
        (SharingConfig, {"edges": ()}, "at least one edge"),
        (EncoderConfig, {"adapter": {}}, "AdapterConfig(...)"),
        (TrialConfig, {"encoder": {}}, "EncoderConfig(...)"),
        (TrialConfig, {"head": None}, "HeadConfig(...)"),
        (TrialConfig, {"optimization": 1}, "OptimizationConfig(...)"),
        (TrialConfig, {"sharing": ()}, "SharingConfig(...)"),
        (TrialConfig, {"smart": True}, "SmartConfig(...)"),
        (TrialConfig, {"proximal": 0.99}, "ProximalConfig(...)"),
        (TrialConfig, {"noise_stability": "on"}, "NoiseStabilityConfig(...)"),
        (TrialConfig, {"tasks": {}}, "a mapping from task name to TaskConfig"),
        (TrialConfig, {"tasks": [TaskConfig()]}, "a mapping from task name to TaskConfig"),
    ],
)
def test_refuses(cls, values, allowed):
    name, value = list(values.items())[-1]
    with refused(f"{cls.__name__}.{name} = {value!r}: allowed is {allowed}", ValueError):
        cls(**REQUIRED.get(cls, {}) | values)


def test_names_the_task_that_is_none():
    with refused("TrialConfig.tasks['sts'] = 3: allowed is TaskConfig(...)", ValueError):
        TrialConfig(tasks={"a": TaskConfig(), "sts": 3})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("cls", "name"),
    [(AdapterConfig, "bottleneck"), (EncoderConfig, "adapter"), (HeadConfig, "width"), (TaskConfig, "pair_encoding"),
     (TaskConfig, "activation"), (TaskConfig, "dropout"), (OptimizationConfig, "max_grad_norm")],
)  # fmt: skip
def test_none_is_taken_where_it_means_something(cls, name):
    values = {"lhuc": True} if cls is AdapterConfig else {}
    assert getattr(cls.from_dict({**values, name: None}), name) is None


# What has no effect


def trial(*, tasks=None, edges=(), **parts):
    """A configuration of a single sentence's task a and two tasks on pairs, b apart and c as one sequence."""
    usual = {
        "a": TaskConfig(),
        "b": TaskConfig(pair_encoding="bi", loss="mse"),
        "c": TaskConfig(pair_encoding="cross", loss="bce"),
    }
    sharing = SharingConfig(edges=tuple(edges)) if edges else None
    return TrialConfig(tasks=usual if tasks is None else tasks, sharing=sharing, **parts)


def edge(upstream, downstream, **values):
    return EdgeConfig(upstream=upstream, downstream=downstream, **values)


DEFAULTS = [
    # (what makes it, the field and its value, why it has no effect, its default)
    (
        lambda: AdapterConfig(lhuc=True, bottleneck_size=8),
        "AdapterConfig.bottleneck_size = 8",
        "without a bottleneck",
        64,
    ),
    (lambda: EncoderConfig(removal="bottom"), "EncoderConfig.removal = 'bottom'", "with removed_layers = 0", "top"),
    (
        lambda: EncoderConfig(layer_drop_growth="time"),
        "EncoderConfig.layer_drop_growth = 'time'",
        "with layer_drop = 0",
        "uniform",
    ),
    (
        lambda: EncoderConfig(adapter=AdapterConfig(lhuc=True, layers="trainable")),
        "AdapterConfig.layers = 'trainable'",
        "with freeze_depth = 0: all layers are trainable",
        "all",
    ),
    (
        lambda: TaskConfig(pair_features="product"),
        "TaskConfig.pair_features = 'product'",
        "with pair_encoding = None",
        "concat",
    ),
    (
        lambda: TaskConfig(pair_encoding="cross", pair_features="difference"),
        "TaskConfig.pair_features = 'difference'",
        "with pair_encoding = 'cross'",
        "concat",
    ),
    (
        lambda: TaskConfig(pair_encoding="cross", cosine="added"),
        "TaskConfig.cosine = 'added'",
        "with pair_encoding = 'cross'",
        "none",
    ),
    (
        lambda: TaskConfig(pair_encoding="cross", ranking_weight=0.5),
        "TaskConfig.ranking_weight = 0.5",
        "with pair_encoding = 'cross'",
        0.0,
    ),
    (lambda: TaskConfig(pair_order="both"), "TaskConfig.pair_order = 'both'", "with pair_encoding = None", "given"),
    *(
        (
            lambda name=name, value=value: dataclasses.replace(ALONE, **{name: value}),
            f"TaskConfig.{name} = {value!r}",
            "with cosine = 'alone'",
            default,
        )
        for name, value, default in (
            ("pair_order", "both", "given"),
            ("pair_features", "product", "concat"),
            ("task_layers", 2, 1),
            ("activation", "tanh", None),
            ("dropout", 0.5, None),
        )
    ),
    (lambda: TaskConfig(threshold=3.0), "TaskConfig.threshold = 3.0", "with loss = 'cross_entropy'", 2.5),
    (lambda: TaskConfig(activation="tanh"), "TaskConfig.activation = 'tanh'", "with task_layers = 1", None),
    (lambda: OptimizationConfig(decay=0.5), "OptimizationConfig.decay = 0.5", "with schedule = 'constant'", 0.9),
    (
        lambda: OptimizationConfig(schedule="cosine", decay=0.5),
        "OptimizationConfig.decay = 0.5",
        "with schedule = 'cosine'",
        0.9,
    ),
    (
        lambda: OptimizationConfig(schedule="exponential", warmup=0.2),
        "OptimizationConfig.warmup = 0.2",
        "with schedule = 'exponential'",
        0.1,
    ),
    (
        lambda: OptimizationConfig(tasks_per_step="all", task_mix="in_turn"),
        "OptimizationConfig.task_mix = 'in_turn'",
        "with tasks_per_step = 'all': each step has a batch of each task",
        "proportional",
    ),
    (
        lambda: OptimizationConfig(gradient_surgery=True),
        "OptimizationConfig.gradient_surgery = True",
        "with tasks_per_step = 'one'",
        False,
    ),
    *(
        (
            lambda name=name, value=value: trial(
                tasks={"a": TaskConfig()}, optimization=OptimizationConfig.from_dict({name: value})
            ),
            f"OptimizationConfig.{name} = {value!r}",
            "with one task",
            default,
        )
        for name, value, default in (("tasks_per_step", "all", "one"), ("task_mix", "in_turn", "proportional"))
    ),
    (
        lambda: trial(
            tasks={"a": TaskConfig()}, encoder=EncoderConfig(adapter=AdapterConfig(lhuc=True, per_task=False))
        ),
        "AdapterConfig.per_task = False",
        "with one task",
        True,
    ),
    (
        lambda: trial(
            tasks={"a": TaskConfig(), "b": TaskConfig(pair_encoding="bi", loss="bce", ranking_weight=0.5)},
            optimization=OptimizationConfig(batch_size=1),
        ),
        "TaskConfig.ranking_weight = 0.5",
        "with batch_size = 1: there is nothing to rank",
        0.0,
    ),
    (
        lambda: trial(tasks={"a": TaskConfig(dropout=0.2), "b": ALONE}, head=HeadConfig(dropout=0.5)),
        "HeadConfig.dropout = 0.5",
        "where every head has another or none",
        0.1,
    ),
    *(
        (
            lambda name=name, value=value: trial(head=HeadConfig.from_dict({name: value})),
            f"HeadConfig.{name} = {value!r}",
            "without a hidden layer in any head",
            default,
        )
        for name, value, default in (("width", 8, None), ("activation", "gelu", "relu"), ("layer_norm", True, False))
    ),
    (
        lambda: trial(
            tasks={"a": TaskConfig(), "b": TaskConfig(task_layers=2, activation="relu")},
            head=HeadConfig(activation="gelu"),
        ),
        "HeadConfig.activation = 'gelu'",
        "where each task's own layers have another",
        "relu",
    ),
    (
        lambda: trial(tasks={"a": ALONE}, head=HeadConfig(output_dropout=0.5)),
        "HeadConfig.output_dropout = 0.5",
        "where every task reads the cosine alone",
        0.0,
    ),
    (
        lambda: trial(
            tasks={"a": TaskConfig(), "b": TaskConfig(weight=2.0)},
            optimization=OptimizationConfig(task_weighting="uncertainty"),
        ),
        "TrialConfig.tasks['b'].weight = 2.0",
        "with task_weighting = 'uncertainty'",
        1.0,
    ),
]


@pytest.mark.parametrize(("make", "what", "because", "default"), DEFAULTS, ids=[case[1] for case in DEFAULTS])
def test_a_field_without_effect_must_keep_its_default(make, what, because, default):
    with refused(f"{what} has no effect {because}: leave it at its default, {default!r}", ValueError):
        make()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (AdapterConfig, "AdapterConfig has no effect without any of bottleneck, pal_size and lhuc"),
        (
            lambda: TaskConfig(pair_encoding="bi", cosine="alone", loss="bce"),
            "TaskConfig.loss = 'bce': allowed with cosine = 'alone' is one of 'mse', 'mae', 'cosine_embedding'",
        ),
        (
            lambda: TaskConfig(pair_encoding="bi", cosine="added"),
            "TaskConfig.cosine = 'added': added to both logits of loss = 'cross_entropy' it has no effect; "
            "allowed is 'bce'",
        ),
        (
            lambda: TaskConfig(pair_encoding="bi", cosine="added", loss="cosine_embedding"),
            "TaskConfig.cosine = 'added': allowed is 'alone', with loss = 'cosine_embedding'",
        ),
        (
            lambda: TaskConfig(loss="cosine_embedding"),
            "TaskConfig.cosine = 'none': allowed is 'alone', with loss = 'cosine_embedding'",
        ),
        (
            lambda: SharingConfig(edges=(edge("a", "b"), edge("b", "c"), edge("a", "b", signal="hidden"))),
            "SharingConfig.edges: a -> b stands there twice",
        ),
        (
            lambda: SharingConfig(edges=(edge("x", "a"), edge("a", "b"), edge("b", "c"), edge("c", "a"))),
            "SharingConfig.edges: a cycle, a -> b -> c -> a; allowed is any graph without one",
        ),
        (
            lambda: SharingConfig(edges=(edge("a", "a"),)),
            "SharingConfig.edges: a cycle, a -> a; allowed is any graph without one",
        ),
        (
            lambda: trial(edges=[edge("a", "sts")]),
            "SharingConfig.edges: a -> sts: there is no task 'sts'; allowed are a, b, c",
        ),
        (
            lambda: trial(edges=[edge("sst", "a")]),
            "SharingConfig.edges: sst -> a: there is no task 'sst'; allowed are a, b, c",
        ),
        (
            lambda: trial(edges=[edge("b", "c")]),
            "SharingConfig.edges: b -> c: the head of b reads two encoded sentences (pair_encoding = 'bi'), of which c "
            "has one; allowed is another pair_encoding of either",
        ),
        (
            lambda: trial(tasks={"a": TaskConfig(), "b": ALONE}, edges=[edge("a", "b")]),
            "SharingConfig.edges: a -> b has no effect: b reads the cosine alone and has no head",
        ),
        (
            lambda: trial(edges=[edge("a", "b", signal="hidden")]),
            "SharingConfig.edges: a -> b: signal = 'hidden' is of a head with a hidden layer; a has none",
        ),
    ],
)
def test_refuses_what_does_not_go_together(make, text):
    with refused(text, ValueError):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: trial(edges=[edge("a", "c"), edge("a", "b", gradient_scale=1), edge("c", "b")]),
        lambda: trial(tasks={"a": ALONE, "b": TaskConfig(pair_encoding="bi", loss="mse")}, edges=[edge("a", "b")]),
        lambda: trial(
            tasks={"a": TaskConfig(task_layers=2), "b": TaskConfig()},
            edges=[edge("a", "b", signal="hidden")],
        ),
        lambda: trial(head=HeadConfig(common_layers=1, width=8, activation="tanh", layer_norm=True)),
        lambda: trial(tasks={"a": TaskConfig(task_layers=2)}, head=HeadConfig(width=8, activation="tanh")),
        lambda: trial(tasks={"a": ALONE, "b": TaskConfig()}, head=HeadConfig(dropout=0.5, output_dropout=0.5)),
        lambda: trial(tasks={"a": ALONE}, head=HeadConfig(common_layers=1, dropout=0.5)),
        lambda: EncoderConfig(freeze_depth=1, adapter=AdapterConfig(pal_size=2, layers="trainable")),
    ],
)
def test_takes_what_is_close_to_that(make):
    make()


def test_the_order_of_the_graph_has_upstream_tasks_first():
    edges = (edge("c", "d"), edge("a", "b"), edge("b", "d"), edge("a", "c"))
    order = SharingConfig(edges=edges).order()
    assert sorted(order) == ["a", "b", "c", "d"]
    assert all(order.index(e.upstream) < order.index(e.downstream) for e in edges)


# Names


@pytest.mark.parametrize(
    ("cls", "values", "text"),
    [
        (
            TaskConfig,
            {"loss": "mse", "pair_encodng": "bi"},
            "TaskConfig has no field 'pair_encodng': did you mean 'pair_encoding'?",
        ),
        (ProximalConfig, {"xyz": 1}, "ProximalConfig has no field 'xyz': its fields are weight, momentum"),
    ],
)
def test_a_misspelt_field_is_named_with_the_nearest_one(cls, values, text):
    with refused(text, ValueError):
        cls(**values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"taks": {}}, "TrialConfig has no field 'taks': did you mean 'tasks'?"),
        (
            {"xyz": 1},
            "TrialConfig has no field 'xyz': its fields are encoder, head, tasks, sharing, optimization, smart, "
            "proximal, noise_stability",
        ),
        (
            {"encoder": {"freeze": 2}},
            "TrialConfig.encoder has no field 'freeze': did you mean 'freeze_depth'?",
        ),
        (
            {"encoder": {"adapter": {"botleneck": None}}},
            "TrialConfig.encoder.adapter has no field 'botleneck': did you mean 'bottleneck'?",
        ),
        (
            {"tasks": {"sts": {"pair_encodings": "bi"}}},
            "TrialConfig.tasks['sts'] has no field 'pair_encodings': did you mean 'pair_encoding'?",
        ),
        (
            {"sharing": {"edges": [{"upstream": "a", "downstream": "b"}, {"upsteam": "a"}]}},
            "TrialConfig.sharing.edges[1] has no field 'upsteam': did you mean 'upstream'?",
        ),
        ({"sharing": {"edges": [{"upstream": "a"}]}}, "TrialConfig.sharing.edges[0].downstream is missing"),
        ({"sharing": {"edges": [3]}}, "TrialConfig.sharing.edges[0] = 3: allowed is a mapping of its fields"),
        ({"sharing": {"edges": "ab"}}, "SharingConfig.edges = 'ab': allowed is a tuple of EdgeConfig(...)"),
        ({"sharing": {}}, "TrialConfig.sharing.edges is missing"),
        ({"smart": 1.0}, "TrialConfig.smart = 1.0: allowed is a mapping of its fields"),
        ({"encoder": 3}, "TrialConfig.encoder = 3: allowed is a mapping of its fields"),
        ({"encoder": None}, "TrialConfig.encoder = None: allowed is a mapping of its fields"),
        ({"tasks": {"sts": None}}, "TrialConfig.tasks['sts'] = None: allowed is a mapping of its fields"),
        ({"tasks": [1]}, "TrialConfig.tasks = [1]: allowed is a mapping from task name to TaskConfig"),
        ([], "TrialConfig = []: allowed is a mapping of its fields"),
        ({"tasks": {"a": {"task_layers": "2"}}}, "TaskConfig.task_layers = '2': allowed is a whole number from 1 to 9"),
        ({"encoder": {}}, "TrialConfig.tasks is missing"),
    ],
)
def test_from_dict_refuses(values, text):
    with refused(text, ValueError):
        TrialConfig.from_dict(values)


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EncoderConfig().freeze_depth = 3  # type: ignore[misc]
