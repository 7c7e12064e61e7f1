"""What tests of faults compare with: the same run, left alone."""

from __future__ import annotations

import pytest

from tests.faults.harness import EPOCHS, Search


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """Three trials, of which each went on in peace."""
    search = Search(tmp_path_factory.mktemp("whole"))
    search.start().ends()
    assert {record.epoch for record in search.history().trials.values()} <= {2, EPOCHS}
    return search
