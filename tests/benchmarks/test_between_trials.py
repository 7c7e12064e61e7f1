"""What a ledger says of the time between two trials."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.between_trials import gaps, main
from search.ledger import Ledger
from search.records import End, Report, Retry, Session, Suggested, TrialError

EMPTY: dict[str, Any] = {"params": {}, "distributions": {}, "config": {}}
ERROR = TrialError(type="Died", message="", traceback="")


def report(trial: str, at: float, seconds: float, epoch: int = 1) -> Report:
    return Report(
        trial=trial, epoch=epoch, scores={}, clean_scores={}, train_scores={}, losses={}, overall=0.5,
        clean_overall=0.5, best=0.5, examples=1, train_seconds=0.0, seconds=seconds, trainable_parameters=1, time=at,
    )  # fmt: skip


def suggested(trial: str, at: float) -> Suggested:
    return Suggested(trial=trial, source="tpe", **EMPTY, time=at)


EVENTS = [
    Session(time=99.0),
    suggested("t001", 100.0),  # into empty places
    suggested("t002", 100.1),
    report("t001", 110.0, 9.0),
    report("t002", 110.5, 9.5),
    End(trial="t001", state="stopped", time=110.6),
    suggested("t003", 110.7),
    report("t002", 119.0, 8.0, epoch=2),
    End(trial="t002", state="completed", time=119.1),
    suggested("t004", 119.2),
    report("t003", 120.9, 10.0),
    Retry(trial="t004", reason="died", error=ERROR, time=125.0),
    report("t004", 140.0, 5.0),  # by another process, which had to be started
    End(trial="t003", state="stopped", time=141.0),
    Session(time=200.0),
    suggested("t005", 201.0),  # another session's
    report("t005", 210.0, 5.0),
]


def test_a_gap_is_from_an_end_to_the_next_ones_first_step() -> None:
    (gap,) = gaps(EVENTS)
    assert gap.trial == "t003"
    assert (gap.suggested, gap.begun) == pytest.approx((0.1, 120.9 - 10.0 - 110.6))


def test_prints_them_or_says_that_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, events in (("some", EVENTS), ("none", EVENTS[:5])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
        with Ledger(tmp_path / name / "ledger.jsonl") as ledger:
            for event in events:
                ledger.append(event)
    main(["some", "--runs-dir", str(tmp_path)])
    assert capsys.readouterr().out == (
        "some: 1 trials that took another's place\n"
        "from its end to the suggestion: 0.100 s (0.100 to 0.100)\n"
        "from its end to the first step: 0.300 s (0.300 to 0.300)\n"
    )
    with pytest.raises(SystemExit) as caught:
        main(["none", "--runs-dir", str(tmp_path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: none: no trial of it began where another had ended\n"
