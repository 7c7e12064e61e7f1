"""Everything a trial can vary. Copy this file, cut it down to what you care about, and search your copy:

    python -m search.run --space my_space.py --dry-run 5    # draws, without training
    python -m search.run --space my_space.py

`trial` is Optuna's: https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html. What it is
asked for, in ordinary Python, is the space. Two rules:

- a name always means the same choices, so different lists of choices need different names;
- what has no effect is not drawn: TrialConfig refuses the number of pair features of a cross-encoder, say, so that two
  trials that differ do train differently. Hence the ifs below.

`problem` tells what a run can't vary: the tasks, the encoder's layers and width, how much data there is.
"""

from typing import Any

import optuna

from model.config import EncoderConfig, HeadConfig, OptimizationConfig, TaskConfig, TrialConfig
from model.problem import Problem, Task, losses_for


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """One configuration."""
    encoder = draw_encoder(trial, problem)
    common_layers = trial.suggest_int("head.common_layers", 0, 2)
    # The optimizer takes steps on one task at a time, so weights matter to each other only: the first task's stays 1.
    tasks = {task.name: draw_task(trial, task, is_first=task is problem.tasks[0]) for task in problem.tasks}
    has_hidden_layer = common_layers > 0 or any(task.task_layers > 1 for task in tasks.values())
    return TrialConfig(
        encoder=encoder,
        head=draw_head(trial, common_layers, has_hidden_layer),
        tasks=tasks,
        optimization=draw_optimization(trial, problem, encoder),
    )


def draw_encoder(trial: optuna.Trial, problem: Problem) -> EncoderConfig:
    """How much of the encoder is trained, how, and what is read from it."""
    choices: dict[str, Any] = {
        "freeze_depth": trial.suggest_int("encoder.freeze_depth", 0, problem.num_layers),
        "pooling": trial.suggest_categorical("encoder.pooling", ["pooler", "mean"]),
    }
    if choices["freeze_depth"] < problem.num_layers:  # a frozen layer has no dropout
        dropout = trial.suggest_float("encoder.dropout", 0.0, 0.3)
        choices |= {"hidden_dropout": dropout, "attention_dropout": dropout}
    return EncoderConfig(**choices)


def draw_head(trial: optuna.Trial, common_layers: int, has_hidden_layer: bool) -> HeadConfig:
    """What stands between encoder and predictions, as far as the tasks share it."""
    choices: dict[str, Any] = {"dropout": trial.suggest_float("head.dropout", 0.0, 0.6)}
    if has_hidden_layer:
        choices["activation"] = trial.suggest_categorical("head.activation", ["identity", "relu", "gelu", "tanh"])
        choices["layer_norm"] = trial.suggest_categorical("head.layer_norm", [False, True])
    return HeadConfig(common_layers=common_layers, **choices)


def draw_task(trial: optuna.Trial, task: Task, *, is_first: bool) -> TaskConfig:
    """One task's own part. Parameters are named after it: similarity.pair_encoding, ..."""
    choices: dict[str, Any] = {"task_layers": trial.suggest_int(f"{task.name}.task_layers", 1, 3)}
    if task.is_pair:
        choices["pair_encoding"] = trial.suggest_categorical(f"{task.name}.pair_encoding", ["cross", "bi"])
        if choices["pair_encoding"] == "bi":
            choices["pair_features"] = trial.suggest_categorical(
                f"{task.name}.pair_features", ["concat", "difference", "product"]
            )
    losses = losses_for(task)
    choices["loss"] = losses[0] if len(losses) == 1 else trial.suggest_categorical(f"{task.name}.loss", losses)
    if not is_first:
        choices["weight"] = trial.suggest_float(f"{task.name}.weight", 0.25, 4.0, log=True)
    return TaskConfig(**choices)


def draw_optimization(trial: optuna.Trial, problem: Problem, encoder: EncoderConfig) -> OptimizationConfig:
    """Step sizes and steps."""
    choices: dict[str, Any] = {
        "head_learning_rate": trial.suggest_float("optimization.head_learning_rate", 1e-5, 1e-2, log=True),
        "schedule": trial.suggest_categorical("optimization.schedule", ["constant", "exponential", "linear"]),
        "weight_decay": trial.suggest_categorical("optimization.weight_decay", [0.0, 0.01, 0.1]),
        "batch_size": trial.suggest_categorical("optimization.batch_size", [8, 16, 32, 64]),
        "max_grad_norm": trial.suggest_categorical("optimization.max_grad_norm", [None, 1.0]),
        "task_mix": trial.suggest_categorical("optimization.task_mix", ["in_turn", "proportional", "square_root"]),
    }
    if encoder.freeze_depth < problem.num_layers or encoder.pooling == "pooler":  # something of the encoder is trained
        # Narrow encoders want larger steps: up to 2e-4 for BERT-base (768 wide), up to 1.2e-3 for one 128 wide.
        highest = 2e-4 * max(1.0, 768 / problem.hidden_size)
        choices["learning_rate"] = trial.suggest_float("optimization.learning_rate", 1e-5, highest, log=True)
    if choices["schedule"] == "exponential":
        choices["decay"] = trial.suggest_float("optimization.decay", 0.5, 0.95)
    elif choices["schedule"] == "linear":
        choices["warmup"] = trial.suggest_float("optimization.warmup", 0.0, 0.3)
    return OptimizationConfig(**choices)


