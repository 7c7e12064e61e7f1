"""Every space that is shipped: it draws what can be trained, whatever the encoder, and the papers' are the papers'."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial

import model.config
from analysis.published.figures import FIGURES
from model.config import TrialConfig
from model.data.tasks import CS224N, Binary, Classes, Number, Task
from model.problem import Problem
from search.space import check_space, load_space, quiet_optuna
from spaces import full, papers
from tests.support import refused

FILES = sorted(Path("spaces").rglob("[!_]*.py"))
EXPERIMENTS = [path.stem for path in FILES if path.parent.name == "experiments"]
SHAPES = [(12, 768, 12), (6, 384, 6), (2, 16, 2)]
"""Layers, hidden size, attention heads."""


def problem_of(layers: int, hidden: int, heads: int, tasks: tuple[Task, ...] = CS224N) -> Problem:
    return Problem(tasks=tasks, num_layers=layers, hidden_size=hidden, num_heads=heads, train_size={}, dev_size={})


BERT_BASE = problem_of(12, 768, 12)


def draws(path: Path, problem: Problem, count: int) -> list[TrialConfig]:
    """Random configurations, each checked against `problem`."""
    space = load_space(path, problem)
    with quiet_optuna():
        study = optuna.create_study(sampler=RandomSampler(seed=1))
        return [space.draw(study.ask(), problem) for _ in range(count)]


def point(module: Any, name: str, problem: Problem) -> TrialConfig:
    """One of the POINTS; it has to name every parameter that is drawn."""
    points = module.points(problem) if module is full else module.POINTS
    return module.space(FixedTrial(points[name]), problem)


def parts(value: Any) -> dict[str, Any]:
    """The dataclasses just below `value`, by name: a dataclass, a mapping from task to part, or edges."""
    match value:
        case Mapping():
            return dict(value)
        case tuple():
            return {f"{edge.upstream} -> {edge.downstream}": edge for edge in value}
    return {"": value} if dataclasses.is_dataclass(value) else {}


def fields(part: Any, prefix: str = "") -> dict[str, Any]:
    """The plain fields of a configuration, by path."""
    found = {}
    for f in dataclasses.fields(part):
        value = getattr(part, f.name)
        inner = parts(value)
        if not inner:
            found[f"{prefix}{f.name}"] = value
        for name, item in inner.items():
            found |= fields(item, f"{prefix}{f.name}{name and '.'}{name}.")
    return found


def changes(one: TrialConfig, other: TrialConfig) -> dict[str, tuple[Any, Any]]:
    """The fields in which they differ."""
    left, right = fields(one), fields(other)
    names = sorted(left.keys() | right.keys())
    return {n: (left.get(n), right.get(n)) for n in names if left.get(n) != right.get(n)}


@pytest.mark.parametrize(
    ("path", "shape"),
    [(path, shape) for path in FILES for shape in SHAPES if path.stem != "freeze_depth" or shape[0] > 3],
    ids=lambda value: value.stem if isinstance(value, Path) else str(value),
)
def test_draws_what_can_be_trained(path, shape):
    problem = problem_of(*shape)
    check_space(load_space(path, problem), problem)
    for config in draws(path, problem, 100 if path.stem == "full" else 20):
        assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


# The papers ----------------------------------------------------------------------------------------------------------


def test_the_papers_configurations_by_name_and_in_order():
    assert list(papers.POINTS) == [
        "course-baseline",
        "gamarra-udash-baseline",
        "gamarra-udash-similarity-apart",
        "gamarra-udash-unfrozen",
        "gamarra-udash-task-layers",
        "gamarra-udash-fine-tuned",
        "gamarra-udash-final",
        "grudzinski-baseline",
        "grudzinski-no-edges",
        "grudzinski-final",
        "grudzinski-free-edges",
        "jetty-regularized",
        "jetty-final",
        "naeem-without-cosine",
        "naeem-cosine",
        "naeem-final",
        "pandey-narayan-baseline",
        "pandey-narayan-smart",
        "pandey-narayan-adapter-feed-forward",
        "pandey-narayan-adapter-layer-norm",
    ]
    for name, configuration in papers.CONFIGURATIONS.items():
        assert point(papers, name, BERT_BASE) == configuration(BERT_BASE)


def test_no_configuration_has_two_names():
    configs = [configuration(BERT_BASE).to_dict() for configuration in papers.CONFIGURATIONS.values()]
    assert all(config not in configs[:i] for i, config in enumerate(configs))


@pytest.mark.parametrize("page", ["README.md", "docs/papers.md", "spaces/papers.py"])
def test_the_commands_try_all_of_them(page):
    trials = re.findall(r"--space spaces/papers.py .*--trials (\d+)", Path(page).read_text())
    assert set(trials) == {str(len(papers.POINTS))}


COURSE = {
    "encoder.pooling": "pooler",
    "encoder.freeze_depth": 0,
    "encoder.hidden_dropout": 0.1,
    "head.dropout": 0.3,
    "head.common_layers": 0,
    "tasks.sentiment.task_layers": 1,
    "tasks.sentiment.loss": "cross_entropy",
    "tasks.paraphrase.pair_encoding": "bi",
    "tasks.paraphrase.loss": "bce",
    "tasks.similarity.pair_encoding": "bi",
    "tasks.similarity.loss": "mse",
    "sharing": None,
    "optimization.learning_rate": 1e-5,
    "optimization.head_learning_rate": 1e-5,
    "optimization.schedule": "constant",
    "optimization.weight_decay": 0.0,
    "optimization.max_grad_norm": None,
    "optimization.batch_size": 8,
    "optimization.tasks_per_step": "one",
    "smart": None,
}
STATED = {
    "course-baseline": {},
    "gamarra-udash-baseline": {
        "encoder.freeze_depth": 10,
        "head.common_layers": 1,
        "head.activation": "identity",
        "tasks.similarity.pair_encoding": "cross",
        "optimization.learning_rate": 2e-5,
        "optimization.head_learning_rate": 2e-5,
        "optimization.batch_size": 32,
        "optimization.schedule": "exponential",
        "optimization.decay": 0.9,
    },
    "gamarra-udash-fine-tuned": {
        "tasks.similarity.pair_encoding": "cross",
        "optimization.learning_rate": 2e-5,
        "optimization.head_learning_rate": 2e-5,
        "optimization.batch_size": 32,
        "optimization.schedule": "exponential",
        "optimization.decay": 0.9,
    },
    "gamarra-udash-final": {
        "head.dropout": 0.5,
        "head.activation": "identity",
        "tasks.sentiment.task_layers": 3,
        "tasks.paraphrase.task_layers": 3,
        "tasks.similarity.task_layers": 3,
        "tasks.similarity.pair_encoding": "cross",
        "optimization.batch_size": 32,
        "optimization.schedule": "exponential",
        "optimization.decay": 0.9,
    },
    "grudzinski-baseline": {
        "head.activation": "relu",
        "tasks.sentiment.task_layers": 2,
        "tasks.paraphrase.task_layers": 2,
        "tasks.similarity.task_layers": 2,
    },
    "naeem-without-cosine": {"head.dropout": 0.4, "optimization.batch_size": 16},
    "naeem-final": {
        "head.activation": "relu",
        "head.layer_norm": True,
        "head.dropout": 0.4,
        "tasks.sentiment.task_layers": 3,
        "tasks.sentiment.activation": "identity",
        "tasks.paraphrase.task_layers": 3,
        "tasks.paraphrase.cosine": "added",
        "tasks.similarity.task_layers": 3,
        "tasks.similarity.cosine": "added",
        "optimization.batch_size": 16,
        "optimization.tasks_per_step": "all",
    },
    "pandey-narayan-baseline": {
        "encoder.freeze_depth": 12,
        "optimization.learning_rate": 1e-3,
        "optimization.head_learning_rate": 1e-3,
        "optimization.task_mix": "in_turn",
    },
}


@pytest.mark.parametrize("name", STATED)
def test_what_a_paper_states_and_otherwise_the_course(name):
    found = fields(papers.CONFIGURATIONS[name](BERT_BASE))
    expected = COURSE | STATED[name]
    assert {key: found[key] for key in expected} == expected


EDGES = ("sentiment -> paraphrase", "sentiment -> similarity", "paraphrase -> similarity")
COUNTERPARTS = {
    ("gamarra-udash-baseline", "gamarra-udash-similarity-apart"): {"tasks.similarity.pair_encoding": ("cross", "bi")},
    ("gamarra-udash-baseline", "gamarra-udash-unfrozen"): {"encoder.freeze_depth": (10, 0)},
    ("gamarra-udash-baseline", "gamarra-udash-task-layers"): {
        "head.common_layers": (1, 0),
        "tasks.sentiment.task_layers": (1, 3),
        "tasks.paraphrase.task_layers": (1, 3),
        "tasks.similarity.task_layers": (1, 3),
    },
    ("grudzinski-final", "grudzinski-free-edges"): {
        f"sharing.edges.{edge}.gradient_scale": (0.0, 1.0) for edge in EDGES
    },
    ("course-baseline", "jetty-regularized"): {
        "encoder.layer_drop": (0.0, 0.15),
        "head.common_layers": (0, 1),
        "head.activation": ("relu", "identity"),
    },
    ("jetty-regularized", "jetty-final"): {
        "tasks.paraphrase.pair_encoding": ("bi", "cross"),
        "tasks.similarity.pair_encoding": ("bi", "cross"),
    },
    ("naeem-without-cosine", "naeem-cosine"): {
        "tasks.paraphrase.cosine": ("none", "added"),
        "tasks.similarity.cosine": ("none", "added"),
    },
    ("pandey-narayan-adapter-feed-forward", "pandey-narayan-adapter-layer-norm"): {
        "encoder.adapter.bottleneck": ("after_feed_forward", "after_layer_norm")
    },
}


@pytest.mark.parametrize("pair", COUNTERPARTS, ids=" ".join)
def test_a_counterpart_differs_in_one_thing(pair):
    one, other = (papers.CONFIGURATIONS[name](BERT_BASE) for name in pair)
    assert changes(one, other) == {key: COUNTERPARTS[pair][key] for key in sorted(COUNTERPARTS[pair])}


def test_grudzinski_s_final_model():
    config = papers.grudzinski_final(BERT_BASE)
    assert config.sharing is not None
    assert [(e.upstream, e.downstream) for e in config.sharing.edges] == list(papers.ALL_EDGES)
    assert {(e.signal, e.gradient_scale) for e in config.sharing.edges} == {("logits", 0.0)}
    assert config.sharing.fusion == "concat"
    head = config.head
    assert (head.pooled_layer_norm, head.activation, head.dropout, head.output_dropout) == (True, "relu", 0.0, 0.3)
    assert papers.grudzinski_no_edges(BERT_BASE) == dataclasses.replace(config, sharing=None)


def test_pandey_and_narayan_s_techniques():
    config = papers.pandey_narayan_smart(BERT_BASE)
    assert config.smart is not None
    assert (config.smart.noise, config.smart.epsilon) == (1e-5, 1e-6)
    assert config.proximal is not None
    adapter = papers.pandey_narayan_adapter_feed_forward(BERT_BASE).encoder.adapter
    assert adapter is not None
    assert (adapter.bottleneck, adapter.bottleneck_size, adapter.lhuc) == ("after_feed_forward", 64, True)
    assert (adapter.per_task, adapter.layers) == (True, "all")


@pytest.mark.parametrize(("layers", "depth"), [(12, 10), (3, 1), (2, 0), (1, 0)])
def test_two_top_layers_of_any_encoder(layers, depth):
    config = papers.gamarra_udash_baseline(problem_of(layers, 16, 2))
    assert config.encoder.freeze_depth == depth


# Their experiments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("experiment", "arm", "name"),
    [
        ("freeze_depth", "top-2", "gamarra-udash-baseline"),
        ("freeze_depth", "all", "gamarra-udash-unfrozen"),
        ("learning_rate", "gamarra-udash-2e-5", "gamarra-udash-baseline"),
        ("learning_rate", "naeem-1e-5", "naeem-final"),
        ("dropout", "gamarra-udash-30", "gamarra-udash-baseline"),
        ("dropout", "naeem-40", "naeem-final"),
        ("head_layers", "common-1-task-1", "gamarra-udash-baseline"),
        ("head_layers", "common-0-task-3", "gamarra-udash-task-layers"),
        ("sharing_graph", "none", "grudzinski-no-edges"),
        ("sharing_graph", "to-both", "grudzinski-final"),
        ("sharing_graph", "to-both-all-of-the-gradient", "grudzinski-free-edges"),
        ("layer_drop", "neither", "course-baseline"),
        ("layer_drop", "skipped-uniform-shared-layer", "jetty-regularized"),
        ("cosine_heads", "none", "naeem-without-cosine"),
        ("cosine_heads", "cosine", "naeem-cosine"),
        ("cosine_heads", "all", "naeem-final"),
        ("losses", "mse", "course-baseline"),
        ("pair_encoding", "apart", "course-baseline"),
        ("smart_and_adapters", "frozen-none", "pandey-narayan-baseline"),
        ("smart_and_adapters", "frozen-smart", "pandey-narayan-smart"),
        ("smart_and_adapters", "frozen-adapter_feed_forward", "pandey-narayan-adapter-feed-forward"),
        ("smart_and_adapters", "frozen-adapter_layer_norm", "pandey-narayan-adapter-layer-norm"),
        ("smart_and_adapters", "trained-none", "course-baseline"),
    ],
)
def test_an_experiment_s_arm_is_the_paper_s_configuration(experiment, arm, name):
    module = importlib.import_module(f"spaces.experiments.{experiment}")
    assert changes(point(module, arm, BERT_BASE), papers.CONFIGURATIONS[name](BERT_BASE)) == {}
    ours, theirs = FIGURES[experiment][arm], FIGURES["papers"][name]
    assert set(ours) <= set(theirs)
    assert bool(ours) == bool(theirs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_papers_figures_have_a_place_at_every_point(path):
    if path.stem not in ("full", "smoke"):
        assert list(FIGURES[path.stem]) == list(load_space(path, BERT_BASE).points)


def test_freezing_so_many_layers_takes_an_encoder_with_more():
    module = importlib.import_module("spaces.experiments.freeze_depth")
    depths = [point(module, arm, problem_of(4, 16, 2)).encoder.freeze_depth for arm in module.POINTS]
    assert depths == [0, 3, 2, 1]
    with refused(
        "the encoder has 3 layers; allowed are 4 or more, so that training its top 3 is not training all of it",
        ValueError,
    ):
        point(module, "top-3", problem_of(3, 16, 2))


def test_who_hears_whom():
    module = importlib.import_module("spaces.experiments.sharing_graph")
    heard = {
        name: {(edge.upstream, edge.downstream) for edge in graph.edges}
        for name, graph in module.GRAPHS.items()
        if graph is not None
    }
    told, similar = ("sentiment", "paraphrase"), {("sentiment", "similarity"), ("paraphrase", "similarity")}
    assert heard["to-paraphrase"] == {told}
    assert heard["to-similarity"] == similar
    assert heard["to-both"] == {told, *similar}
    assert heard["from-sentiment"] == {told, ("sentiment", "similarity")}
    assert heard["from-paraphrase"] == {("paraphrase", "similarity")}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_no_two_arms_of_an_experiment_are_the_same(experiment):
    module = importlib.import_module(f"spaces.experiments.{experiment}")
    configs = [point(module, arm, BERT_BASE).to_dict() for arm in module.POINTS]
    assert len(configs) > 3
    assert all(config not in configs[:i] for i, config in enumerate(configs))


# The full space ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in full.POINTS_BY_KIND if name in papers.POINTS])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_full_space_has_the_papers_configurations(name, shape):
    problem = problem_of(*shape)
    assert changes(point(full, name, problem), papers.CONFIGURATIONS[name](problem)) == {}


def test_the_full_space_tries_what_is_known_first():
    own = ["sentence-bert", "sentence-bert-fast", "cross-and-bi-encoder", "cross-encoder"]
    points = full.points(BERT_BASE)
    assert list(points)[:4] == own
    finals = {name for name in papers.POINTS if name.endswith("-final")}
    pandey_narayan = {"pandey-narayan-adapter-feed-forward", "pandey-narayan-smart"}
    assert points.keys() == {*own, *finals, *pandey_narayan, "course-baseline"}


def techniques(config: TrialConfig) -> set[str]:
    """What `config` has beside plain fine-tuning; an adapter, and SMART, with or without the layers frozen."""
    encoder, optimization = config.encoder, config.optimization
    used = {
        "frozen": encoder.freeze_depth > 0,
        "adapter": encoder.adapter is not None,
        "branches": encoder.branch_layers > 0,
        "fewer layers": encoder.removed_layers > 0,
        "layer drop": encoder.layer_drop > 0,
        "smart": config.smart is not None or config.proximal is not None,
        "noise stability": config.noise_stability is not None,
        "sharing": config.sharing is not None,
        "uncertainty": optimization.task_weighting == "uncertainty",
        "gradient surgery": optimization.gradient_surgery,
    }
    found = {name for name, on in used.items() if on}
    return found - {"frozen"} if found & {"adapter", "smart"} else found


def test_a_draw_of_the_full_space_is_plain_fine_tuning_with_one_technique_at_most():
    found = [techniques(config) for config in draws(Path("spaces/full.py"), BERT_BASE, 300)]
    assert {len(used) for used in found} == {0, 1}
    assert sum(not used for used in found) > 0.45 * len(found)
    assert len(set.union(*found)) == 10


FIXED = {
    "TaskConfig.dropout": "that of all heads serves: a rate for each task were three more to tune",
    "SmartConfig.steps": "each costs a forward and a backward pass; Jiang et al. take one",
    "SmartConfig.norm": "Jiang et al.'s",
    "ProximalConfig.momentum": "Jiang et al.'s",
    "NoiseStabilityConfig.noise": "the weight of the term serves",
}
"""What the full space leaves at its default, and why."""


def values_by_field(part: Any, found: dict[str, set[Any]]) -> None:
    """Adds the values of all fields, by class and name."""
    for f in dataclasses.fields(part):
        value = getattr(part, f.name)
        plain = value if isinstance(value, str | int | float | None) else type(value)
        found.setdefault(f"{type(part).__name__}.{f.name}", set()).add(plain)
        for item in parts(value).values():
            values_by_field(item, found)


def test_the_full_space_varies_every_field_or_says_why_not():
    found: dict[str, set[Any]] = {}
    for config in draws(Path("spaces/full.py"), problem_of(6, 64, 4), 500):
        values_by_field(config, found)
    classes = {name: value for name, value in vars(model.config).items() if dataclasses.is_dataclass(value)}
    assert found.keys() == {f"{name}.{f.name}" for name, value in classes.items() for f in dataclasses.fields(value)}
    constant = {name for name, values in found.items() if len(values) == 1}
    hold_parts = {"encoder", "head", "tasks", "optimization"}
    assert constant == FIXED.keys() | {f"TrialConfig.{name}" for name in hold_parts} | {"SharingConfig.edges"}


ENTAILMENT = dataclasses.replace(CS224N[1], name="entailment", label=Classes(count=3))
RATING = dataclasses.replace(CS224N[0], name="rating", label=Number(low=1.0, high=10.0))
GRAMMAR = dataclasses.replace(CS224N[0], name="grammar", label=Binary())
RELATEDNESS = dataclasses.replace(CS224N[2], name="relatedness", label=Number(low=1.0, high=5.0))


@pytest.mark.parametrize(
    "tasks",
    [
        (CS224N[0],),
        (CS224N[1],),
        (CS224N[2],),
        (ENTAILMENT, RATING),
        (*CS224N, ENTAILMENT, RATING, GRAMMAR, RELATEDNESS),
    ],
    ids=lambda tasks: " ".join(task.name for task in tasks),
)
@pytest.mark.parametrize("shape", [(1, 16, 2), (4, 32, 4)], ids=str)
@pytest.mark.parametrize("path", [Path("spaces/full.py"), Path("spaces/smoke.py")], ids=lambda path: path.stem)
def test_a_space_for_any_tasks_and_encoder(path, tasks, shape):
    problem = problem_of(*shape, tasks=tasks)
    assert all(list(config.tasks) == [task.name for task in tasks] for config in draws(path, problem, 60))
