"""Which trials of a run are the space's POINTS. Known without torch."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.published.figures import is_of_paper
from search.records import POINT, TrialRecord, is_fit, leaderboard


def points(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials of the space's POINTS, in the order of the leaderboard."""
    return [record for record in records if record.source.startswith(POINT)]


def best_point(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The best of the papers' configurations among the space's POINTS, or of all POINTS where none is a paper's. None
    where the run has no sound one."""
    sound = [record for record in points(leaderboard(records)) if is_fit(record)]
    of_papers = [record for record in sound if is_of_paper(record.source.removeprefix(POINT))]
    return next(iter(of_papers or sound), None)
