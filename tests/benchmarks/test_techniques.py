"""The benchmark of what a technique costs: that it runs, and what it prints. Speed itself is never asserted."""

import re

import pytest

from benchmarks.techniques import CASES, Arguments, as_markdown, main, measure


def test_measures_every_case_and_prints_a_table():
    arguments = Arguments(steps=3, batch_size=2, repeats=2)
    seconds = measure(arguments)
    assert seconds.keys() == {case.name for case in CASES}
    assert all(len(times) == 2 and min(times) > 0 for times in seconds.values())
    rows = [line for line in as_markdown(arguments, seconds).splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(CASES)
    row = re.compile(r"\| .* \| [\d.]+ \| [\d.]+ \([\d.]+ to [\d.]+\) \| [\d.]+ \| .* \|")
    assert all(row.fullmatch(line) for line in rows[1:])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--threads", "0"], "error: --threads 0: allowed is a whole number from 1\n"),
        (
            ["--data", "nowhere"],
            "error: --data nowhere: no such folder; give a folder with the CS224N files, 'demo' or 'hub'\n",
        ),
    ],
)
def test_one_message(arguments, text, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err == text


def test_ratios_are_to_the_case_they_are_compared_with():
    seconds = {case.name: [0.5, 1.0] if case.baseline == case.name else [1.0, 1.0] for case in CASES}
    table = as_markdown(Arguments(), seconds)
    assert "| PCGrad | 1.00 | 1.50 (1.00 to 2.00) | 1.00 |" in table
