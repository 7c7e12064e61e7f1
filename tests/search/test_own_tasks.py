"""Searches of one's own tasks: what spaces make of any of them, and what the command says."""

from __future__ import annotations

import csv
import dataclasses
from itertools import product
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler

from model.config import OptimizationConfig, TaskConfig, TrialConfig
from model.data.tasks import CS224N, Binary, Classes, LabelKind, Number, Task
from model.data.tokens import tokenize
from model.network.pretrained import Encoder
from model.problem import Problem
from model.training.loop import train
from search.description import describe_run
from search.flags import Flags
from search.inputs import found_again, given
from search.resources import Shares
from search.run import main
from search.run_folder import create_run
from search.space import check_space, load_space, quiet_optuna
from spaces import full
from tests.support import refused

FULL = Path("spaces/full.py")


def task(name: str, kind: LabelKind, *, pair: bool = False) -> Task:
    label = {"classes": Classes(count=3), "binary": Binary(), "number": Number(low=-1, high=1)}[kind]
    columns = ("a", "b") if pair else ("a",)
    metric = "spearman" if kind == "number" else "macro_f1"
    return Task(name=name, sentence_columns=columns, label_column="label", label=label, metric=metric)


SETS = {
    "one of single sentences": (task("reviews", "binary"),),
    "one of pairs": (task("nli", "classes", pair=True),),
    "one of numbers": (task("sts", "number", pair=True),),
    "single sentences alone": (task("a", "classes"), task("b", "number")),
    "pairs first": (task("sts", "number", pair=True), task("mood", "classes")),
    "four": (
        task("mood", "binary"),
        task("nli", "classes", pair=True),
        task("same", "binary", pair=True),
        task("stars", "number"),
    ),
}
LIKE_PARTS = ("head", "encoder", "pairs", "optimization")
SETS["called as parameters are"] = tuple(
    dataclasses.replace(task, name=name) for task, name in zip(SETS["four"], LIKE_PARTS, strict=True)
)
PAPERS = ["jetty-final", "gamarra-udash-final", "naeem-final", "course-baseline"]


def problem_of(tasks: tuple[Task, ...]) -> Problem:
    return Problem(tasks=tasks, num_layers=2, hidden_size=16, num_heads=2, train_size={}, dev_size={})


@pytest.mark.parametrize("path", [FULL, Path("spaces/smoke.py")], ids=lambda path: path.stem)
@pytest.mark.parametrize("tasks", SETS.values(), ids=SETS)
def test_a_space_of_any_tasks(path: Path, tasks: tuple[Task, ...]) -> None:
    problem = problem_of(tasks)
    space = load_space(path, problem)
    check_space(space, problem)
    with quiet_optuna():
        study = optuna.create_study(sampler=RandomSampler(seed=1))
        drawn = [space.draw(study.ask(), problem) for _ in range(60)]
    assert all(list(config.tasks) == [task.name for task in tasks] for config in drawn)


@pytest.mark.parametrize("tasks", SETS.values(), ids=SETS)
def test_the_smallest_space_draws_nothing_without_effect(tasks: tuple[Task, ...]) -> None:
    problem = problem_of(tasks)
    space = load_space(Path("spaces/smoke.py"), problem)
    pairs = {"pair_encoding"} if any(task.is_pair for task in tasks) else set()
    assert set(check_space(space, problem)) == set(space.points["frozen"]) == {"frozen", "learning_rate", *pairs}


@pytest.mark.parametrize("tasks", SETS.values(), ids=SETS)
def test_the_full_space_has_the_papers_points_for_any_tasks(tasks: tuple[Task, ...]) -> None:
    space = load_space(FULL, problem_of(tasks))
    assert sorted([*space.points, *space.left_out]) == sorted(full.POINTS_BY_KIND)
    assert {"sentence-bert", *PAPERS} <= space.points.keys()
    configs = [
        space.function(optuna.trial.FixedTrial(dict(point)), problem_of(tasks)) for point in space.points.values()
    ]
    assert all(config not in configs[:i] for i, config in enumerate(configs)), "each is tried once"


