"""A search space: a Python file, loaded by its path, checked before anything is started, drawn from.

The file defines `space(trial, problem) -> TrialConfig`, `trial` being Optuna's define-by-run trial, and may define
`POINTS: dict[str, dict[str, Any]]`: parameters, all or some of them, to try first, by a name to show. Where these
depend on the problem, `points(problem)` returns them instead; a text in place of a point says why it is left out.

Whatever is wrong with it is one UserError with file and line where there is one to name.
"""

from __future__ import annotations

import ast
import inspect
import os
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import BaseTrial

from model.config import TrialConfig
from model.errors import UserError
from model.nearest import nearest
from model.problem import Problem, check

_MODULE = "_minbert_search_space"
_CHECK_DRAWS = 20
_HOME = Path(__file__).parent.parent
"""Where this package's `spaces/` lies."""


@dataclass(frozen=True)
class Space:
    """A loaded space file."""

    path: Path
    source: str
    function: Callable[[Any, Problem], TrialConfig]
    points: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """By the name of a point that has no place in this problem, why."""

    def draw(self, trial: BaseTrial, problem: Problem) -> TrialConfig:
        """The configuration that `trial` stands for, checked against `problem`."""
        try:
            config = self.function(trial, problem)
        except Exception as error:
            raise UserError(f"{_place(self.path, error)}: {_explain(error)}{_drawn(trial)}") from error
        where = f"{self.path}:{_definition_line(self.function)}"
        if not isinstance(config, TrialConfig):
            raise UserError(f"{where}: space() returned {config!r}; it must return a TrialConfig")
        try:
            check(config, problem)
        except ValueError as error:
            raise UserError(f"{where}: {error}{_drawn(trial)}") from error
        return config


def find_space(given: Path | None) -> Path:
    """The file that --space names: the user's, or else the one of that name among those that this package has in
    `spaces/`. Without --space it is the package's `spaces/full.py`."""
    own = _HOME / (given or "spaces/full.py")
    if given is not None and (os.path.lexists(given) or given.parts[:1] != ("spaces",) or not own.is_file()):
        return given
    return own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own


def load_space(path: Path, problem: Problem) -> Space:
    """Runs the space file and finds in it what a space needs, with the points that it has for `problem`."""
    source = _read(path)
    # A module of its own under a private name: dataclasses, for one, look up the module that they were defined in.
    module = types.ModuleType(_MODULE)
    module.__file__ = str(path)
    sys.modules[_MODULE] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 - a space is a program, and is run
    except SyntaxError as error:
        raise UserError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = f":{frames[-1].lineno}" if frames else ""
        raise UserError(f"{path}{line}: {type(error).__name__}: {error}") from error
    found = _find_points(module, path, source, problem)
    left_out = {name: point for name, point in found.items() if isinstance(point, str)}
    points = {name: point for name, point in found.items() if not isinstance(point, str)}
    return Space(path, source, _find_function(module, path), points, left_out)


