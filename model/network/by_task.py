"""Modules and parameters by a task's name, which may be any: torch's own take none that is an attribute of theirs, such
as `type` or `train`."""

from __future__ import annotations

from torch import Tensor, nn


class ModulesByTask(nn.ModuleDict):
    """A ModuleDict of any names."""

    def __setitem__(self, key: str, module: nn.Module) -> None:
        self._modules[key] = module


class ParametersByTask(nn.ParameterDict):
    """A ParameterDict of any names."""

    def __setitem__(self, key: str, value: Tensor) -> None:
        self._keys[key] = None
        self._parameters[key] = nn.Parameter(value)

    def __getitem__(self, key: str) -> nn.Parameter:
        return self._parameters[key]  # type: ignore[return-value]  # none is set to None
