"""The command from a run on disk to a winner on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.best import main
from analysis.refit import Refit, refit
from model.data.corpus import read_corpus
from model.data.tokens import tokenize
from model.network.saved import read_model
from model.training import evaluate
from model.training.loop import Diverged
from search.run_folder import RunFolder


def best(run: RunFolder, *flags: str) -> None:
    main([*flags, "--runs-dir", str(run.path.parent)])


def test_the_leaderboard_and_the_winners_configuration(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    best(run)  # the newest run, since none is named
    printed = capsys.readouterr().out
    assert printed.index("t002") < printed.index("t001") < printed.index("t003"), "a diverged trial never wins"
    assert "The winner is t002, proposed by tpe" in printed
    assert "head_learning_rate 0.01" in printed
    assert not (run.path / "refit").exists()


@pytest.fixture
def refitted(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> tuple[RunFolder, str]:
    best(run, "demo", "--refit", "--seeds", "2")
    return run, capsys.readouterr().out


def test_refit_writes_model_predictions_and_scores(refitted: tuple[RunFolder, str]) -> None:
    run, printed = refitted
    folder = run.path / "refit"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "scores.json",
        "model/config.json",
        "model/heads.safetensors",
        *(f"model/encoder/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json", "vocab.txt")),
        "model/encoder/tokenizer_config.json",
        *(f"predictions/{task}-{split}-output.csv" for task in ("sst", "para", "sts") for split in ("dev", "test")),
    }
    scores = json.loads((folder / "scores.json").read_text())
    assert (scores["run"], scores["trial"]) == ("demo", "t002")
    assert [one["seed"] for one in scores["refits"]] == [6, 7], "not the search's own seed, 5"
    kept = next(one for one in scores["refits"] if one["kept"])
    assert kept["dev"]["overall"] == max(one["dev"]["overall"] for one in scores["refits"])
    for split in ("dev", "test"):
        by_task = kept[split]["by_task"]
        mean = (by_task["sentiment"] + by_task["paraphrase"] + (by_task["similarity"] + 1) / 2) / 3
        assert kept[split]["overall"] == pytest.approx(mean)
        assert kept[split]["overall_2023"] == pytest.approx(sum(by_task.values()) / 3)
        assert f"{kept[split]['overall']:.4f}" in printed
        assert f"{kept[split]['overall_2023']:.4f}" in printed


def test_the_figures_are_those_of_the_model_on_disk(refitted: tuple[RunFolder, str]) -> None:
    run, _ = refitted
    folder, info = run.path / "refit", run.info()
    model, encoder = read_model(folder / "model")
    corpus = read_corpus(info.data, ("train", "dev", "test", "student"))
    tokens = tokenize(corpus, encoder)
    kept = next(one for one in json.loads((folder / "scores.json").read_text())["refits"] if one["kept"])
    for split in ("dev", "test"):
        predicted = evaluate.predict(model, tokens, split, "fp32")
        assert evaluate.scores(tokens, split, predicted) == pytest.approx(kept[split]["by_task"])
    predicted = evaluate.predict(model, tokens, "student", "fp32")["similarity"]
    rows = (folder / "predictions" / "sts-test-output.csv").read_text().splitlines()[1:]
    assert [row.split(" , ")[0] for row in rows] == [e.id for e in corpus.examples["similarity"]["student"]]
    np.testing.assert_allclose([float(row.split(" , ")[1]) for row in rows], predicted, atol=1e-6)


def test_the_encoder_loads_in_transformers_with_the_same_outputs(refitted: tuple[RunFolder, str]) -> None:
    transformers = pytest.importorskip("transformers")
    run, _ = refitted
    model, encoder = read_model(run.path / "refit" / "model")
    theirs = transformers.AutoModel.from_pretrained(run.path / "refit" / "model" / "encoder").eval()
    ids = torch.randint(5, encoder.shape.vocab_size, (3, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = model.eval().bert(ids, torch.zeros_like(ids), None)
        torch.testing.assert_close(ours, theirs(ids).last_hidden_state, atol=1e-5, rtol=0)


def test_test_sentences_are_in_no_training_set(refitted: tuple[RunFolder, str]) -> None:
    data = refitted[0].info().data
    train, test = (read_corpus(data, (split,)).examples for split in ("train", "test"))
    for task in train:
        assert not {e.id for e in train[task]["train"]} & {e.id for e in test[task]["test"]}


def test_a_second_refit_replaces_the_first(refitted: tuple[RunFolder, str]) -> None:
    run, _ = refitted
    best(run, "--refit")
    assert len(json.loads((run.path / "refit" / "scores.json").read_text())["refits"]) == 1
    assert not (run.path / "refit.partial").exists()


def refused(run: RunFolder, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with pytest.raises(SystemExit) as caught:
        best(run, *flags)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_bad_arguments_are_one_message(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    runs = run.path.parent
    assert refused(run, capsys, "demi") == f"error: {runs}: no run called 'demi'; did you mean demo?\n"
    assert refused(run, capsys, "--seeds", "2") == "error: --seeds 2 has no effect without --refit\n"
    assert refused(run, capsys, "--refit", "--seeds", "0") == "error: --seeds 0: allowed is a whole number from 1\n"


def test_data_changed_since_the_search(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    dev = Path(run.info().data) / "sts-dev.csv"
    dev.write_text(dev.read_text().replace("dog", "cow"))
    assert "has changed since the search: fingerprint" in refused(run, capsys, "--refit")


def test_encoder_changed_since_the_search(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    config = Path(run.info().encoder) / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    message = f"error: the encoder {run.info().encoder} has changed since the search: its fingerprint differs\n"
    assert refused(run, capsys, "--refit") == message


def test_a_refit_survives_a_seed_that_diverges(
    run: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refit_or_diverge(*arguments: Any, seed: int, **options: Any) -> Refit:
        if seed in diverging:
            raise Diverged(1, "sentiment loss")
        return refit(*arguments, seed=seed, **options)

    monkeypatch.setattr("analysis.winner.refit", refit_or_diverge)
    diverging = {7}
    best(run, "--refit", "--seeds", "2")
    assert "diverged, not counted: sentiment loss not finite in epoch 1" in capsys.readouterr().out
    assert [one["seed"] for one in json.loads((run.path / "refit" / "scores.json").read_text())["refits"]] == [6]
    diverging = {6, 7}
    message = "error: demo: the winner diverges with every seed tried; --seeds N tries more\n"
    assert refused(run, capsys, "--refit", "--seeds", "2") == message


def test_a_run_without_a_report(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    run.ledger.unlink()
    assert refused(run, capsys) == f"error: {run.path}: no trial of this run has ended an epoch and is sound\n"
    shutil.rmtree(run.path)
    message = f"error: {run.path.parent}: no runs here; python -m search.run starts one\n"
    assert refused(run, capsys) == message
