"""How much a run may take: what can be typed, and when it is used up."""

from __future__ import annotations

import pytest

from search.budget import Budget
from tests.support import refused

ALLOWED = "allowed is a time such as 2h, 1h30m or 45m, or a number of epochs such as 300epochs"


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        (None, Budget()),
        ("2h", Budget(seconds=7200)),
        ("1h30m", Budget(seconds=5400)),
        ("45m", Budget(seconds=2700)),
        ("1.5h", Budget(seconds=5400)),
        ("1h1m1s", Budget(seconds=3661)),
        ("300epochs", Budget(epochs=300)),
        ("1epoch", Budget(epochs=1)),
    ],
)
def test_a_time_or_a_number_of_epochs(text: str | None, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-2h", "2h epochs", "1.5epochs", "2d", "2h3epochs", "1e3s"])
def test_anything_else_is_refused(text: str) -> None:
    with refused(f"--budget {text}: {ALLOWED}"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["0h", "0m0s", "0epochs"])
def test_nothing_is_no_budget(text: str) -> None:
    with refused(f"--budget {text}: nothing can be done in that; {ALLOWED}"):
        Budget.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds", "epochs", "more"),
    [
        ("2h", 7200.0, 9, "4h"),
        ("1h30m", 5401.5, 9, "3h2s"),
        ("30m", 6000.0, 0, "2h10m"),  # further pre-training takes of it, too
        ("0.1s", 0.2, 0, "1s"),
        ("3epochs", 1e9, 4, "7epochs"),
    ],
)
def test_as_much_again(text: str, seconds: float, epochs: int, more: str) -> None:
    assert Budget.parse(text).once_more(seconds, epochs) == more
    assert not Budget.parse(more).used_up(seconds, epochs)


def test_used_up() -> None:
    assert not Budget().used_up(1e9, 10**9)
    assert [Budget(seconds=60).used_up(seconds, 1000) for seconds in (59.9, 60.0, 61.0)] == [False, True, True]
    assert [Budget(epochs=3).used_up(1e9, epochs) for epochs in (2, 3, 4)] == [False, True, True]
