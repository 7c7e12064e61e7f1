"""What all stages of a refit stand on: the search's data and encoder found again, and a way to train more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from rich.progress import track

from analysis.winner.options import Options
from analysis.winner.trained import Trained
from model.console import Console
from model.data.corpus import Corpus, read_corpus
from model.data.tokens import Tokens, tokenize, with_dev_in_train
from model.errors import UserError
from model.network.pretrained import Encoder, read_encoder
from model.problem import Problem
from model.training.cores import usable_cores
from model.training.precision import ConcretePrecision, Precision, resolve_precision
from search.job import Job
from search.records import TrialRecord, is_fit
from search.run_folder import RunFolder, RunInfo


@dataclass(frozen=True)
class Ground:
    """See above."""

    run: RunFolder
    info: RunInfo
    options: Options
    corpus: Corpus
    """With test and unlabelled."""
    encoder: Encoder
    problem: Problem
    precision: ConcretePrecision
    trained: Trained
    trained_with_dev: Trained
    """What was trained on train and dev."""
    console: Console
    _tokens: Tokens
    """Of train and dev alone: all that a training is given."""
    _go_on: str

    def train(self, jobs: Sequence[Job]) -> dict[str, TrialRecord]:
        """Trains what of `jobs` has not been trained, and has each sound model say what it says of dev and test. Their
        trials by the jobs' keys; what went wrong with one is told."""
        return self._train(jobs, self.run.retrained, "r", self.trained, self._tokens)

    def train_with_dev(self, jobs: Sequence[Job]) -> dict[str, TrialRecord]:
        """The same on train and dev together. What such a model says of dev means nothing."""
        tokens = with_dev_in_train(self._tokens)
        return self._train(jobs, self.run.retrained_with_dev, "d", self.trained_with_dev, tokens)

    def _train(
        self, jobs: Sequence[Job], folder: RunFolder, letter: str, trained: Trained, tokens: Tokens
    ) -> dict[str, TrialRecord]:
        from search.retrain import retrain  # with Ray, which takes seconds

        records = retrain(
            self.run,
            folder,
            jobs,
            tokens,
            self.encoder,
            self.console,
            letter=letter,
            address=self.options.address,
            go_on=self._go_on,
        )
        for record in {record.name: record for record in records}.values():
            if not is_fit(record):
                why = f": {record.error.type}: {record.error.message}" if record.error else ""
                self.say(f"{record.name} ({record.source}) {record.state}{why}")
        self._ask(trained, records)
        return {job.key: record for job, record in zip(jobs, records, strict=True)}

    def say(self, line: str) -> None:
        """Tells the user."""
        self.console.say(line)

    def _ask(self, trained: Trained, records: Iterable[TrialRecord]) -> None:
        sound = list({record.name: record for record in records if is_fit(record)}.values())
        for record in track(sound, "Evaluating on dev and test", console=self.console, transient=True):
            trained.outputs(record)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # the next trials need this GPU's memory


def prepare(run: RunFolder, options: Options, console: Console, go_on: str) -> Ground:
    """Reads data, now with test, and encoder. Raises UserError where they are not what the search was given."""
    info = run.info()
    skip = bool(info.skipped_rows)
    searched = read_corpus(info.data, sources=info.sources, skip_bad_rows=skip)
    if searched.fingerprint() != info.data_fingerprint:
        raise UserError(
            f"{info.data} has changed since the search: fingerprint {searched.fingerprint()}, not "
            f"{info.data_fingerprint}"
        )
    encoder = read_encoder(info.encoder)
    if encoder.fingerprint() != info.encoder_fingerprint:
        raise UserError(f"the encoder {info.encoder} has changed since the search: its fingerprint differs")
    corpus = read_corpus(
        info.data,
        ("train", "dev", "test", "unlabelled"),
        sources=info.sources,
        skip_bad_rows=skip or options.skip_bad_rows,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = resolve_precision(cast(Precision, info.precision), device)
    torch.set_num_threads(usable_cores())
    tokens, fingerprint = tokenize(corpus, encoder, info.max_tokens), corpus.fingerprint()
    ground = Ground(
        run,
        info,
        options,
        corpus,
        encoder,
        Problem.of(searched, encoder.shape),
        precision,
        Trained(run.retrained, tokens, fingerprint, encoder, precision, device),
        Trained(run.retrained_with_dev, tokens, fingerprint, encoder, precision, device),
        console,
        tokenize(searched, encoder, info.max_tokens),
        go_on,
    )
    for file, skipped in corpus.skipped.items():
        ground.say(f"Left out: {skipped.of(file)}")
    return ground
