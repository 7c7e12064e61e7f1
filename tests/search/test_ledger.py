"""The ledger: what is written comes back, a torn end is forgiven, nothing else is."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from model.errors import UserError
from search.ledger import Decision, End, Event, Ledger, TrialError, leaderboard, read_ledger, winner
from tests.search.events import report, suggested

ERROR = TrialError(type="ValueError", message="boom", traceback="Traceback ...\nValueError: boom")
EVENTS: list[Event] = [
    suggested("t001", "point baseline", rate=1e-5, pooling="mean", norm=None),
    suggested("t002"),
    report("t001", 1, 0.5),
    Decision(trial="t001", epoch=1, action="continue", rung=None, cutoff=None),
    report("t001", 2, 0.4, best=0.5),
    Decision(trial="t001", epoch=2, action="stop", rung=2, cutoff=0.6),
    End(trial="t001", state="stopped"),
    End(trial="t002", state="failed", error=ERROR),
]


def write(path: Path, events: list[Event] = EVENTS) -> Path:
    with Ledger(path) as ledger:
        for event in events:
            ledger.append(event)
    return path


def test_reading_gives_what_the_writer_saw(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        for event in EVENTS:
            ledger.append(event)
            assert read_ledger(tmp_path / "ledger.jsonl") == ledger.records
    first, second = ledger.records.values()
    assert (first.name, first.source, first.state) == ("t001", "point baseline", "stopped")
    assert first.params == {"rate": 1e-5, "pooling": "mean", "norm": None}
    assert first.reports == [EVENTS[2], EVENTS[4]]
    assert first.decisions == [EVENTS[3], EVENTS[5]]
    assert first.best == EVENTS[2]
    assert (second.state, second.error, second.best) == ("failed", ERROR, None)


def test_every_line_is_json_with_the_checksum_of_its_rest(tmp_path: Path) -> None:
    for line in write(tmp_path / "ledger.jsonl").read_text().splitlines():
        checksum = json.loads(line)["crc32"]
        rest = "{" + line.split(", ", 1)[1]
        assert checksum == f"{zlib.crc32(rest.encode()):08x}"


def test_listeners_are_told_when_the_line_is_on_disk(tmp_path: Path) -> None:
    heard = []
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.listen(lambda event, record: heard.append((event, record.name, read_ledger(tmp_path / "ledger.jsonl"))))
        ledger.append(EVENTS[0])
        assert heard == [(EVENTS[0], "t001", ledger.records)]


def test_a_ledger_goes_on_where_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:4])
    with Ledger(path) as ledger:
        for event in EVENTS[4:]:
            ledger.append(event)
    assert read_ledger(path) == read_ledger(write(tmp_path / "in-one-go.jsonl"))


def test_a_last_line_torn_anywhere_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:3])
    whole = path.read_bytes()
    kept = read_ledger(write(tmp_path / "without-the-last.jsonl", EVENTS[:2]))
    start_of_last = whole[:-1].rindex(b"\n") + 1
    for end in {*range(start_of_last, len(whole), 7), len(whole) - 1}:
        path.write_bytes(whole[:end])
        assert read_ledger(path) == kept
        assert path.stat().st_size == end, "reading must not change the file"
        with Ledger(path) as ledger:
            assert ledger.records == kept
            ledger.append(EVENTS[2])
        assert path.read_bytes() == whole


def test_a_last_line_that_was_never_filled_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:2])
    path.write_bytes(path.read_bytes() + b"\0" * 40 + b"\n")
    assert list(read_ledger(path)) == ["t001", "t002"]


@pytest.mark.parametrize("position", [0, 3, 15, 30, 100])
def test_a_flipped_bit_is_refused_with_its_line(tmp_path: Path, position: int) -> None:
    path = write(tmp_path / "ledger.jsonl")
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2][:position] + bytes([lines[2][position] ^ 1]) + lines[2][position + 1 :]
    path.write_bytes(b"\n".join(lines))
    expected = f"{path}:3: the ledger is damaged: its checksum does not fit"
    for open_it in (read_ledger, Ledger):
        with pytest.raises(UserError) as caught:
            open_it(path)
        assert str(caught.value) == expected


def test_a_line_too_many_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:3])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[-1]]))
    with pytest.raises(UserError) as caught:
        read_ledger(path)
    assert str(caught.value) == f"{path}:4: the ledger contradicts itself: trial t001 reports epoch 1 after epoch 1"


@pytest.mark.parametrize(
    ("before", "event", "message"),
    [
        ([suggested()], suggested(), "trial t001 is suggested twice"),
        ([], report(), "trial t001 was never suggested"),
        ([suggested()], report(epoch=2), "trial t001 reports epoch 2 after epoch 0"),
        ([suggested(), End(trial="t001", state="diverged")], report(), "trial t001 has ended as diverged"),
        ([suggested()], report(overall=float("nan")), "Out of range float values are not JSON compliant"),
    ],
)
def test_what_can_not_be_leaves_no_line(ledger: Ledger, before: list[Event], event: Event, message: str) -> None:
    for earlier in before:
        ledger.append(earlier)
    records = {name: record.epoch for name, record in ledger.records.items()}
    with pytest.raises(ValueError, match=message):
        ledger.append(event)
    assert {name: record.epoch for name, record in ledger.records.items()} == records
    ledger.append(suggested("t099"))


def test_leaderboard_is_by_the_best_epoch_with_unfit_trials_last(ledger: Ledger) -> None:
    for name in ("t001", "t002", "t003", "t004", "t005"):
        ledger.append(suggested(name))
    ledger.append(report("t001", 1, 0.5))
    ledger.append(report("t002", 1, 0.7))
    ledger.append(report("t002", 2, 0.1, best=0.7))
    ledger.append(report("t003", 1, 0.9))
    ledger.append(report("t005", 1, 0.5))
    ledger.append(End(trial="t003", state="diverged"))
    assert winner(ledger.records.values()) is ledger.records["t002"]
    assert winner([ledger.records["t003"], ledger.records["t004"]]) is None
    assert [record.name for record in leaderboard(ledger.records.values())] == ["t002", "t001", "t005", "t003", "t004"]
