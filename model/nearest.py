"""The name that was probably meant, for a message about one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_CUTOFF = 0.65
"""Of difflib's ratio: `freeze` still means `freeze_depth` (0.67), `langauge` does not mean `range` (0.62)."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `name`; None where none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=_CUTOFF)), None)