def test_what_is_left_out_is_said() -> None:
    assert load_space(FULL, problem_of(SETS["one of single sentences"])).left_out == {
        "cross-and-bi-encoder": "with these tasks the same as sentence-bert",
        "cross-encoder": "with these tasks the same as sentence-bert",
        "grudzinski-final": "with these tasks and this encoder there is no sharing",
    }
    assert load_space(FULL, problem_of(SETS["pairs first"])).left_out == {
        "cross-and-bi-encoder": "with these tasks the same as sentence-bert",
        "grudzinski-final": "none of these tasks can hear another one",
    }
    assert load_space(FULL, problem_of(CS224N)).left_out == {}


def parameters(tasks: tuple[Task, ...]) -> dict[str, BaseDistribution]:
    """All that the full space draws for them, but for what tasks hear which."""
    problem, space, seen = problem_of(tasks), load_space(FULL, problem_of(tasks)), dict[str, BaseDistribution]()
    with quiet_optuna():
        study = optuna.create_study(sampler=RandomSampler(seed=1))
        for _ in range(300):
            trial = study.ask()
            space.draw(trial, problem)
            seen |= trial.distributions
    return {name: distribution for name, distribution in seen.items() if "_to_" not in name}


def test_tasks_called_as_parameters_are_have_parameters_of_their_own() -> None:
    usual, theirs = parameters(SETS["four"]), parameters(SETS["called as parameters are"])
    part = {task.name: f"task:{name}" for task, name in zip(SETS["four"], LIKE_PARTS, strict=True)}
    assert {name.partition(".")[0] for name in usual} == {*full.PARTS, *part}
    beginnings = [name.partition(".") for name in usual]
    assert {f"{part.get(first, first)}.{rest}": usual[f"{first}.{rest}"] for first, _, rest in beginnings} == theirs


def test_no_two_edges_are_called_alike() -> None:
    words = ("".join(word) for count in range(1, 5) for word in product(("a", "to", "_", "b"), repeat=count))
    names = {word for word in words if word[0] != "_"}
    assert len({full.edge_name(up, down) for up in names for down in names}) == len(names) ** 2


BASE = "from spaces.smoke import space\n"
POINTS = f"{BASE}def points(problem):\n    return "
NONE = " must be a dictionary from parameter name to value"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (f"{POINTS}3\n", ": POINTS is a int; it must be a dictionary of dictionaries"),
        (f"{POINTS}1 / 0\n", ":3: points(problem): ZeroDivisionError: division by zero"),
        (f"{POINTS}{{'a': 3}}\n", f":3: POINTS['a']{NONE}"),
        (f"{POINTS}{{}}\nPOINTS = {{}}\n", ": POINTS and points(problem) are in it; allowed is one of them"),
        (f"{BASE}POINTS = {{'a': 'why not'}}\n", f":2: POINTS['a']{NONE}"),
    ],
)
def test_points_that_are_none(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "space.py"
    path.write_text(source)
    with refused(f"{path}{message}"):
        load_space(path, problem_of(CS224N))


def test_points_may_depend_on_the_problem(tmp_path: Path) -> None:
    path = tmp_path / "space.py"
    path.write_text(f"{POINTS}{{'deep': {{'frozen': True}}, 'wide': f'of {{len(problem.tasks)}}'}}\n")
    space = load_space(path, problem_of(CS224N))
    assert (space.points, space.left_out) == ({"deep": {"frozen": True}}, {"wide": "of 3"})


# The command ---------------------------------------------------------------------------------------------------------

TASKS = """[[task]]
name = "mood"
sentences = ["text"]
label = "verdict"
label_kind = "binary"
labels = ["bad", "good"]
metric = "matthews"
train = "rows.csv"

[[task]]
name = "kinds"
sentences = ["text", "other"]
label = "kind"
label_kind = "classes"
labels = ["near", "far", "none"]
metric = "macro_f1"
train = "rows.csv"
dev_share = 0.2
"""


@pytest.fixture
def tasks_file(tmp_path: Path) -> Path:
    """Two tasks of one file."""
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "other", "verdict", "kind"])
        for i in range(120):
            good = i % 2 == 0
            words = f"the {'good' if good else 'bad'} film {i}"
            writer.writerow([words, f"a song {i}", "good" if good else "bad", ["near", "far", "none"][i % 3]])
    (tmp_path / "tasks.toml").write_text(TASKS)
    return tmp_path / "tasks.toml"


