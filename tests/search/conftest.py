"""What the tests of search share: a problem, and a ledger to write to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model.data.tasks import CS224N
from model.problem import Problem
from search.ledger import Ledger


@pytest.fixture(scope="session")
def problem() -> Problem:
    sizes = {task.name: 60 for task in CS224N}
    return Problem(tasks=CS224N, num_layers=2, hidden_size=16, num_heads=2, train_size=sizes, dev_size=sizes)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.jsonl") as opened:
        yield opened


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ledgers leave it to the system when their lines reach the disk: for tests that write thousands."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
