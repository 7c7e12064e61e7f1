"""A run for other tools: python -m analysis.export [RUN] --optuna study.db --csv trials.csv --curves curves.npz"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import optuna
import tyro
from optuna.distributions import json_to_distribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from analysis.why.cost import train_seconds
from model.errors import UserError, reported
from search.leaderboard import make_console
from search.records import State, TrialRecord
from search.run_folder import RunFolder, newest_run, open_run
from search.space import quiet_optuna

STATES: dict[State, TrialState] = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
    "unfinished": TrialState.RUNNING,
    "paused": TrialState.PRUNED,
}
_SCORED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Arguments:
    """Writes a run's trials to files that other tools read. Works while the run goes on, after it, or after a crash."""

    run: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Name of the run; the newest one if none is given."""
    optuna: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A database for Optuna and optuna-dashboard, with a study named after the run. One that is there keeps its other
    studies."""
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A table, one row a trial."""
    curves: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Learning curves of the trials that were not stopped early, in NumPy's .npz: what ways to search are compared on
    by `python -m benchmarks.search_efficiency --tables FOLDER`. A run with --no-early-stopping has those of all."""
    runs_dir: Path = Path("runs")
    """Where the runs lie."""


def main(argv: list[str] | None = None) -> None:
    with reported():
        arguments = tyro.cli(
            Arguments, args=argv, prog="python -m analysis.export", config=(tyro.conf.FlagCreatePairsOff,)
        )
        if arguments.optuna is None and arguments.csv is None and arguments.curves is None:
            raise UserError("nothing to write: give --optuna FILE, --csv FILE, --curves FILE or more than one of them")
        run = open_run(arguments.runs_dir, arguments.run) if arguments.run else newest_run(arguments.runs_dir)
        console = make_console()
        if arguments.curves is not None:  # first, since a run may have too few of them
            count, others = write_curves(run, arguments.curves)
            without = f"without {others} that were stopped early, paused, failed or still run"
            text = f"{arguments.curves}: {count} trials, {without}"
            console.say(text)
        if arguments.csv is not None:
            count = write_csv(run, arguments.csv)
            console.say(f"{arguments.csv}: {count} trials")
        if arguments.optuna is not None:
            count = write_study(run, arguments.optuna)
            text = f"{arguments.optuna}: study {run.name}, {count} trials; optuna-dashboard {arguments.optuna} shows it"
            console.say(text)


# A table -------------------------------------------------------------------------------------------------------------


