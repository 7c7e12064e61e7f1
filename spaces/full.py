"""Everything a trial can vary. Copy this file, cut it down to what you care about, and search your copy:

    python -m search.run --space my_space.py --dry-run 20    # the points, then random draws, without training
    python -m search.run --space my_space.py

`trial` is Optuna's: https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html. What it is
asked for, in ordinary Python, is the space. Two rules:

- a name always means the same choices, so different lists of choices need different names;
- what has no effect is not drawn: TrialConfig refuses the pair features of a cross-encoder, say, so that two trials
  that differ do train differently. Hence the ifs below.

`problem` tells what a run can't vary: the tasks, the encoder's layers and width, how much data there is.

A random draw is plain: what costs much or seldom helps is one `technique` at most, and none in half of the draws; the
heads are single linear layers in half of them. So 30 to 60 trials, which start from the points, are mostly about what
matters everywhere. Which is which, in the words of the Deep Learning Tuning Playbook
(https://github.com/google-research/tuning_playbook):

- scientific, what one wants to know the effect of: pooling, pair encoding, pair features and cosine, losses, layers of
  the heads, tasks in a step, the technique;
- nuisance, to be tuned anew for each of those: the step sizes and their schedule, weight decay, clipping, batch size
  (an epoch is the same number of examples whatever the batch), dropout, task mix and weights, and the strengths and
  sizes of what is switched on;
- fixed: dropout is the same in all heads, and in the encoder for hidden units and attention; SMART's steps and norm,
  the teacher's momentum and the noise of noise stability are their authors'. A run fixes encoder, data and budget.
"""

from dataclasses import replace
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

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


def space(trial: BaseTrial, problem: Problem) -> TrialConfig:
    """One configuration."""
    technique = draw_technique(trial, problem)
    encoder = draw_encoder(trial, problem, technique)
    deep = trial.suggest_categorical("head.depth", ["linear", "deep"]) == "deep"
    tasks = {task.name: draw_task(trial, problem, task, deep, technique) for task in problem.tasks}
    return TrialConfig(
        encoder=encoder,
        head=draw_head(trial, problem, deep, tasks),
        tasks=tasks,
        sharing=draw_sharing(trial, tasks) if technique == "sharing" else None,
        optimization=draw_optimization(trial, problem, encoder, technique),
        noise_stability=draw_noise_stability(trial) if technique == "noise_stability" else None,
        **(draw_smart(trial) if technique == "smart" else {}),
    )


PARTS = (
    *("technique", "encoder", "head", "pairs", "optimization", "sharing", "branches", "frozen_layers", "fewer_layers"),
    *("adapter", "layer_drop", "smart", "noise_stability"),
)
"""What the names of parameters begin with, beside tasks."""


def part_of(task: Task) -> str:
    """What the names of a task's parameters begin with: what it is called itself, if nothing above is. No task's name
    has a colon."""
    return f"task:{task.name}" if task.name in PARTS else task.name


def draw_technique(trial: BaseTrial, problem: Problem) -> str:
    """What the papers add to plain fine-tuning of all layers: one of them at most."""
    if not trial.suggest_categorical("technique.on", [False, True]):
        return "none"
    return trial.suggest_categorical("technique.name", possible_techniques(problem))


def possible_techniques(problem: Problem) -> list[str]:
    """Those that make sense for as many layers and tasks."""
    techniques = ["frozen_layers", "adapter", "smart", "noise_stability"]
    if problem.num_layers > 1:
        techniques += ["layer_drop", "fewer_layers"]
    if len(problem.tasks) > 1:
        techniques += ["branches", "sharing", "uncertainty", "gradient_surgery"]
    return techniques


# The encoder ---------------------------------------------------------------------------------------------------------


