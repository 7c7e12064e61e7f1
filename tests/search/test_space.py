"""Every way in which a space can be wrong, with its message."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from model.errors import UserError
from model.problem import Problem
from search.space import check_space, find_space, load_space
from tests.support import PROBLEM, refused

HEAD = """from model.config import EncoderConfig, HeadConfig, OptimizationConfig, TaskConfig, TrialConfig

TASKS = {
    "sentiment": TaskConfig(),
    "paraphrase": TaskConfig(pair_encoding="cross"),
    "similarity": TaskConfig(pair_encoding="cross", loss="mse"),
}

"""
GOOD = (
    HEAD
    + """
def space(trial, problem):
    depth = trial.suggest_int("depth", 0, problem.num_layers)
    rate = trial.suggest_float("rate", 1e-5, 1e-3, log=True)
    pooling = trial.suggest_categorical("pooling", ["pooler", "mean"])
    common = trial.suggest_int("common", 0, 2)
    head = HeadConfig()
    if common:
        head = HeadConfig(common_layers=common, activation=trial.suggest_categorical("activation", ["relu", "tanh"]))
    return TrialConfig(
        encoder=EncoderConfig(freeze_depth=min(depth, 1), pooling=pooling),
        head=head,
        tasks=TASKS,
        optimization=OptimizationConfig(learning_rate=rate),
    )
