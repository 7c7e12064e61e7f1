"""The benchmark of a whole search: the other side's batches, its share of the work, and what is made of the times."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.whole_search import PEERS, Batches, Multitask, Sampled, _evaluation, _training, comparison, main
from model.data.batches import assemble
from model.data.corpus import read_corpus
from model.data.tasks import CS224N, CS224N_SOURCES
from model.data.tokens import tokenize
from model.network.pretrained import read_encoder
from search.ledger import Ledger
from search.records import Report, Session, Suggested, TrialRecord
from search.run_folder import RunInfo, create_run
from tests.model.techniques import configured
from tests.support import tiny_corpus, tiny_encoder


def trial(name: str, seconds: list[float]) -> TrialRecord:
    reports = [
        Report(
            trial=name, epoch=i, scores={}, clean_scores={}, train_scores={}, losses={}, overall=0.5, clean_overall=0.5,
            best=0.5, examples=100, train_seconds=0.0, seconds=of, trainable_parameters=1,
        )
        for i, of in enumerate(seconds, start=1)
    ]  # fmt: skip
    return TrialRecord(name=name, source="tpe", params={}, distributions={}, config={}, reports=reports)


def test_times_are_scaled_to_what_the_trials_did() -> None:
    """t001: 4 + 2 epochs of (10 + 100 * 0.1) s, 40 s beside 20; t002: 2 + 1 * (5 + 100 * 0.05), 10 s beside 10; t003:
    3 + 1 * (5 + 100 * 0.1), 15 s beside 10. t003 took the place of t002, 1.5 s after it had ended."""
    trials = [trial("t001", [8.0, 12.0]), trial("t002", [10.0]), trial("t003", [10.0])]
    sampled = [Sampled(0.0, 9.0, 4.0, 0.1, 10.0), Sampled(0.5, 3.0, 2.0, 0.05, 5.0), Sampled(4.5, 8.0, 3.0, 0.1, 5.0)]
    assert comparison("so", trials, sampled, places=2, ours=20.0) == (
        "plain Ray Tune, so: 39 s, 1.96 times ours; a trial's epochs take 1.50 times as long (1.00 to 2.00), after "
        "1.5 s for a new process and 3.0 s to its first step"
    )


def staged(runs: Path, trials: int = 3, **changes: Any) -> None:
    """A run of the demo in two places."""
    demo, encoder = read_corpus("demo"), read_encoder("demo")
    info = RunInfo(
        started="2026-01-01T00:00:00", space="space.py", data="demo", data_fingerprint=demo.fingerprint(),
        skipped_rows={}, dev_rows_in_train={}, encoder="demo", encoder_fingerprint=encoder.fingerprint(),
        max_tokens=64, pretrain_epochs=0, pretrained_from=None,
        tasks_file=None, sources=CS224N_SOURCES, dev_size={}, chance={},
        trials=trials, budget=None, epochs=1, epoch_examples=100, search="freeze-thaw", objectives=["overall"],
        early_stopping=True, seed=0, cache_gb=0.0, precision="fp32", computes_in="fp32", concurrent=2,
        concurrent_limit=None, threads=1, gpus_per_trial=0.0, versions={},
    )  # fmt: skip
    run = create_run(runs, "one", replace(info, **changes), "def space(trial, problem): ...\n")
    with Ledger(run.ledger) as ledger:
        ledger.append(Session(time=100.0))
        for i in range(trials):
            (report,) = trial(f"t{i + 1}", [10.0]).reports
            plain = configured({"encoder": {"freeze_depth": i}}).to_dict()
            ledger.append(Suggested(trial=report.trial, source="tpe", params={}, distributions={}, config=plain))
            ledger.append(replace(report, time=200.0))


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is for this benchmark alone")
def test_trains_the_trials_of_a_run_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path)
    main(["one", "--steps", "1", "--evaluation", "1", "--runs-dir", str(tmp_path)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("plain Ray Tune")]
    assert [line.split(":")[0].removeprefix("plain Ray Tune, ") for line in lines] == list(PEERS)
    assert all(float(line.split(" times ours")[0].split()[-1]) > 0 for line in lines)


def test_batches_are_cut_from_an_epoch_and_a_dev_set_of_like_lengths() -> None:
    tokens, config = tokenize(tiny_corpus(), tiny_encoder()), configured()
    for grouped in (False, True):
        rows = np.concatenate([rows for name, rows in _training(config, tokens, 90, grouped=grouped)])
        assert len(rows) == 90
        batches = _evaluation(config, tokens, CS224N[0], 9, grouped=grouped)
        assert sorted(np.concatenate([rows for _, rows in batches]).tolist()) == list(range(24))


@pytest.mark.parametrize("encoding", ["cross", "bi"])
def test_batches_hold_the_sequences_that_ours_hold(encoding: Any) -> None:
    tokens = tokenize(tiny_corpus(), tiny_encoder())
    config = configured({"tasks": {"paraphrase": {"pair_encoding": encoding}}})
    rows = np.array([3, 0, 7])
    batch = Batches(config, tokens, "train", [("paraphrase", rows)])[0]
    ours = assemble(tokens, tokens.splits["paraphrase"]["train"], rows, encoding)
    for name, expected in (("input_ids", ours.ids), ("token_type_ids", ours.segments)):
        real = [part[name][part["attention_mask"].bool()] for part in batch["sequences"]]
        assert torch.equal(torch.cat(real), expected)
    assert torch.equal(batch["labels"], ours.labels)


@pytest.mark.parametrize(("removed", "frozen"), [(0, 0), (1, 1)])
def test_its_model_has_the_layers_of_ours_and_freezes_the_same(removed: int, frozen: int) -> None:
    import transformers

    encoder, tokens = tiny_encoder(layers=3), tokenize(tiny_corpus(), tiny_encoder())
    config = configured({"encoder": {"removed_layers": removed, "freeze_depth": frozen, "pooling": "mean"}})
    model = Multitask(transformers.BertModel(transformers.BertConfig(**encoder.config)), config, CS224N)
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    layers = {name.split("layer.")[1][0] for name in names if "encoder.layer." in name}
    assert layers == {str(number) for number in range(frozen, 3 - removed)}
    assert any("embeddings" in name for name in names) == (not frozen)
    for task in CS224N:
        said = model(**Batches(config, tokens, "dev", [(task.name, np.arange(4))])[0])
        assert said["loss"].requires_grad
        assert len(said["logits"]) == 4


@pytest.mark.parametrize(
    ("arguments", "changes", "text"),
    [
        (["--steps", "0"], {}, "error: --steps 0: allowed is a whole number from 1\n"),
        (["--evaluation", "-1"], {}, "error: --evaluation -1: allowed is a whole number from 1\n"),
        ([], {"trials": 0}, "error: one: no trial of it ended an epoch\n"),
        ([], {"trials": 2}, "error: one: 2 trials ended an epoch; more than ran at a time are needed\n"),
        ([], {"gpus_per_trial": 0.5}, "error: one: its trials ran on GPUs; CPUs alone are compared here\n"),
        ([], {"epoch_examples": 16}, "error: one: an epoch of t1 has no more than 2 steps\n"),
    ],
)
def test_one_message(
    arguments: list[str],
    changes: dict[str, Any],
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    staged(tmp_path, **changes)
    with pytest.raises(SystemExit) as caught:
        main(["one", *arguments, "--runs-dir", str(tmp_path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err == text
