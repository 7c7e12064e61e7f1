"""What a ledger says of the time between two trials."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.between_trials import gaps, main, on_their_way
from search.ledger import Ledger
from search.records import Action, Decision, End, Promoted, Report, Retry, Session, Suggested, TrialError

EMPTY: dict[str, Any] = {"params": {}, "distributions": {}, "config": {}}
ERROR = TrialError(type="Died", message="", traceback="")


def report(trial: str, at: float, seconds: float, epoch: int = 1) -> Report:
    return Report(
        trial=trial, epoch=epoch, scores={}, clean_scores={}, train_scores={}, losses={}, overall=0.5,
        clean_overall=0.5, best=0.5, examples=1, train_seconds=0.0, seconds=seconds, trainable_parameters=1, time=at,
    )  # fmt: skip


def suggested(trial: str, at: float) -> Suggested:
    return Suggested(trial=trial, source="tpe", **EMPTY, time=at)


def decided(trial: str, at: float, action: Action, epoch: int = 1, rung: int | None = 1) -> Decision:
    return Decision(trial=trial, epoch=epoch, action=action, rung=rung, cutoff=None, time=at)


EVENTS = [
    Session(time=99.0),
    suggested("t001", 100.0),  # into empty places
    suggested("t002", 100.1),
    report("t001", 110.0, 9.0),
    report("t002", 110.5, 9.5),
    decided("t001", 110.5, "pause"),
    decided("t002", 110.6, "continue", rung=None),
    suggested("t003", 110.7),
    report("t002", 119.0, 8.0, epoch=2),
    decided("t002", 119.1, "stop", epoch=2),
    End(trial="t002", state="stopped", time=119.1),
    Promoted(trial="t001", time=119.2),
    report("t003", 120.9, 10.0),
    decided("t003", 121.0, "pause"),
    suggested("t004", 121.1),
    report("t001", 130.0, 10.5, epoch=2),
    End(trial="t001", state="completed", time=130.2),
    End(trial="t003", state="stopped", time=130.3),  # which was paused
    Retry(trial="t004", reason="died", error=ERROR, time=132.0),
    report("t004", 140.0, 5.0),  # by another process, which had to be started
    suggested("t007", 140.1),
    End(trial="t007", state="diverged", time=140.5),  # amid an epoch
    suggested("t005", 140.6),
    decided("t004", 141.0, "stop"),
    Session(time=200.0),
    suggested("t006", 201.0),  # another session's
    report("t006", 210.0, 5.0),
]


def test_a_gap_is_from_the_end_of_a_last_epoch_to_the_next_ones_first_step() -> None:
    new, promoted = gaps(EVENTS)
    assert (new.trial, promoted.trial) == ("t003", "t001")
    assert (new.chosen, new.begun) == pytest.approx((110.7 - 110.0, 120.9 - 10.0 - 110.0))
    assert (promoted.chosen, promoted.begun) == pytest.approx((119.2 - 119.0, 130.0 - 10.5 - 119.0))


def test_what_is_on_its_way_to_the_driver_is_measured_where_nothing_is_compared() -> None:
    assert on_their_way(EVENTS) == pytest.approx([110.6 - 110.5, 130.2 - 130.0])


def test_prints_them_or_says_that_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, events in (("some", EVENTS), ("none", EVENTS[:4])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
        with Ledger(tmp_path / name / "ledger.jsonl") as ledger:
            for event in events:
                ledger.append(event)
    main(["some", "--runs-dir", str(tmp_path)])
    assert capsys.readouterr().out == (
        "some: 2 trials that took another's place\n"
        "from an epoch's end until the driver has heard of it: 0.150 s (0.100 to 0.200)\n"
        "from a last epoch's end until the next trial is chosen: 0.450 s (0.200 to 0.700)\n"
        "from a last epoch's end to the next trial's first step: 0.700 s (0.500 to 0.900)\n"
    )
    with pytest.raises(SystemExit) as caught:
        main(["none", "--runs-dir", str(tmp_path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: none: no trial of it began where another had ended\n"
