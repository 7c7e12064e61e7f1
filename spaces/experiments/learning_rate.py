"""How large a step? (Gamarra Lafuente and Udash, 5.3.2; Naeem, 5.4)

Gamarra Lafuente and Udash, with two layers trained, found 1e-5 better than 2e-5 and 3e-5 (5.4.2). Naeem, with all
trained, found 1e-5 best of 1e-5 to 1e-4 (5.4: overall 0.608, 0.599, 0.586, 0.588).
"""

from dataclasses import replace

import optuna

from model.config import TrialConfig
from model.problem import Problem
from spaces.papers import gamarra_udash_baseline, naeem_final


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """Either paper's model, with another step size."""
    if trial.suggest_categorical("paper", ["gamarra-udash", "naeem"]) == "naeem":
        config = naeem_final(problem)
        rate = trial.suggest_categorical("naeem.learning_rate", [1e-5, 2e-5, 5e-5, 1e-4])
    else:
        config = gamarra_udash_baseline(problem)
        rate = trial.suggest_categorical("gamarra-udash.learning_rate", [1e-5, 2e-5, 3e-5])
    return replace(config, optimization=replace(config.optimization, learning_rate=rate, head_learning_rate=rate))


POINTS = {
    "gamarra-udash-1e-5": {"paper": "gamarra-udash", "gamarra-udash.learning_rate": 1e-5},
    "gamarra-udash-2e-5": {"paper": "gamarra-udash", "gamarra-udash.learning_rate": 2e-5},
    "gamarra-udash-3e-5": {"paper": "gamarra-udash", "gamarra-udash.learning_rate": 3e-5},
    "naeem-1e-5": {"paper": "naeem", "naeem.learning_rate": 1e-5},
    "naeem-2e-5": {"paper": "naeem", "naeem.learning_rate": 2e-5},
    "naeem-5e-5": {"paper": "naeem", "naeem.learning_rate": 5e-5},
    "naeem-1e-4": {"paper": "naeem", "naeem.learning_rate": 1e-4},
}
