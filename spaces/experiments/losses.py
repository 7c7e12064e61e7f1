"""What should similarity be trained to, and how should the losses of the tasks be put together? (Jetty, 4.2 and 4.4;
Naeem, 5.4)

Jetty tried the cosine embedding loss (labels cut at 2.5), the mean absolute error, and weights that even the losses
out (paraphrase 0.4 to 0.6, the others 1000 to 4000), and found that they lower the score (5.4). Naeem names as future
work the multiple negatives ranking loss, gradient surgery, and other weights of the losses.
"""

from dataclasses import replace

import optuna

from model.config import TaskConfig, TrialConfig
from model.problem import Problem
from spaces.papers import PARAPHRASE, SENTIMENT, SIMILARITY, adamw, course

CONFIGURATIONS: dict[str, TrialConfig] = {
    "mse": course(),
    "mae": course(similarity=replace(SIMILARITY, loss="mae")),
    "cosine-embedding": course(
        similarity=TaskConfig(pair_encoding="bi", cosine="alone", loss="cosine_embedding", threshold=2.5)
    ),
    "cosine-mse": course(similarity=TaskConfig(pair_encoding="bi", cosine="alone", loss="mse")),
    "evened-out": course(  # the middle of what Jetty tried
        sentiment=replace(SENTIMENT, weight=2500.0),
        paraphrase=replace(PARAPHRASE, weight=0.5),
        similarity=replace(SIMILARITY, weight=2500.0),
    ),
    "uncertainty": course(optimization=replace(adamw(), task_weighting="uncertainty")),
    "ranking": course(
        paraphrase=replace(PARAPHRASE, ranking_weight=1.0), similarity=replace(SIMILARITY, ranking_weight=1.0)
    ),
    "summed": course(optimization=adamw(tasks_per_step="all")),
    "gradient-surgery": course(optimization=replace(adamw(tasks_per_step="all"), gradient_surgery=True)),
}


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """The course's model, trained to something else."""
    return CONFIGURATIONS[trial.suggest_categorical("losses", list(CONFIGURATIONS))]


POINTS = {name: {"losses": name} for name in CONFIGURATIONS}
