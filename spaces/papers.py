"""The configurations of five reports on Stanford's CS224N default project, each as its text has it:

- Adrian Gamarra Lafuente and Avi Udash: Effects of Appropriate Modeling of Tasks and Hyperparameters on Downstream
  Tasks
- Nathaniel Grudzinski: Progressive Layer Sharing on BERT
- Karthik Jetty: Using Stochastic Layer Dropping as a Regularization Tool to Improve Downstream Prediction Accuracy
- Aqil Naeem: Multitask BERT: Exploration and Extension
- Arjun Pandey and Neel Narayan: Investigating BERT through Fine-Tuned Regularization and Layer-Level Adaptations for
  Multi-Task Performance

One trial for each, and none is stopped early: these are comparisons, not a search.

    python -m search.run --space spaces/papers.py --trials 20 --no-early-stopping

Beside the papers' own configurations stand counterparts that differ from one of them in one thing, so that what a paper
found can be measured. Numbers in the comments are a paper's sections.

All five extend the course's code, so where a text is silent the course's default stands (`course` below): one step size
for encoder and heads, no weight decay, no clipping of gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import optuna

from model.config import (
    AdapterConfig,
    BottleneckPlace,
    EdgeConfig,
    EncoderConfig,
    HeadConfig,
    OptimizationConfig,
    ProximalConfig,
    Schedule,
    SharingConfig,
    SmartConfig,
    TaskConfig,
    TaskMix,
    TasksPerStep,
    TrialConfig,
)
from model.problem import Problem

# The course's code, and what its handout says of the three tasks ----------------------------------------------------

BERT = EncoderConfig(pooling="pooler", hidden_dropout=0.1, attention_dropout=0.1)
"""All of it trained, with the dropout it was pretrained with. The course's `--hidden_dropout_prob` 0.3 is that of the
heads: BERT is read with its own configuration."""

HEADS = HeadConfig(dropout=0.3)
"""Dropout and one linear layer a task."""

SENTIMENT = TaskConfig(loss="cross_entropy")
PARAPHRASE = TaskConfig(pair_encoding="bi", pair_features="concat", loss="bce")
SIMILARITY = TaskConfig(pair_encoding="bi", pair_features="concat", loss="mse")
"""Pairs: each sentence by itself, the two vectors one after the other."""


def adamw(
    learning_rate: float = 1e-5,
    *,
    batch_size: int = 8,
    schedule: Schedule = "constant",
    tasks_per_step: TasksPerStep = "one",
    task_mix: TaskMix = "proportional",
) -> OptimizationConfig:
    """The course's optimizer. A step is a batch of one task, and an epoch goes once through each task's set, as the
    course's loop goes through that of sentiment: in proportion to the sets."""
    return OptimizationConfig(
        learning_rate=learning_rate,
        head_learning_rate=learning_rate,
        batch_size=batch_size,
        schedule=schedule,
        weight_decay=0.0,
        max_grad_norm=None,
        tasks_per_step=tasks_per_step,
        task_mix=task_mix,
    )


def course(
    *,
    encoder: EncoderConfig = BERT,
    head: HeadConfig = HEADS,
    sentiment: TaskConfig = SENTIMENT,
    paraphrase: TaskConfig = PARAPHRASE,
    similarity: TaskConfig = SIMILARITY,
    optimization: OptimizationConfig | None = None,
) -> TrialConfig:
    """The course's plain multitask minBERT, but for what is given."""
    return TrialConfig(
        encoder=encoder,
        head=head,
        tasks={"sentiment": sentiment, "paraphrase": paraphrase, "similarity": similarity},
        optimization=optimization or adamw(),
    )


def course_baseline(problem: Problem) -> TrialConfig:
    """What two papers start from: Jetty's multitask model (4.1 and table 2; 5.3: step size 1e-5) and Naeem's milestone,
    "with default parameters" and in finetune mode (Naeem, 5.3 and 5.4).

    (Jetty's table 1 is trained on sentiment alone, and his 4.1 gives the formulas of paraphrase and sentiment in the
    other's place. Naeem's "cross entropy loss" for all tasks, 4, can only be binary cross entropy where a cosine is
    added to one logit; for numbers it is the course's mse.)"""
    return course(optimization=adamw(1e-5))


