"""Every technique as a configuration: what the conformance tests walk over."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.config import TrialConfig

PLAIN: dict[str, Any] = {
    "encoder": {},
    "head": {},
    "tasks": {
        "sentiment": {},
        "paraphrase": {"pair_encoding": "cross", "loss": "bce"},
        "similarity": {"pair_encoding": "bi", "loss": "mse"},
    },
    "optimization": {"learning_rate": 1e-3, "head_learning_rate": 1e-2, "batch_size": 8},
}
"""Nothing on."""


def configured(*changes: Mapping[str, Any]) -> TrialConfig:
    """PLAIN with one change over the other: dictionaries go into dictionaries, all else replaces."""
    values: dict[str, Any] = copy.deepcopy(PLAIN)
    for change in changes:
        _merge(values, change)
    return TrialConfig.from_dict(values)


def _merge(values: dict[str, Any], change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = copy.deepcopy(value)


@dataclass(frozen=True)
class Technique:
    """What turns it on, and what it adds to or takes from the trainable weights of PLAIN, by the beginnings of their
    names."""

    change: Mapping[str, Any]
    adds: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()


def edge(upstream: str, downstream: str, **values: Any) -> dict[str, Any]:
    """An edge of the sharing graph."""
    return {"upstream": upstream, "downstream": downstream, **values}


def encoder(**values: Any) -> dict[str, Any]:
    return {"encoder": values}


def adapter(**values: Any) -> dict[str, Any]:
    return {"encoder": {"adapter": values}}


def similarity(**values: Any) -> dict[str, Any]:
    return {"tasks": {"similarity": values}}


def optimization(**values: Any) -> dict[str, Any]:
    return {"optimization": values}


PAIRS_APART = {"tasks": {"paraphrase": {"pair_encoding": "bi"}}}
TWO_LAYERS = {"tasks": {task: {"task_layers": 2} for task in PLAIN["tasks"]}}
SHARING = {
    "sharing": {
        "edges": [edge("sentiment", "paraphrase"), edge("sentiment", "similarity"), edge("paraphrase", "similarity")]
    }
}

TECHNIQUES: dict[str, Technique] = {
    "sharing graph": Technique({**PAIRS_APART, **SHARING}),
    "sharing graph, attention": Technique(
        {"sharing": {"edges": [edge("sentiment", "similarity", gradient_scale=0.5)], "fusion": "attention"}},
        adds=("fusions.similarity.",),
    ),
    "sharing graph, hidden": Technique(
        {**TWO_LAYERS, "sharing": {"edges": [edge("paraphrase", "sentiment", signal="hidden", gradient_scale=1.0)]}},
    ),
    "bottleneck after feed-forward": Technique(
        adapter(bottleneck="after_feed_forward", bottleneck_size=4), adds=("adapters.",)
    ),
    "bottleneck after LayerNorm, shared": Technique(
        adapter(bottleneck="after_layer_norm", bottleneck_size=4, per_task=False), adds=("adapters.shared.",)
    ),
    "projected attention": Technique(adapter(pal_size=8), adds=("adapters.",)),
    "LHUC": Technique(adapter(lhuc=True), adds=("adapters.",)),
    "all adapters, all frozen": Technique(
        {"encoder": {"freeze_depth": 2, "adapter": {"bottleneck": "after_feed_forward", "pal_size": 8, "lhuc": True}}},
        adds=("adapters.",),
        drops=("bert.embeddings.", "bert.layers."),
    ),
    "adapters in trainable layers": Technique(
        {"encoder": {"freeze_depth": 1, "adapter": {"lhuc": True, "layers": "trainable"}}},
        adds=(
            "adapters.sentiment.layers.1.",
            "adapters.paraphrase.layers.1.",
            "adapters.similarity.layers.1.",
        ),
        drops=("bert.embeddings.", "bert.layers.0."),
    ),
    "layer drop": Technique(encoder(layer_drop=0.3)),
    "layer drop growing with depth": Technique(encoder(layer_drop=0.3, layer_drop_growth="depth")),
    "layer drop growing with time": Technique(encoder(layer_drop=0.3, layer_drop_growth="time")),
    "layer removed": Technique(encoder(removed_layers=1), drops=("bert.layers.1.",)),
    "lower layer removed": Technique(encoder(removed_layers=1, removal="bottom"), drops=("bert.layers.1.",)),
    "branches": Technique(
        encoder(branch_layers=1, freeze_depth=1),
        adds=("branches.sentiment.", "branches.paraphrase.", "branches.similarity."),
        drops=("bert.",),
    ),
    "branches and adapters": Technique(
        {"encoder": {"branch_layers": 2, "adapter": {"bottleneck": "after_layer_norm", "bottleneck_size": 4}}},
        adds=("adapters.", "branches."),
        drops=("bert.layers.", "bert.pooler."),
    ),
    "SMART": Technique({"smart": {"epsilon": 1e-2, "step_size": 1e-2}}),
    "SMART, l2, two steps": Technique({"smart": {"epsilon": 1e-2, "norm": "l2", "steps": 2}}),
    "proximal point": Technique({"proximal": {}}),
    "SMART and proximal point": Technique({"smart": {}, "proximal": {"momentum": 0.5}}),
    "noise stability": Technique({"noise_stability": {}}),
    "cosine added": Technique(similarity(cosine="added")),
    "cosine alone": Technique(similarity(cosine="alone"), drops=("heads.similarity.",)),
    "cosine embedding loss": Technique(
        similarity(cosine="alone", loss="cosine_embedding"), drops=("heads.similarity.",)
    ),
    "mean absolute error": Technique(similarity(loss="mae")),
    "multiple negatives ranking": Technique(similarity(ranking_weight=0.5)),
    "Naeem's stack": Technique({**TWO_LAYERS, "head": {"layer_norm": True, "dropout": 0.4}}),
    "own depth, activation and dropout": Technique(similarity(task_layers=2, activation="tanh", dropout=0.5)),
    "pooled LayerNorm": Technique({"head": {"pooled_layer_norm": True}}, adds=("pooled_norm.",)),
    "output dropout": Technique({"head": {"output_dropout": 0.3}}),
    "narrow common layer": Technique({"head": {"common_layers": 1, "width": 8}}, adds=("common.",)),
    "both orders": Technique({"tasks": {"paraphrase": {"pair_order": "both"}, "similarity": {"pair_order": "both"}}}),
    "uncertainty weighting": Technique(optimization(task_weighting="uncertainty"), adds=("log_variances.",)),
    "summed step": Technique(optimization(tasks_per_step="all")),
    "PCGrad": Technique(optimization(tasks_per_step="all", gradient_surgery=True)),
    "annealed mix": Technique(optimization(task_mix="annealed")),
    "cosine schedule": Technique(optimization(schedule="cosine")),
    "layer-wise decay": Technique(optimization(layer_decay=0.5)),
    "averaged epochs": Technique(optimization(averaged_epochs=3)),
    "everything at once": Technique(
        {
            **SHARING,
            "encoder": {
                "layer_drop": 0.2,
                "branch_layers": 1,
                "adapter": {"bottleneck": "after_feed_forward", "pal_size": 8, "lhuc": True},
            },
            "head": {"pooled_layer_norm": True, "common_layers": 1, "layer_norm": True},
            "tasks": {
                "paraphrase": {"pair_encoding": "bi", "cosine": "added", "ranking_weight": 0.1, "pair_order": "both"},
                "similarity": {"cosine": "added", "pair_features": "product", "task_layers": 2},
            },
            "optimization": {
                "task_weighting": "uncertainty",
                "tasks_per_step": "all",
                "gradient_surgery": True,
                "schedule": "cosine",
                "layer_decay": 0.9,
                "averaged_epochs": 2,
            },
            "smart": {},
            "proximal": {},
            "noise_stability": {},
        },
        adds=("adapters.", "branches.", "pooled_norm.", "common.", "log_variances."),
        drops=("bert.layers.1.", "bert.pooler."),
    ),
}
