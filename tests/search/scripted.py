"""Trials that say what a script has for them, to a real judge, without Ray: one after the other, or in any order."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from search.judge import Judge
from search.ledger import Ledger
from search.policy.rungs import Rungs
from search.records import End, Report, Retry, TrialError
from tests.search.events import report, suggested

ERROR = TrialError(type="ValueError", message="boom", traceback="...")

Word = float | End
"""What a trial says: the overall of its next epoch, or how it ends."""
DIVERGES, FAILS = End(trial="", state="diverged"), End(trial="", state="failed", error=ERROR)


def outcomes(trial: str, words: Iterable[Word]) -> Iterator[Report | End]:
    """What `trial` says word by word."""
    best = 0.0
    for epoch, word in enumerate(words, 1):
        if isinstance(word, End):
            yield dataclasses.replace(word, trial=trial)
        else:
            best = max(best, word)
            yield report(trial, epoch, word, best=best)


def judging(ledger: Ledger, epochs: int, *, early_stopping: bool = True) -> Judge:
    """A judge who decides by ASHA's rungs."""
    return Judge(ledger, epochs, Rungs(epochs, early_stopping=early_stopping, records=ledger.records.values()))


def say(judge: Judge, outcome: Report | Retry | End) -> str:
    """The judge's decision."""
    match outcome:
        case Report():
            return judge.reported(outcome)
        case Retry():
            return judge.retried(outcome)
        case End():
            return judge.ended(outcome)


def play(ledger: Ledger, judge: Judge, order: Sequence[tuple[str, Word]]) -> None:
    """Lets trials speak in this order. What has not ended begins anew, as if taken up again, and repeats itself."""
    voices = {name: outcomes(name, [word for other, word in order if other == name]) for name, _ in order}
    for name, _ in order:
        if name not in ledger.records:
            ledger.append(suggested(name))
        outcome = next(voices[name])
        if ledger.records[name].state == "running":
            say(judge, outcome)


def lines(path: Path) -> list[dict[str, Any]]:
    """What a ledger says, line by line, without checksums and the times at which they were written."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("crc32", "time")} for line in found]
