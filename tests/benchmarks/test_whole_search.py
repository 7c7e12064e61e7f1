"""The benchmark of a whole search: the other side's batches, its share of the work, and what is made of the times."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.whole_search import Batches, Multitask, Sampled, comparison, main
from model.data.batches import assemble
from model.data.tasks import CS224N
from model.data.tokens import tokenize
from search.records import Report, TrialRecord
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
    """t001: 1 + 4 + 2 epochs of (10 + 100 * 0.1) = 45 s beside 15; t002: 1 + 2 + 1 * (5 + 100 * 0.02) = 10 beside 5."""
    trials = [trial("t001", [8.0, 7.0]), trial("t002", [5.0])]
    sampled = [Sampled(4.0, 0.1, 10.0), Sampled(2.0, 0.02, 5.0)]
    assert comparison("so", trials, sampled, between=1.0, places=2, ours=11.0) == (
        "plain Ray Tune, so: 28 s, 2.50 times ours; a trial takes 2.50 times as long (2.00 to 3.00), 1.0 s of it "
        "before its function is called and 3.0 s before its first step"
    )


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
    ("arguments", "text"),
    [
        (["--steps", "0"], "error: --steps 0: allowed is a whole number from 1\n"),
        (["--evaluation", "-1"], "error: --evaluation -1: allowed is a whole number from 1\n"),
        (["empty"], "error: empty: no trial of it ended an epoch\n"),
    ],
)
def test_one_message(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text("{}")
    (tmp_path / "empty" / "ledger.jsonl").touch()
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--runs-dir", str(tmp_path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err == text
