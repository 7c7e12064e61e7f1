"""The benchmark of frozen layers: that it runs, and what it prints. Speed itself is never asserted."""

import re

import pytest

from benchmarks.frozen_prefix import main


def test_measures_every_depth_and_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--steps", "2", "--repeats", "2", "--batch-size", "4", "--trial-epochs", "1", "--trial-examples", "8"])
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    row = re.compile(r"\| \d of 4 \| [\d.]+ \| [\d.]+ \| [\d.]+ \([\d.]+ to [\d.]+\) \| [\d.]* ?\|")
    assert [line[:8] for line in rows[1:]] == ["| 2 of 4", "| 3 of 4", "| 4 of 4"]
    assert all(row.fullmatch(line) for line in rows[1:])
    assert "A trial with all 4 layers frozen, 1 epochs of 8 examples and their evaluation: " in out


def test_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--depths", "0"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: --depths 0: allowed is 1 to 4, the encoder's layers\n"
