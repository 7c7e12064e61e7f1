"""TrialConfig: everything that defines a trial, apart from what a run fixes (tasks, encoder, budget, seed).

Frozen dataclasses, checked where they are made (`model.checked`). A technique is off by default. Where it has settings
of its own they stand in a part of their own, which is None while it is off. A field that cannot have any effect in its
configuration must keep its default, so that two configurations that train alike also read alike, and nobody believes
to have varied something that was never used.

What only a run knows (which tasks there are, how many layers the encoder has) is checked by `model.problem`.
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model.checked import Checked, number

Pooling = Literal["pooler", "mean"]
Removal = Literal["top", "alternate", "symmetric", "bottom"]
LayerDropGrowth = Literal["uniform", "depth", "time"]
BottleneckPlace = Literal["after_feed_forward", "after_layer_norm"]
AdaptedLayers = Literal["all", "trainable"]
Activation = Literal["identity", "relu", "gelu", "tanh"]
PairEncoding = Literal["cross", "bi"]
PairOrder = Literal["given", "both"]
PairFeatures = Literal["concat", "difference", "product"]
Cosine = Literal["none", "added", "alone"]
Loss = Literal["cross_entropy", "bce", "mse", "mae", "cosine_embedding"]
Signal = Literal["logits", "hidden"]
Fusion = Literal["concat", "attention"]
TaskMix = Literal["in_turn", "proportional", "square_root", "annealed"]
TasksPerStep = Literal["one", "all"]
TaskWeighting = Literal["fixed", "uncertainty"]
Schedule = Literal["constant", "exponential", "linear", "cosine"]
Norm = Literal["linf", "l2"]


@dataclass(frozen=True, kw_only=True)
class AdapterConfig(Checked):
    """Small trained modules inside the encoder's layers; at least one kind of them. With every layer frozen this is
    parameter-efficient tuning. (Pandey and Narayan, 3.2)"""

    bottleneck: BottleneckPlace | None = None
    """Down to `bottleneck_size`, GELU, up again, with a skip connection: on the feed-forward's output before its skip
    connection, or on the layer's output after its LayerNorm. (Houlsby et al. 2019; Pandey and Narayan, 3.2, figures 1
    and 2)"""
    bottleneck_size: int = number(64, 1, 4096)
    """Width of the bottleneck. (Pandey and Narayan, 3.3)"""
    pal_size: int = number(0, 0, 4096)
    """Width of projected attention layers, a multiple of the encoder's attention heads; 0: none. (Stickland and Murray
    2019, equation 5: 204 for BERT-base)"""
    lhuc: bool = False
    """Learned scales, 0 to 2, of the feed-forward's hidden units. (Swietojanski and Renals 2014; Pandey and Narayan,
    3.2)"""
    per_task: bool = True
    """Each task its own, or one for all."""
    layers: AdaptedLayers = "all"
    """In every layer, or above the frozen ones only. In every layer, the frozen prefix ends at the embeddings."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bottleneck is None:
            self.refuse_without_effect("bottleneck_size", "without a bottleneck")
            if not self.pal_size and not self.lhuc:
                raise ValueError("AdapterConfig has no effect without any of bottleneck, pal_size and lhuc")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(Checked):
    """How the pretrained encoder is fine-tuned and read."""

    removed_layers: int = number(0, 0, 95)
    """Layers taken out for good before fine-tuning. What is said of layers elsewhere is of those that remain. (Sajjad
    et al. 2023)"""
    removal: Removal = "top"
    """Which of them: the highest; every second one, from the second-highest down; those in the middle; the lowest.
    (Sajjad et al. 2023, figure 1)"""
    freeze_depth: int = number(0, 0, 96)
    """Layers that stay as pretrained, counted from the bottom; from 1 on the embeddings too. The encoder's `num_layers`
    leaves the pooler and the heads to train. (Gamarra Lafuente and Udash, 5.3.1)"""
    branch_layers: int = number(0, 0, 96)
    """Layers at the top of which each task has its own copy, and with them the pooler."""
    hidden_dropout: float = number(0.1, 0, 0.9)
    """Probability of dropping a hidden unit, above the frozen prefix. (Gamarra Lafuente and Udash, 5.3.3)"""
    attention_dropout: float = number(0.1, 0, 0.9)
    """Probability of dropping an attention weight, above the frozen prefix."""
    layer_drop: float = number(0.0, 0, 0.9)
    """Probability of skipping a whole layer in a training step, above the frozen prefix. (Jetty, 4.3: 0.15)"""
    layer_drop_growth: LayerDropGrowth = "uniform"
    """`uniform`: the same for all layers, all the time; `depth`: from 1/L of it for the lowest of L layers to all of it
    for the highest (Huang et al. 2016); `time`: as `depth`, and from 0 up as training goes on (Zhang and He 2020)."""
    adapter: AdapterConfig | None = None
    """Small trained modules inside the layers; None: none."""
    pooling: Pooling = "pooler"
    """What stands for a sequence: the pooler's output (a dense layer with tanh on [CLS]; Devlin et al. 2019), or the
    mean over the last layer's tokens (Reimers and Gurevych 2019)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.removed_layers == 0:
            self.refuse_without_effect("removal", "with removed_layers = 0")
        if self.layer_drop == 0:
            self.refuse_without_effect("layer_drop_growth", "with layer_drop = 0")
        if self.adapter is not None and self.freeze_depth == 0:
            self.adapter.refuse_without_effect("layers", "with freeze_depth = 0: all layers are trainable")

    @property
    def prefix_depth(self) -> int:
        """Layers of the frozen prefix: what lies below them all, and they themselves, is never trained."""
        return 0 if self.adapter is not None and self.adapter.layers == "all" else self.freeze_depth


@dataclass(frozen=True, kw_only=True)
class HeadConfig(Checked):
    """The layers between the pooled output and the predictions. A hidden layer is dropout, linear, LayerNorm,
    activation; an output layer is dropout and linear. (Naeem's order of dropout before ReLU comes to the same.)"""

    pooled_layer_norm: bool = False
    """LayerNorm on the pooled output. (Grudzinski, 4)"""
    common_layers: int = number(0, 0, 9)
    """Hidden layers that all tasks share. (Gamarra Lafuente and Udash, 5.3.4; Jetty, 4.5)"""
    width: int | None = number(None, 1, 8192)
    """Units of every hidden layer; None: the encoder's hidden size."""
    activation: Activation = "relu"
    """After each hidden layer. (Naeem, 4: ReLU; Gamarra Lafuente and Udash: identity)"""
    layer_norm: bool = False
    """LayerNorm inside each hidden layer. (Naeem, 4)"""
    dropout: float = number(0.1, 0, 0.9)
    """Probability of dropping a unit before each linear layer of the heads. (Naeem, 4)"""
    output_dropout: float = number(0.0, 0, 0.9)
    """Probability of dropping a logit while training. (Grudzinski, 4: a dropout layer after the last linear one)"""


@dataclass(frozen=True, kw_only=True)
class TaskConfig(Checked):
    """What is particular to one task."""

    pair_encoding: PairEncoding | None = None
    """How a task on two sentences meets the encoder: `cross` as one sequence, [CLS] a [SEP] b [SEP]; `bi` each sentence
    by itself. None, and only None, for a task on one sentence. (Gamarra Lafuente and Udash, 4; Jetty, 4.5.1)"""
    pair_order: PairOrder = "given"
    """The two sentences in the order of the data; or `both`: in either order by chance while training, and the mean of
    the two in evaluation."""
    pair_features: PairFeatures = "concat"
    """What a bi-encoded pair u, v hands to the task's layers: u, v; with |u-v|; with |u-v| and u*v. (Reimers and
    Gurevych 2019, table 6)"""
    cosine: Cosine = "none"
    """The cosine of a bi-encoded pair: `added` to the output, or `alone`, without a head; times the upper end of the
    label's range (5 for similarity). (Naeem, 4; Jetty, 4.2)"""
    task_layers: int = number(1, 1, 9)
    """Layers of the task's own head, the output layer among them. (Gamarra Lafuente and Udash, 5.3.4)"""
    activation: Activation | None = None
    """After each hidden layer of the task's own; None: `HeadConfig.activation`. (Naeem, 4: none for sentiment)"""
    dropout: float | None = number(None, 0, 0.9)
    """Before each linear layer of the task's own; None: `HeadConfig.dropout`. (Grudzinski, 4)"""
    loss: Loss = "cross_entropy"
    """`cross_entropy` for classes and for binary labels (two logits), `bce` for binary labels (one logit), `mse` and
    `mae` for numbers; `cosine_embedding` for pairs of which only the cosine is read. (Jetty, 4.2 and 4.4)"""
    threshold: float = number(2.5, -1e6, 1e6)
    """Numbers above it count as similar in the cosine embedding loss, the others as dissimilar. (Jetty, 4.2)"""
    ranking_weight: float = number(0.0, 0, 1e3)
    """Factor on the multiple negatives ranking loss, which is added: of a bi-encoded pair that belongs together, each
    sentence has to find the other among the batch's. (Henderson et al. 2017; Naeem, 5.4)"""
    weight: float = number(1.0, 0, 1e6, above=True)
    """Factor on the task's loss. (Jetty, 4.4)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pair_encoding != "bi":
            for name in ("pair_features", "cosine", "ranking_weight"):
                self.refuse_without_effect(name, f"with pair_encoding = {self.pair_encoding!r}")
        if self.pair_encoding is None:
            self.refuse_without_effect("pair_order", "with pair_encoding = None")
        if self.cosine == "alone":
            for name in ("pair_order", "pair_features", "task_layers", "activation", "dropout"):
                self.refuse_without_effect(name, "with cosine = 'alone'")
            if self.loss not in ("mse", "mae", "cosine_embedding"):
                raise ValueError(
                    f"TaskConfig.loss = {self.loss!r}: allowed with cosine = 'alone' is one of 'mse', 'mae', "
                    "'cosine_embedding'"
                )
        if self.cosine == "added" and self.loss == "cross_entropy":
            raise ValueError(
                "TaskConfig.cosine = 'added': added to both logits of loss = 'cross_entropy' it has no effect; "
                "allowed is 'bce'"
            )
        if self.loss == "cosine_embedding" and self.cosine != "alone":
            raise ValueError(f"TaskConfig.cosine = {self.cosine!r}: allowed is 'alone', with loss = 'cosine_embedding'")
        if self.loss != "cosine_embedding":
            self.refuse_without_effect("threshold", f"with loss = {self.loss!r}")
        if self.task_layers == 1:
            self.refuse_without_effect("activation", "with task_layers = 1")


@dataclass(frozen=True, kw_only=True)
class EdgeConfig(Checked):
    """An edge of the sharing graph: the upstream task's head reads the downstream task's representation, and what it
    says there goes into the downstream task's head. (Grudzinski, 4)"""

    upstream: str
    """The task whose head is read."""
    downstream: str
    """The task that reads it."""
    signal: Signal = "logits"
    """What is handed on: the upstream head's logits, or what its output layer reads."""
    gradient_scale: float = number(0.0, 0, 1)
    """Factor on the gradient that flows back along the edge, to the upstream head and through it to the encoder. 0: the
    upstream head is frozen while the downstream task trains, which the paper found necessary; between 0 and 1: its
    future work (6 and 7)."""


@dataclass(frozen=True, kw_only=True)
class SharingConfig(Checked):
    """The sharing graph between the tasks. (Grudzinski, 4)"""

    edges: tuple[EdgeConfig, ...]
    """Any, as long as none leads back."""
    fusion: Fusion = "concat"
    """How a head takes its representation and the signals together: one after the other, or in a mean weighted by
    attention (Grudzinski, 7; Bi et al. 2022)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.edges:
            raise ValueError("SharingConfig.edges = (): allowed is at least one edge")
        pairs = [(edge.upstream, edge.downstream) for edge in self.edges]
        for pair in pairs:
            if pairs.count(pair) > 1:
                raise ValueError(f"SharingConfig.edges: {pair[0]} -> {pair[1]} stands there twice")
        self.order()

    def order(self) -> list[str]:
        """The tasks that the edges name, upstream ones first. Raises ValueError, naming the cycle, where there is
        none."""
        sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
        for edge in self.edges:
            sorter.add(edge.downstream, edge.upstream)
        try:
            return list(sorter.static_order())
        except graphlib.CycleError as error:
            cycle = " -> ".join(error.args[1])
            raise ValueError(f"SharingConfig.edges: a cycle, {cycle}; allowed is any graph without one") from None


@dataclass(frozen=True, kw_only=True)
class SmartConfig(Checked):
    """Smoothness-inducing adversarial regularization: the predictions must not change where the input of the first
    trainable layer is moved a little, in the direction that changes them most. (Jiang et al. 2020, equations 1 and 2;
    Pandey and Narayan, 3.1.1)"""

    weight: float = number(1.0, 0, 1e3, above=True)
    """Factor on the term: Jiang et al.'s lambda."""
    steps: int = number(1, 1, 10)
    """Ascent steps towards the worst direction; each costs a forward and a backward pass."""
    step_size: float = number(0.01, 0, 1e3, above=True)
    """Length of an ascent step, in the units of a hidden state. (Jiang et al.: 1e-3)"""
    noise: float = number(1e-3, 0, 1e3, above=True)
    """Standard deviation of the random move that the ascent starts from. (Pandey and Narayan, 3.3: 1e-5)"""
    epsilon: float = number(0.01, 0, 1e3, above=True)
    """The furthest that a token may be moved. (Pandey and Narayan, 3.3: 1e-6, at which the term is about 1e-9. Computed
    in half precision, a move below 0.01 drowns in rounding.)"""
    norm: Norm = "linf"
    """In which steps and moves are measured, token by token."""


@dataclass(frozen=True, kw_only=True)
class ProximalConfig(Checked):
    """Bregman proximal point optimization: the predictions must not go far from those of a teacher, the moving average
    of the weights so far. (Jiang et al. 2020, equations 3 and 4, the momentum variant; Pandey and Narayan, 3.1.2)"""

    weight: float = number(1.0, 0, 1e3, above=True)
    """Factor on the term: Jiang et al.'s mu."""
    momentum: float = number(0.99, 0, 1, above=True)
    """Share of itself that the teacher keeps in each step: Jiang et al.'s beta. 1: it stays where training began. (At 0
    it would be the model itself.)"""


@dataclass(frozen=True, kw_only=True)
class NoiseStabilityConfig(Checked):
    """Layer-wise noise stability regularization (LNSR): no layer's output must change much where the input of the first
    trainable layer is moved at random. (Hua et al. 2021, equation 3; Pandey and Narayan, 2.3)"""

    weight: float = number(1.0, 0, 1e6, above=True)
    """Factor on the term."""
    noise: float = number(0.05, 0, 1e3, above=True)
    """Standard deviation of the move, in the units of a hidden state."""


@dataclass(frozen=True, kw_only=True)
class OptimizationConfig(Checked):
    """AdamW (Loshchilov and Hutter 2019), and how the tasks share its steps."""

    learning_rate: float = number(2e-5, 0, 1, above=True)
    """Peak step size for the pretrained weights. (Gamarra Lafuente and Udash, 5.3.2)"""
    head_learning_rate: float = number(2e-5, 0, 1, above=True)
    """Peak step size for all that starts anew: heads, adapters, learned task weights."""
    layer_decay: float = number(1.0, 0, 1, above=True)
    """Factor on `learning_rate` for each layer further down from the top one. (Sun et al. 2019, 5.3.4: 0.95)"""
    schedule: Schedule = "constant"
    """`constant`; `exponential`: times `decay` after each epoch; `linear` and `cosine`: up over the share `warmup` of
    the trial's full budget, then down to 0 at its end, in a line or in half a wave (Loshchilov and Hutter 2017)."""
    decay: float = number(0.9, 0, 0.999, above=True)
    """Factor an epoch of the exponential schedule. (Gamarra Lafuente and Udash, 4)"""
    warmup: float = number(0.1, 0, 0.9)
    """Share of all steps over which the linear and the cosine schedule rise. (Devlin et al. 2019, A.2)"""
    weight_decay: float = number(0.0, 0, 1)
    """AdamW's decoupled decay; never on biases and LayerNorms."""
    batch_size: int = number(32, 1, 1024)
    """Examples of a task in a step. (Naeem, 5.4)"""
    max_grad_norm: float | None = number(1.0, 0, 1e6, above=True)
    """Gradients of a step are scaled down to this norm; None: never."""
    averaged_epochs: int = number(1, 1, 100)
    """The model of an epoch is the mean of the weights at the ends of the last so many epochs, or of all as long as
    there are fewer; training itself goes on from the last. (Izmailov et al. 2018)"""
    tasks_per_step: TasksPerStep = "one"
    """`one`: a step is a batch of one task; `all`: a batch of each, their losses summed, small sets begun anew as often
    as it takes. (Naeem, 4)"""
    task_mix: TaskMix = "proportional"
    """Share of an epoch's examples that a task gets: the same for all, taken in turn; in proportion to its training
    set; in proportion to the square root of it; or from the proportion of the sets in the first epoch to nearly equal
    shares in the last. (Stickland and Murray 2019, 4.1)"""
    task_weighting: TaskWeighting = "fixed"
    """Losses by `TaskConfig.weight`, or each by a learned uncertainty. (Kendall et al. 2018, equations 7 and 10)"""
    gradient_surgery: bool = False
    """Where the gradients of two tasks point against each other, each loses that component: PCGrad. (Yu et al. 2020,
    algorithm 1; Naeem, 5.4)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule != "exponential":
            self.refuse_without_effect("decay", f"with schedule = {self.schedule!r}")
        if self.schedule not in ("linear", "cosine"):
            self.refuse_without_effect("warmup", f"with schedule = {self.schedule!r}")
        if self.tasks_per_step == "all":
            self.refuse_without_effect("task_mix", "with tasks_per_step = 'all': each step has a batch of each task")
        else:
            self.refuse_without_effect("gradient_surgery", "with tasks_per_step = 'one'")


@dataclass(frozen=True, kw_only=True)
class TrialConfig(Checked):
    """One way to fine-tune the encoder for all tasks."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """What turns sentences into vectors."""
    head: HeadConfig = field(default_factory=HeadConfig)
    """What the tasks' heads have in common."""
    tasks: Mapping[str, TaskConfig]
    """By task name, exactly the problem's tasks."""
    sharing: SharingConfig | None = None
    """The sharing graph; None: no task reads what another one says."""
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    """How all of it is trained."""
    smart: SmartConfig | None = None
    """Smoothness-inducing adversarial regularization; None: none."""
    proximal: ProximalConfig | None = None
    """Bregman proximal point optimization; None: none. With `smart` it is the whole of SMART."""
    noise_stability: NoiseStabilityConfig | None = None
    """Layer-wise noise stability regularization; None: none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.tasks, Mapping) or not self.tasks:
            raise ValueError(f"TrialConfig.tasks = {self.tasks!r}: allowed is a mapping from task name to TaskConfig")
        for name, task in self.tasks.items():
            if not isinstance(task, TaskConfig):
                raise ValueError(f"TrialConfig.tasks[{name!r}] = {task!r}: allowed is TaskConfig(...)")
        self._check_heads()
        self._check_task_weights()
        if self.sharing is not None:
            for edge in self.sharing.edges:
                self._check_edge(edge)

    def _check_heads(self) -> None:
        own = [task for task in self.tasks.values() if task.task_layers > 1]
        heads = [task for task in self.tasks.values() if task.cosine != "alone"]
        if self.head.common_layers == 0:
            if not own:
                for name in ("width", "activation", "layer_norm"):
                    self.head.refuse_without_effect(name, "without a hidden layer in any head")
            if all(task.activation is not None for task in own):
                self.head.refuse_without_effect("activation", "where each task's own layers have another")
            if all(task.dropout is not None for task in heads):
                self.head.refuse_without_effect("dropout", "where every head has another or none")
        if not heads:
            self.head.refuse_without_effect("output_dropout", "where every task reads the cosine alone")

    def _check_task_weights(self) -> None:
        if self.optimization.task_weighting == "uncertainty":
            for name, task in self.tasks.items():
                if task.weight != 1.0:
                    raise ValueError(
                        f"TrialConfig.tasks[{name!r}].weight = {task.weight!r} has no effect with task_weighting = "
                        "'uncertainty': leave it at its default, 1.0"
                    )
        if self.optimization.batch_size == 1:
            for task in self.tasks.values():
                task.refuse_without_effect("ranking_weight", "with batch_size = 1: there is nothing to rank")
        if len(self.tasks) == 1:
            for name in ("tasks_per_step", "task_mix"):
                self.optimization.refuse_without_effect(name, "with one task")
            if self.encoder.adapter is not None:
                self.encoder.adapter.refuse_without_effect("per_task", "with one task")

    def _check_edge(self, edge: EdgeConfig) -> None:
        arrow = f"SharingConfig.edges: {edge.upstream} -> {edge.downstream}"
        for name in (edge.upstream, edge.downstream):
            if name not in self.tasks:
                raise ValueError(f"{arrow}: there is no task {name!r}; allowed are {', '.join(self.tasks)}")
        upstream, downstream = self.tasks[edge.upstream], self.tasks[edge.downstream]
        if upstream.pair_encoding == "bi" and downstream.pair_encoding != "bi":
            raise ValueError(
                f"{arrow}: the head of {edge.upstream} reads two encoded sentences (pair_encoding = 'bi'), of which "
                f"{edge.downstream} has one; allowed is another pair_encoding of either"
            )
        if downstream.cosine == "alone":
            raise ValueError(f"{arrow} has no effect: {edge.downstream} reads the cosine alone and has no head")
        if edge.signal == "hidden" and upstream.task_layers == 1:
            raise ValueError(f"{arrow}: signal = 'hidden' is of a head with a hidden layer; {edge.upstream} has none")
