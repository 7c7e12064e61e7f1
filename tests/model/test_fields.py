"""Every field of TrialConfig changes what is trained: two configurations that differ in nothing else train differently.

The walk is over the dataclasses themselves: a new field without a case here fails.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any

import pytest

from model.config import TrialConfig
from model.data.tokens import Tokens, tokenize
from model.training.loop import train
from tests.model.techniques import adapter, configured, edge, encoder, optimization, similarity
from tests.support import tiny_corpus, tiny_encoder

LAYERS = 4
DROP = encoder(layer_drop=0.4)
REMOVED = encoder(removed_layers=2)
BOTTLENECK = adapter(bottleneck="after_feed_forward")
HIDDEN = similarity(task_layers=2)
ALONE = similarity(cosine="alone", loss="cosine_embedding")
SHARING = {"sharing": {"edges": [edge("sentiment", "similarity")]}, "tasks": {"sentiment": {"task_layers": 2}}}
STEP = optimization(tasks_per_step="all")
SMART = {"smart": {"epsilon": 0.1, "step_size": 0.05, "noise": 0.01}}


def shared(**values: Any) -> Mapping[str, Any]:
    return {"sharing": {"edges": [edge(**{"upstream": "sentiment", "downstream": "similarity", **values})]}}


CASES: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "encoder.removed_layers": ({}, encoder(removed_layers=1)),
    "encoder.removal": (REMOVED, encoder(removal="alternate")),
    "encoder.freeze_depth": ({}, encoder(freeze_depth=1)),
    "encoder.branch_layers": ({}, encoder(branch_layers=1)),
    "encoder.hidden_dropout": ({}, encoder(hidden_dropout=0.2)),
    "encoder.attention_dropout": ({}, encoder(attention_dropout=0.2)),
    "encoder.layer_drop": ({}, encoder(layer_drop=0.4)),
    "encoder.layer_drop_growth": (DROP, encoder(layer_drop_growth="depth")),
    "encoder.adapter": ({}, adapter(lhuc=True)),
    "encoder.adapter.bottleneck": (BOTTLENECK, adapter(bottleneck="after_layer_norm")),
    "encoder.adapter.bottleneck_size": (BOTTLENECK, adapter(bottleneck_size=3)),
    "encoder.adapter.pal_size": (BOTTLENECK, adapter(pal_size=4)),
    "encoder.adapter.lhuc": (BOTTLENECK, adapter(lhuc=True)),
    "encoder.adapter.per_task": (BOTTLENECK, adapter(per_task=False)),
    "encoder.adapter.layers": (
        {**BOTTLENECK, **encoder(freeze_depth=2, adapter={"lhuc": True})},
        adapter(layers="trainable"),
    ),
    "encoder.pooling": ({}, encoder(pooling="mean")),
    "head.pooled_layer_norm": ({}, {"head": {"pooled_layer_norm": True}}),
    "head.common_layers": ({}, {"head": {"common_layers": 1}}),
    "head.width": (HIDDEN, {"head": {"width": 5}}),
    "head.activation": (HIDDEN, {"head": {"activation": "tanh"}}),
    "head.layer_norm": (HIDDEN, {"head": {"layer_norm": True}}),
    "head.dropout": ({}, {"head": {"dropout": 0.5}}),
    "head.output_dropout": ({}, {"head": {"output_dropout": 0.5}}),
    "tasks.pair_encoding": ({}, similarity(pair_encoding="cross")),
    "tasks.pair_order": ({}, similarity(pair_order="both")),
    "tasks.pair_features": ({}, similarity(pair_features="product")),
    "tasks.cosine": ({}, similarity(cosine="added")),
    "tasks.task_layers": ({}, similarity(task_layers=2)),
    "tasks.activation": (HIDDEN, similarity(activation="gelu")),
    "tasks.dropout": ({}, similarity(dropout=0.5)),
    "tasks.loss": ({}, similarity(loss="mae")),
    "tasks.threshold": (ALONE, similarity(threshold=4.0)),
    "tasks.ranking_weight": ({}, similarity(ranking_weight=1.0)),
    "tasks.weight": ({}, similarity(weight=3.0)),
    "sharing": ({}, shared()),
    "sharing.edges": (SHARING, shared(downstream="paraphrase")),
    "sharing.fusion": (SHARING, {"sharing": {"fusion": "attention"}}),
    "sharing.edges.upstream": (SHARING, shared(upstream="paraphrase")),
    "sharing.edges.downstream": (SHARING, shared(downstream="paraphrase")),
    "sharing.edges.signal": (SHARING, shared(signal="hidden")),
    "sharing.edges.gradient_scale": (SHARING, shared(gradient_scale=0.5)),
    "optimization.learning_rate": ({}, optimization(learning_rate=2e-3)),
    "optimization.head_learning_rate": ({}, optimization(head_learning_rate=2e-3)),
    "optimization.layer_decay": ({}, optimization(layer_decay=0.5)),
    "optimization.schedule": ({}, optimization(schedule="cosine")),
    "optimization.decay": (optimization(schedule="exponential"), optimization(decay=0.5)),
    "optimization.warmup": (optimization(schedule="cosine"), optimization(warmup=0.5)),
    "optimization.weight_decay": ({}, optimization(weight_decay=0.5)),
    "optimization.batch_size": ({}, optimization(batch_size=3)),
    "optimization.max_grad_norm": ({}, optimization(max_grad_norm=0.1)),
    "optimization.averaged_epochs": ({}, optimization(averaged_epochs=2)),
    "optimization.tasks_per_step": ({}, STEP),
    "optimization.task_mix": ({}, optimization(task_mix="annealed")),
    "optimization.task_weighting": ({}, optimization(task_weighting="uncertainty")),
    "optimization.gradient_surgery": (STEP, optimization(gradient_surgery=True)),
    "smart": ({}, SMART),
    "smart.weight": (SMART, {"smart": {"weight": 10.0}}),
    "smart.steps": (SMART, {"smart": {"steps": 2}}),
    "smart.step_size": (SMART, {"smart": {"step_size": 0.02}}),
    "smart.noise": (SMART, {"smart": {"noise": 0.001}}),
    "smart.epsilon": (SMART, {"smart": {"epsilon": 0.01}}),
    "smart.norm": (SMART, {"smart": {"norm": "l2"}}),
    "proximal": ({}, {"proximal": {}}),
    "proximal.weight": ({"proximal": {}}, {"proximal": {"weight": 10.0}}),
    "proximal.momentum": ({"proximal": {}}, {"proximal": {"momentum": 0.5}}),
    "noise_stability": ({}, {"noise_stability": {}}),
    "noise_stability.weight": ({"noise_stability": {}}, {"noise_stability": {"weight": 10.0}}),
    "noise_stability.noise": ({"noise_stability": {}}, {"noise_stability": {"noise": 0.2}}),
}
"""By field: a configuration that has it, and the change of nothing but it."""


def part_of(hint: Any) -> Any:
    """The dataclass that a field holds, by itself, optionally, or many of; None for a plain value."""
    for inner in (hint, *typing.get_args(hint)):
        if dataclasses.is_dataclass(inner):
            return inner
    return None


def walk(cls: Any, where: str = "") -> list[str]:
    """The path of every field. A part that is always there is no choice by itself, one that may be None is."""
    hints, paths = typing.get_type_hints(cls), []
    for f in dataclasses.fields(cls):
        path, part = f"{where}{f.name}", part_of(hints[f.name])
        optional = type(None) in typing.get_args(hints[f.name])
        if part is None or optional or f.name == "edges":
            paths.append(path)
        if part is not None:
            paths += walk(part, f"{path}.")
    return paths


def test_every_field_has_a_case_and_every_case_a_field():
    assert sorted(walk(TrialConfig)) == sorted(CASES)


def flat(values: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """A configuration's plain values by their path."""
    items = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, tuple) else None
    if items is None:
        return {path: values}
    return {key: value for name, inner in items for key, value in flat(inner, (*path, str(name))).items()}


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    """Sets of different sizes: else all mixes are the same."""
    corpus = tiny_corpus()
    examples = {task: dict(splits) for task, splits in corpus.examples.items()}
    examples["sentiment"]["train"] = examples["sentiment"]["train"][:20]
    return tokenize(dataclasses.replace(corpus, examples=examples), tiny_encoder())


