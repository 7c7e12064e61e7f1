"""Recorded curves replayed: what is counted, what a player is told, and that every player can play."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.players import PLAYERS, Ours
from benchmarks.replay import Rows, Table, Trace, read_table, replay
from model.errors import UserError
from search.records import End, Report
from tests.support import refused

EVERYTHING = 10**6


def table_of(count: int = 40, epochs: int = 8, axes: int = 2, seed: int = 0, diverged: Iterable[int] = ()) -> Table:
    """Rows that climb to a height that one axis decides."""
    rng = np.random.default_rng(seed)
    places = rng.random((count, axes))
    scores = np.sin(3 * places[:, :1]) * (1 - np.exp(-np.arange(1, epochs + 1) / 2)) + 1e-3 * rng.random(
        (count, epochs)
    )
    for row in diverged:
        scores[row, 1:] = -np.inf
    return Table("made up", places, scores)


class Scripted:
    """Proposes the rows in their order, and stops each trial after `lasts` epochs."""

    def __init__(self, rows: Rows, lasts: int = EVERYTHING, pauses: int | None = None) -> None:
        self._rows = rows
        self._lasts = lasts
        self._pauses = pauses
        self._paused: list[str] = []
        self._begun = 0
        self.told: list[tuple[str, int, float]] = []
        self.lost: list[str] = []

    def start(self) -> tuple[str, np.ndarray] | None:
        if self._paused and self._begun > 1:
            name = self._paused.pop(0)
            return name, self._rows.table.places[int(name)]
        name = str(self._begun)
        self._begun += 1
        return name, self._rows.table.places[int(name)]

    def report(self, trial: str, epoch: int, score: float) -> bool:
        self.told.append((trial, epoch, score))
        if epoch == self._pauses:
            self._paused.append(trial)
            return False
        return epoch < self._lasts

    def diverged(self, trial: str, epoch: int) -> None:
        self.lost.append(trial)


def played(table: Table, player: Scripted | None = None, **changes: int) -> tuple[Trace, Scripted]:
    rows = player._rows if player else Rows(table)
    player = player or Scripted(rows)
    asked = {"workers": 1, "epochs": 20, "least": EVERYTHING, **changes}
    return replay(rows, player, **asked), player


def test_epochs_are_spent_one_at_a_time_and_the_best_is_kept() -> None:
    table = table_of(count=5, epochs=4)
    trace, player = played(table, epochs=10)
    assert (
        player.told
        == [(str(row), epoch, table.scores[row, epoch - 1]) for row in range(3) for epoch in range(1, 5)][:10]
    )
    assert trace.times.tolist() == list(range(1, 11))
    assert trace.best.tolist() == np.maximum.accumulate(table.scores.ravel()[:10]).tolist()
    assert trace.trials == 3


def test_workers_spend_an_epoch_each_in_a_unit_of_time() -> None:
    table = table_of(count=9, epochs=4)
    trace, player = played(table, epochs=12, workers=3)
    assert trace.times.tolist() == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert [(trial, epoch) for trial, epoch, _ in player.told[:6]] == [
        ("0", 1), ("1", 1), ("2", 1), ("0", 2), ("1", 2), ("2", 2),
    ]  # fmt: skip
    assert trace.trials == 6, "the next three had begun"


def test_a_trial_that_is_stopped_makes_room() -> None:
    rows = Rows(table_of(count=9, epochs=4))
    trace, player = played(rows.table, Scripted(rows, lasts=2), epochs=7)
    assert [(trial, epoch) for trial, epoch, _ in player.told] == [
        ("0", 1), ("0", 2), ("1", 1), ("1", 2), ("2", 1), ("2", 2), ("3", 1),
    ]  # fmt: skip
    assert trace.trials == 4


def test_a_trial_that_paused_goes_on_where_it_was_on_its_own_row() -> None:
    rows = Rows(table_of(count=9, epochs=3))
    _, player = played(rows.table, Scripted(rows, pauses=2), epochs=6)
    assert player.told[:6] == [
        (str(row), epoch, rows.table.scores[row, epoch - 1])
        for row, epoch in ((0, 1), (0, 2), (1, 1), (1, 2), (0, 3), (1, 3))
    ]


def test_a_score_that_is_not_finite_ends_a_trial_and_counts_as_an_epoch() -> None:
    table = table_of(count=5, epochs=4, diverged=[0])
    trace, player = played(table, epochs=4)
    assert player.lost == ["0"]
    assert [(trial, epoch) for trial, epoch, _ in player.told] == [("0", 1), ("1", 1), ("1", 2)]
    assert len(trace.best) == 4
    assert trace.best[1] == trace.best[0] == table.scores[0, 0]


def test_until_something_finite_was_seen_the_best_is_none() -> None:
    table = table_of(count=5, epochs=4)
    table.scores[0] = -np.inf
    trace, _ = played(table, epochs=2)
    assert trace.best.tolist() == [-np.inf, table.scores[1, 0]]


def test_it_ends_at_the_target_but_not_before_the_least() -> None:
    table = table_of(count=200, epochs=4)
    reached = np.sort(table.scores.max(1))[::-1]
    assert table.target == reached[1], "one in a hundred of 200"
    needed = int(np.argmax(table.scores.ravel() >= table.target)) + 1
    for least, spent in ((1, needed), (needed + 5, needed + 5)):
        trace, _ = played(table, epochs=EVERYTHING, least=least)
        assert len(trace.best) == spent
    assert table_of(count=3).target == table_of(count=3).scores.max(), "at least one"


def test_no_row_is_trained_twice_and_none_is_left() -> None:
    rows = Rows(table_of(count=7, epochs=3))

    class SamePlace(Scripted):
        def start(self) -> tuple[str, np.ndarray] | None:
            return super().start()[0], np.array([0.5, 0.5])  # type: ignore[index]

    trace, player = played(rows.table, SamePlace(rows), epochs=EVERYTHING)
    assert trace.trials == 7
    lasts = sorted(score for _, epoch, score in player.told if epoch == 3)
    assert lasts == sorted(rows.table.scores[:, 2].tolist())
    first = int(((rows.table.places - 0.5) ** 2).sum(1).argmin())
    assert player.told[0][2] == rows.table.scores[first, 0], "the nearest comes first"


# A table in a file ----------------------------------------------------------------------------------------------------


def written(path: Path, **changes: np.ndarray) -> Path:
    values = {
        "hyperparameters": np.array(["rate", "layers"]),
        "configs": np.array([[1e-5, 2.0], [1e-3, 4.0], [1e-4, 2.0]]),
        "valid_loss": np.array([[3.0, 2.0], [2.5, np.nan], [1.0, np.inf]], dtype=np.float32),
    }
    np.savez(path, **(values | changes))  # type: ignore[arg-type]
    return path


def test_a_table_is_read_by_ranks_and_with_the_sign_turned(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "lm.npz"))
    assert (table.name, table.epochs) == ("lm", 2)
    assert table.places == pytest.approx(np.array([[1, 2], [5, 5], [3, 2]]) / 6)
    assert table.scores.tolist() == [[-3.0, -2.0], [-2.5, -np.inf], [-1.0, -np.inf]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"configs": np.ones((2, 2))}, "configs (2, 2), valid_loss (3, 2), 2 names"),
        ({"configs": np.ones((3, 3))}, "configs (3, 3), valid_loss (3, 2), 2 names"),
        ({"valid_loss": np.ones(3)}, "configs (3, 2), valid_loss (3,), 2 names"),
        ({"configs": np.ones((1, 2)), "valid_loss": np.ones((1, 4))}, "configs (1, 2), valid_loss (1, 4), 2 names"),
    ],
)
def test_a_table_whose_shapes_do_not_fit_is_refused(tmp_path: Path, changes: dict[str, np.ndarray], said: str) -> None:
    path = written(tmp_path / "lm.npz", **changes)
    with refused(f"{path}: not a table of curves: {said}"):
        read_table(path)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lm.npz"
    with refused(f"{path}: not a table of curves ([Errno 2] No such file or directory: '{path}')"):
        read_table(path)
    np.savez(path, configs=np.ones((3, 2)))
    with refused(f"{path}: not a table of curves ('hyperparameters is not a file in the archive')"):
        read_table(path)
    np.save(tmp_path / "one.npy", np.ones(3))
    for content in (b"words", b"", b"PK\x03\x04 and no more", (tmp_path / "one.npy").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a table of curves"):
            read_table(path)


# The players ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLAYERS)
def test_each_player_plays_and_a_seed_is_a_game(name: str) -> None:
    if name.startswith("Syne Tune"):
        pytest.importorskip("syne_tune")
    table = table_of(count=30, epochs=6, diverged=[3, 11])

    def game(seed: int) -> Trace:
        rows = Rows(table)
        return replay(rows, PLAYERS[name](rows, seed), workers=2, epochs=36, least=EVERYTHING)

    one, again = game(1), game(1)
    assert len(one.best) == 36
    assert one.best.tolist() == again.best.tolist()
    assert one.trials == again.trials
    assert one.times.tolist() == [1 + epoch // 2 for epoch in range(36)], "no worker is ever idle"
    assert (one.trials > 8) == (name != "random search"), "all but one of them stop or pause trials"
    assert game(2).best.tolist() != one.best.tolist()


@pytest.mark.parametrize("search", ["freeze-thaw", "tpe", "random"])
def test_ours_is_told_what_is_trained(search: str) -> None:
    """By the ledger, as in a search: where the row is, and its scores."""
    table = table_of(count=30, epochs=6, diverged=[3, 11])
    rows = Rows(table)
    player = Ours(rows, 0, search)
    trace = replay(rows, player, workers=2, epochs=50, least=EVERYTHING)
    records = player._ledger.records
    assert len(records) == trace.trials
    row_of = {tuple(place): row for row, place in enumerate(table.places.tolist())}
    rows_of = {name: row_of[tuple(record.params.values())] for name, record in records.items()}
    assert len(set(rows_of.values())) == len(rows_of), "no row twice"
    spent = 0
    for name, record in records.items():
        scores = table.scores[rows_of[name]]
        assert [report.overall for report in record.reports] == scores[: record.epoch].tolist()
        assert [report.best for report in record.reports] == np.maximum.accumulate(scores[: record.epoch]).tolist()
        assert (record.state == "diverged") == (
            rows_of[name] in (3, 11) and record.epoch == 1 and record.state != "running"
        )
        spent += record.epoch + (record.state == "diverged")
    assert spent == 50
    states = Counter(record.state for record in records.values())
    assert states["completed"] > 0
    assert (states["paused"] > 0) == (search == "freeze-thaw")


def test_nothing_of_a_replay_is_written() -> None:
    rows = Rows(table_of(count=10, epochs=2))
    player = Ours(rows, 0, "random")
    replay(rows, player, workers=1, epochs=5, least=EVERYTHING)
    assert sum(isinstance(outcome, Report) for outcome in player._ledger.history.outcomes) == 5
    assert sum(isinstance(outcome, End) for outcome in player._ledger.history.outcomes) == 2
    assert player._ledger._file.closed
    assert not Path(player._ledger._file.name).exists()