def with_pairs(config: TrialConfig, paraphrase: TaskConfig, similarity: TaskConfig) -> TrialConfig:
    """`config` with other parts for the tasks on pairs."""
    return replace(config, tasks={**config.tasks, "paraphrase": paraphrase, "similarity": similarity})


# Gamarra Lafuente and Udash -----------------------------------------------------------------------------------------


def top_layers_trained(problem: Problem, count: int) -> EncoderConfig:
    """BERT with only its `count` top layers and the pooler trained (5.3.1); all of it where it has no more layers."""
    return replace(BERT, freeze_depth=max(0, problem.num_layers - count))


def gamarra_udash_baseline(problem: Problem) -> TrialConfig:
    """4: what their experiments start from."""
    return course(
        encoder=top_layers_trained(problem, 2),  # "frozen, apart from the top 2 BERT layers and the final pooling"
        head=HeadConfig(common_layers=1, activation="identity", dropout=0.3),  # "a common dropout and a common linear"
        similarity=TaskConfig(pair_encoding="cross", loss="mse"),  # the "second iteration"; 5.2: mean squared error
        optimization=adamw(2e-5, batch_size=32, schedule="exponential"),  # "an exponential decay of 0.9"
    )


def gamarra_udash_similarity_apart(problem: Problem) -> TrialConfig:
    """4: similarity's "first iteration", the same approach as for paraphrase."""
    return with_pairs(gamarra_udash_baseline(problem), PARAPHRASE, SIMILARITY)


def gamarra_udash_unfrozen(problem: Problem) -> TrialConfig:
    """5.3.1: "a model that was completely unfrozen"."""
    return replace(gamarra_udash_baseline(problem), encoder=BERT)


def gamarra_udash_task_layers(problem: Problem) -> TrialConfig:
    """5.3.4, the third configuration: the baseline, "no common layer + three task-specific layers per task"."""
    return with_linear_heads(gamarra_udash_baseline(problem), common=0, own=3)


def with_linear_heads(config: TrialConfig, common: int, own: int) -> TrialConfig:
    """`config` with `common` layers that all tasks share and `own` layers of each, the output layer among them, after
    dropout of 0.3: "simple linear layers" (5.3.4), without an activation."""
    head = HeadConfig(common_layers=common, activation="identity", dropout=0.3)
    return replace(
        config,
        head=head if common or own > 1 else HeadConfig(dropout=0.3),  # without a hidden layer, without an activation
        tasks={name: replace(task, task_layers=own) for name, task in config.tasks.items()},
    )


def gamarra_udash_fine_tuned(problem: Problem) -> TrialConfig:
    """5.4.5 and 6: the "solely fine-tuned model" that the final one is compared with. It had "no common layer"; all
    else is not said: the baseline's settings, with nothing frozen, as in the final model."""
    return with_linear_heads(gamarra_udash_unfrozen(problem), common=0, own=1)


def gamarra_udash_final(problem: Problem) -> TrialConfig:
    """5.3.5. The text does not say what is frozen: nothing here. That was the best of experiment 1; they froze for
    speed (6)."""
    return course(
        head=HeadConfig(common_layers=0, activation="identity", dropout=0.5),
        sentiment=TaskConfig(task_layers=3),
        paraphrase=replace(PARAPHRASE, task_layers=3),
        similarity=TaskConfig(pair_encoding="cross", task_layers=3, loss="mse"),
        optimization=adamw(1e-5, batch_size=32, schedule="exponential"),
    )


# Grudzinski ---------------------------------------------------------------------------------------------------------


def grudzinski_baseline(problem: Problem) -> TrialConfig:
    """4: "pooler output, fully connected layer, ReLU, another fully connected layer"; 5.3, column Finetune; 5.1: each
    set once an epoch, 17688, 1068 and 755 batches of 8."""
    return course(
        head=HeadConfig(activation="relu", dropout=0.3),
        sentiment=replace(SENTIMENT, task_layers=2),
        paraphrase=replace(PARAPHRASE, task_layers=2),
        similarity=replace(SIMILARITY, task_layers=2),
        optimization=adamw(1e-5, batch_size=8),
    )


