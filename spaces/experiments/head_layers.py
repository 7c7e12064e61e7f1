"""How many layers on top of BERT, common to the tasks and of their own? (Gamarra Lafuente and Udash, 5.3.4)

The paper found three layers a task and none in common best, and the most of each worst (table 3: overall 0.7286,
0.6936): nine, by its list (5.3.4) and its count of parameters, where 5.4.4 says eight. The counts would rather be of
two and four layers a task where it says three and five with none in common (113.5M and 117M, at 0.59M a layer); here
the words count.
"""

import optuna

from model.config import TrialConfig
from model.problem import Problem
from spaces.papers import gamarra_udash_baseline, with_linear_heads

LAYERS = {
    "common-1-task-1": (1, 1),
    "common-0-task-1": (0, 1),
    "common-0-task-3": (0, 3),
    "common-0-task-5": (0, 5),
    "common-2-task-2": (2, 2),
    "common-5-task-5": (5, 5),
    "common-9-task-9": (9, 9),
}
"""Hidden layers that all share, and layers of each task, the output layer among them: in the paper's order."""


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """Their baseline, with other layers of its heads."""
    common, own = LAYERS[trial.suggest_categorical("layers", list(LAYERS))]
    return with_linear_heads(gamarra_udash_baseline(problem), common, own)


POINTS = {name: {"layers": name} for name in LAYERS}
