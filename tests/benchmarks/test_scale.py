"""A run's search on more workers: where the time on the simulated clock goes, and what is measured of the run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, distribution_to_json

from benchmarks.driver import Driver, on_disk
from benchmarks.learned_curves import Curve
from benchmarks.scale import Delays, Played, as_markdown, delays_of, main, play, utilisation
from model.data.tasks import CS224N, CS224N_SOURCES
from model.problem import Problem
from search.ledger import Ledger
from search.records import Decision, End, Event, Promoted, Report, Retry, Session, Suggested, TrialError, TrialRecord
from search.run_folder import RunFolder, create_run
from tests.search.driven import space_in
from tests.search.events import report
from tests.search.test_run_folder import INFO
from tests.search.test_space import HEAD

EPOCHS = 4
DELAYS = Delays(setup=7.0, process=5.0, begin=0.5, report=0.25)
PROBLEM = Problem(tasks=CS224N, num_layers=2, hidden_size=16, num_heads=2, train_size={}, dev_size={})
ERROR = TrialError(type="Died", message="", traceback="")


def curve(record: TrialRecord) -> Curve:
    """A shallow one is quick, and a rate in the middle is good."""
    height = math.exp(-(math.log10(record.params["rate"] / 1e-4) ** 2))
    epochs = np.arange(1, EPOCHS + 1)
    return Curve(0.3 + 0.5 * height * (1 - np.exp(-epochs)), 10.0 + 5 * record.params["depth"] + epochs / 8)


def searched(
    folder: Path,
    *,
    workers: int,
    search: str = "random",
    early_stopping: bool = False,
    trials: int = 12,
    took: float = 0.0,
) -> Played:
    """Every answer of the driver takes `took` seconds."""
    path = folder / f"{search}-{workers}-{took}"
    path.mkdir()
    with on_disk(
        RunFolder(path), search, space_in(folder), PROBLEM,
        epochs=EPOCHS, trials=trials, seed=0, early_stopping=early_stopping,
    ) as parts:  # fmt: skip
        return play(Driver(parts), curve, DELAYS, workers=workers, clock=count(0.0, took).__next__)


def test_one_worker_takes_the_sum_of_what_was_spent(tmp_path: Path) -> None:
    played = searched(tmp_path, workers=1)
    assert (played.epochs, played.driver) == (12 * EPOCHS, 0.0)
    assert played.training >= 12 * EPOCHS * 10
    assert played.seconds == pytest.approx(7.0 + 5.0 + 11 * 0.5 + played.epochs * 0.25 + played.training)


@pytest.mark.parametrize("search", ["random", "freeze-thaw"])
def test_more_workers_are_never_slower_and_never_busy_for_longer_than_there_is_time(
    search: str, tmp_path: Path
) -> None:
    played = {n: searched(tmp_path, workers=n, search=search) for n in (1, 2, 3, 6, 12, 20)}
    seconds = [one.seconds for one in played.values()]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] / 2 < seconds[1] < seconds[0] / 1.5
    assert all(0 < utilisation([one], n) <= 1 for n, one in played.items())
    assert seconds[-1] == seconds[-2], "twelve trials do not fill more than twelve workers"
    assert all(one.epochs == 12 * EPOCHS for one in played.values())


def test_every_worker_is_busy_where_there_is_no_delay_and_nothing_else_to_wait_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run"
    path.mkdir()
    alike = Curve(np.full(EPOCHS, 0.5), np.full(EPOCHS, 2.0))
    with on_disk(
        RunFolder(path), "random", space_in(tmp_path), PROBLEM, epochs=EPOCHS, trials=12, seed=0, early_stopping=False
    ) as parts:
        played = play(
            Driver(parts), lambda record: alike, Delays(0, 0, 0, 0), workers=4, clock=count(0.0, 0.0).__next__
        )  # fmt: skip
    assert (played.seconds, played.training, utilisation([played], 4)) == (24.0, 96.0, 1.0)


def test_a_slow_driver_keeps_many_workers_waiting_and_few_hardly(tmp_path: Path) -> None:
    fast, slow = (
        {n: searched(tmp_path, workers=n, took=took) for n in (1, 12)} for took in (0.0, 5.0)
    )  # fmt: skip
    for n in (1, 12):
        assert slow[n].training == fast[n].training
        assert slow[n].driver >= 5.0 * (12 + 12 * EPOCHS), "a suggestion a trial, a decision an epoch"
        assert slow[n].seconds >= slow[n].driver
    assert slow[1].seconds == pytest.approx(fast[1].seconds + slow[1].driver)
    assert slow[12].seconds > 2.5 * fast[12].seconds
    assert slow[12].driver / slow[12].seconds > 0.8 > slow[1].driver / slow[1].seconds


def test_freeze_thaw_pauses_and_goes_on_as_in_a_search(tmp_path: Path) -> None:
    played = searched(tmp_path, workers=2, search="freeze-thaw", early_stopping=True)
    assert 12 * 2 <= played.epochs < 12 * EPOCHS
    with Ledger(tmp_path / "freeze-thaw-2-0.0" / "ledger.jsonl") as ledger:
        records = ledger.records
    assert len(records) == 12
    assert sum(record.epoch for record in records.values()) == played.epochs
    took = [seconds for record in records.values() for seconds in curve(record).seconds[: record.epoch].tolist()]
    assert played.training == pytest.approx(sum(took))
    assert [told.seconds for record in records.values() for told in record.reports] == took
    assert played.best == max(told.overall for record in records.values() for told in record.reports)


# What is measured of a run --------------------------------------------------------------------------------------------


def suggested(trial: str, at: float) -> Suggested:
    return Suggested(trial=trial, source="random", params={}, distributions={}, config={}, time=at)


def told(trial: str, epoch: int, at: float, seconds: float) -> Report:
    return replace(report(trial, epoch), seconds=seconds, time=at)


def decided(trial: str, epoch: int, at: float, rung: int | None = None, action: Any = "continue") -> Decision:
    return Decision(trial=trial, epoch=epoch, action=action, rung=rung, cutoff=None, time=at)


EVENTS: list[Event] = [
    Session(setup_seconds=6.0, time=106.0),
    suggested("t001", 108.0),
    suggested("t002", 108.1),
    told("t001", 1, 123.0, 10.0),
    decided("t001", 1, 123.2),
    told("t002", 1, 123.1, 9.0),  # 6 s in a new process
    Retry(trial="t002", reason="died", error=ERROR, time=130.0),
    told("t001", 2, 133.3, 10.0),
    decided("t001", 2, 137.0, rung=2, action="pause"),  # compared: that is the driver's own time
    suggested("t003", 137.1),
    told("t003", 1, 147.6, 10.0),  # 0.5 s where a trial was before
    decided("t003", 1, 148.0),
    Retry(trial="t003", reason="died", error=ERROR, time=150.0),
    Promoted(trial="t001", time=151.0),
    told("t001", 3, 161.9, 10.0),  # 0.9 s
    End(trial="t001", state="completed", time=162.2),
    suggested("t004", 163.0),
    Retry(trial="t004", reason="died", error=ERROR, time=164.0),
    told("t004", 1, 190.0, 10.0),
    Session(setup_seconds=6.0, time=300.0),
    suggested("t005", 400.0),  # after a trial that went on without a suggestion
    told("t005", 1, 499.0, 10.0),
]


def test_what_passes_beside_training_and_decisions_is_in_the_ledger() -> None:
    found = delays_of(EVENTS, concurrent=2)
    assert (found.setup, found.process, found.begin) == pytest.approx((8.0, 5.5, 0.7))
    assert found.report == pytest.approx(0.3), "the median of 0.2, 0.4 and 0.3"


def test_what_a_run_has_none_of_takes_no_time() -> None:
    found = delays_of(EVENTS[:4], concurrent=2)
    assert (found.process, found.begin, found.report) == (5.0, 5.0, 0.0)


# The command ----------------------------------------------------------------------------------------------------------

SPACE = (
    HEAD
    + """
