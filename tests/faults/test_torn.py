"""Files torn or flipped while a run was down: it says so, falls back to what is whole, and ends as it would have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from search.run_folder import RunFolder
from tests.faults.harness import Search, decisions, figures


def flip(path: Path, where: float = 0.5) -> None:
    """One bit of a file, at that share of its length."""
    data = bytearray(path.read_bytes())
    data[min(int(where * len(data)), len(data) - 1)] ^= 1
    path.write_bytes(data)


def cut(path: Path, where: float) -> None:
    """A file off at that share of its length."""
    data = path.read_bytes()
    path.write_bytes(data[: int(where * len(data))])


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A run whose driver died in the last epoch of its first trial, which had paused once: it has saved three."""
    search = Search(tmp_path_factory.mktemp("killed"))
    driver = search.start(plan={"t001": {4: "dawdle"}}).until(lambda history: "t001" in history.trials)
    driver.wait_for(search.met("t001", 4))
    driver.until(lambda history: history.trials["t001"].epoch == 3)
    driver.be_killed()
    return search


def copied(search: Search, runs_dir: Path) -> Search:
    shutil.copytree(search.runs_dir, runs_dir)
    return Search(search.folder, runs_dir=runs_dir)


def state(run: RunFolder) -> Path:
    return run.state("t001") / "state.safetensors"


def before(run: RunFolder) -> Path:
    return run.trial("t001") / "state.before" / "state.safetensors"


def best(run: RunFolder) -> Path:
    return run.checkpoint("t001") / "state.safetensors"


def test_state_and_ledger_at_once(killed: Search, tmp_path: Path, uninterrupted: Search) -> None:
    """The newest state in the middle, the ledger in the middle."""
    search = copied(killed, tmp_path / "runs")
    flip(state(search.run))
    lines = search.run.ledger.read_bytes().splitlines(keepends=True)
    damaged = next(number for number, line in enumerate(lines) if b'"epoch": 2' in line)
    lines[damaged] = lines[damaged].replace(b'"epoch": 2', b'"epoch": 3')
    search.run.ledger.write_bytes(b"".join(lines))

    said, errors = search.resume().ends()
    assert errors == ""
    assert (
        f"{search.run.ledger}:{damaged + 1}: the ledger is damaged: its checksum does not fit; going on from the line "
        "before, the whole file is kept as ledger.damaged-1.jsonl\n"
    ) in said
    assert (search.run.path / "ledger.damaged-1.jsonl").read_bytes() == b"".join(lines)
    assert (
        f"t001  its saved state is damaged ({state(search.run)}: not what was saved: its checksum does not fit): "
        "taken up again\n"
    ) in said
    assert "; taken up again: 2 damaged\n" in said, "once more when it goes on after its pause"
    assert decisions(search.history()) == decisions(uninterrupted.history())
    assert figures(search.history()) == figures(uninterrupted.history())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda run: cut(state(run), 0.0), "state/state.safetensors: not what was saved: 0 bytes of"),
        (lambda run: cut(state(run), 0.99), "state/state.safetensors: not what was saved: "),
        (lambda run: cut(state(run).with_name("state.json"), 0.5), "state/state.json: not what was saved: "),
        (lambda run: flip(state(run).with_name("state.json"), 0.2), "state/state.json: not what was saved: "),
        (lambda run: (flip(state(run), 0.0), flip(before(run), 1.0)), "state.before/state.safetensors: not what was"),
        (lambda run: cut(best(run), 0.5), "best/state.safetensors: not what was saved: "),
        (lambda run: cut(run.ledger, 0.999), None),
        (lambda run: flip(run.ledger, 0.0), "ledger.jsonl:1: the ledger is damaged: "),
        (lambda run: flip(run.ledger, 0.999), None),
    ],
    ids=[
        "empty tensors",
        "cut tensors",
        "cut values",
        "flipped values",
        "flipped tensors and those before",
        "cut best",
        "cut ledger",
        "flipped first line",
        "flipped last line",
    ],
)
def test_any_file(
    killed: Search, tmp_path: Path, uninterrupted: Search, harm: Callable[[RunFolder], None], told: str | None
) -> None:
    search = copied(killed, tmp_path / "runs")
    harm(search.run)
    said, errors = search.resume().ends()
    assert errors == ""
    assert told is None or told in said
    assert (told is not None) == ("damaged" in said), "a torn last line is cut off without a word"
    assert decisions(search.history()) == decisions(uninterrupted.history())
    assert figures(search.history()) == figures(uninterrupted.history())
