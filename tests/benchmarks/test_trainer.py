"""The benchmark beside Hugging Face's Trainer: what it prints. It runs where accelerate is installed."""

import importlib.util
import re

import pytest

from benchmarks.trainer import DEFAULTS, FASTEST, Arguments, as_markdown, main


def test_ratios_are_of_the_same_repeat() -> None:
    seconds = {DEFAULTS: [4.0, 8.0, 6.0], FASTEST: [2.0, 2.0, 2.0], "ours": [1.0, 4.0, 1.0]}
    rows = as_markdown(Arguments(steps=2, batch_size=8), seconds).splitlines()[2:]
    assert rows == [
        "| Trainer, its defaults | 2.7 | 1.00 (1.00 to 1.00) | 0.33 (0.25 to 0.50) |",
        "| Trainer, grouped by length, bf16 | 8.0 | 3.00 (2.00 to 4.00) | 1.00 (1.00 to 1.00) |",
        "| ours | 16.0 | 4.00 (2.00 to 6.00) | 2.00 (0.50 to 2.00) |",
    ]


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is for this benchmark alone")
def test_measures_every_case_and_prints_tables(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--steps", "2", "--repeats", "2", "--batch-size", "4"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    row = re.compile(r"\| [\w ,]+ \| [\d.]+ \| [\d.]+ \([\d.]+ to [\d.]+\) \| [\d.]+ \([\d.]+ to [\d.]+\) \|")
    assert len([line for line in rows if row.fullmatch(line)]) == 12


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--threads", "0"], "error: --threads 0: allowed is a whole number from 1\n"),
        (["--depths", "9"], "error: --depths 9: allowed is 0 to 4, the encoder's layers\n"),
    ],
)
def test_one_message(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err == text


def test_what_it_needs_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "accelerate" else object())
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    command = '.venv/bin/python -m pip install -c constraints.txt -e ".[benchmarks]"'
    assert capsys.readouterr().err == f"error: accelerate is not installed; {command}\n"
