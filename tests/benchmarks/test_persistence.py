"""The benchmark of what saving costs: that it runs, and what it prints. Speed itself is never asserted."""

import re
from pathlib import Path

import pytest

from benchmarks.persistence import Arguments, as_markdown, main, measure


def test_measures_every_write_and_prints_a_table(tmp_path: Path) -> None:
    arguments = Arguments(epoch_examples=16, repeats=2, folder=tmp_path)
    measured = measure(arguments)
    assert [len(seconds) for seconds in measured.seconds.values()] == [2, 2, 2]
    weights = 4 * measured.epoch.trainable_parameters
    assert weights < measured.bytes["weights of the best epoch"] < 1.1 * weights
    assert 3 * weights < measured.bytes["whole state"] < 3.3 * weights
    rows = [line for line in as_markdown(arguments, measured).splitlines() if line.startswith("| ")]
    row = re.compile(r"\| .* \| [\d.e+-]+ \| [\d.]+ \([\d.]+ to [\d.]+\) \| [\d.]+% \|")
    assert len(rows) == 5
    assert all(row.fullmatch(line) for line in rows[1:4])
    assert rows[4].startswith("| together |")
    assert list(tmp_path.iterdir()) == [], "nothing is left of it"


def test_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--repeats", "0"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: --repeats 0: allowed is a whole number from 1\n"
