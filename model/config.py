"""TrialConfig: everything that defines a trial, apart from what a run fixes (tasks, encoder, budget, seed).

Frozen dataclasses, checked where they are made: a ValueError names the field, its value and what is allowed.
A field that cannot have any effect in its configuration must keep its default, so that two configurations that train
alike also read alike, and nobody believes to have varied something that was never used.

What only a run knows (which tasks there are, how many layers the encoder has) is checked by `model.problem`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

Pooling = Literal["pooler", "mean"]
Activation = Literal["identity", "relu", "gelu", "tanh"]
PairEncoding = Literal["cross", "bi"]
PairFeatures = Literal["concat", "difference", "product"]
Loss = Literal["cross_entropy", "bce", "mse"]
TaskMix = Literal["in_turn", "proportional", "square_root"]
Schedule = Literal["constant", "exponential", "linear"]


def _number(default: float, low: float, high: float, *, above: bool = False) -> Any:
    """A float or int field between `low` (exclusive with `above`) and `high`, both in the field's own unit."""
    return field(default=default, metadata={"low": low, "high": high, "above": above})


class _Checked:
    """Checks every field against its type and range; gives dictionaries there and back."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for f in dataclasses.fields(self):
            _check_field(f, hints[f.name], getattr(self, f.name), where=type(self).__name__)

    def refuse_without_effect(self, name: str, because: str) -> None:
        value, default = getattr(self, name), self.__dataclass_fields__[name].default
        if value != default:
            raise ValueError(
                f"{type(self).__name__}.{name} = {value!r} has no effect {because}: "
                f"leave it at its default, {default!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: what JSON can hold."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. A key that no field has is refused, with the nearest one named."""
        return _from_dict(cls, values, where=cls.__name__)


def _check_field(f: dataclasses.Field[Any], hint: Any, value: Any, where: str) -> None:
    def refuse(allowed: str) -> typing.NoReturn:
        raise ValueError(f"{where}.{f.name} = {value!r}: allowed is {allowed}")

    if type(None) in typing.get_args(hint):
        if value is None:
            return
        hint = next(h for h in typing.get_args(hint) if h is not type(None))
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            refuse("one of " + ", ".join(map(repr, choices)))
    elif hint is bool:
        if not isinstance(value, bool):
            refuse("True or False")
    elif hint in (int, float):
        low, high, above = f.metadata["low"], f.metadata["high"], f.metadata["above"]
        kind = "a whole number" if hint is int else "a number"
        span = f"{kind} {'above' if above else 'from'} {low:g} {'up to' if above else 'to'} {high:g}"
        is_kind = isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
        if not is_kind or not math.isfinite(value) or not low <= value <= high or (above and value == low):
            refuse(span)
    elif isinstance(hint, type) and not isinstance(value, hint):
        refuse(f"a {hint.__name__}")


def _from_dict(cls: Any, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} = {values!r}: allowed is a mapping of its fields")
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its fields are {', '.join(names)}"
            raise ValueError(f"{where} has no field {key!r}: {hint}")
    made = {}
    for key, value in values.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            value = _from_dict(hint, value, where=f"{where}.{key}")
        elif typing.get_origin(hint) is Mapping and isinstance(value, Mapping):
            part = typing.get_args(hint)[1]
            value = {name: _from_dict(part, v, where=f"{where}.{key}[{name!r}]") for name, v in value.items()}
        made[key] = value
    for f in dataclasses.fields(cls):
        if f.name not in made and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}.{f.name} is missing")
    return cls(**made)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(_Checked):
    """How the pretrained encoder is fine-tuned and read."""

    freeze_depth: int = _number(0, 0, 96)
    """Layers that stay as pretrained, counted from the bottom; from 1 on the embeddings too. The encoder's `num_layers`
    leaves the pooler and the heads to train. (Gamarra Lafuente and Udash, 5.3.1)"""
    hidden_dropout: float = _number(0.1, 0, 0.9)
    """Probability of dropping a hidden unit, above the frozen prefix. (Gamarra Lafuente and Udash, 5.3.3)"""
    attention_dropout: float = _number(0.1, 0, 0.9)
    """Probability of dropping an attention weight, above the frozen prefix."""
    pooling: Pooling = "pooler"
    """What stands for a sequence: the pooler's output (a dense layer with tanh on [CLS]; Devlin et al. 2019), or the
    mean over the last layer's tokens (Reimers and Gurevych 2019)."""