def sharing_graph(*edges: tuple[str, str], gradient_scale: float = 0.0) -> SharingConfig:
    """4: outputs of one task "concatenated" to what the next one reads. By default it "freezes the weights" of what
    it imports."""
    return SharingConfig(
        edges=tuple(
            EdgeConfig(upstream=upstream, downstream=downstream, signal="logits", gradient_scale=gradient_scale)
            for upstream, downstream in edges
        ),
        fusion="concat",
    )


ALL_EDGES = (("sentiment", "paraphrase"), ("sentiment", "similarity"), ("paraphrase", "similarity"))


def grudzinski_final(problem: Problem) -> TrialConfig:
    """4: LayerNorm on the pooler output, the sharing graph, and "a final dropout layer" after the last linear one. That
    layer is the only dropout which the text names in the final model, so 5.3's rate is its rate."""
    return replace(
        grudzinski_baseline(problem),
        head=HeadConfig(pooled_layer_norm=True, activation="relu", dropout=0.0, output_dropout=0.3),
        sharing=sharing_graph(*ALL_EDGES),
    )


def grudzinski_no_edges(problem: Problem) -> TrialConfig:
    """The final model without the sharing graph, which the paper has not: what the graph does by itself."""
    return replace(grudzinski_final(problem), sharing=None)


def grudzinski_free_edges(problem: Problem) -> TrialConfig:
    """5.1 and 6: before the weights of imported tasks were frozen."""
    return replace(grudzinski_final(problem), sharing=sharing_graph(*ALL_EDGES, gradient_scale=1.0))


# Jetty --------------------------------------------------------------------------------------------------------------


def jetty_regularized(problem: Problem) -> TrialConfig:
    """4.3, 4.5 and table 3: each layer skipped with probability 0.15, and a fully connected layer which all tasks share
    (no activation is named)."""
    return replace(
        course_baseline(problem),
        encoder=replace(BERT, layer_drop=0.15, layer_drop_growth="uniform"),
        head=HeadConfig(common_layers=1, activation="identity", dropout=0.3),
    )


def jetty_final(problem: Problem) -> TrialConfig:
    """4.5.1 and table 4: both sentences in one sequence, for paraphrase and (the text slips: "the Sentiment Task")
    similarity."""
    return with_pairs(
        jetty_regularized(problem),
        TaskConfig(pair_encoding="cross", loss="bce"),
        TaskConfig(pair_encoding="cross", loss="mse"),
    )


# Naeem --------------------------------------------------------------------------------------------------------------


def naeem_without_cosine(problem: Problem) -> TrialConfig:
    """The course's model with batches of 16 and dropout 0.4, as all extensions were measured (5.4). The paper itself
    compares them with its milestone, which has other parameters; here the cosine is the only difference."""
    return course(head=HeadConfig(dropout=0.4), optimization=adamw(1e-5, batch_size=16))


def naeem_cosine(problem: Problem) -> TrialConfig:
    """5.4, Implementation of Cosine Similarity: added to the output of the tasks on pairs, times 5 for similarity."""
    return with_pairs(
        naeem_without_cosine(problem), replace(PARAPHRASE, cosine="added"), replace(SIMILARITY, cosine="added")
    )


def naeem_final(problem: Problem) -> TrialConfig:
    """4 and 5.4: twice linear, LayerNorm and dropout, for pairs with ReLU, then a linear layer and the cosine; the
    losses of all three tasks summed; batches of 16, dropout 0.4, step size 1e-5."""
    return course(
        head=HeadConfig(activation="relu", layer_norm=True, dropout=0.4),
        sentiment=replace(SENTIMENT, task_layers=3, activation="identity"),
        paraphrase=replace(PARAPHRASE, task_layers=3, cosine="added"),
        similarity=replace(SIMILARITY, task_layers=3, cosine="added"),
        # "Training Loop Design": until the biggest set is through, a batch of each a step.
        optimization=adamw(1e-5, batch_size=16, tasks_per_step="all"),
    )


# Pandey and Narayan -------------------------------------------------------------------------------------------------