def check_space(space: Space, problem: Problem) -> dict[str, BaseDistribution]:
    """Draws from the space at random and at every point. The parameters that were seen, by name."""
    seen: dict[str, BaseDistribution] = {}
    with quiet_optuna():
        study = optuna.create_study(sampler=RandomSampler(seed=0))
        for _ in range(_CHECK_DRAWS):
            trial = study.ask()
            space.draw(trial, problem)
            seen |= trial.distributions
        _check_choices(space, seen)
        for name, params in space.points.items():
            seen |= _check_point(space, problem, study, seen, name, params)
    return seen


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Without Optuna's log lines, and without its warnings about what is checked here or chosen on purpose."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", message="Choices for a categorical distribution|Fixed parameter")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"--space {path}: no such file") from None
    except OSError as error:
        raise UserError(f"--space {path}: not a readable Python file ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"--space {path}: not a readable Python file ({error})") from None


def _place(path: Path, error: Exception) -> str:
    """File and line of the space file at which `error` passed through it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{path}:{frames[-1].lineno}" if frames else str(path)


def _find_function(module: types.ModuleType, path: Path) -> Callable[[Any, Problem], TrialConfig]:
    function = cast(Callable[..., Any] | None, getattr(module, "space", None))
    if not callable(function):
        raise UserError(f"{path}: no function space(trial, problem) -> TrialConfig in it")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        line = _definition_line(function)
        raise UserError(
            f"{path}:{line}: space{inspect.signature(function)} must take two arguments: space(trial, problem)"
        ) from None
    return function


def _find_points(
    module: types.ModuleType, path: Path, source: str, problem: Problem
) -> Mapping[str, Mapping[str, Any] | str]:
    """The points, and of those that are left out why."""
    points, made = getattr(module, "POINTS", {}), getattr(module, "points", None)
    if made is not None:
        if hasattr(module, "POINTS"):
            raise UserError(f"{path}: POINTS and points(problem) are in it; allowed is one of them")
        try:
            points = made(problem)
        except Exception as error:
            raise UserError(f"{_place(path, error)}: points(problem): {_explain(error)}") from error
    if not isinstance(points, Mapping):
        raise UserError(f"{path}: POINTS is a {type(points).__name__}; it must be a dictionary of dictionaries")
    for name, params in points.items():
        if not isinstance(name, str) or not isinstance(params, Mapping | str if made else Mapping):
            place = _point_place(path, source, name)
            raise UserError(f"{place}: POINTS[{name!r}] must be a dictionary from parameter name to value")
    return points


def _check_choices(space: Space, seen: Mapping[str, BaseDistribution]) -> None:
    """Choices must be the plain values that the ledger can hold."""
    for name, distribution in seen.items():
        if isinstance(distribution, CategoricalDistribution):
            for choice in distribution.choices:
                if choice is not None and not isinstance(choice, bool | int | float | str):
                    raise UserError(
                        f"{space.path}: parameter {name!r} has the choice {choice!r}; allowed are None, True, False, "
                        "numbers and strings"
                    )


def _check_point(
    space: Space,
    problem: Problem,
    study: optuna.Study,
    seen: Mapping[str, BaseDistribution],
    name: str,
    params: Mapping[str, Any],
) -> dict[str, BaseDistribution]:
    """Draws one of the POINTS. The parameters it met."""
    place = f"{_point_place(space.path, space.source, name)}: POINTS[{name!r}]"
    _check_values(place, params, {n: d for n, d in seen.items() if isinstance(d, CategoricalDistribution)})
    study.enqueue_trial(dict(params))
    trial = study.ask()
    try:
        space.draw(trial, problem)
    except UserError as error:
        _check_values(place, params, {**seen, **trial.distributions})
        raise UserError(f"{place}: {error}") from error
    _check_values(place, params, trial.distributions)
    for parameter in params:
        if parameter in trial.params:
            continue
        if parameter in seen:
            raise UserError(f"{place}: the parameter {parameter!r} is not used with the other values of this point")
        near = nearest(parameter, {*seen, *trial.params})
        hint = f"; did you mean {near!r}?" if near else ""
        raise UserError(f"{place}: the space has no parameter {parameter!r}{hint}")
    return trial.distributions


def _check_values(place: str, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> None:
    """Optuna itself only warns about a value that is out of its range, and trains with it."""
    for name, distribution in distributions.items():
        if name not in params:
            continue
        try:
            inside = distribution._contains(distribution.to_internal_repr(params[name]))
        except ValueError:
            inside = False
        if not inside:
            raise UserError(f"{place}: {name!r} is {params[name]!r}; allowed is {_allowed(distribution)}")


def _allowed(distribution: BaseDistribution) -> str:
    if isinstance(distribution, FloatDistribution | IntDistribution):
        step = f" in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
        return f"{distribution.low:g} to {distribution.high:g}{step}"
    assert isinstance(distribution, CategoricalDistribution)
    return "one of " + ", ".join(map(repr, distribution.choices))


def _explain(error: Exception) -> str:
    if not isinstance(error, ValueError):
        return f"{type(error).__name__}: {error}"
    if "does not support dynamic value space" in str(error):
        return "the choices of a parameter changed from one draw to the next; give each list of choices its own name"
    return str(error)


def _drawn(trial: BaseTrial) -> str:
    drawn = ", ".join(f"{name} = {value!r}" for name, value in trial.params.items())
    return f" (drawn: {drawn})" if drawn else ""


def _definition_line(function: Callable[..., Any]) -> int:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_firstlineno if code else 1


def _point_place(path: Path, source: str, name: Any) -> str:
    """File and line of a point's name among the dictionary keys of the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and key.value == name:
                    return f"{path}:{key.lineno}"
    return str(path)
