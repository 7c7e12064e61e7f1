"""Searches beside each other, by the best that each had found after so many epochs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.best_by_epochs import main
from search.ledger import Ledger
from search.run_folder import create_run
from tests.search.events import report, suggested
from tests.search.test_run_folder import INFO


def make(folder: Path, name: str, *overall: float, **changes: Any) -> None:
    """A run of one trial, which scored so after its epochs."""
    run = create_run(folder, name, replace(INFO, **changes), "")
    with Ledger(run.ledger) as ledger:
        ledger.append(suggested())
        for epoch, score in enumerate(overall, 1):
            ledger.append(report(epoch=epoch, overall=score))


def test_runs_of_a_search_are_taken_together_as_far_as_all_have_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, "a", 0.1, 0.5, 0.4, 0.6)
    make(tmp_path, "b", 0.3, 0.2, 0.2, 0.8, 0.9, search="tpe")
    make(tmp_path, "c", 0.1, 0.2, 0.3, 0.4, 0.9, seed=1, search="tpe")
    picture = tmp_path / "picture.svg"
    main(["a", "b", "c", "--runs-dir", str(tmp_path), "--picture", str(picture)])
    assert capsys.readouterr().out.splitlines() == [
        "| search | runs | best after 1 epochs | best after 2 epochs | best after 3 epochs | best after 4 epochs |",
        "|---|---|---|---|---|---|",
        f"| {INFO.search}, {Path(INFO.space).name} | 1 | 0.1000 | 0.5000 | 0.5000 | 0.6000 |",
        f"| tpe, {Path(INFO.space).name} | 2 | 0.2000 (0.1000 to 0.3000) | 0.2500 (0.2000 to 0.3000) "
        "| 0.3000 (0.3000 to 0.3000) | 0.6000 (0.4000 to 0.8000) |",
    ]
    assert "<svg" in picture.read_text()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no run to look at: give the names of some"),
        (["a", "other"], "other: epochs 99, a has 6: they can't be compared"),
        (["a", "empty"], "empty: none of its trials has ended an epoch"),
        (["a", "--picture", "x.gif"], "--picture x.gif: allowed is a name that ends in .svg or .png"),
    ],
)
def test_what_can_not_be_compared(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, "a", 0.1, epochs=6)
    make(tmp_path, "other", 0.1, epochs=99)
    make(tmp_path, "empty", epochs=6)
    with pytest.raises(SystemExit) as raised:
        main([*argv, "--runs-dir", str(tmp_path)])
    assert raised.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