def test_layers_are_dropped_more_as_time_goes_on(tokens):
    """`time` is `depth` with a beginning: it differs only while training is young, so both must differ."""
    growths = [configured(encoder(layer_drop=0.7, layer_drop_growth=growth)) for growth in ("uniform", "depth", "time")]
    assert len({trained(config, tokens) for config in growths}) == 3


@pytest.mark.parametrize("path", CASES)
def test_a_field_changes_what_is_trained(path, tokens):
    base, change = CASES[path]
    one, other = configured(base), configured(base, change)
    differing = {k for k in flat(one.to_dict()).items() ^ flat(other.to_dict()).items() for k in [k[0]]}
    named = {".".join(p for p in key if not p.isdigit() and p not in one.tasks) for key in differing}
    assert all(name == path or name.startswith(f"{path}.") or path == "sharing.edges" for name in named), named
    assert trained(one, tokens) != trained(other, tokens)


def trained(config: TrialConfig, tokens: Tokens) -> str:
    """What came of two epochs, but for the clock."""
    training = train(config, tokens, tiny_encoder(layers=LAYERS), epochs=2, epoch_examples=48, seed=0, precision="fp32")
    epochs = [dataclasses.replace(epoch, seconds=0.0, train_seconds=0.0) for epoch in training]
    sums = {name: float(tensor.double().sum()) for name, tensor in training.model.trainable_state().items()}
    return json.dumps([[dataclasses.asdict(epoch) for epoch in epochs], sums])