def test_files_lie_beside_the_tasks_or_in_data(tasks_file: Path, tmp_path: Path) -> None:
    inputs = given(Flags(tasks=tasks_file, encoder="demo"))
    assert inputs.corpus.name == str(tmp_path)
    assert [task.name for task in inputs.problem.tasks] == ["mood", "kinds"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = elsewhere / "tasks.toml"
    tasks_file.rename(moved)
    again = given(Flags(tasks=moved, data=str(tmp_path), encoder="demo"))
    assert again.corpus.fingerprint() == inputs.corpus.fingerprint()
    with refused(f"{elsewhere / 'rows.csv'}: no such file; task 'mood' needs it"):
        given(Flags(tasks=moved, encoder="demo"))


@pytest.mark.parametrize("name", [name for name in full.POINTS_BY_KIND if name != "cross-encoder"])
def test_every_point_trains_on_them(tasks_file: Path, encoder: Encoder, name: str) -> None:
    inputs = given(Flags(tasks=tasks_file, encoder="demo"))
    problem = Problem.of(inputs.corpus, encoder.shape)
    space = load_space(FULL, problem)
    config: TrialConfig = space.draw(optuna.trial.FixedTrial(dict(space.points[name])), problem)
    tokens = tokenize(inputs.corpus, encoder)
    (epoch,) = train(config, tokens, encoder, epochs=1, epoch_examples=24, seed=0, precision="fp32", device="cpu")
    assert epoch.scores.keys() == {"mood", "kinds"}


def test_they_are_learned(tasks_file: Path, encoder: Encoder) -> None:
    inputs = given(Flags(tasks=tasks_file, encoder="demo"))
    config = TrialConfig(
        tasks={"mood": TaskConfig(loss="bce"), "kinds": TaskConfig(pair_encoding="bi")},
        optimization=OptimizationConfig(learning_rate=3e-3, head_learning_rate=1e-2, batch_size=8),
    )
    tokens = tokenize(inputs.corpus, encoder)
    epochs = list(train(config, tokens, encoder, epochs=5, epoch_examples=150, seed=0, precision="fp32", device="cpu"))
    assert epochs[-1].scores["mood"] > 0.9


def test_a_run_finds_them_again(tasks_file: Path, tmp_path: Path) -> None:
    flags = Flags(tasks=tasks_file, encoder="demo", max_tokens=32)
    inputs = given(flags)
    info = describe_run(flags, inputs, inputs.read_encoder(), Shares(concurrent=1, threads=1, cpus=1, gpus=0))
    run = create_run(tmp_path / "runs", "own", info, inputs.space.source)
    assert (info.tasks, info.tasks_file, info.max_tokens) == (["mood", "kinds"], str(tasks_file), 32)
    assert info.chance["mood"] == 0.0
    tasks_file.unlink()  # what the run was asked is in its folder
    again, _ = found_again(run, run.info())
    assert (again.sources, again.max_tokens) == (inputs.sources, 32)
    assert again.corpus.fingerprint() == inputs.corpus.fingerprint() == info.data_fingerprint
    rows = (tmp_path / "rows.csv").read_text()
    (tmp_path / "rows.csv").write_text(rows.replace("song 7,", "song,"))
    with refused(f"{tmp_path} has changed since the run began: its fingerprint differs"):
        found_again(run, run.info())


REST = """test = "test.csv"
unlabelled = "new.csv"
"""
TEST_ROWS = "text,verdict\nthe good film,good\n"
BROKEN = {
    "no test": (REST, {"new.csv": "text\na film\n"}, "test.csv: no such file; task 'mood' needs it"),
    "a label of test": (
        REST,
        {"test.csv": f"{TEST_ROWS}a film,fine\n", "new.csv": "text\na film\n"},
        "test.csv:3: verdict is 'fine'; allowed are 'bad', 'good' (--skip-bad-rows leaves such rows out)",
    ),
    "a column of the unlabelled": (
        REST,
        {"test.csv": TEST_ROWS, "new.csv": "title\na film\n"},
        "new.csv:1: no column 'text' (comma-separated columns found: 'title')",
    ),
    "an empty test": ("test_share = 1e-6\n", {}, "rows.csv: too few rows to cut a test and dev part from it"),
}


@pytest.mark.parametrize(("keys", "files", "message"), BROKEN.values(), ids=BROKEN)
def test_what_only_a_refit_reads_is_checked_when_the_search_begins(
    tasks_file: Path, tmp_path: Path, keys: str, files: dict[str, str], message: str
) -> None:
    tasks_file.write_text(TASKS.replace('train = "rows.csv"\n', f'train = "rows.csv"\n{keys}', 1))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with refused(f"{tmp_path}/{message}"):
        given(Flags(tasks=tasks_file, encoder="demo"))


def test_a_search_holds_nothing_that_only_a_refit_reads(tasks_file: Path, tmp_path: Path) -> None:
    tasks_file.write_text(TASKS.replace('train = "rows.csv"\n', f'train = "rows.csv"\n{REST}', 1))
    (tmp_path / "new.csv").write_text("text\na film\n")
    (tmp_path / "test.csv").write_text(TEST_ROWS)
    flags = Flags(tasks=tasks_file, encoder="demo", skip_bad_rows=True)
    whole = given(flags)
    assert all(splits.keys() == {"train", "dev"} for splits in whole.corpus.examples.values())
    (tmp_path / "test.csv").write_text(f"{TEST_ROWS}a film,fine\n")
    skipping = given(flags)
    assert skipping.corpus.fingerprint() == whole.corpus.fingerprint()
    info = describe_run(flags, skipping, skipping.read_encoder(), Shares(concurrent=1, threads=1, cpus=1, gpus=0))
    assert info.skipped_rows == {"test.csv": 1}, "so a refit, too, leaves it out"
    again, _ = found_again(create_run(tmp_path / "runs", "own", info, whole.space.source), info)
    assert again.corpus.examples == whole.corpus.examples


def test_test_that_is_known_already_is_told(
    capsys: pytest.CaptureFixture[str], tasks_file: Path, tmp_path: Path
) -> None:
    """What of it stands in train or dev, but nothing of its labels."""
    keys = 'train = "rows.csv"\ndev = "dev.csv"\ntest = "test.csv"\n'
    tasks_file.write_text(TASKS.replace('train = "rows.csv"\n', keys, 1))
    (tmp_path / "dev.csv").write_text("text,verdict\na film,bad\nno film,bad\n")
    (tmp_path / "test.csv").write_text("text,verdict\na film,bad\nno FILM,good\nthe bad film 1,good\n")
    lines = [
        "mood: 1 of 3 test rows stands in train (1 exact)",
        "mood: 2 of 3 test rows stand in dev (1 exact, 1 up to case and space)",
    ]
    flags = ("--tasks", str(tasks_file), "--encoder", "demo", "--dry-run", "1")
    assert main(list(flags)) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line.startswith("in both")] == [f"in both  {line}" for line in lines]
    out = "take these rows out of one of the two, or leave out --strict"
    refusal = "\n".join(["error: --strict: the same sentences stand in two splits", *lines, out])
    assert said(capsys, *flags, "--strict") == f"{refusal}\n"


