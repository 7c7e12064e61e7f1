"""Layers skipped by chance, by plan, or taken out for good: which regularizes best? (Jetty, 3.1, 4.3 and 7)

The paper skipped each layer with probability 0.15 and found it to raise all scores, together with a layer which the
tasks share (table 3: overall 0.640 to 0.712), and could not tell which of the two did it (7): here both are apart too.
It names two kinds of plans: probabilities that grow with depth and time (Zhang and He 2020), and layers removed before
fine-tuning (Sajjad et al. 2023, who found the top ones best to remove), here a third of them.
"""

from dataclasses import replace
from typing import Any

import optuna

from model.config import EncoderConfig, HeadConfig, TrialConfig
from model.problem import Problem
from spaces.papers import BERT, course_baseline, jetty_regularized

SKIPPED = ["uniform", "depth", "time"]
REMOVED = ["top", "alternate", "symmetric", "bottom"]


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """The multitask model, with fewer layers now and then or always, and with a shared layer or without it."""
    layers = trial.suggest_categorical("layers", ["all", *SKIPPED, *REMOVED])
    shared = trial.suggest_categorical("shared_layer", [False, True])
    head: HeadConfig = (jetty_regularized if shared else course_baseline)(problem).head
    return replace(course_baseline(problem), encoder=encoder_with(layers, problem), head=head)


def encoder_with(layers: Any, problem: Problem) -> EncoderConfig:
    """The encoder, by the names above."""
    if layers in SKIPPED:
        return replace(BERT, layer_drop=0.15, layer_drop_growth=layers)
    if layers in REMOVED:
        return replace(BERT, removed_layers=max(1, problem.num_layers // 3), removal=layers)
    return BERT


POINTS = {
    "neither": {"layers": "all", "shared_layer": False},
    "shared-layer": {"layers": "all", "shared_layer": True},
    "skipped-uniform-shared-layer": {"layers": "uniform", "shared_layer": True},
    "skipped-uniform": {"layers": "uniform", "shared_layer": False},
    "skipped-depth": {"layers": "depth", "shared_layer": False},
    "skipped-time": {"layers": "time", "shared_layer": False},
    "removed-top": {"layers": "top", "shared_layer": False},
    "removed-alternate": {"layers": "alternate", "shared_layer": False},
    "removed-symmetric": {"layers": "symmetric", "shared_layer": False},
    "removed-bottom": {"layers": "bottom", "shared_layer": False},
}
