"""Everything a trial can vary. Copy this file, cut it down to what you care about, and search your copy:

    python -m search.run --space my_space.py --dry-run 5    # draws, without training
    python -m search.run --space my_space.py

`trial` is Optuna's: https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html. What it is
asked for, in ordinary Python, is the space. Two rules:

- a name always means the same choices, so different lists of choices need different names;
- what has no effect is not drawn: TrialConfig refuses the pair features of a cross-encoder, say, so that two trials
  that differ do train differently. Hence the ifs below.

`problem` tells what a run can't vary: the tasks, the encoder's layers and width, how much data there is.

Which is which, in the words of the Deep Learning Tuning Playbook (https://github.com/google-research/tuning_playbook):

- scientific, what one wants to know the effect of: `encoder.structure`, `encoder.trainable`, pooling, `regularizer`,
  `sharing.on`, layers of the heads, pair encoding and cosine, losses, tasks in a step, task weighting. What costs much
  or seldom helps stands behind one choice of several, so that a random draw has little of it;
- nuisance, to be tuned anew for each of those: the step sizes and their schedule, weight decay, clipping, batch size
  (an epoch is the same number of examples whatever the batch), dropout, task weights, and the strengths and sizes of
  what is switched on;
- fixed: dropout is the same in all heads, and in the encoder for hidden units and attention; SMART's steps and norm,
  the teacher's momentum and the noise of noise stability are their authors'. A run fixes encoder, data and budget.

A space of so many choices is for a hundred trials and more; with thirty, cut it down to one or two scientific ones.
"""

from dataclasses import replace
from typing import Any

import optuna

from model.config import (
    AdapterConfig,
    EdgeConfig,
    EncoderConfig,
    HeadConfig,
    NoiseStabilityConfig,
    OptimizationConfig,
    ProximalConfig,
    SharingConfig,
    SmartConfig,
    TaskConfig,
    TrialConfig,
)
from model.data.tasks import Binary, Classes, Number, Task
from model.problem import Problem, losses_for


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """One configuration."""
    encoder = draw_encoder(trial, problem)
    regularizer = draw_regularizer(trial, problem, encoder)
    if regularizer == "layer_drop":
        encoder = draw_layer_drop(trial, problem, encoder)
    head = HeadConfig(
        common_layers=trial.suggest_int("head.common_layers", 0, 2),
        pooled_layer_norm=trial.suggest_categorical("head.pooled_layer_norm", [False, True]),
    )
    optimization = draw_optimization(trial, problem, encoder)
    tasks = {task.name: draw_task(trial, problem, task, encoder, head, optimization) for task in problem.tasks}
    return TrialConfig(
        encoder=encoder,
        head=draw_head(trial, problem, head, tasks),
        tasks=tasks,
        sharing=draw_sharing(trial, tasks),
        optimization=optimization,
        smart=draw_smart(trial) if regularizer in ("smart", "smart_and_proximal") else None,
        proximal=draw_proximal(trial) if regularizer in ("proximal", "smart_and_proximal") else None,
        noise_stability=draw_noise_stability(trial) if regularizer == "noise_stability" else None,
    )


# The encoder ---------------------------------------------------------------------------------------------------------