def test_one_file_by_two_names_is_no_test(tasks_file: Path, tmp_path: Path) -> None:
    other = f"../{tmp_path.name}/dev.csv"
    keys = f'train = "rows.csv"\ndev = "dev.csv"\ntest = "{other}"\n'
    tasks_file.write_text(TASKS.replace('train = "rows.csv"\n', keys, 1))
    (tmp_path / "dev.csv").write_text(TEST_ROWS)
    with refused(
        f"{tmp_path}/{other}: as test of task 'mood' the same file as dev ({tmp_path}/dev.csv); give it another one"
    ):
        given(Flags(tasks=tasks_file, encoder="demo"))


def test_a_dry_run_tells_what_is_cut(capsys: pytest.CaptureFixture[str], tasks_file: Path) -> None:
    (tasks_file.parent / "rows.csv").write_text(
        "text,other,verdict,kind\n"
        + "".join(f"{'word ' * (70 if i < 30 else 1)}{i},a song,{'good' if i % 2 else 'bad'},near\n" for i in range(90))
    )
    encoders, flag = "(the most that the encoder takes)", "(--max-tokens)"
    for flags, most, why in (
        ((), 64, encoders),
        (("--max-tokens", "64"), 64, encoders),
        (("--max-tokens", "32"), 32, flag),
    ):
        assert main(["--tasks", str(tasks_file), "--encoder", "demo", "--dry-run", "1", *flags]) == 0
        cut = [line for line in capsys.readouterr().out.splitlines() if line.startswith("cut")]
        assert [line.split(":")[0] for line in cut] == ["cut      mood", "cut      kinds"]
        assert f"are longer than {most} tokens, and are cut there" in cut[0]
        assert cut[0].endswith(why)


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(list(argv))
    assert exit_.value.code == 2
    return capsys.readouterr().err