# Tried first, in this order, so that the search starts from what is known and the winner is measured against it. The
# names are those drawn above; a parameter that a point leaves out is drawn by the sampler.

BASELINE = {
    # The course's plain multitask minBERT: all of it trained, one linear layer for each task on the pooler's output.
    "encoder.freeze_depth": 0,
    "encoder.pooling": "pooler",
    "encoder.dropout": 0.1,
    "head.common_layers": 0,
    "head.dropout": 0.3,
    "sentiment.task_layers": 1,
    "paraphrase.pair_encoding": "bi",
    "paraphrase.pair_features": "concat",
    "paraphrase.task_layers": 1,
    "paraphrase.loss": "bce",
    "paraphrase.weight": 1.0,
    "similarity.pair_encoding": "bi",
    "similarity.pair_features": "concat",
    "similarity.task_layers": 1,
    "similarity.weight": 1.0,
    "optimization.learning_rate": 1e-5,
    "optimization.head_learning_rate": 1e-5,
    "optimization.schedule": "constant",
    "optimization.weight_decay": 0.0,
    "optimization.batch_size": 8,
    "optimization.max_grad_norm": None,
    "optimization.task_mix": "in_turn",
}


def varied(base: dict[str, Any], without: tuple[str, ...] = (), **changes: dict[str, Any]) -> dict[str, Any]:
    """`base` less the parameters in `without`, with changes by the first part of the name."""
    changed = {f"{part}.{name}": value for part, values in changes.items() for name, value in values.items()}
    return {name: value for name, value in base.items() if name not in without} | changed


CROSS_ENCODER = varied(
    BASELINE,
    without=("paraphrase.pair_features", "similarity.pair_features"),
    encoder={"pooling": "mean"},
    head={"dropout": 0.1},
    paraphrase={"pair_encoding": "cross"},
    similarity={"pair_encoding": "cross"},
    optimization={
        "learning_rate": 3e-5,
        "head_learning_rate": 3e-4,
        "schedule": "linear",
        "warmup": 0.1,
        "weight_decay": 0.01,
        "batch_size": 32,
        "max_grad_norm": 1.0,
        "task_mix": "square_root",
    },
)

POINTS: dict[str, dict[str, Any]] = {
    "baseline": BASELINE,
    # Both sentences of a pair in one sequence, mean over the tokens, the usual recipe of fine-tuning: hard to beat.
    "cross-encoder": CROSS_ENCODER,
    # The same with the larger steps that encoders smaller than BERT-base take.
    "cross-encoder-fast": varied(CROSS_ENCODER, optimization={"learning_rate": 1e-4, "head_learning_rate": 1e-3}),
    # Reimers and Gurevych 2019: each sentence by itself, their mean tokens compared; with larger steps still.
    "sentence-bert": varied(
        CROSS_ENCODER,
        paraphrase={"pair_encoding": "bi", "pair_features": "product"},
        similarity={"pair_encoding": "bi", "pair_features": "product"},
        optimization={"learning_rate": 2e-4, "head_learning_rate": 5e-3, "batch_size": 16},
    ),
    # Gamarra Lafuente and Udash, 5.3.5, the final model: three layers a task, similarity cross-encoded.
    "gamarra-udash": varied(
        BASELINE,
        without=("similarity.pair_features",),
        head={"dropout": 0.5, "activation": "identity", "layer_norm": False},
        sentiment={"task_layers": 3},
        paraphrase={"task_layers": 3},
        similarity={"task_layers": 3, "pair_encoding": "cross"},
        optimization={"schedule": "exponential", "decay": 0.9, "batch_size": 32},
    ),
    # Naeem, 4 and 5.4, the final model without its cosine: two hidden layers a task with LayerNorm and ReLU.
    "naeem": varied(
        BASELINE,
        head={"dropout": 0.4, "activation": "relu", "layer_norm": True},
        sentiment={"task_layers": 3},
        paraphrase={"task_layers": 3, "loss": "cross_entropy"},
        similarity={"task_layers": 3},
        optimization={"batch_size": 16},
    ),
    # Jetty, 4.5, the final model without its layer drop: a layer that all tasks share, pairs cross-encoded.
    "jetty": varied(
        BASELINE,
        without=("paraphrase.pair_features", "similarity.pair_features"),
        head={"common_layers": 1, "activation": "identity", "layer_norm": False},
        paraphrase={"pair_encoding": "cross"},
        similarity={"pair_encoding": "cross"},
    ),
}
