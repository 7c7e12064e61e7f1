"""The benchmark of what a technique costs: that it runs, and what it prints. Speed itself is never asserted."""

import re

from benchmarks.techniques import CASES, Arguments, as_markdown, measure


def test_measures_every_case_and_prints_a_table():
    arguments = Arguments(steps=3, batch_size=2, repeats=2)
    seconds = measure(arguments)
    assert seconds.keys() == {case.name for case in CASES}
    assert all(len(times) == 2 and min(times) > 0 for times in seconds.values())
    rows = [line for line in as_markdown(arguments, seconds).splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(CASES)
    row = re.compile(r"\| .* \| [\d.]+ \| [\d.]+ \([\d.]+ to [\d.]+\) \| [\d.]+ \| .* \|")
    assert all(row.fullmatch(line) for line in rows[1:])


def test_ratios_are_to_the_case_they_are_compared_with():
    seconds = {case.name: [0.5, 1.0] if case.baseline == case.name else [1.0, 1.0] for case in CASES}
    table = as_markdown(Arguments(), seconds)
    assert "| PCGrad | 1.00 | 1.50 (1.00 to 2.00) | 1.00 |" in table
