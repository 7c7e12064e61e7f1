"""What all stages of a refit stand on: the search's data and encoder found again, and a way to train more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from rich.console import Console
from rich.progress import track

from analysis.winner.trained import Trained
from model.data.corpus import Corpus, read_corpus
from model.data.tokens import Tokens, tokenize
from model.errors import UserError
from model.network.pretrained import Encoder, read_encoder
from model.problem import Problem
from model.training.cores import usable_cores
from model.training.precision import ConcretePrecision, Precision, resolve_precision
from search.job import Job
from search.records import TrialRecord, is_fit
from search.run_folder import RunFolder, RunInfo


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user may ask of a refit."""

    finalists: int
    """How many of the search's best trials are trained anew."""
    seeds: int
    """How often each."""
    prefer: Literal["score", "cheap"]
    """Which of the finalists that can't be told apart from the best is chosen."""
    comparison: bool
    """Whether the POINTS are trained in the same budget, and the way from the best of them to the winner."""
    skip_bad_rows: bool
    """Whether bad rows of test are left out, as where the search left out some of train and dev."""
    address: str | None
    """Of a Ray cluster to train on."""
    command: str
    """What was typed: after Ctrl-C it goes on."""


@dataclass(frozen=True)
class Ground:
    """See above."""

    run: RunFolder
    info: RunInfo
    options: Options
    corpus: Corpus
    """With test and student."""
    encoder: Encoder
    problem: Problem
    precision: ConcretePrecision
    trained: Trained
    console: Console
    _tokens: Tokens
    """Of train and dev alone: all that a training is given."""

    def train(self, jobs: Sequence[Job]) -> dict[str, TrialRecord]:
        """Trains what of `jobs` has not been trained, and has each sound model say what it says of dev and test. Their
        trials by the jobs' keys; what went wrong with one is told."""
        from search.retrain import retrain  # with Ray, which takes seconds

        options = self.options
        records = retrain(
            self.run,
            jobs,
            self._tokens,
            self.encoder,
            self.console,
            address=options.address,
            go_on=options.command,
        )
        for record in {record.name: record for record in records}.values():
            if not is_fit(record):
                why = f": {record.error.type}: {record.error.message}" if record.error else ""
                self.say(f"{record.name} ({record.source}) {record.state}{why}")
        self._ask(records)
        return {job.key: record for job, record in zip(jobs, records, strict=True)}

    def say(self, line: str) -> None:
        """Tells the user."""
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def _ask(self, records: Iterable[TrialRecord]) -> None:
        sound = list({record.name: record for record in records if is_fit(record)}.values())
        for record in track(sound, "Evaluating on dev and test", console=self.console, transient=True):
            self.trained.outputs(record)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # the next trials need this GPU's memory


def prepare(run: RunFolder, options: Options, console: Console) -> Ground:
    """Reads data, now with test, and encoder. Raises UserError where they are not what the search was given."""
    info = run.info()
    skip = bool(info.skipped_rows)
    searched = read_corpus(info.data, skip_bad_rows=skip)
    if searched.fingerprint() != info.data_fingerprint:
        raise UserError(
            f"{info.data} has changed since the search: fingerprint {searched.fingerprint()}, not "
            f"{info.data_fingerprint}"
        )
    encoder = read_encoder(info.encoder)
    if encoder.fingerprint() != info.encoder_fingerprint:
        raise UserError(f"the encoder {info.encoder} has changed since the search: its fingerprint differs")
    corpus = read_corpus(info.data, ("train", "dev", "test", "student"), skip_bad_rows=skip or options.skip_bad_rows)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = resolve_precision(cast(Precision, info.precision), device)
    torch.set_num_threads(usable_cores())
    trained = Trained(run, tokenize(corpus, encoder), corpus.fingerprint(), encoder, precision, device)
    problem, tokens = Problem.of(searched, encoder.shape), tokenize(searched, encoder)
    ground = Ground(run, info, options, corpus, encoder, problem, precision, trained, console, tokens)
    for file, skipped in corpus.skipped.items():
        ground.say(f"Left out: {skipped.count} rows of {file}, the first: {skipped.messages[0]}")
    return ground
