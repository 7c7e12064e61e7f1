"""How the report says things."""

from __future__ import annotations

import pytest

from analysis.page.wording import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.1234, "0.123 s"), (12.345, "12.3 s"), (59.51, "59.5 s"), (60, "1 min 0 s"), (3661, "1 h 1 min")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
