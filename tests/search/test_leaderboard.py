"""The leaderboard as it is printed."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.table import Table

from model.console import Console
from search.leaderboard import front_table, leaderboard_table, parameter_count, trial_table
from search.ledger import Ledger
from search.progress import LiveTable
from search.records import End, TrialRecord, leaderboard
from tests.search.events import TASKS, report, suggested


@pytest.fixture
def ranked(ledger: Ledger) -> list[TrialRecord]:
    for name, overall in (("t001", 0.5), ("t002", 0.9), ("t003", 0.7)):
        ledger.append(suggested(name, "point a_name_that_leaves_no_room_for_anything_else"))
        for epoch in range(1, 13):
            ledger.append(report(name, epoch, overall))
    ledger.append(End(trial="t001", state="completed"))
    ledger.append(End(trial="t002", state="diverged"))
    return leaderboard(ledger.records.values())


def rendered(table: Table, width: int, *, color: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard" if color else None)
    console.print(table)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in lines) or color
    return lines


def cells(line: str) -> list[str]:
    return line.replace("│", " ").replace("┃", " ").split()


@pytest.mark.parametrize(
    ("width", "heads", "source"),
    [
        (120, [*TASKS, "epoch", "state", "trained", "proposed", "by"], True),
        (105, [*TASKS, "epoch", "state", "trained", "proposed", "by"], True),
        (104, [*TASKS, "epoch", "state"], False),
        (80, [*TASKS, "epoch", "state"], False),
        (70, ["senti", "parap", "simil", "epoch", "state"], False),
    ],
)
def test_figures_are_never_squeezed(ranked: list[TrialRecord], width: int, heads: list[str], source: bool) -> None:
    lines = rendered(leaderboard_table(ranked, TASKS, width=width), width)
    assert cells(lines[2]) == ["trial", "overall", *heads]
    row = cells(lines[5])
    assert row[:9] == ["t001", "0.5000", "0.500", "0.500", "0.500", "1", "of", "12", "completed"]
    assert bool(row[9:]) == source


@pytest.mark.parametrize(
    ("tasks", "heads"),
    [
        (["reviews_en", "reviews_de"], ["reviews_e", "reviews_d"]),
        (["mood", "moods", "moodswings"], ["mood", "moods", "moodsw"]),
        (["a", "bc"], ["a", "bc"]),
    ],
)
def test_heads_are_shortened_as_far_as_they_tell_tasks_apart(tasks: list[str], heads: list[str]) -> None:
    narrow, wide = ([column.header for column in trial_table("Trials", tasks, width).columns] for width in (79, 80))
    assert narrow == ["trial", "overall", *heads, "epoch", "state"]
    assert wide == ["trial", "overall", *tasks, "epoch", "state"]


@pytest.mark.parametrize("width", [80, 105])
@pytest.mark.usefixtures("ranked")
def test_nor_are_they_while_a_run_goes_on(ledger: Ledger, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=30, force_terminal=True, color_system=None)
    with LiveTable(console, ledger.history, TASKS, trials=20, epochs=12):
        pass
    text = console.file.getvalue()  # type: ignore[attr-defined]
    row = next(cells(line) for line in text.splitlines() if "t001" in line)
    assert row[:7] == ["t001", "0.5000", "0.500", "0.500", "0.500", "12/12", "completed"]


def test_only_the_winner_is_bold(ranked: list[TrialRecord]) -> None:
    def bold(records: list[TrialRecord]) -> list[str]:
        lines = rendered(leaderboard_table(records, TASKS), 120, color=True)[4:-1]
        return [name for name in ("t001", "t002", "t003") for line in lines if name in line and "\x1b[1m" in line]

    assert bold(ranked) == ["t003"]
    assert bold([record for record in ranked if record.state == "diverged"]) == []


@pytest.mark.parametrize("width", [70, 120])
def test_the_front_has_a_row_for_each_trial_and_the_winner_is_bold(ledger: Ledger, width: int) -> None:
    for name, overall, took, size in (("t001", 0.5, 0.1234, 950), ("t002", 0.9, 80, 22_713_216), ("t003", 0.4, 9, 950)):
        ledger.append(suggested(name, "point a_name_that_leaves_no_room_for_anything_else"))
        made = replace(report(name, 1, overall), train_seconds=took, trainable_parameters=size)
        ledger.append(made)
    records = list(ledger.records.values())
    lines = rendered(front_table(records, ("overall", "seconds", "parameters")), width)
    assert lines[0].strip() == "Pareto front of overall, seconds, parameters"
    assert cells(lines[2]) == ["trial", "overall", "seconds", "an", "epoch", "parameters", "proposed", "by"]
    assert [cells(line)[:5] for line in lines[4:-1]] == [
        ["t002", "0.9000", "80", "22,713,216", "point"],
        ["t001", "0.5000", "0.12", "950", "point"],
    ]
    colored = rendered(front_table(records, ("overall", "seconds")), width, color=True)
    assert ["\x1b[1m" in line for line in colored if "0.5000" in line or "0.9000" in line] == [True, False]


def test_parameters_are_counted_in_three_digits() -> None:
    assert [parameter_count(n) for n in (0, 950, 12_345, 22_713_216)] == ["0", "950", "12.3k", "22.7M"]
