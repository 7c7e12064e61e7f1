"""What lies where in runs/NAME; how far a run has come is in `search.standing`.

runs/NAME/
    run.json            what was asked: space, tasks, data, encoder, budget, seed, versions (RunInfo)
    space.py            the space's source, as it was run
    encoder/            the encoder that trials started from, where the run pre-trained it further
    ledger.jsonl        every suggestion, report, decision and end (search.ledger)
    trials/t001/
        config.json     the trial's TrialConfig
        best/           its checkpoint: the trained weights of its best epoch, or of its last where that was given
        state/          its whole state after its last epoch, and state.before/ after the one before that; until it ends
        pulse           the process that trains it, and its sign of life
        events.out...   for TensorBoard
    retrained/          what was trained anew after the search (search.retrain): ledger, trials, lock and ray, as here
    retrained-with-dev/ the same of what was trained on train and dev
    refit/              what came of that (analysis.winner.results)
    lock                who is writing to the run
    ray/                Ray's own files and log; of no use after the run
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from model.data.tables import TaskError
from model.data.tasks import Source, sources_of
from model.errors import UserError
from model.nearest import nearest
from search.commands import as_typed, command, own_name
from search.ledger import read_ledger
from search.lock import is_locked
from search.pareto import Objective
from search.records import History, TrialRecord, leaderboard, put_down

_INFO_FILE = "run.json"


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a run was asked to do, and what it found."""

    started: str
    """Local time, ISO 8601."""
    space: str
    """The path of the space file."""
    data: str
    """`demo`, `hub`, or a folder's absolute path."""
    data_fingerprint: str
    """A hash of the train and dev examples."""
    skipped_rows: dict[str, int]
    """By file, bad rows that were left out; empty unless that was asked for."""
    dev_rows_in_train: dict[str, int]
    """By task, dev examples whose sentences stand in train too."""
    encoder: str
    """`demo`, a folder's absolute path, or a hub id."""
    encoder_fingerprint: str
    max_tokens: int
    """Tokens of a sequence beyond which texts are cut."""
    pretrain_epochs: int
    """Passes over the train sentences in which the run itself pre-trained its encoder further."""
    pretrained_from: str | None
    """The encoder that these began with; None where there were none."""
    tasks_file: str | None
    """The absolute path of the file of --tasks; None for the tasks of CS224N."""
    sources: tuple[Source, ...]
    """The tasks, in order, and their files."""
    dev_size: dict[str, int]
    """Dev examples by task: how far a score can be trusted."""
    chance: dict[str, float]
    """By task, what one and the same prediction for all of dev scores: nothing learned."""
    trials: int | None
    """In all; None where `budget` alone limits them."""
    budget: str | None
    """The most that the run may take, as it was typed."""
    epochs: int
    """The most epochs a trial may take."""
    epoch_examples: int
    """Training examples in an epoch."""
    search: str
    """How trials are chosen: see --search."""
    objectives: list[Objective]
    """What was searched for, overall first: see --objectives."""
    early_stopping: bool
    """Whether weak trials were stopped before their last epoch."""
    seed: int
    cache_gb: float
    """Disk that outputs of frozen layers may take on each node."""
    precision: str
    """As asked for."""
    computes_in: str
    """What `precision` came to; `auto` where each node of a cluster sees to it."""
    concurrent: int
    """Trials at a time; on a cluster without a limit, as the run began or was last resumed."""
    concurrent_limit: int | None
    """The number that --concurrent gave. On a cluster, None lets the run have all the room there is."""
    threads: int
    """CPU threads a trial computes with."""
    gpus_per_trial: float
    versions: dict[str, str]
    """Of Python and the packages that decide the numbers."""

    @property
    def tasks(self) -> list[str]:
        """The tasks' names, in order."""
        return [source.task.name for source in self.sources]


