"""Flags that do not go together, and a resume's."""

from __future__ import annotations

from pathlib import Path

import pytest
import tyro

from search.flags import Flags, check_flags, without_effect
from search.run import with_newest
from tests.support import refused


def parse(*argv: str) -> Flags:
    return tyro.cli(Flags, args=with_newest(list(argv)), config=(tyro.conf.FlagCreatePairsOff,))


@pytest.mark.parametrize(
    ("argv", "resume", "trials"),
    [
        (("--resume",), "", None),
        (("--resume", "monday"), "monday", None),
        (("--resume", "--trials", "9"), "", 9),
        (("--trials", "9", "--resume"), "", 9),
        (("--resume", "monday", "--trials", "9"), "monday", 9),
        (("--trials", "9"), None, 9),
        ((), None, None),
    ],
)
def test_a_resume_without_a_name_is_that_of_the_newest_run(
    argv: tuple[str, ...], resume: str | None, trials: int | None
) -> None:
    flags = parse(*argv)
    assert (flags.resume, flags.trials) == (resume, trials)


@pytest.mark.parametrize(
    "argv",
    [
        ("--trials", "9"),
        ("--budget", "2h"),
        ("--concurrent", "2"),
        ("--trials-per-gpu", "2"),
        ("--address", "auto"),
        ("--runs-dir", "elsewhere"),
    ],
)
def test_what_a_resumed_run_may_be_given_anew(argv: tuple[str, ...]) -> None:
    check_flags(parse("--resume", "monday", *argv))


@pytest.mark.parametrize(
    "argv",
    [
        ("--space", "spaces/full.py"),
        ("--data", "demo"),
        ("--encoder", "demo"),
        ("--skip-bad-rows",),
        ("--strict",),
        ("--pretrain-epochs", "1"),
        ("--epochs", "9"),
        ("--no-early-stopping",),
        ("--epoch-examples", "9"),
        ("--run", "tuesday"),
        ("--search", "tpe"),
        ("--objectives", "overall", "seconds"),
        ("--seed", "1"),
        ("--precision", "fp32"),
        ("--dry-run", "3"),
    ],
)
def test_all_else_stays_as_it_began(argv: tuple[str, ...]) -> None:
    allowed = "--trials, --budget, --concurrent, --trials-per-gpu, --address, --cache-gb, --runs-dir"
    with refused(f"{argv[0]} can't be given with --resume: the run goes on as it began; allowed: {allowed}"):
        check_flags(parse("--resume", *argv))


def test_a_dry_run_makes_nothing_of_how_trials_are_trained() -> None:
    search = (
        "--trials",
        "9",
        "--no-early-stopping",
        "--address",
        "auto",
        "--trials-per-gpu",
        "2",
        "--run",
        "monday",
        "--runs-dir",
        "elsewhere",
        "--precision",
        "fp32",
    )
    inputs = ("--data", "demo", "--seed", "1", "--pretrain-epochs", "1", "--max-tokens", "64", "--strict")
    assert without_effect(parse(*search, *inputs)) == []
    found = without_effect(parse("--dry-run", "3", *search, *inputs))
    training = ["--trials", "--no-early-stopping", "--trials-per-gpu", "--address"]
    assert found == [*training, "--run", "--runs-dir", "--precision"]


def test_a_budget_is_looked_at_first() -> None:
    with refused(
        "--budget tomorrow: allowed is a time such as 2h, 1h30m or 45m, or a number of epochs such as 300epochs"
    ):
        check_flags(Flags(budget="tomorrow"))


def test_by_default_nothing_limits_the_trials_but_what_is_asked() -> None:
    assert Flags().trials is None
    check_flags(Flags())
    check_flags(Flags(budget="1h30m"))


def test_one_epoch_for_all_needs_to_know_who_all_are() -> None:
    check_flags(Flags(search="one-epoch"))
    check_flags(Flags(search="one-epoch", trials=9, budget="1h"))
    with refused("--search one-epoch must know how many trials all is: give --trials with --budget"):
        check_flags(Flags(search="one-epoch", budget="1h"))
    with refused("--no-early-stopping can't be given with --search one-epoch, which is to stop trials early"):
        check_flags(Flags(search="one-epoch", early_stopping=False))


@pytest.mark.parametrize(
    "objectives",
    [(), ("seconds",), ("overall", "overall"), ("seconds", "overall", "seconds"), ("parameters", "seconds")],
)
def test_objectives_are_overall_and_others_each_once(objectives: tuple[str, ...]) -> None:
    given = " ".join(["--objectives", *objectives])
    with refused(f"{given}: allowed is overall, alone or with seconds or parameters or both, each once"):
        check_flags(parse("--objectives", *objectives))


def test_several_objectives_are_for_freeze_thaw() -> None:
    assert Flags().objectives == ("overall",)
    check_flags(parse("--objectives", "parameters", "overall", "seconds"))
    check_flags(parse("--objectives", "overall", "--search", "tpe"))
    for search in ("tpe", "random", "one-epoch"):
        with refused(
            f"--objectives overall seconds: --search {search} knows overall alone; allowed: --search freeze-thaw"
        ):
            check_flags(parse("--objectives", "overall", "seconds", "--search", search))


def test_a_run_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "monday").mkdir()
    with refused(f"{tmp_path}/monday exists; name another run with --run"):
        check_flags(Flags(run="monday", runs_dir=tmp_path))
    check_flags(Flags(run="monday", runs_dir=tmp_path, dry_run=3))  # it makes none
