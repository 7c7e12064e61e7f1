"""The ledger's file: what is written comes back, a torn end is forgiven, nothing else is."""

from __future__ import annotations

import dataclasses
import errno
import json
import zlib
from pathlib import Path

import pytest

from model.errors import UserError
from search.ledger import Ledger, read_ledger, set_aside_damage
from search.records import Event, History, Session
from tests.search.events import report, suggested
from tests.search.test_records import EVENTS

PARTS = 64
"""Places along a ledger at which it is broken."""


def write(path: Path, events: list[Event] = EVENTS) -> Path:
    with Ledger(path) as ledger:
        for event in events:
            ledger.append(event)
    return path


def same(one: History, other: History) -> bool:
    return one.trials == other.trials and one.seconds_spent() == other.seconds_spent()


def places(data: bytes) -> list[int]:
    return [len(data) * part // PARTS for part in range(PARTS)]


def test_reading_gives_what_the_writer_saw(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        for event in EVENTS:
            ledger.append(event)
            assert same(read_ledger(tmp_path / "ledger.jsonl"), ledger.history)
    assert same(ledger.history, History(EVENTS))
    assert ledger.records is ledger.history.trials


def test_every_line_is_json_with_the_checksum_of_its_rest(tmp_path: Path) -> None:
    for line in write(tmp_path / "ledger.jsonl").read_text().splitlines():
        checksum = json.loads(line)["crc32"]
        rest = "{" + line.split(", ", 1)[1]
        assert checksum == f"{zlib.crc32(rest.encode()):08x}"


def test_listeners_are_told_of_a_trial_when_the_line_is_on_disk(tmp_path: Path) -> None:
    heard = []
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.listen(lambda event, record: heard.append((event, record.name, read_ledger(path).trials)))
        ledger.append(Session())
        ledger.append(EVENTS[1])
        assert heard == [(EVENTS[1], "t001", ledger.records)]


def test_a_ledger_goes_on_where_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:4])
    with Ledger(path) as ledger:
        for event in EVENTS[4:]:
            ledger.append(event)
    assert path.read_bytes() == write(tmp_path / "in-one-go.jsonl").read_bytes()


def test_a_last_line_torn_anywhere_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:4])
    whole = path.read_bytes()
    kept = History(EVENTS[:3])
    start_of_last = whole[:-1].rindex(b"\n") + 1
    for end in {*range(start_of_last, len(whole), 7), len(whole) - 1}:
        path.write_bytes(whole[:end])
        assert same(read_ledger(path), kept)
        assert path.stat().st_size == end, "reading must not change the file"
        assert set_aside_damage(path) is None
        with Ledger(path) as ledger:
            assert same(ledger.history, kept)
            ledger.append(EVENTS[3])
        assert path.read_bytes() == whole


def test_a_last_line_that_was_never_filled_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:3])
    path.write_bytes(path.read_bytes() + b"\0" * 40 + b"\n")
    assert list(read_ledger(path).trials) == ["t001", "t002"]


def test_a_ledger_cut_anywhere_holds_its_whole_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl")
    whole = path.read_bytes()
    for length in places(whole):
        path.write_bytes(whole[:length])
        assert same(read_ledger(path), History(EVENTS[: whole[:length].count(b"\n")]))


def test_a_flipped_bit_is_refused_with_its_line_and_set_aside(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", [*EVENTS, suggested("t003")])
    whole = path.read_bytes()
    last_line = whole[:-1].rindex(b"\n") + 1
    for number, place in enumerate((place for place in places(whole) if place < last_line), 1):
        damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        path.write_bytes(damaged)
        line = whole[:place].count(b"\n") + 1
        said = f"{path}:{line}: the ledger is damaged: its checksum does not fit"
        with pytest.raises(UserError) as caught:
            Ledger(path)
        assert str(caught.value) == said
        with pytest.raises(UserError) as caught:
            read_ledger(path)
        assert str(caught.value) == said
        kept = f"ledger.damaged-{number}.jsonl"
        assert set_aside_damage(path) == f"{said}; going on from the line before, the whole file is kept as {kept}"
        assert (tmp_path / kept).read_bytes() == damaged
        assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[: line - 1])
        assert same(read_ledger(path), History(EVENTS[: line - 1]))


def test_a_line_too_many_is_refused_and_set_aside(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:4])
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines(keepends=True)[-1])
    with pytest.raises(UserError) as caught:
        Ledger(path)
    assert str(caught.value) == f"{path}:5: the ledger contradicts itself: trial t001 reports epoch 1 after epoch 1"
    assert set_aside_damage(path) is not None
    assert path.read_bytes() == whole


def test_what_can_not_be_leaves_no_line(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:4])
    before = path.read_bytes()
    with Ledger(path) as ledger:
        for event in (suggested(), dataclasses.replace(report(epoch=2), overall=float("nan"))):
            with pytest.raises(ValueError, match=r"suggested twice|not JSON compliant"):
                ledger.append(event)
        assert same(ledger.history, History(EVENTS[:4]))
    assert path.read_bytes() == before


class NearlyFull:
    """A file on a disk that has so many bytes left, and takes 10 at a time."""

    def __init__(self, path: Path, left: int) -> None:
        self._file = path.open("ab", buffering=0)
        self.left = left
        self.fileno, self.truncate, self.close = self._file.fileno, self._file.truncate, self._file.close

    def write(self, data: memoryview) -> int:
        if not self.left:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._file.write(data[: min(10, self.left)])
        self.left -= written
        return written


@pytest.mark.parametrize("left", [0, 1, 25, 100])
def test_a_full_disk_leaves_no_line(tmp_path: Path, left: int) -> None:
    path = write(tmp_path / "ledger.jsonl", EVENTS[:3])
    before, heard = path.read_bytes(), []
    with Ledger(path) as ledger:
        ledger._file.close()
        disk = NearlyFull(path, left)
        ledger._file = disk  # type: ignore[assignment]
        ledger.listen(lambda event, record: heard.append(event))
        with pytest.raises(OSError, match="No space left on device"):
            ledger.append(EVENTS[3])
        assert path.read_bytes() == before
        assert same(ledger.history, History(EVENTS[:3]))
        assert heard == []
        disk.left = 10_000
        ledger.append(EVENTS[3])
        assert heard == [EVENTS[3]]
    assert path.read_bytes() == write(tmp_path / "ample.jsonl", EVENTS[:4]).read_bytes()
