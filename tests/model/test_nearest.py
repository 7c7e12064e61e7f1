"""The name that was probably meant."""

from __future__ import annotations

import pytest

from model.data.tasks import _TASK_KEYS
from model.nearest import nearest


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("metrics", ("label", "metric"), "metric"),
        ("freeze", ("layer_drop", "freeze_depth"), "freeze_depth"),
        ("taks", ("tasks", "task"), "tasks"),
        ("langauge", _TASK_KEYS, None),
        ("anything", (), None),
    ],
)
def test_only_what_is_near_is_named(name: str, known: tuple[str, ...], found: str | None) -> None:
    assert nearest(name, known) == found