def pandey_narayan_baseline(problem: Problem) -> TrialConfig:
    """4.2: step size 1e-3, batches of 8, dropout 0.3, for every model. The encoder is frozen, and its pooler with the
    heads is trained. The text is of two minds: "fine-tuned" (abstract), but 1e-3 is the course's rate for a frozen
    encoder, ruins a BERT that is trained with it, and their adapters work "by freezing previous parameters" (4.4); the
    scores of table 1 are near those of a frozen encoder too. Quora was cut to 10,000 rows (4.1), which makes the sets
    about equal: the tasks in turn."""
    return course(
        encoder=replace(BERT, freeze_depth=problem.num_layers),
        optimization=adamw(1e-3, batch_size=8, task_mix="in_turn"),
    )


SMOOTHNESS = SmartConfig(weight=1.0, noise=1e-5, epsilon=1e-6, step_size=1e-3)
"""3.3: "noise perturbation" 1e-5, and 1e-6 for the "fine-tuning epsilon parameter". That is taken for Jiang et al.'s
epsilon, the furthest move. But 3.1.1 says the same words of lambda, the weight of the term, which at 1e-6 would switch
SMART off. Weight and step are not given: Jiang et al.'s."""
PROXIMAL = ProximalConfig(weight=1.0, momentum=0.99)
"""Nothing of it is given: Jiang et al.'s."""


def pandey_narayan_smart(problem: Problem) -> TrialConfig:
    """3.1: both parts of SMART."""
    return replace(pandey_narayan_baseline(problem), smart=SMOOTHNESS, proximal=PROXIMAL)


def with_adapters(problem: Problem, place: BottleneckPlace) -> TrialConfig:
    """3.2 and 3.3: bottlenecks 64 wide "to retain task-specific information" and LHUC, in all layers of a frozen
    encoder."""
    config = pandey_narayan_baseline(problem)
    adapter = AdapterConfig(bottleneck=place, bottleneck_size=64, lhuc=True, per_task=True, layers="all")
    return replace(config, encoder=replace(config.encoder, adapter=adapter))


# Which of these two is the paper's "adaptbefore", the good one, and which its "adaptafter" is not said. By 3.2 and the
# names, figure 1 is before LayerNorm and figure 2 after it. By 4.3, "the model corresponding to Fig. 1" was left out of
# the analysis, which praises "adaptbefore" (4.4): that would be figure 2. So they are called by their place.


def pandey_narayan_adapter_feed_forward(problem: Problem) -> TrialConfig:
    """3.2, figure 1: straight after the feed-forward layer."""
    return with_adapters(problem, "after_feed_forward")


def pandey_narayan_adapter_layer_norm(problem: Problem) -> TrialConfig:
    """3.2, figure 2: after the LayerNorm."""
    return with_adapters(problem, "after_layer_norm")


# The space ----------------------------------------------------------------------------------------------------------

CONFIGURATIONS: dict[str, Callable[[Problem], TrialConfig]] = {
    "course-baseline": course_baseline,
    "gamarra-udash-baseline": gamarra_udash_baseline,
    "gamarra-udash-similarity-apart": gamarra_udash_similarity_apart,
    "gamarra-udash-unfrozen": gamarra_udash_unfrozen,
    "gamarra-udash-task-layers": gamarra_udash_task_layers,
    "gamarra-udash-fine-tuned": gamarra_udash_fine_tuned,
    "gamarra-udash-final": gamarra_udash_final,
    "grudzinski-baseline": grudzinski_baseline,
    "grudzinski-no-edges": grudzinski_no_edges,
    "grudzinski-final": grudzinski_final,
    "grudzinski-free-edges": grudzinski_free_edges,
    "jetty-regularized": jetty_regularized,
    "jetty-final": jetty_final,
    "naeem-without-cosine": naeem_without_cosine,
    "naeem-cosine": naeem_cosine,
    "naeem-final": naeem_final,
    "pandey-narayan-baseline": pandey_narayan_baseline,
    "pandey-narayan-smart": pandey_narayan_smart,
    "pandey-narayan-adapter-feed-forward": pandey_narayan_adapter_feed_forward,
    "pandey-narayan-adapter-layer-norm": pandey_narayan_adapter_layer_norm,
}


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """One of the papers' configurations."""
    return CONFIGURATIONS[trial.suggest_categorical("configuration", list(CONFIGURATIONS))](problem)


POINTS = {name: {"configuration": name} for name in CONFIGURATIONS}
