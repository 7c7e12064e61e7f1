"""The tensors that make up the state of a trial being trained, and whether saved ones are of the same trial."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Size, Tensor
from torch.optim import AdamW

from model.network.multitask import MultitaskBert
from model.training.averaging import EpochAverage
from model.training.step_loss import StepLoss


class TrialState:
    """Weights, optimizer, the regularizers' own weights and those being averaged, in one dictionary by name."""

    def __init__(self, model: MultitaskBert, optimizer: AdamW, step_loss: StepLoss, average: EpochAverage) -> None:
        self._model = model
        self._optimizer = optimizer
        self._step_loss = step_loss
        self._average = average

    def tensors(self) -> dict[str, Tensor]:
        """The tensors themselves, not copies."""
        tensors = _named("model", self._model.trainable_state())
        for index, state in self._optimizer.state_dict()["state"].items():
            tensors |= _named(f"optimizer.{index}", state)
        return tensors | _named("step_loss", self._step_loss.state()) | _named("average", self._average.state())

    def load(self, tensors: Mapping[str, Tensor], epochs_done: int) -> None:
        """Takes up what `tensors` gave after so many epochs of a trial that was begun with the same arguments.

        Raises ValueError, and changes nothing, where they are of a trial with other weights.
        """
        self._check(tensors, epochs_done)

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        self._model.load_trainable_state(part("model."))
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in part("optimizer.").items():
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})
        self._step_loss.load_state(part("step_loss."))
        self._average.load_state(part("average."))

    def _check(self, tensors: Mapping[str, Tensor], epochs_done: int) -> None:
        needed, allowed = self._shapes(epochs_done), self._optimizer_shapes()
        allowed |= needed
        differing = sorted((tensors.keys() - allowed.keys()) | (needed.keys() - tensors.keys()))
        if differing:
            raise ValueError(f"this state belongs to another configuration: {differing[0]!r} is in one of them only")
        for name, tensor in sorted(tensors.items()):
            if tensor.shape != allowed[name]:
                shapes = f"{tuple(tensor.shape)}, not {tuple(allowed[name])}"
                raise ValueError(f"this state belongs to another configuration: {name!r} has shape {shapes}")

    def _shapes(self, epochs_done: int) -> dict[str, Size]:
        """Of all tensors after so many epochs, but the optimizer's."""
        weights = self._model.trainable_state()
        expected = _named("model", weights) | _named("step_loss", self._step_loss.state())
        averaged = self._model.config.optimization.averaged_epochs
        for index in range(min(averaged, epochs_done) if averaged > 1 else 0):
            expected |= _named(f"average.{index}", weights)
        return {name: tensor.shape for name, tensor in expected.items()}

    def _optimizer_shapes(self) -> dict[str, Size]:
        """Of the optimizer's tensors, were there a gradient of every parameter: of those that no step has reached yet,
        it has none."""
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        shapes: dict[str, Size] = {}
        for index, parameter in enumerate(parameters):
            shapes[f"optimizer.{index}.step"] = Size()
            shapes |= {f"optimizer.{index}.{moment}": parameter.shape for moment in ("exp_avg", "exp_avg_sq")}
        return shapes


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
