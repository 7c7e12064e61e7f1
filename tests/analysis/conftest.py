"""A finished run on disk, made by hand: files in the course's format, a tiny encoder, a ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.config import TrialConfig
from model.data.corpus import Corpus, read_corpus
from model.data.tasks import CS224N_SOURCES
from model.network.bert import Bert
from model.network.pretrained import Encoder, read_encoder, write_encoder
from search.ledger import Ledger
from search.records import End, Event, Report, Suggested
from search.run_folder import RunFolder, RunInfo, create_run
from tests.support import tiny_config, write_corpus


@pytest.fixture
def run(tmp_path: Path, corpus: Corpus, encoder: Encoder) -> RunFolder:
    """A run of three trials: t002 won, t003 reached more and then diverged."""
    data, encoder_folder = tmp_path / "data", tmp_path / "encoder"
    write_corpus(data, corpus)
    bert = Bert(encoder.shape)
    encoder.load_into(bert)
    write_encoder(encoder_folder, encoder, bert.state_dict())
    folder = create_run(tmp_path / "runs", "demo", _info(data, encoder_folder), "def space(trial, problem): ...\n")
    with Ledger(folder.ledger) as ledger:
        for event in _events(tiny_config()):
            ledger.append(event)
    return folder


def _info(data: Path, encoder: Path) -> RunInfo:
    return RunInfo(
        started="2026-01-01T00:00:00",
        space="spaces/full.py",
        data=str(data),
        data_fingerprint=read_corpus(str(data)).fingerprint(),
        skipped_rows={},
        dev_rows_in_train={},
        encoder=str(encoder),
        encoder_fingerprint=read_encoder(str(encoder)).fingerprint(),
        max_tokens=48,
        pretrain_epochs=0,
        pretrained_from=None,
        tasks_file=None,
        sources=CS224N_SOURCES,
        dev_size={"sentiment": 24, "paraphrase": 24, "similarity": 24},
        chance={"sentiment": 0.25, "paraphrase": 0.625, "similarity": 0.0},
        trials=3,
        budget=None,
        epochs=2,
        epoch_examples=48,
        search="freeze-thaw",
        objectives=["overall"],
        early_stopping=True,
        seed=5,
        precision="fp32",
        computes_in="fp32",
        concurrent=1,
        concurrent_limit=None,
        threads=1,
        gpus_per_trial=0.0,
        cache_gb=8.0,
        versions={},
    )


def _events(config: TrialConfig) -> list[Event]:
    events: list[Event] = []
    for name, overalls in (("t001", [0.4, 0.5]), ("t002", [0.7, 0.6]), ("t003", [0.9])):
        events.append(Suggested(trial=name, source="tpe", params={}, distributions={}, config=config.to_dict()))
        for number, overall in enumerate(overalls, 1):
            events.append(_report(name, number, overall, best=max(overalls[:number])))
        events.append(End(trial=name, state="diverged" if name == "t003" else "completed"))
    return events


def _report(name: str, number: int, overall: float, best: float) -> Report:
    scores = {"sentiment": overall, "paraphrase": overall, "similarity": 2 * overall - 1}
    return Report(
        trial=name,
        epoch=number,
        scores=scores,
        clean_scores=scores,
        train_scores=scores,
        losses=dict.fromkeys(scores, 1.0),
        overall=overall,
        clean_overall=overall,
        best=best,
        examples=48,
        train_seconds=1.0,
        seconds=1.5,
        trainable_parameters=1000,
    )
