"""Which of Naeem's extensions does what? (Naeem, 5.4)

The paper measured each by itself on the course's model, with batches of 16 and dropout 0.4. Overall: multitask
fine-tuning 0.323, the cosine 0.407, dropout and LayerNorm 0.362, these two together 0.496, ReLU 0.328, and all of it
0.608 (the three scores printed beside 0.407 and 0.496 come to 0.410 and 0.476). Its baseline's 0.294 is of the default
parameters, here it is of the same ones as the rest.
"""

from dataclasses import replace

import optuna

from model.config import HeadConfig, TaskConfig, TrialConfig
from model.problem import Problem
from spaces.papers import PARAPHRASE, SENTIMENT, SIMILARITY, adamw, course


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """The course's model with some of the extensions. ReLU and LayerNorm stand in two hidden layers a task (4)."""
    hidden = trial.suggest_categorical("hidden_layers", ["none", "relu", "layer_norm", "layer_norm_and_relu"])
    cosine = "added" if trial.suggest_categorical("cosine", [False, True]) else "none"
    together = trial.suggest_categorical("losses_summed", [False, True])
    layers = 1 if hidden == "none" else 3
    return course(
        head=heads_with(hidden),
        sentiment=sentiment_with(hidden),
        paraphrase=replace(PARAPHRASE, task_layers=layers, cosine=cosine),
        similarity=replace(SIMILARITY, task_layers=layers, cosine=cosine),
        optimization=adamw(1e-5, batch_size=16, tasks_per_step="all" if together else "one"),
    )


def heads_with(hidden: str) -> HeadConfig:
    """What the tasks' heads share."""
    match hidden:
        case "relu":
            return HeadConfig(dropout=0.4, activation="relu")
        case "layer_norm":
            return HeadConfig(dropout=0.4, activation="identity", layer_norm=True)
        case "layer_norm_and_relu":
            return HeadConfig(dropout=0.4, activation="relu", layer_norm=True)
    return HeadConfig(dropout=0.4)


def sentiment_with(hidden: str) -> TaskConfig:
    """Sentiment, whose head never has ReLU (4)."""
    match hidden:
        case "layer_norm":
            return replace(SENTIMENT, task_layers=3)
        case "layer_norm_and_relu":
            return replace(SENTIMENT, task_layers=3, activation="identity")
    return SENTIMENT


POINTS = {
    "none": {"hidden_layers": "none", "cosine": False, "losses_summed": False},
    "multitask": {"hidden_layers": "none", "cosine": False, "losses_summed": True},
    "cosine": {"hidden_layers": "none", "cosine": True, "losses_summed": False},
    "layer-norm": {"hidden_layers": "layer_norm", "cosine": False, "losses_summed": False},
    "cosine-layer-norm": {"hidden_layers": "layer_norm", "cosine": True, "losses_summed": False},
    "relu": {"hidden_layers": "relu", "cosine": False, "losses_summed": False},
    "all": {"hidden_layers": "layer_norm_and_relu", "cosine": True, "losses_summed": True},
}