def test_what_the_command_refuses(capsys: pytest.CaptureFixture[str], tasks_file: Path, tmp_path: Path) -> None:
    flags = ("--tasks", str(tasks_file), "--encoder", "demo")
    for data in ("demo", "hub"):
        assert said(capsys, *flags, "--data", data) == (
            f"error: --data {data} has tasks of its own; leave out --tasks, or give a folder\n"
        )
    assert said(capsys, *flags, "--resume") == (
        "error: --tasks can't be given with --resume: the run goes on as it began; allowed: --trials, --budget, "
        "--concurrent, --trials-per-gpu, --address, --cache-gb, --runs-dir\n"
    )
    assert said(capsys, "--tasks", str(tmp_path / "none.toml")) == f"error: {tmp_path / 'none.toml'}: no such file\n"
    papers = said(capsys, *flags, "--space", "spaces/papers.py")
    assert (
        "TrialConfig.tasks names ['paraphrase', 'sentiment', 'similarity']: allowed is exactly ['kinds', 'mood']"
        in papers
    )
    tasks_file.write_text(TASKS.replace('"matthews"', '"mcc"'))
    assert said(capsys, *flags) == (
        f"error: {tasks_file}:7: metric is 'mcc'; allowed is one of accuracy, macro_f1, matthews for label_kind = "
        "'binary'\n"
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("0", "--max-tokens 0: allowed is a whole number from 1"),
        ("7", "--max-tokens 7: allowed is a whole number from 8 to 64, the encoder's positions"),
        ("65", "--max-tokens 65: allowed is a whole number from 8 to 64, the encoder's positions"),
    ],
)
def test_so_many_tokens_are_not_read(capsys: pytest.CaptureFixture[str], asked: str, message: str) -> None:
    assert said(capsys, "--data", "demo", "--max-tokens", asked) == f"error: {message}\n"


def test_a_dry_run_of_them(capsys: pytest.CaptureFixture[str], tasks_file: Path) -> None:
    tasks_file.write_text(TASKS.replace('train = "rows.csv"\n', 'train = "rows.csv"\ndev = "dev.csv"\n', 1))
    folder = tasks_file.parent
    (folder / "dev.csv").write_text(f"{TEST_ROWS}a film,fine\nthe bad film 1,bad\n")
    flags = ("--tasks", str(tasks_file), "--encoder", "demo", "--skip-bad-rows", "--dry-run", "3")
    found = given(Flags(tasks=tasks_file, encoder="demo", skip_bad_rows=True))
    assert found.test is not None
    sizes = [
        f"{task} {found.problem.train_size[task]} train, {dev} dev, {found.test.size[task]} test"
        for task, dev in found.problem.dev_size.items()
    ]
    assert main(list(flags)) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:10] == [
        "space    spaces/full.py, 10 points to try first",
        "left out point cross-encoder: with these tasks the same as cross-and-bi-encoder",
        f"tasks    {tasks_file}: mood (binary, Matthews correlation), kinds (pairs, classes, macro F1)",
        f"data     {folder} ({'; '.join(sizes)})",
        f"skipped  1 row of dev.csv, the first: {folder}/dev.csv:3: verdict is 'fine'; allowed are 'bad', 'good'",
        "in both  mood: 1 of 2 dev rows stands in train (1 exact), 1 with the same label",
        "labels   mood: 'bad', 'good' are each in one row of dev alone",
        "encoder  demo (4 layers, 96 wide)",
        "Fields at their default are left out.",
        "1. point sentence-bert",
    ]
    assert any(line.startswith("   mood ") for line in shown)