@dataclass(frozen=True, kw_only=True)
class HeadConfig(_Checked):
    """The layers between the pooled output and the predictions. A hidden layer is dropout, linear, LayerNorm,
    activation; an output layer is dropout and linear."""

    common_layers: int = _number(0, 0, 9)
    """Hidden layers that all tasks share. (Gamarra Lafuente and Udash, 5.3.4; Jetty, 4.5)"""
    activation: Activation = "relu"
    """After each hidden layer. (Naeem, 4: ReLU; Gamarra Lafuente and Udash: identity)"""
    layer_norm: bool = False
    """LayerNorm inside each hidden layer. (Naeem, 4)"""
    dropout: float = _number(0.1, 0, 0.9)
    """Probability of dropping a unit before each linear layer of the heads. (Naeem, 4)"""


@dataclass(frozen=True, kw_only=True)
class TaskConfig(_Checked):
    """What is particular to one task."""

    pair_encoding: PairEncoding | None = None
    """How a task on two sentences meets the encoder: `cross` as one sequence, [CLS] a [SEP] b [SEP]; `bi` each sentence
    by itself. None, and only None, for a task on one sentence. (Gamarra Lafuente and Udash, 4; Jetty, 4.5.1)"""
    pair_features: PairFeatures = "concat"
    """What a bi-encoded pair u, v hands to the task's layers: u, v; with |u-v|; with |u-v| and u*v. (Reimers and
    Gurevych 2019, table 6)"""
    task_layers: int = _number(1, 1, 9)
    """Layers of the task's own head, the output layer among them. (Gamarra Lafuente and Udash, 5.3.4)"""
    loss: Loss = "cross_entropy"
    """`cross_entropy` for classes and for binary labels (two logits), `bce` for binary labels (one logit), `mse` for
    numbers."""
    weight: float = _number(1.0, 0, 1e6, above=True)
    """Factor on the task's loss. (Jetty, 4.4)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pair_encoding != "bi":
            self.refuse_without_effect("pair_features", f"with pair_encoding = {self.pair_encoding!r}")


@dataclass(frozen=True, kw_only=True)
class OptimizationConfig(_Checked):
    """AdamW (Loshchilov and Hutter 2019), and how the tasks share its steps."""

    learning_rate: float = _number(2e-5, 0, 1, above=True)
    """Peak step size for the encoder. (Gamarra Lafuente and Udash, 5.3.2)"""
    head_learning_rate: float = _number(2e-5, 0, 1, above=True)
    """Peak step size for the heads."""
    schedule: Schedule = "constant"
    """`constant`; `exponential`: times `decay` after each epoch; `linear`: up over the share `warmup` of the trial's
    full budget, then down to 0 at its end."""
    decay: float = _number(0.9, 0, 1, above=True)
    """Factor an epoch of the exponential schedule. (Gamarra Lafuente and Udash, 4)"""
    warmup: float = _number(0.1, 0, 0.9)
    """Share of all steps over which the linear schedule rises. (Devlin et al. 2019, A.2)"""
    weight_decay: float = _number(0.0, 0, 1)
    """AdamW's decoupled decay; never on biases and LayerNorms."""
    batch_size: int = _number(32, 1, 1024)
    """Examples a step, all of one task. (Naeem, 5.4)"""
    max_grad_norm: float | None = _number(1.0, 0, 1e6, above=True)
    """Gradients of a step are scaled down to this norm; None: never."""
    task_mix: TaskMix = "proportional"
    """Share of an epoch's examples that a task gets: the same for all, taken in turn; in proportion to its training
    set; in proportion to the square root of it. (Stickland and Murray 2019, 4.1)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule != "exponential":
            self.refuse_without_effect("decay", f"with schedule = {self.schedule!r}")
        if self.schedule != "linear":
            self.refuse_without_effect("warmup", f"with schedule = {self.schedule!r}")


@dataclass(frozen=True, kw_only=True)
class TrialConfig(_Checked):
    """One way to fine-tune the encoder for all tasks."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    tasks: Mapping[str, TaskConfig]
    """By task name, exactly the problem's tasks."""
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)

    def __post_init__(self) -> None:
        for part in ("encoder", "head", "optimization"):
            expected = self.__dataclass_fields__[part].default_factory
            if not isinstance(getattr(self, part), typing.cast(type, expected)):
                raise ValueError(f"TrialConfig.{part} = {getattr(self, part)!r}: allowed is {expected.__name__}(...)")
        if not isinstance(self.tasks, Mapping) or not self.tasks:
            raise ValueError(f"TrialConfig.tasks = {self.tasks!r}: allowed is a mapping from task name to TaskConfig")
        for name, task in self.tasks.items():
            if not isinstance(task, TaskConfig):
                raise ValueError(f"TrialConfig.tasks[{name!r}] = {task!r}: allowed is TaskConfig(...)")
        if self.head.common_layers == 0 and all(task.task_layers == 1 for task in self.tasks.values()):
            for name in ("activation", "layer_norm"):
                self.head.refuse_without_effect(name, "without a hidden layer in any head")
