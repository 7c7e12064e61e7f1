"""How much dropout in the heads? (Gamarra Lafuente and Udash, 5.3.3; Naeem, 5.4)

Gamarra Lafuente and Udash found 0.5 best, by a small margin (table 2: overall 0.713 to 0.7159). Naeem, whose heads are
deeper, found 0.4 best (5.4: 0.583, 0.592, 0.596, 0.608, 0.595).
"""

from dataclasses import replace

import optuna

from model.config import TrialConfig
from model.problem import Problem
from spaces.papers import gamarra_udash_baseline, naeem_final


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """Either paper's model, with another dropout."""
    if trial.suggest_categorical("paper", ["gamarra-udash", "naeem"]) == "naeem":
        config = naeem_final(problem)
        dropout = trial.suggest_categorical("naeem.dropout", [0.2, 0.3, 0.35, 0.4, 0.5])
    else:
        config = gamarra_udash_baseline(problem)
        dropout = trial.suggest_categorical("gamarra-udash.dropout", [0.0, 0.3, 0.4, 0.5, 0.6])
    return replace(config, head=replace(config.head, dropout=dropout))


POINTS = {
    "gamarra-udash-0": {"paper": "gamarra-udash", "gamarra-udash.dropout": 0.0},
    "gamarra-udash-30": {"paper": "gamarra-udash", "gamarra-udash.dropout": 0.3},
    "gamarra-udash-40": {"paper": "gamarra-udash", "gamarra-udash.dropout": 0.4},
    "gamarra-udash-50": {"paper": "gamarra-udash", "gamarra-udash.dropout": 0.5},
    "gamarra-udash-60": {"paper": "gamarra-udash", "gamarra-udash.dropout": 0.6},
    "naeem-20": {"paper": "naeem", "naeem.dropout": 0.2},
    "naeem-30": {"paper": "naeem", "naeem.dropout": 0.3},
    "naeem-35": {"paper": "naeem", "naeem.dropout": 0.35},
    "naeem-40": {"paper": "naeem", "naeem.dropout": 0.4},
    "naeem-50": {"paper": "naeem", "naeem.dropout": 0.5},
}
