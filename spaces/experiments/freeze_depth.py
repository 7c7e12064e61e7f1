"""How many layers have to be trained? (Gamarra Lafuente and Udash, 5.3.1)

The paper trained one, two or three of BERT's top layers, and all. All were best; with two, 97% of the score remained
and 52% of the time was saved (5.4.1). An encoder of three layers or fewer has no such four choices.
"""

from dataclasses import replace
from typing import Any

import optuna

from model.config import TrialConfig
from model.problem import Problem
from spaces.papers import BERT, gamarra_udash_baseline, top_layers_trained


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """Their baseline, with another part of BERT trained. Raises ValueError for an encoder too small for it."""
    if problem.num_layers < 4:
        raise ValueError(
            f"the encoder has {problem.num_layers} layers; allowed are 4 or more, so that training its top 3 is not "
            "training all of it"
        )
    top_layers: Any = trial.suggest_categorical("top_layers", [1, 2, 3, "all"])
    encoder = BERT if top_layers == "all" else top_layers_trained(problem, top_layers)
    return replace(gamarra_udash_baseline(problem), encoder=encoder)


POINTS = {
    "all": {"top_layers": "all"},
    "top-1": {"top_layers": 1},
    "top-2": {"top_layers": 2},
    "top-3": {"top_layers": 3},
}