def space(trial, problem):
    rate = trial.suggest_float("rate", 1e-5, 1e-3, log=True)
    return TrialConfig(tasks=TASKS, optimization=OptimizationConfig(learning_rate=rate))
"""
)


def made(runs: Path, trials: int = 9, **changes: Any) -> None:
    """A run of trials of two epochs each."""
    run = create_run(runs, "one", replace(INFO, trials=trials, sources=CS224N_SOURCES, **changes), SPACE)
    rate = json.loads(distribution_to_json(FloatDistribution(1e-5, 1e-3, log=True)))
    with Ledger(run.ledger) as ledger:
        ledger.append(Session(time=100.0))
        for number in range(1, trials + 1):
            name, at = f"t{number:03d}", 100.0 + 30 * number
            params = {"rate": number * 1e-4}
            ledger.append(Suggested(
                trial=name, source="random", params=params, distributions={"rate": rate}, config={}, time=at
            ))  # fmt: skip
            for epoch in (1, 2):
                ledger.append(told(name, epoch, at + 10 * epoch, 9.0))
            ledger.append(End(trial=name, state="completed", time=at + 21))


def test_prints_a_line_for_each_number_of_workers_and_draws_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path)
    asked = ["one", "--runs-dir", str(tmp_path), "--workers", "4", "1", "--seeds", "2"]
    main([*asked, "--picture", str(tmp_path / "scale.svg")])
    lines = capsys.readouterr().out.splitlines()
    assert "one: freeze-thaw, 9 trials of at most 2 epochs" in lines[0]
    assert lines[2].startswith("The run itself, 9 trials, 1 at a time: 291 s, 18 epochs of 9 s (median). ")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert rows[0][:3] == ["workers", "wall-clock, s", "speed-up over 1"]
    assert [row[0] for row in rows[2:]] == ["1", "4"]
    assert [row[2] == "1.0" for row in rows[2:]] == [True, False]
    assert all("(" in row[1] for row in rows[2:]), "the range of two seeds"
    assert (tmp_path / "scale.svg").read_text().count("workers") >= 2


def test_means_of_seeds_are_shown() -> None:
    found = {2: [Played(100.0, 150.0, 10.0, 30, 0.7), Played(200.0, 350.0, 10.0, 40, 0.8)], 1024: [
        Played(50.0, 512.0, 45.0, 30, 0.75)
    ]}  # fmt: skip
    assert as_markdown(found).splitlines()[2:] == [
        "| 2 | 150 (100 to 200) | 1.0 | 35 | 81% | 7.5% | 0.750 |",
        "| 1,024 | 50 | 3.0 | 30 | 1% | 90.0% | 0.750 |",
    ]


@pytest.mark.parametrize(
    ("arguments", "trials", "text"),
    [
        (["--workers", "4", "0"], 9, "--workers 4 0: allowed are whole numbers from 1"),
        (["--trials", "0"], 9, "--trials 0: allowed is a whole number from 1"),
        (["--seeds", "0"], 9, "--seeds 0: allowed is a whole number from 1"),
        (["--epochs", "0"], 9, "--epochs 0: allowed is a whole number from 1"),
        (["--epochs", "3"], 9, "--epochs 3: allowed is 1 to 2, which the run's trials may have taken"),
        (["--picture", "a.gif"], 9, "--picture a.gif: allowed is a name that ends in .svg or .png"),
        (["--picture", "no/a.svg"], 9, "--picture no/a.svg: no such folder as no"),
        ([], 7, "one: 7 trials ended an epoch; 8 are needed to learn from"),
    ],
)
def test_one_message(
    arguments: list[str], trials: int, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path, trials)
    with pytest.raises(SystemExit) as caught:
        main(["one", "--runs-dir", str(tmp_path), *arguments])
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {text}\n"


def test_a_run_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["two", "--runs-dir", str(tmp_path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: no run called 'two'; runs here: none\n"


def test_a_space_that_breaks_in_a_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path)
    path = (tmp_path / "one" / "space.py").resolve()
    path.write_text(f'{HEAD}\ndef space(trial, problem):\n    raise ValueError("no more")\n')
    with pytest.raises(SystemExit) as caught:
        main(["one", "--runs-dir", str(tmp_path), "--workers", "2"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {path}:{HEAD.count(chr(10)) + 3}: no more\n")