"""
)
LINE = HEAD.count("\n") + 1
"""The first line after HEAD."""


def write(tmp_path: Path, source: str) -> Path:
    path = tmp_path / "my_space.py"
    path.write_text(source)
    return path


def check(path: Path, problem: Problem) -> None:
    check_space(load_space(path, problem), problem)


def test_a_good_space_is_described_by_its_parameters(tmp_path: Path, problem: Problem) -> None:
    points = 'POINTS = {"all": {"depth": 0, "rate": 1e-4, "pooling": "mean", "common": 1, "activation": "tanh"}}'
    space = load_space(write(tmp_path, f"{GOOD}{points}\n"), problem)
    seen = check_space(space, problem)
    assert sorted(seen) == ["activation", "common", "depth", "pooling", "rate"]
    assert list(space.points) == ["all"]
    assert space.source == space.path.read_text()


def test_dataclasses_and_imports_work_in_a_space(tmp_path: Path, problem: Problem) -> None:
    extra = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 0\n"
    )
    check(write(tmp_path, extra + GOOD), problem)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "{path}: no function space(trial, problem) -> TrialConfig in it"),
        ("space = 3\n", "{path}: no function space(trial, problem) -> TrialConfig in it"),
        ("def space(trial:\n    pass\n", "{path}:1: '(' was never closed"),
        ("x = 1\ny = 1 / 0\n", "{path}:2: ZeroDivisionError: division by zero"),
        ("import nowhere_at_all\n", "{path}:1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("import sys\nsys.exit(0)\n", "{path}:2: SystemExit: 0"),
        (
            "\ndef space(trial):\n    pass\n",
            "{path}:2: space(trial) must take two arguments: space(trial, problem)",
        ),
        (
            "def space(trial, problem):\n    pass\nPOINTS = ['baseline']\n",
            "{path}: POINTS is a list; it must be a dictionary of dictionaries",
        ),
        (
            "def space(trial, problem):\n    pass\nPOINTS = {\n    'baseline': 3,\n}\n",
            "{path}:4: POINTS['baseline'] must be a dictionary from parameter name to value",
        ),
    ],
)
def test_a_file_that_is_no_space(tmp_path: Path, source: str, message: str) -> None:
    path = write(tmp_path, source)
    with refused(message.format(path=path)):
        load_space(path, PROBLEM)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with refused(f"--space {tmp_path}/none.py: no such file"):
        load_space(tmp_path / "none.py", PROBLEM)
    with refused(f"--space {tmp_path}: not a readable Python file (Is a directory)"):
        load_space(tmp_path, PROBLEM)
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UserError, match="not a readable Python file"):
        load_space(tmp_path / "bytes.py", PROBLEM)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return {}", "{path}:{line}: space() returned {{}}; it must return a TrialConfig"),
        (
            "trial.suggest_float('rate', 1.0, 0.1)",
            "{path}:{next}: `low <= high` must hold, but got (low=1.0, high=0.1).",
        ),
        (
            "trial.suggest_float('rate', 0.0, 0.1, log=True)",
            "{path}:{next}: `low > 0` must hold for `log=True`, but got (low=0.0, high=0.1).",
        ),
        ("trial.suggest_categorical('a', [])", "{path}:{next}: The `choices` must contain one or more elements."),
        (
            "trial.suggest_flaot('rate', 0, 1)",
            "{path}:{next}: AttributeError: 'Trial' object has no attribute 'suggest_flaot'",
        ),
        ("trial.suggest_int('a', 3, 3); 1 / 0", "{path}:{next}: ZeroDivisionError: division by zero (drawn: a = 3)"),
        (
            "HeadConfig(dropout=trial.suggest_int('drop', 2, 2))",
            "{path}:{next}: HeadConfig.dropout = 2: allowed is a number from 0 to 0.9 (drawn: drop = 2)",
        ),
        (
            "TaskConfig(pair_encodng='bi')",
            "{path}:{next}: TaskConfig has no field 'pair_encodng': did you mean 'pair_encoding'?",
        ),
        (
            "return TrialConfig(encoder=EncoderConfig(freeze_depth=trial.suggest_int('depth', 9, 9)), tasks=TASKS)",
            "{path}:{line}: EncoderConfig.freeze_depth = 9: allowed is 0 to 2, the encoder's layers (drawn: depth = 9)",
        ),
        (
            "return TrialConfig(tasks={{'sentiment': TaskConfig()}})",
            "{path}:{line}: TrialConfig.tasks names ['sentiment']: allowed is exactly "
            "['paraphrase', 'sentiment', 'similarity']",
        ),
        (
            "trial.suggest_categorical('a', list(range(1 + trial.number)))",
            "{path}:{next}: the choices of a parameter changed from one draw to the next; "
            "give each list of choices its own name",
        ),
        (
            "trial.suggest_categorical('a', [(1, 2)]); return TrialConfig(tasks=TASKS)",
            "{path}: parameter 'a' has the choice (1, 2); allowed are None, True, False, numbers and strings",
        ),
    ],
)
def test_a_space_that_draws_wrongly(tmp_path: Path, problem: Problem, body: str, message: str) -> None:
    body = body.replace("{{", "{").replace("}}", "}")
    path = write(tmp_path, f"{HEAD}def space(trial, problem):\n    {body}\n    return TrialConfig(tasks=TASKS)\n")
    with refused(message.format(path=path, line=LINE, next=LINE + 1)):
        check(path, problem)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"raet": 1e-4}, "the space has no parameter 'raet'; did you mean 'rate'?"),
        ({"xyz": 1}, "the space has no parameter 'xyz'"),
        ({"rate": 1e-2}, "'rate' is 0.01; allowed is 1e-05 to 0.001"),
        ({"rate": "high"}, "'rate' is 'high'; allowed is 1e-05 to 0.001"),
        ({"depth": 3}, "'depth' is 3; allowed is 0 to 2"),
        ({"depth": 0.5}, "'depth' is 0.5; allowed is 0 to 2"),
        ({"pooling": "max"}, "'pooling' is 'max'; allowed is one of 'pooler', 'mean'"),
        (
            {"common": 0, "activation": "relu"},
            "the parameter 'activation' is not used with the other values of this point",
        ),
    ],
)
def test_a_point_outside_of_the_space(tmp_path: Path, problem: Problem, point: dict[str, object], message: str) -> None:
    path = write(tmp_path, f'{GOOD}POINTS = {{"good": {{"common": 2}},\n "odd": {point!r}}}\n')
    with refused(f"{path}:{GOOD.count(chr(10)) + 2}: POINTS['odd']: {message}"):
        check(path, problem)


def test_a_point_that_the_space_breaks_on(tmp_path: Path, problem: Problem) -> None:
    source = GOOD.replace(
        "    head = HeadConfig()\n", "    head = HeadConfig(dropout=0.1 + (depth == 2 and rate == 1e-3))\n"
    )
    path = write(
        tmp_path, f'{source}POINTS = {{"odd": {{"depth": 2, "rate": 1e-3, "pooling": "mean", "common": 0}}}}\n'
    )
    at = source.count("\n", 0, source.index("    head = HeadConfig")) + 1
    with refused(
        f"{path}:{source.count(chr(10)) + 1}: POINTS['odd']: {path}:{at}: HeadConfig.dropout = 1.1: allowed is "
        "a number from 0 to 0.9 (drawn: depth = 2, rate = 0.001, pooling = 'mean', common = 0)"
    ):
        check(path, problem)


def test_the_check_takes_no_time(problem: Problem) -> None:
    start = time.perf_counter()
    check(Path("spaces/full.py"), problem)
    assert time.perf_counter() - start < 2


def test_shipped_spaces_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    assert find_space(None) == Path("spaces/full.py")
    monkeypatch.chdir(tmp_path)
    assert find_space(None) == root / "spaces/full.py"
    assert find_space(Path("spaces/papers.py")) == root / "spaces/papers.py"
    for own in ("mine.py", "model/config.py", "spaces/none.py", str(tmp_path / "spaces/full.py")):
        assert find_space(Path(own)) == Path(own)


def test_a_space_of_the_users_own_comes_first_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces/full.py").touch()
    assert find_space(Path("spaces/full.py")) == Path("spaces/full.py")
    assert find_space(None) == Path(__file__).parents[2] / "spaces/full.py"