def draw_encoder(trial: BaseTrial, problem: Problem, technique: str) -> EncoderConfig:
    """What becomes of the encoder's layers, how many of them are trained, and what is read from the last one."""
    pooling: Any = trial.suggest_categorical("encoder.pooling", ["mean", "pooler"])
    encoder = EncoderConfig(pooling=pooling, freeze_depth=draw_freeze_depth(trial, problem, pooling, technique))
    match technique:
        case "adapter":
            encoder = replace(encoder, adapter=draw_adapter(trial, problem, encoder.freeze_depth))
        case "branches":
            most = min(3, problem.num_layers)
            encoder = replace(encoder, branch_layers=trial.suggest_int("branches.layers", 1, most))
        case "fewer_layers":
            places = ["top", "alternate", "symmetric", "bottom"]
            removal: Any = trial.suggest_categorical("fewer_layers.removal", places)
            removed = trial.suggest_int("fewer_layers.removed", 1, problem.num_layers // 2)
            encoder = replace(encoder, removal=removal, removed_layers=removed)
        case "layer_drop":
            growth: Any = trial.suggest_categorical("layer_drop.growth", ["uniform", "depth", "time"])
            probability = trial.suggest_float("layer_drop.probability", 0.05, 0.3)
            encoder = replace(encoder, layer_drop=probability, layer_drop_growth=growth)
    if encoder.prefix_depth < problem.num_layers:  # a frozen layer has no dropout
        dropout = trial.suggest_float("encoder.dropout", 0.0, 0.2)
        encoder = replace(encoder, hidden_dropout=dropout, attention_dropout=dropout)
    return encoder


def draw_freeze_depth(trial: BaseTrial, problem: Problem, pooling: str, technique: str) -> int:
    """How many layers are frozen. With mean pooling not all of them, unless there are adapters: nothing below the heads
    were trained. What works on the layers while they train has all of them trained."""
    if technique == "frozen_layers":
        trained = trial.suggest_int("frozen_layers.trained", 0, max(2, problem.num_layers - 1))
        return max(0, problem.num_layers - max(trained, 1 if pooling == "mean" else 0))
    trainable = "all"
    if technique == "adapter":
        trainable = trial.suggest_categorical("adapter.trainable", ["none", "top", "all"])
    elif technique == "smart" and pooling == "pooler":
        trainable = trial.suggest_categorical("smart.trainable", ["none", "all"])
    return {"none": problem.num_layers, "top": problem.num_layers // 2, "all": 0}[trainable]


def draw_adapter(trial: BaseTrial, problem: Problem, freeze_depth: int) -> AdapterConfig:
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


# Regularizers --------------------------------------------------------------------------------------------------------

MOVES: dict[str, dict[str, Any]] = {
    "tiny": {"noise": 1e-5, "step_size": 1e-3, "epsilon": 1e-6},  # Pandey and Narayan, 3.3
    "small": {"noise": 1e-3, "step_size": 0.01, "epsilon": 0.01},
    "large": {"noise": 0.01, "step_size": 0.1, "epsilon": 0.1},
}
"""How far SMART moves a token, in the units of a hidden state; at tiny ones its term is next to nothing."""


def draw_smart(trial: BaseTrial) -> dict[str, Any]:
    """How little the worst of small moves may change predictions, how close these stay to those of the averaged
    weights, or both."""
    parts = trial.suggest_categorical("smart.parts", ["smoothness", "proximal", "both"])
    choices: dict[str, Any] = {}
    if parts in ("smoothness", "both"):
        moves = MOVES[trial.suggest_categorical("smart.moves", list(MOVES))]
        choices["smart"] = SmartConfig(weight=trial.suggest_float("smart.weight", 0.1, 10.0, log=True), **moves)
    if parts in ("proximal", "both"):
        weight = trial.suggest_float("smart.proximal_weight", 0.1, 10.0, log=True)
        choices["proximal"] = ProximalConfig(weight=weight)
    return choices


def draw_noise_stability(trial: BaseTrial) -> NoiseStabilityConfig:
    """How little noise may change what layers say."""
    return NoiseStabilityConfig(weight=trial.suggest_float("noise_stability.weight", 0.01, 10.0, log=True))


# Heads and tasks -----------------------------------------------------------------------------------------------------


def draw_head(trial: BaseTrial, problem: Problem, deep: bool, tasks: dict[str, TaskConfig]) -> HeadConfig:
    """What stands between encoder and predictions, as far as the tasks share it."""
    choices: dict[str, Any] = {}
    if deep:
        choices["common_layers"] = trial.suggest_int("head.common_layers", 0, 2)
        choices["pooled_layer_norm"] = trial.suggest_categorical("head.pooled_layer_norm", [False, True])
    if any(task.cosine != "alone" for task in tasks.values()):
        choices["dropout"] = trial.suggest_float("head.dropout", 0.0, 0.5)
        if deep:
            choices["output_dropout"] = trial.suggest_categorical("head.output_dropout", [0.0, 0.1, 0.3])
    own = [task for task in tasks.values() if task.task_layers > 1]
    common = choices.get("common_layers", 0) > 0
    if common or own:
        width = trial.suggest_categorical("head.width", ["same", "half", "double"])
        choices["width"] = {"same": None, "half": problem.hidden_size // 2, "double": 2 * problem.hidden_size}[width]
        choices["layer_norm"] = trial.suggest_categorical("head.layer_norm", [False, True])
    if common or any(task.activation is None for task in own):
        choices["activation"] = trial.suggest_categorical("head.activation", ["identity", "relu", "gelu", "tanh"])
    return HeadConfig(**choices)


def draw_task(trial: BaseTrial, problem: Problem, task: Task, deep: bool, technique: str) -> TaskConfig:
    """One task's own part. Parameters are named after it: similarity.pair_encoding, ..."""
    choices = draw_pair(trial, task) if task.is_pair else {}
    cosine = choices.get("cosine", "none")
    if deep and cosine != "alone":
        choices["task_layers"] = trial.suggest_int(f"{part_of(task)}.task_layers", 1, 3)
        if choices["task_layers"] > 1:  # the heads' common one, or none
            choices["activation"] = trial.suggest_categorical(f"{part_of(task)}.activation", [None, "identity"])
    choices |= draw_loss(trial, task, cosine)
    # Weights matter to each other only, so the first task's stays 1; with uncertainty weighting they are learned.
    if task is not problem.tasks[0] and technique != "uncertainty":
        choices["weight"] = trial.suggest_float(f"{part_of(task)}.weight", 0.5, 2.0, log=True)
    return TaskConfig(**choices)


def draw_pair(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """How a task on two sentences meets the encoder, and how the two are compared."""
    encoding = trial.suggest_categorical(f"{part_of(task)}.pair_encoding", ["cross", "bi"])
    choices: dict[str, Any] = {"pair_encoding": encoding}
    if encoding == "bi" and not isinstance(task.label, Classes):  # one score, and pairs that belong together
        choices["cosine"] = trial.suggest_categorical(f"{part_of(task)}.cosine", ["none", "added", "alone"])
        choices["ranking_weight"] = trial.suggest_categorical(f"{part_of(task)}.ranking_weight", [0.0, 0.1])
    if choices.get("cosine") != "alone":
        # Asked for by every task on pairs, and by one name: it is the same for all of them.
        choices["pair_order"] = trial.suggest_categorical("pairs.order", ["given", "both"])
        if encoding == "bi":
            features = trial.suggest_categorical(f"{part_of(task)}.pair_features", ["concat", "difference", "product"])
            choices["pair_features"] = features
    return choices


def draw_loss(trial: BaseTrial, task: Task, cosine: str) -> dict[str, Any]:
    """What a task is trained to: of the losses that fit its labels, those that fit its output."""
    match task.label, cosine:
        case Binary(), "alone":
            return {"loss": "cosine_embedding"}
        case Binary(), "added":  # which takes one logit
            return {"loss": "bce"}
        case Number(low=low, high=high), "alone":
            loss = trial.suggest_categorical(f"{part_of(task)}.cosine_loss", ["mse", "mae", "cosine_embedding"])
            if loss != "cosine_embedding":
                return {"loss": loss}
            threshold = trial.suggest_float(
                f"{part_of(task)}.threshold", 0.7 * low + 0.3 * high, 0.3 * low + 0.7 * high
            )
            return {"loss": loss, "threshold": threshold}
    losses = losses_for(task)
    return {"loss": losses[0] if len(losses) == 1 else trial.suggest_categorical(f"{part_of(task)}.loss", losses)}


def draw_sharing(trial: BaseTrial, tasks: dict[str, TaskConfig]) -> SharingConfig | None:
    """Which task's head hears which other one. Edges go down the list of tasks, from simple to complex, as Grudzinski
    has it, who sees no sense in the other direction; so none can lead back."""
    names = list(tasks)
    pairs = [(names[i], names[j]) for j in range(len(names)) for i in range(j)]
    possible = [(up, down) for up, down in pairs if can_hear(tasks[down], tasks[up])]
    pairs = [(up, down) for up, down in possible if trial.suggest_categorical(edge_name(up, down), [True, False])]
    if not pairs:
        return None
    choices: dict[str, Any] = {"gradient_scale": trial.suggest_float("sharing.gradient_scale", 0.0, 1.0, step=0.25)}
    if all(tasks[up].task_layers > 1 for up, _ in pairs):
        choices["signal"] = trial.suggest_categorical("sharing.signal", ["logits", "hidden"])
    edges = tuple(EdgeConfig(upstream=up, downstream=down, **choices) for up, down in pairs)
    fusion: Any = trial.suggest_categorical("sharing.fusion", ["concat", "attention"])
    return SharingConfig(edges=edges, fusion=fusion)


def edge_name(up: str, down: str) -> str:
    """What an edge's parameter is called. Where a_to_b_to_c may be two edges, dots, which no task's name has, tell them
    apart."""
    name = f"{up}_to_{down}"
    return f"sharing.{name}" if name.find("_to_") == name.rfind("_to_") else f"sharing.{up}.to.{down}"


def can_hear(task: TaskConfig, upstream: TaskConfig) -> bool:
    """Whether `task` has a head to hear with, and what the head of `upstream` reads."""
    return task.cosine != "alone" and (upstream.pair_encoding != "bi" or task.pair_encoding == "bi")


# Optimization --------------------------------------------------------------------------------------------------------


def draw_optimization(trial: BaseTrial, problem: Problem, encoder: EncoderConfig, technique: str) -> OptimizationConfig:
    """Step sizes and steps, and how the tasks share them."""
    choices: dict[str, Any] = {
        "schedule": trial.suggest_categorical("optimization.schedule", ["linear", "cosine", "exponential", "constant"]),
        "weight_decay": trial.suggest_categorical("optimization.weight_decay", [0.0, 0.01]),
        "batch_size": trial.suggest_categorical("optimization.batch_size", [8, 16, 32]),
        "max_grad_norm": trial.suggest_categorical("optimization.max_grad_norm", [None, 1.0]),
        "averaged_epochs": trial.suggest_int("optimization.averaged_epochs", 1, 2),
    }
    if choices["schedule"] == "exponential":
        choices["decay"] = trial.suggest_float("optimization.decay", 0.5, 0.95)
    elif choices["schedule"] != "constant":
        choices["warmup"] = trial.suggest_float("optimization.warmup", 0.0, 0.2)
    choices |= draw_step_sizes(trial, problem, encoder)
    if len(problem.tasks) > 1:
        choices |= draw_turns(trial, technique)
    return OptimizationConfig(**choices)


def draw_step_sizes(trial: BaseTrial, problem: Problem, encoder: EncoderConfig) -> dict[str, Any]:
    """Of what was pretrained, as far as it is trained, and of what starts anew, which takes larger steps."""
    trained = problem.num_layers - encoder.removed_layers - encoder.freeze_depth
    choices: dict[str, Any] = {}
    if trained > 1 or encoder.freeze_depth == 0:
        choices["layer_decay"] = trial.suggest_categorical("optimization.layer_decay", [1.0, 0.9])
    if trained:
        # Narrow encoders want larger steps: up to 2e-4 for BERT-base (768 wide), up to 1.6e-3 for one 96 wide.
        highest = 2e-4 * max(1.0, 768 / problem.hidden_size)
        learning_rate = trial.suggest_float("optimization.learning_rate", 1e-5, highest, log=True)
    elif encoder.pooling == "pooler":  # one layer, just below the heads
        learning_rate = trial.suggest_float("optimization.pooler_learning_rate", 1e-4, 1e-2, log=True)
    else:
        return {"head_learning_rate": trial.suggest_float("optimization.head_learning_rate", 1e-4, 1e-2, log=True)}
    factor = trial.suggest_float("optimization.head_factor", 1.0, 30.0, log=True)
    return choices | {"learning_rate": learning_rate, "head_learning_rate": factor * learning_rate}


def draw_turns(trial: BaseTrial, technique: str) -> dict[str, Any]:
    """How several tasks share the steps, and whose gradient counts how much."""
    if technique == "gradient_surgery":  # of tasks that step together
        return {"tasks_per_step": "all", "gradient_surgery": True}
    tasks_per_step = trial.suggest_categorical("optimization.tasks_per_step", ["one", "all"])
    choices: dict[str, Any] = {"tasks_per_step": tasks_per_step}
    if technique == "uncertainty":
        choices["task_weighting"] = "uncertainty"
    if tasks_per_step == "one":
        mixes = ["in_turn", "proportional", "square_root", "annealed"]
        choices["task_mix"] = trial.suggest_categorical("optimization.task_mix", mixes)
    return choices


# The points are tried first, in their order, so that the search starts from what is known and the winner is measured
# against it. Each is a list of wishes: for parameters by their names above, and for those of a task by its kind, the
# later kinds below going before the earlier ones. What is not asked for with the rest of a point, or of tasks like
# these, is left out of it; a parameter that a point leaves open would be drawn by the sampler.

KINDS = ("task", "single", "pair", "classes", "binary", "number", "classes_pair", "binary_pair", "number_pair")


def points(problem: Problem) -> dict[str, dict[str, Any] | str]:
    """Configurations to try first, or why one has no place in this problem."""
    found: dict[str, dict[str, Any] | str] = {}
    for name, wished in POINTS_BY_KIND.items():
        technique = wished.get("technique.name")
        if technique is not None and technique not in possible_techniques(problem):
            found[name] = f"with these tasks and this encoder there is no {technique}"
            continue
        trial = FixedTrial(of_tasks(wished, problem))
        config, params = space(trial, problem), trial.params
        same = next((other for other, known in found.items() if known == params), None)
        if technique == "sharing" and config.sharing is None:
            found[name] = "none of these tasks can hear another one"
        else:
            found[name] = params if same is None else f"with these tasks the same as {same}"
    return found


def of_tasks(wished: dict[str, Any], problem: Problem) -> dict[str, Any]:
    """Wishes for tasks by their kind as wishes for the problem's own tasks."""
    by_kind = {kind: part for kind in KINDS if (part := _part(wished, kind))}
    own = {name: value for name, value in wished.items() if name.partition(".")[0] not in KINDS}
    for task in problem.tasks:
        sentences = "pair" if task.is_pair else "single"
        kinds = {"task", sentences, task.kind, f"{task.kind}_{sentences}"}
        for part in (by_kind[kind] for kind in by_kind if kind in kinds):
            own |= {f"{part_of(task)}.{name}": value for name, value in part.items()}
    names = [task.name for task in problem.tasks]
    return own | {edge_name(up, down): True for up in names for down in names}


def _part(wished: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name.removeprefix(f"{kind}."): value for name, value in wished.items() if name.startswith(f"{kind}.")}


def varied(base: dict[str, Any], **changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with changes by the first part of the name."""
    return base | {f"{part}.{name}": value for part, values in changes.items() for name, value in values.items()}


COURSE: dict[str, Any] = varied(
    # The course's plain multitask minBERT: all of it trained, one linear layer for each task on the pooler's output.
    {},
    technique={"on": False},
    encoder={"pooling": "pooler", "dropout": 0.1},
    head={"depth": "linear", "dropout": 0.3},
    pairs={"order": "given"},
    task={"weight": 1.0},
    binary={"loss": "bce"},
    number={"loss": "mse"},
    pair={"pair_encoding": "bi", "cosine": "none", "ranking_weight": 0.0, "pair_features": "concat"},
    optimization={
        "learning_rate": 1e-5,
        "head_factor": 1.0,
        "layer_decay": 1.0,
        "schedule": "constant",
        "weight_decay": 0.0,
        "batch_size": 8,
        "max_grad_norm": None,
        "averaged_epochs": 1,
        "tasks_per_step": "one",
        "task_mix": "proportional",
    },
)
CROSS_ENCODED = {"pair_encoding": "cross"}
SENTENCE_BERT = varied(
    COURSE,
    encoder={"pooling": "mean"},
    head={"dropout": 0.1},
    pair={"pair_features": "product"},
    binary_pair={"cosine": "added"},
    number_pair={"cosine": "alone", "cosine_loss": "mse"},
    optimization={
        "learning_rate": 1e-4,
        "head_factor": 10.0,
        "schedule": "linear",
        "warmup": 0.1,
        "weight_decay": 0.01,
        "batch_size": 16,
        "max_grad_norm": 1.0,
        "task_mix": "square_root",
    },
)
CROSS_AND_BI_ENCODER = varied(SENTENCE_BERT, classes_pair=CROSS_ENCODED, binary_pair=CROSS_ENCODED)
DEEP = {
    "depth": "deep",
    "common_layers": 0,
    "pooled_layer_norm": False,
    "output_dropout": 0.0,
    "width": "same",
    "layer_norm": False,
}
"""What is asked of the heads where one may have hidden layers."""


def task_layers(count: int) -> dict[str, Any]:
    """Heads of `count` layers of a task's own, with the activation of all heads."""
    return {"task_layers": count, "activation": None}


FROZEN = varied(  # Pandey and Narayan's baseline
    COURSE, optimization={"pooler_learning_rate": 1e-3, "task_mix": "in_turn"}
)

POINTS_BY_KIND: dict[str, dict[str, Any]] = {
    # Each sentence by itself, the mean of its tokens, and the cosine of the two, which a pretrained sentence encoder
    # has right from the start. (Reimers and Gurevych 2019; Naeem, 4; Jetty, 4.2)
    "sentence-bert": SENTENCE_BERT,
    # The same in more and larger steps, for encoders smaller than BERT-base.
    "sentence-bert-fast": varied(
        SENTENCE_BERT, optimization={"learning_rate": 2e-4, "head_factor": 25.0, "batch_size": 8}
    ),
    # Where words must be held against words, both sentences of a pair are read in one sequence.
    "cross-and-bi-encoder": CROSS_AND_BI_ENCODER,
    "cross-encoder": varied(CROSS_AND_BI_ENCODER, number_pair=CROSS_ENCODED),
    # The papers' final configurations, and the techniques of the one that has none, as spaces/papers.py has them under
    # the same names; and at the end what all of them start from. What a paper does for sentiment, paraphrase and
    # similarity is done for single sentences, binary pairs and numbers of pairs.
    "jetty-final": varied(
        COURSE,
        technique={"on": True, "name": "layer_drop"},
        layer_drop={"probability": 0.15, "growth": "uniform"},
        head={**DEEP, "common_layers": 1, "activation": "identity"},
        task=task_layers(1),
        pair=CROSS_ENCODED,
    ),
    "gamarra-udash-final": varied(
        COURSE,
        head={**DEEP, "activation": "identity", "dropout": 0.5},
        task=task_layers(3),
        number_pair=CROSS_ENCODED,
        optimization={"batch_size": 32, "schedule": "exponential", "decay": 0.9},
    ),
    "grudzinski-final": varied(
        COURSE,
        technique={"on": True, "name": "sharing"},
        head={**DEEP, "pooled_layer_norm": True, "activation": "relu", "dropout": 0.0, "output_dropout": 0.3},
        task=task_layers(2),
        sharing={"signal": "logits", "gradient_scale": 0.0, "fusion": "concat"},
    ),
    "naeem-final": varied(
        COURSE,
        head={**DEEP, "layer_norm": True, "activation": "relu", "dropout": 0.4},
        task=task_layers(3),
        single={"activation": "identity"},
        pair={"cosine": "added"},
        optimization={"batch_size": 16, "tasks_per_step": "all"},
    ),
    "pandey-narayan-adapter-feed-forward": varied(
        FROZEN,
        technique={"on": True, "name": "adapter"},
        adapter={
            "trainable": "none",
            "modules": "bottleneck_and_lhuc",
            "place": "after_feed_forward",
            "bottleneck_size": 64,
            "per_task": True,
        },
    ),
    "pandey-narayan-smart": varied(
        FROZEN,
        technique={"on": True, "name": "smart"},
        smart={"trainable": "none", "parts": "both", "moves": "tiny", "weight": 1.0, "proximal_weight": 1.0},
    ),
    "course-baseline": COURSE,
}