def write_csv(run: RunFolder, path: Path) -> int:
    """Writes a row for each trial, best first: what is known of it, the scores of its best epoch, and its parameters,
    empty where it has none of that name. How many there are. Raises UserError where the file exists."""
    records = run.trials()
    rows = [_row(record) for record in records]
    columns = [*_FIXED, *(f"score.{task}" for task in run.info().tasks), *_params_of(records)]
    try:
        with path.open("x", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
    except FileExistsError:
        raise UserError(f"--csv {path}: exists; name another file") from None
    except OSError as error:
        raise UserError(f"--csv {path}: can't be written ({error.strerror})") from None
    return len(rows)


_FIXED = ("trial", "source", "state", "epochs", "overall", "best_epoch", "train_seconds", "trainable_parameters")


def _row(record: TrialRecord) -> dict[str, Any]:
    row = {"trial": record.name, "source": record.source, "state": record.state, "epochs": record.epoch}
    if record.best is not None:
        row |= {
            "overall": record.best.overall,
            "best_epoch": record.best.epoch,
            "train_seconds": train_seconds(record),
            "trainable_parameters": record.best.trainable_parameters,
            **{f"score.{task}": score for task, score in record.best.scores.items()},
        }
    # None is a value that a parameter can have, and an empty cell is none at all.
    return row | {f"params.{param}": "None" if value is None else value for param, value in record.params.items()}


def _params_of(records: Sequence[TrialRecord]) -> list[str]:
    return sorted({f"params.{param}" for record in records for param in record.params})


# Learning curves -----------------------------------------------------------------------------------------------------


def write_curves(run: RunFolder, path: Path) -> tuple[int, int]:
    """Writes `hyperparameters` (the parameters' names), `configs` (n, names) and `valid_loss` (n, epochs): 1 - overall
    on dev, NaN once a trial diverged. A choice is the number of its place among the parameter's choices; what a trial
    has no value of is NaN. How many trials there are, and how many others. Raises UserError where there are fewer than
    two, and where the file exists."""
    records, epochs = run.trials(), run.info().epochs
    whole = [record for record in records if record.state in ("completed", "diverged")]
    if len(whole) < 2:
        raise UserError(
            f"--curves {path}: {run.name} has {len(whole)} trials that were not stopped early, and 2 are needed; "
            "search with --no-early-stopping"
        )
    names = sorted({param for record in whole for param in record.params})
    losses = np.full((len(whole), epochs), np.nan, dtype=np.float32)
    for row, record in zip(losses, whole, strict=True):
        row[: record.epoch] = [1 - report.overall for report in record.reports]
    configs = [[_number(record, name) for name in names] for record in whole]
    try:
        with path.open("xb") as file:
            np.savez_compressed(file, hyperparameters=names, configs=np.array(configs), valid_loss=losses)
    except FileExistsError:
        raise UserError(f"--curves {path}: exists; name another file") from None
    except OSError as error:
        raise UserError(f"--curves {path}: can't be written ({error.strerror})") from None
    return len(whole), len(records) - len(whole)


def _number(record: TrialRecord, name: str) -> float:
    if name not in record.params:
        return math.nan
    return json_to_distribution(json.dumps(record.distributions[name])).to_internal_repr(record.params[name])


# A study -------------------------------------------------------------------------------------------------------------


def write_study(run: RunFolder, path: Path) -> int:
    """Writes the run's trials, in the order of their suggestion, as a study into a SQLite database. How many there are.
    Raises UserError where the database has a study of the run's name, or isn't one of Optuna's."""
    records = sorted(run.trials(), key=lambda record: (len(record.name), record.name))
    times = _times(run.ledger)  # read later: it may have more trials, and lacks none
    with quiet_optuna():
        try:
            storage = RDBStorage(f"sqlite:///{path.resolve()}")
            study = optuna.create_study(storage=storage, study_name=run.name, direction="maximize")
        except optuna.exceptions.DuplicatedStudyError:
            raise UserError(f"--optuna {path}: has a study {run.name} already; name another file") from None
        except Exception as error:  # SQLAlchemy's, of which there are many, and Optuna's for a database of its past
            cause = str(error).splitlines()[0]
            raise UserError(f"--optuna {path}: can't be made or opened as a database of Optuna ({cause})") from None
        study.set_metric_names(["overall"])
        study.add_trials([_frozen(number, record, times) for number, record in enumerate(records)])
    storage.remove_session()
    return len(records)


def _frozen(number: int, record: TrialRecord, times: Times) -> FrozenTrial:
    """What Optuna would know of the trial, had it run the search: as in search.searcher, the best overall so far after
    each epoch, but a diverged trial as FAIL, which a person reads as it is."""
    state = STATES[record.state]
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=record.best.overall if record.best is not None and state in _SCORED else None,
        datetime_start=datetime.fromtimestamp(times.begun[record.name]),
        datetime_complete=datetime.fromtimestamp(times.ended[record.name]) if state.is_finished() else None,
        params=dict(record.params),
        distributions={n: json_to_distribution(json.dumps(d)) for n, d in record.distributions.items()},
        user_attrs=_attributes(record),
        system_attrs={},
        intermediate_values={report.epoch: report.best for report in record.reports},
    )


def _attributes(record: TrialRecord) -> dict[str, Any]:
    attributes: dict[str, Any] = {"trial": record.name, "source": record.source, "state": record.state}
    if record.best is not None:
        attributes |= {f"score {task}": score for task, score in record.best.scores.items()}
        attributes |= {
            "train_seconds": train_seconds(record),
            "trainable_parameters": record.best.trainable_parameters,
        }
    if record.error is not None:
        attributes["error"] = f"{record.error.type}: {record.error.message}"
    return attributes


@dataclass(frozen=True)
class Times:
    """When trials were suggested and when they ended, in seconds since 1970, by name."""

    begun: dict[str, float]
    ended: dict[str, float]
    """Of trials that are paused, when they came to that."""


def _times(ledger: Path) -> Times:
    """Of a ledger that was read as a whole before; the records that it comes to have no times."""
    times = Times({}, {})
    for line in ledger.read_bytes().split(b"\n")[:-1] if ledger.exists() else []:
        try:
            event = json.loads(line)
        except ValueError:
            break  # torn by a crash: the last one
        if event["event"] == "suggested":
            times.begun[event["trial"]] = event["time"]
        elif event["event"] == "end" or event.get("action") == "pause":
            times.ended[event["trial"]] = event["time"]
    return times


if __name__ == "__main__":
    sys.exit(main())