def draw_encoder(trial: optuna.Trial, problem: Problem) -> EncoderConfig:
    """What becomes of the encoder's layers, how much of it is trained, and what is read from it."""
    several_tasks, several_layers = len(problem.tasks) > 1, problem.num_layers > 1
    structure = trial.suggest_categorical(
        "encoder.structure",
        ["plain", "adapter"] + ["branches"] * several_tasks + ["fewer_layers"] * several_layers,
    )
    choices: dict[str, Any] = {"pooling": trial.suggest_categorical("encoder.pooling", ["pooler", "mean"])}
    layers = problem.num_layers
    if structure == "fewer_layers":
        choices["removal"] = trial.suggest_categorical("encoder.removal", ["top", "alternate", "symmetric", "bottom"])
        choices["removed_layers"] = trial.suggest_int("encoder.removed_layers", 1, problem.num_layers // 2)
        layers -= choices["removed_layers"]
    trained = draw_trained_layers(trial, problem, layers, branches=structure == "branches")
    choices["freeze_depth"] = layers - trained
    if structure == "branches":
        choices["branch_layers"] = min(trained, trial.suggest_int("encoder.branch_layers", 1, 3))
    if structure == "adapter":
        choices["adapter"] = draw_adapter(trial, problem, choices["freeze_depth"])
    encoder = EncoderConfig(**choices)
    if encoder.prefix_depth < layers:  # a frozen layer has no dropout
        dropout = trial.suggest_float("encoder.dropout", 0.0, 0.3)
        encoder = replace(encoder, hidden_dropout=dropout, attention_dropout=dropout)
    return encoder


def draw_trained_layers(trial: optuna.Trial, problem: Problem, layers: int, *, branches: bool) -> int:
    """How many of `layers` are trained, counted from the top; a branch is trained, or it were no branch."""
    if branches:
        trainable = trial.suggest_categorical("encoder.branched_trainable", ["all", "top"])
    else:
        trainable = trial.suggest_categorical("encoder.trainable", ["all", "top", "none"])
    if trainable == "top":
        return min(layers, trial.suggest_int("encoder.top_layers", 1, max(2, problem.num_layers - 1)))
    return layers if trainable == "all" else 0


def draw_adapter(trial: optuna.Trial, problem: Problem, freeze_depth: int) -> AdapterConfig:
    """Small modules in the layers; their sizes go with the encoder's, beside the 64 of Pandey and Narayan."""
    modules = trial.suggest_categorical("adapter.modules", ["bottleneck", "bottleneck_and_lhuc", "pal", "lhuc"])
    choices: dict[str, Any] = {"lhuc": modules in ("bottleneck_and_lhuc", "lhuc")}
    if modules in ("bottleneck", "bottleneck_and_lhuc"):
        sizes = sorted({max(1, problem.hidden_size // 32), 64, max(1, problem.hidden_size // 4)})
        choices["bottleneck"] = trial.suggest_categorical("adapter.place", ["after_feed_forward", "after_layer_norm"])
        choices["bottleneck_size"] = trial.suggest_categorical("adapter.bottleneck_size", sizes)
    if modules == "pal":  # as wide as an eighth, a quarter (for BERT-base 192; its authors: 204), half of the encoder
        head_size = problem.hidden_size // problem.num_heads
        sizes = sorted({problem.num_heads * max(1, head_size // share) for share in (8, 4, 2)})
        choices["pal_size"] = trial.suggest_categorical("adapter.pal_size", sizes)
    if len(problem.tasks) > 1:
        choices["per_task"] = trial.suggest_categorical("adapter.per_task", [True, False])
    if 0 < freeze_depth < problem.num_layers:
        choices["layers"] = trial.suggest_categorical("adapter.layers", ["all", "trainable"])
    return AdapterConfig(**choices)


def trained_layers(problem: Problem, encoder: EncoderConfig) -> int:
    """How many layers of the encoder are trained themselves, whatever is attached to them."""
    return problem.num_layers - encoder.removed_layers - encoder.freeze_depth


# Regularizers --------------------------------------------------------------------------------------------------------


def draw_regularizer(trial: optuna.Trial, problem: Problem, encoder: EncoderConfig) -> str:
    """One of them at most, beside dropout and weight decay: those that are costly, of those that there is something
    for to regularize."""
    if encoder.prefix_depth < problem.num_layers - encoder.removed_layers:
        every = ["none", "layer_drop", "smart", "proximal", "smart_and_proximal", "noise_stability"]
        return trial.suggest_categorical("regularizer", every)
    if encoder.pooling == "pooler":  # which alone is trained
        return trial.suggest_categorical("regularizer_of_pooler", ["none", "smart", "proximal", "smart_and_proximal"])
    return trial.suggest_categorical("regularizer_of_heads", ["none", "proximal"])


def draw_layer_drop(trial: optuna.Trial, problem: Problem, encoder: EncoderConfig) -> EncoderConfig:
    """Whole layers skipped while training."""
    probability = trial.suggest_float("layer_drop.probability", 0.05, 0.3)
    if problem.num_layers - encoder.removed_layers - encoder.prefix_depth > 1:
        growth: Any = trial.suggest_categorical("layer_drop.growth", ["uniform", "depth", "time"])
    else:  # one layer has no depth to grow with
        growth = trial.suggest_categorical("layer_drop.growth_of_one_layer", ["uniform", "time"])
    return replace(encoder, layer_drop=probability, layer_drop_growth=growth)


MOVES: dict[str, dict[str, Any]] = {
    "tiny": {"noise": 1e-5, "step_size": 1e-3, "epsilon": 1e-6},  # Pandey and Narayan, 3.3
    "small": {"noise": 1e-3, "step_size": 0.01, "epsilon": 0.01},
    "large": {"noise": 0.01, "step_size": 0.1, "epsilon": 0.1},
}
"""How far SMART moves a token, in the units of a hidden state; at tiny ones its term is next to nothing."""


def draw_smart(trial: optuna.Trial) -> SmartConfig:
    """How little the worst of small moves may change predictions."""
    moves = MOVES[trial.suggest_categorical("smart.moves", list(MOVES))]
    return SmartConfig(weight=trial.suggest_float("smart.weight", 0.1, 10.0, log=True), **moves)


def draw_proximal(trial: optuna.Trial) -> ProximalConfig:
    """How close predictions stay to those of the averaged weights."""
    return ProximalConfig(weight=trial.suggest_float("proximal.weight", 0.1, 10.0, log=True))


def draw_noise_stability(trial: optuna.Trial) -> NoiseStabilityConfig:
    """How little noise may change what layers say."""
    return NoiseStabilityConfig(weight=trial.suggest_float("noise_stability.weight", 0.01, 10.0, log=True))


# Heads and tasks -----------------------------------------------------------------------------------------------------


def draw_head(trial: optuna.Trial, problem: Problem, head: HeadConfig, tasks: dict[str, TaskConfig]) -> HeadConfig:
    """What stands between encoder and predictions, as far as the tasks share it: `head` and what goes with `tasks`."""
    choices: dict[str, Any] = {}
    if any(task.cosine != "alone" for task in tasks.values()):
        choices["dropout"] = trial.suggest_float("head.dropout", 0.0, 0.6)
        choices["output_dropout"] = trial.suggest_categorical("head.output_dropout", [0.0, 0.1, 0.3])
    own = [task for task in tasks.values() if task.task_layers > 1]
    if head.common_layers or own:
        width = trial.suggest_categorical("head.width", ["same", "half", "double"])
        choices["width"] = {"same": None, "half": problem.hidden_size // 2, "double": 2 * problem.hidden_size}[width]
        choices["layer_norm"] = trial.suggest_categorical("head.layer_norm", [False, True])
    if head.common_layers or any(task.activation is None for task in own):
        choices["activation"] = trial.suggest_categorical("head.activation", ["identity", "relu", "gelu", "tanh"])
    return replace(head, **choices)


def draw_task(
    trial: optuna.Trial,
    problem: Problem,
    task: Task,
    encoder: EncoderConfig,
    head: HeadConfig,
    optimization: OptimizationConfig,
) -> TaskConfig:
    """One task's own part. Parameters are named after it: similarity.pair_encoding, ..."""
    choices: dict[str, Any] = {}
    if task.is_pair:
        choices |= draw_pair(trial, problem, task, encoder, head)
    cosine = choices.get("cosine", "none")
    if cosine != "alone":
        choices["task_layers"] = trial.suggest_int(f"{task.name}.task_layers", 1, 3)
        if choices["task_layers"] > 1:  # the heads' common one, or none
            choices["activation"] = trial.suggest_categorical(f"{task.name}.activation", [None, "identity"])
    choices |= draw_loss(trial, task, cosine)
    # Weights matter to each other only, so the first task's stays 1; with uncertainty weighting they are learned.
    if task is not problem.tasks[0] and optimization.task_weighting == "fixed":
        choices["weight"] = trial.suggest_float(f"{task.name}.weight", 0.25, 4.0, log=True)
    return TaskConfig(**choices)


def draw_pair(
    trial: optuna.Trial, problem: Problem, task: Task, encoder: EncoderConfig, head: HeadConfig
) -> dict[str, Any]:
    """How a task on two sentences meets the encoder, and how the two are compared."""
    encoding = trial.suggest_categorical(f"{task.name}.pair_encoding", ["cross", "bi"])
    choices: dict[str, Any] = {"pair_encoding": encoding}
    if encoding == "bi":
        scored = not isinstance(task.label, Classes)  # one score, to which a cosine can be added, and pairs that belong
        if scored and has_learned_vectors(problem, encoder, head):
            choices["cosine"] = trial.suggest_categorical(f"{task.name}.cosine", ["none", "added", "alone"])
            choices["ranking_weight"] = trial.suggest_categorical(f"{task.name}.ranking_weight", [0.0, 0.1, 1.0])
        elif scored:
            choices["cosine"] = trial.suggest_categorical(f"{task.name}.fixed_cosine", ["none", "added"])
    if choices.get("cosine") != "alone":
        # Asked for by every task on pairs, and by one name: it is the same for all of them.
        choices["pair_order"] = trial.suggest_categorical("pairs.order", ["given", "both"])
        if encoding == "bi":
            choices["pair_features"] = trial.suggest_categorical(
                f"{task.name}.pair_features", ["concat", "difference", "product"]
            )
    return choices


def has_learned_vectors(problem: Problem, encoder: EncoderConfig, head: HeadConfig) -> bool:
    """Whether anything is trained below the tasks' own heads, without which a cosine alone would learn nothing."""
    in_encoder = encoder.adapter is not None or encoder.pooling == "pooler" or trained_layers(problem, encoder) > 0
    return in_encoder or head.common_layers > 0 or head.pooled_layer_norm


def draw_loss(trial: optuna.Trial, task: Task, cosine: str) -> dict[str, Any]:
    """What a task is trained to: of the losses that fit its labels, those that fit its output."""
    match task.label, cosine:
        case Binary(), "alone":
            return {"loss": "cosine_embedding"}
        case Binary(), "added":  # which takes one logit
            return {"loss": "bce"}
        case Number(low=low, high=high), "alone":
            loss = trial.suggest_categorical(f"{task.name}.cosine_loss", ["mse", "mae", "cosine_embedding"])
            if loss != "cosine_embedding":
                return {"loss": loss}
            threshold = trial.suggest_float(f"{task.name}.threshold", 0.7 * low + 0.3 * high, 0.3 * low + 0.7 * high)
            return {"loss": loss, "threshold": threshold}
    losses = losses_for(task)
    return {"loss": losses[0] if len(losses) == 1 else trial.suggest_categorical(f"{task.name}.loss", losses)}


def draw_sharing(trial: optuna.Trial, tasks: dict[str, TaskConfig]) -> SharingConfig | None:
    """Which task's head hears which other one. Edges go down the list of tasks, from simple to complex, as Grudzinski
    has it, who sees no sense in the other direction; so none can lead back."""
    if len(tasks) == 1 or not trial.suggest_categorical("sharing.on", [False, True]):
        return None
    names = list(tasks)
    pairs = [(names[i], names[j]) for j in range(len(names)) for i in range(j)]
    possible = [(up, down) for up, down in pairs if can_hear(tasks[down], tasks[up])]
    pairs = [(up, down) for up, down in possible if trial.suggest_categorical(f"sharing.{up}_to_{down}", [True, False])]
    if not pairs:
        return None
    choices: dict[str, Any] = {"gradient_scale": trial.suggest_float("sharing.gradient_scale", 0.0, 1.0, step=0.25)}
    if all(tasks[up].task_layers > 1 for up, _ in pairs):
        choices["signal"] = trial.suggest_categorical("sharing.signal", ["logits", "hidden"])
    edges = tuple(EdgeConfig(upstream=up, downstream=down, **choices) for up, down in pairs)
    fusion: Any = trial.suggest_categorical("sharing.fusion", ["concat", "attention"])
    return SharingConfig(edges=edges, fusion=fusion)


def can_hear(task: TaskConfig, upstream: TaskConfig) -> bool:
    """Whether `task` has a head to hear with, and what the head of `upstream` reads."""
    return task.cosine != "alone" and (upstream.pair_encoding != "bi" or task.pair_encoding == "bi")


# Optimization --------------------------------------------------------------------------------------------------------


def draw_optimization(trial: optuna.Trial, problem: Problem, encoder: EncoderConfig) -> OptimizationConfig:
    """Step sizes and steps, and how the tasks share them."""
    choices: dict[str, Any] = {
        "head_learning_rate": trial.suggest_float("optimization.head_learning_rate", 1e-5, 1e-2, log=True),
        "schedule": trial.suggest_categorical("optimization.schedule", ["constant", "exponential", "linear", "cosine"]),
        "weight_decay": trial.suggest_categorical("optimization.weight_decay", [0.0, 0.01, 0.1]),
        "batch_size": trial.suggest_categorical("optimization.batch_size", [8, 16, 32, 64]),
        "max_grad_norm": trial.suggest_categorical("optimization.max_grad_norm", [None, 1.0]),
        "averaged_epochs": trial.suggest_int("optimization.averaged_epochs", 1, 3),
    }
    if choices["schedule"] == "exponential":
        choices["decay"] = trial.suggest_float("optimization.decay", 0.5, 0.95)
    elif choices["schedule"] != "constant":
        choices["warmup"] = trial.suggest_float("optimization.warmup", 0.0, 0.3)
    choices |= draw_encoder_steps(trial, problem, encoder)
    if len(problem.tasks) > 1:
        choices |= draw_turns(trial)
    return OptimizationConfig(**choices)


def draw_encoder_steps(trial: optuna.Trial, problem: Problem, encoder: EncoderConfig) -> dict[str, Any]:
    """Step sizes of what was pretrained, as far as it is trained."""
    trained = trained_layers(problem, encoder)
    choices: dict[str, Any] = {}
    if trained:
        # Narrow encoders want larger steps: up to 2e-4 for BERT-base (768 wide), up to 1.2e-3 for one 128 wide.
        highest = 2e-4 * max(1.0, 768 / problem.hidden_size)
        choices["learning_rate"] = trial.suggest_float("optimization.learning_rate", 1e-5, highest, log=True)
    elif encoder.pooling == "pooler":  # one layer, just below the heads
        choices["learning_rate"] = trial.suggest_float("optimization.pooler_learning_rate", 1e-5, 1e-2, log=True)
    if encoder.freeze_depth == 0 or trained > 1:
        choices["layer_decay"] = trial.suggest_categorical("optimization.layer_decay", [1.0, 0.95, 0.9, 0.8])
    return choices


def draw_turns(trial: optuna.Trial) -> dict[str, Any]:
    """How several tasks share the steps, and whose gradient counts how much."""
    choices: dict[str, Any] = {
        "tasks_per_step": trial.suggest_categorical("optimization.tasks_per_step", ["one", "all"]),
        "task_weighting": trial.suggest_categorical("optimization.task_weighting", ["fixed", "uncertainty"]),
    }
    if choices["tasks_per_step"] == "one":
        mixes = ["in_turn", "proportional", "square_root", "annealed"]
        choices["task_mix"] = trial.suggest_categorical("optimization.task_mix", mixes)
    else:
        choices["gradient_surgery"] = trial.suggest_categorical("optimization.gradient_surgery", [False, True])
    return choices


# Tried first, in this order, so that the search starts from what is known and the winner is measured against it. The
# names are those drawn above; a parameter that a point leaves out is drawn by the sampler.

BASELINE: dict[str, Any] = {
    # The course's plain multitask minBERT: all of it trained, one linear layer for each task on the pooler's output.
    "encoder.structure": "plain",
    "encoder.pooling": "pooler",
    "encoder.trainable": "all",
    "encoder.dropout": 0.1,
    "regularizer": "none",
    "head.common_layers": 0,
    "head.pooled_layer_norm": False,
    "head.dropout": 0.3,
    "head.output_dropout": 0.0,
    "pairs.order": "given",
    "sentiment.task_layers": 1,
    "paraphrase.pair_encoding": "bi",
    "paraphrase.cosine": "none",
    "paraphrase.ranking_weight": 0.0,
    "paraphrase.pair_features": "concat",
    "paraphrase.task_layers": 1,
    "paraphrase.loss": "bce",
    "paraphrase.weight": 1.0,
    "similarity.pair_encoding": "bi",
    "similarity.cosine": "none",
    "similarity.ranking_weight": 0.0,
    "similarity.pair_features": "concat",
    "similarity.task_layers": 1,
    "similarity.loss": "mse",
    "similarity.weight": 1.0,
    "sharing.on": False,
    "optimization.learning_rate": 1e-5,
    "optimization.head_learning_rate": 1e-5,
    "optimization.layer_decay": 1.0,
    "optimization.schedule": "constant",
    "optimization.weight_decay": 0.0,
    "optimization.batch_size": 8,
    "optimization.max_grad_norm": None,
    "optimization.averaged_epochs": 1,
    "optimization.tasks_per_step": "one",
    "optimization.task_mix": "proportional",
    "optimization.task_weighting": "fixed",
}


def varied(base: dict[str, Any], *, without: tuple[str, ...] = (), **changes: dict[str, Any] | str) -> dict[str, Any]:
    """`base` less the parameters in `without`, with changes by the first part of the name."""
    changed: dict[str, Any] = {}
    for part, values in changes.items():
        changed |= {f"{part}.{name}": v for name, v in values.items()} if isinstance(values, dict) else {part: values}
    return {name: value for name, value in base.items() if name not in without} | changed


def of_bi_encoding(task: str) -> tuple[str, ...]:
    """The parameters of a pair that only a bi-encoded one has."""
    return f"{task}.cosine", f"{task}.ranking_weight", f"{task}.pair_features"


OF_BI_ENCODED_PAIRS = (*of_bi_encoding("paraphrase"), *of_bi_encoding("similarity"))
HIDDEN_LAYER = {"width": "same", "layer_norm": False}
"""What is asked of the heads where one has a hidden layer."""

CROSS_ENCODER = varied(
    BASELINE,
    without=OF_BI_ENCODED_PAIRS,
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
SENTENCE_BERT = varied(
    BASELINE | CROSS_ENCODER,
    paraphrase={"pair_encoding": "bi", "pair_features": "product"},
    similarity={"pair_encoding": "bi", "pair_features": "product"},
    optimization={"learning_rate": 2e-4, "head_learning_rate": 5e-3, "batch_size": 16},
)
GAMARRA_UDASH = varied(
    BASELINE,
    without=of_bi_encoding("similarity"),
    similarity={"pair_encoding": "cross"},
    optimization={"batch_size": 32, "schedule": "exponential", "decay": 0.9},
)
GRUDZINSKI = varied(
    BASELINE,
    head={**HIDDEN_LAYER, "activation": "relu"},
    sentiment={"task_layers": 2, "activation": None},
    paraphrase={"task_layers": 2, "activation": None},
    similarity={"task_layers": 2, "activation": None},
)
PANDEY_NARAYAN = varied(
    BASELINE,
    without=("encoder.dropout", "regularizer", "optimization.learning_rate", "optimization.layer_decay"),
    encoder={"trainable": "none"},
    regularizer_of_pooler="none",
    optimization={"pooler_learning_rate": 1e-3, "head_learning_rate": 1e-3, "task_mix": "in_turn"},
)
PANDEY_NARAYAN_ADAPTER = varied(
    PANDEY_NARAYAN,
    without=("regularizer_of_pooler",),
    encoder={"structure": "adapter", "dropout": 0.1},
    regularizer="none",
    adapter={"modules": "bottleneck_and_lhuc", "bottleneck_size": 64, "per_task": True},
)

POINTS: dict[str, dict[str, Any]] = {
    # Both sentences of a pair in one sequence, mean over the tokens, the usual recipe of fine-tuning: hard to beat.
    "cross-encoder": CROSS_ENCODER,
    # The same with the larger steps that encoders smaller than BERT-base take.
    "cross-encoder-fast": varied(CROSS_ENCODER, optimization={"learning_rate": 1e-4, "head_learning_rate": 1e-3}),
    # Reimers and Gurevych 2019: each sentence by itself, their mean tokens compared; with larger steps still.
    "sentence-bert": SENTENCE_BERT,
    # The papers' own configurations, under the names and from the sections that spaces/papers.py has for them.
    "jetty-final": varied(
        BASELINE,
        without=OF_BI_ENCODED_PAIRS,
        regularizer="layer_drop",
        layer_drop={"probability": 0.15, "growth": "uniform"},
        head={**HIDDEN_LAYER, "common_layers": 1, "activation": "identity"},
        paraphrase={"pair_encoding": "cross"},
        similarity={"pair_encoding": "cross"},
    ),
    "gamarra-udash-final": varied(
        GAMARRA_UDASH,
        head={**HIDDEN_LAYER, "activation": "identity", "dropout": 0.5},
        sentiment={"task_layers": 3, "activation": None},
        paraphrase={"task_layers": 3, "activation": None},
        similarity={"task_layers": 3, "activation": None},
    ),
    "grudzinski-final": varied(
        GRUDZINSKI,
        head={"pooled_layer_norm": True, "dropout": 0.0, "output_dropout": 0.3},
        sharing={
            "on": True,
            "sentiment_to_paraphrase": True,
            "sentiment_to_similarity": True,
            "paraphrase_to_similarity": True,
            "signal": "logits",
            "gradient_scale": 0.0,
            "fusion": "concat",
        },
    ),
    "naeem-final": varied(
        BASELINE,
        without=("optimization.task_mix", "paraphrase.loss"),
        head={"width": "same", "layer_norm": True, "activation": "relu", "dropout": 0.4},
        sentiment={"task_layers": 3, "activation": "identity"},
        paraphrase={"task_layers": 3, "activation": None, "cosine": "added"},
        similarity={"task_layers": 3, "activation": None, "cosine": "added"},
        optimization={"batch_size": 16, "tasks_per_step": "all", "gradient_surgery": False},
    ),
    "jetty-multitask": BASELINE,  # and Naeem's baseline: the course's
    "gamarra-udash-baseline": varied(
        GAMARRA_UDASH,
        encoder={"trainable": "top", "top_layers": 2},
        head={**HIDDEN_LAYER, "common_layers": 1, "activation": "identity"},
        optimization={"learning_rate": 2e-5, "head_learning_rate": 2e-5},
    ),
    "grudzinski-baseline": GRUDZINSKI,
    "pandey-narayan-adapter-before": varied(PANDEY_NARAYAN_ADAPTER, adapter={"place": "after_feed_forward"}),
    "pandey-narayan-smart": varied(
        PANDEY_NARAYAN,
        regularizer_of_pooler="smart_and_proximal",
        smart={"weight": 1.0, "moves": "tiny"},
        proximal={"weight": 1.0},
    ),
    "pandey-narayan-adapter-after": varied(PANDEY_NARAYAN_ADAPTER, adapter={"place": "after_layer_norm"}),
    "pandey-narayan-baseline": PANDEY_NARAYAN,
}