class RunFolder:
    """One run on disk. Its path is absolute where it is to be trained in: Ray's processes have directories of their
    own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.ledger = path / "ledger.jsonl"
        self.space = path / "space.py"
        self.encoder = path / "encoder"
        self.lock = path / "lock"
        self.ray = path / "ray"
        self.refit = path / "refit"

    @property
    def retrained(self) -> RunFolder:
        """The folder of what was trained anew after the search: ledger and trials, without a run.json of its own."""
        return RunFolder(self.path / "retrained")

    @property
    def retrained_with_dev(self) -> RunFolder:
        """The same of what was trained on train and dev together."""
        return RunFolder(self.path / "retrained-with-dev")

    def info(self) -> RunInfo:
        """What the run was asked to do."""
        path = self.path / _INFO_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: not the description of a run ({error})") from None
        if not isinstance(values, dict):
            raise UserError(f"{path}: not the description of a run ({type(values).__name__})")
        differing = values.keys() ^ {field.name for field in dataclasses.fields(RunInfo)}
        if differing:
            raise UserError(
                f"{path}: of another version of minbert-search; they differ in {', '.join(sorted(differing))}"
            )
        try:
            return RunInfo(**{**values, "sources": sources_of(values["sources"])})
        except TaskError as error:
            raise UserError(f"{path}: sources: {error}") from None

    def write_info(self, info: RunInfo) -> None:
        """Describes the run anew."""
        partial = self.path / f"{_INFO_FILE}.partial"
        values = dataclasses.asdict(info) | {"sources": [source.to_dict() for source in info.sources]}
        partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, self.path / _INFO_FILE)

    def trials(self) -> list[TrialRecord]:
        """Every trial's record as of now, in the order of the leaderboard; none runs where nobody writes to the run.
        Raises UserError for a damaged ledger."""
        written_to = is_locked(self.lock)  # asked first: who lets go of it has written how its trials ended
        records = self.history().trials.values()
        return leaderboard(records if written_to else put_down(records))

    def history(self) -> History:
        """All that the ledger says as of now. Raises UserError where it is damaged."""
        try:
            return read_ledger(self.ledger) if self.ledger.exists() else History()
        except UserError as error:
            raise UserError(f"{error}; {resume_command(self)} goes on from the line before") from None

    def trial(self, name: str) -> Path:
        """The folder of one trial."""
        return self.path / "trials" / name

    def checkpoint(self, name: str) -> Path:
        """The folder with the trained weights that a trial keeps (TrialRecord.kept)."""
        return self.trial(name) / "best"

    def state(self, name: str) -> Path:
        """The folder with the whole state of a trial that has not ended."""
        return self.trial(name) / "state"

    def states(self, name: str) -> list[Path]:
        """All folders of a trial's whole states."""
        return list(self.trial(name).glob("state*"))

    def pulse(self, name: str) -> Path:
        """The file that a trial's process locks, and gives signs of life in."""
        return self.trial(name) / "pulse"

    def write_config(self, name: str, config: dict[str, Any]) -> None:
        """Writes a trial's TrialConfig, as a dictionary, into its folder."""
        self.trial(name).mkdir(parents=True, exist_ok=True)
        (self.trial(name) / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def create_run(runs_dir: Path, name: str, info: RunInfo, space_source: str) -> RunFolder:
    """A new run's folder. Raises UserError where there is one already."""
    path = runs_dir / name
    try:
        path.mkdir(parents=True)
        (path / "trials").mkdir()
        (path / "space.py").write_text(space_source, encoding="utf-8")
        RunFolder(path).write_info(info)  # last: where there is a run.json, there is a run
    except FileExistsError:
        raise UserError(_exists(path)) from None
    except OSError as error:
        raise UserError(f"{path}: can't make the run's folder ({error.strerror})") from None
    return RunFolder(path.resolve())


def check_name(runs_dir: Path, name: str) -> None:
    """Raises UserError where a run of that name can't be made."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"--run {name!r}: a run's name has letters, digits, '_', '-' and '.' only, no path")
    if (runs_dir / name).exists():
        raise UserError(_exists(runs_dir / name))


def default_name() -> str:
    """Date and time: sorts as the runs were started."""
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def open_run(runs_dir: Path, name: str) -> RunFolder:
    """The run called `name`."""
    folder = RunFolder((runs_dir / name).resolve())
    if not (folder.path / _INFO_FILE).is_file():
        names = [run.name for run in _runs(runs_dir)]
        near = nearest(name, names)
        hint = f"did you mean {near}?" if near else f"runs here: {', '.join(names) or 'none'}"
        raise UserError(f"{runs_dir}: no run called {name!r}; {hint}")
    return folder


def newest_run(runs_dir: Path) -> RunFolder:
    """The run that was started last, of those with trials if there are any. What is no whole run does not count."""
    runs = _runs(runs_dir)
    if not runs:
        raise UserError(f"{runs_dir}: no runs here; {own_name('search.run')} starts one")
    started: dict[RunFolder, str] = {}
    for run in runs:
        with suppress(UserError):
            started[run] = run.info().started
    if not started:
        runs[-1].info()  # raises
    begun = [run for run in started if run.ledger.exists() and run.ledger.stat().st_size]
    return max(begun or started, key=lambda run: started[run])


def _runs(runs_dir: Path) -> list[RunFolder]:
    return [RunFolder(path.parent) for path in sorted(runs_dir.resolve().glob(f"*/{_INFO_FILE}"))]


def next_command(run: RunFolder) -> str:
    """What to type when a search has ended."""
    return with_runs_dir(run, f"{command('analysis.best')} {run.name} --refit")


def resume_command(run: RunFolder) -> str:
    """What to type to go on with a run that has not ended."""
    return with_runs_dir(run, f"{command('search.run')} --resume {run.name}")


def watch_command(runs_dir: Path) -> str:
    """What to type to see the curves of all runs."""
    return f"{as_typed('tensorboard')} --logdir {shlex.quote(str(runs_dir.resolve()))}"


def with_runs_dir(run: RunFolder, typed: str) -> str:
    """`typed` with the flag that finds the folder of the runs, where one is needed."""
    runs_dir = run.path.resolve().parent
    return typed if runs_dir == Path("runs").resolve() else f"{typed} --runs-dir {shlex.quote(str(runs_dir))}"


def _exists(path: Path) -> str:
    if (path / _INFO_FILE).is_file():
        return f"{path} exists; go on with it by {resume_command(RunFolder(path))}, or name another run with --run"
    return f"{path} exists; name another run with --run"
