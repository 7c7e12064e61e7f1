"""From a search on tiny inputs to its refit: under the real Ray, by the commands that a user types."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.winner.predictor import load_predictor
from analysis.winner.results import OnTest, Results, read_results
from model.data.corpus import Split, read_corpus
from model.data.scores import constant_score, overall
from model.data.tasks import Task
from model.data.tokens import tokenize
from model.network.pretrained import write_encoder
from model.network.saved import read_model
from model.training import evaluate
from model.training.checkpoint import load_newest
from model.training.cores import usable_cores
from model.training.evaluate import decide
from search.ledger import read_ledger
from search.run_folder import RunFolder, open_run
from tests.support import states, tiny_corpus, tiny_encoder, write_corpus

ROOT = Path(__file__).parent.parent.parent.parent
SPACE = """
from model.config import EncoderConfig, HeadConfig, OptimizationConfig, TaskConfig, TrialConfig

POINTS = {"plain": {"rate": 1e-3, "pooling": "pooler", "deep": False}, "slow": {"rate": 1e-5, "pooling": "mean"}}


def space(trial, problem):
    deep = trial.suggest_categorical("deep", [False, True])
    common = {"common_layers": trial.suggest_int("common", 1, 2), "activation": "relu"} if deep else {}
    return TrialConfig(
        encoder=EncoderConfig(pooling=trial.suggest_categorical("pooling", ["pooler", "mean"])),
        head=HeadConfig(**common),
        tasks={
            "sentiment": TaskConfig(),
            "paraphrase": TaskConfig(pair_encoding="cross"),
            "similarity": TaskConfig(pair_encoding="cross", loss="mse"),
        },
        optimization=OptimizationConfig(learning_rate=trial.suggest_float("rate", 1e-5, 1e-1, log=True)),
    )
"""


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "160"}


def command(module: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """What a user sees of it, in a pipe."""
    return subprocess.run(
        [sys.executable, "-m", module, *flags], cwd=ROOT, capture_output=True, text=True, env=ENVIRONMENT, check=False
    )


class Refitted:
    """A run, and what the command said and wrote."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        write_corpus(folder / "data", tiny_corpus())
        encoder = tiny_encoder()
        weights = {name: torch.from_numpy(array) for name, array in encoder.weights.items()}
        write_encoder(folder / "encoder", encoder, weights)
        (folder / "space.py").write_text(SPACE)
        inputs = ("--data", str(folder / "data"), "--encoder", str(folder / "encoder"), "--space")
        sizes = ("--trials", "4", "--epochs", "2", "--epoch-examples", "96", "--precision", "fp32", "--seed", "5")
        place = ("--run", "one", "--runs-dir", str(self.runs))
        done = command("search.run", *inputs, str(folder / "space.py"), *sizes, *place)
        assert done.returncode == 0, done.stderr
        self.said = self.best("--refit")
        self.run: RunFolder = open_run(self.runs, "one")

    def best(self, *flags: str) -> str:
        choice = ("--finalists", "2", "--seeds", "2")
        done = command("analysis.best", "one", *flags, *choice, "--runs-dir", str(self.runs))
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    @property
    def results(self) -> Results:
        found = read_results(self.run.refit)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def refitted(tmp_path_factory: pytest.TempPathFactory) -> Refitted:
    return Refitted(tmp_path_factory.mktemp("refitted"))


def test_finalists_are_trained_anew_with_other_seeds(refitted: Refitted) -> None:
    selection = refitted.results.selection
    leaders = [record.name for record in refitted.run.trials()[:2]]
    assert sorted(one.trial for one in selection.finalists) == sorted(leaders)
    for one in selection.finalists:
        assert [seed.seed for seed in one.seeds] == [6, 7], "not the search's own, 5"
        assert one.mean is not None
        assert one.mean.value == pytest.approx(np.mean([seed.dev.overall for seed in one.seeds]))
    means = [one.mean.value for one in selection.finalists if one.mean]
    assert means == sorted(means, reverse=True)
    assert selection.chosen == selection.finalists[0].trial
    assert selection.searched == max(record.best.overall for record in refitted.run.trials() if record.best)


def test_nothing_is_trained_twice(refitted: Refitted) -> None:
    records = read_ledger(refitted.run.retrained.ledger).trials
    keys = [json.dumps([record.config, record.seed], sort_keys=True) for record in records.values()]
    assert len(set(keys)) == len(keys)
    before = refitted.run.retrained.ledger.read_bytes()
    said = refitted.best("--refit")
    assert refitted.run.retrained.ledger.read_bytes() == before
    assert said.splitlines()[-12:] == refitted.said.splitlines()[-12:]


def test_each_point_is_trained_in_the_same_budget(refitted: Refitted) -> None:
    results = refitted.results
    assert sorted(peer.point for peer in results.peers) == ["plain", "slow"]
    assert {peer.seed for peer in results.peers} == {6}
    for peer in results.peers:
        interval = peer.test.overall
        assert interval.value == pytest.approx(peer.test.figures.overall)
        assert interval.low < interval.value < interval.high


def test_the_path_leads_from_the_best_point_to_the_winner(refitted: Refitted) -> None:
    results = refitted.results
    chosen = next(one for one in results.selection.finalists if one.trial == results.selection.chosen)
    if chosen.source.startswith("point"):
        pytest.skip("the winner is a point here")
    assert results.path is not None
    steps = results.path.steps
    gains = [step.gain.value for step in steps[1:] if step.gain]
    assert len(gains) == len(steps) - 1
    assert sum(gains) == pytest.approx(steps[-1].overall - steps[0].overall)
    assert steps[-1].name == chosen.seeds[0].name, "trained once for both"


def test_chance_is_that_of_tests_labels(refitted: Refitted) -> None:
    corpus, chance = read_corpus(refitted.run.info().data, ("train", "test")), refitted.results.chance
    for task in corpus.tasks:
        labels = np.array([example.label for example in corpus.examples[task.name]["test"]], dtype=np.float32)
        assert chance.by_task[task.name] == constant_score(task.metric, labels)
    assert chance.overall == pytest.approx(overall(corpus.tasks, chance.by_task))
    assert f"{chance.overall:.4f}" in refitted.said


def test_the_model_that_is_kept_reproduces_its_figures(refitted: Refitted) -> None:
    kept = next(one for one in refitted.results.candidates if one.kept)
    check_reproduced(refitted.run, kept.test)
    assert "Trained on train: " in (refitted.run.refit / "model" / "README.md").read_text()


def check_reproduced(run: RunFolder, tested: OnTest) -> None:
    """The saved model alone gives the figures and the predictions that lie beside it."""
    torch.set_num_threads(usable_cores())  # as the command did: the tiny models' predictions are all but equal
    corpus = read_corpus(run.info().data, ("train", "dev", "test", "unlabelled"))
    predictor = load_predictor(run.refit / "model", torch.device("cpu"))
    _, encoder = read_model(_members(run)[0])

    def outputs(task: Task, split: Split) -> np.ndarray:
        return predictor.said_of(predictor.given(task, [one.sentences for one in corpus.examples[task.name][split]]))

    said = {task.name: decide(task, outputs(task, "test")) for task in corpus.tasks}
    assert evaluate.scores(tokenize(corpus, encoder), "test", said) == pytest.approx(tested.figures.by_task, abs=1e-6)
    rows = (run.refit / "predictions" / "sts-test-output.csv").read_text().splitlines()[1:]
    student = outputs(corpus.tasks[2], "unlabelled")
    np.testing.assert_allclose([float(row.split(" , ")[1]) for row in rows], student, atol=1e-6)


def _members(run: RunFolder) -> list[Path]:
    folder = run.refit / "model"
    return sorted((folder / "members").iterdir()) if (folder / "members").exists() else [folder]


def test_a_model_that_is_trained_with_dev_too(refitted: Refitted, tmp_path: Path) -> None:
    shutil.copytree(refitted.run.path, tmp_path / "one", ignore=shutil.ignore_patterns("ray"))
    run = open_run(tmp_path, "one")
    flags = ("--finalists", "2", "--seeds", "2", "--with-dev", "--runs-dir", str(tmp_path))
    done = command("analysis.best", "one", "--refit", *flags)
    assert done.returncode == 0, done.stderr + done.stdout
    found = read_results(run.refit)
    assert found is not None
    assert found.with_dev is not None
    assert [one.test for one in found.candidates] == [one.test for one in refitted.results.candidates]
    check_reproduced(run, found.with_dev.test)
    assert sorted(path.name for path in (run.refit / "predictions").iterdir()) == [
        f"{stem}-test-output.csv" for stem in ("para", "sst", "sts")
    ], "it has learned dev's labels"
    kept = next(one for one in found.candidates if one.kept)
    before = read_ledger(run.retrained.ledger).trials
    trained = read_ledger(run.retrained_with_dev.ledger).trials.values()
    assert sorted(record.source for record in trained) == [f"{name} on train and dev" for name in kept.names]
    for record in trained:
        origin = before[record.source.split()[0]]
        assert (record.seed, record.config) == (origin.seed, origin.config)
        assert origin.best is not None
        assert record.epoch == record.epochs == origin.best.epoch, "as many epochs as were best"
        assert load_newest(run.retrained_with_dev.checkpoint(record.name)).values["epoch"] == record.epochs
        assert record.reports[0].clean_overall is None, "of dev nothing is clean"
    sizes = {task: len(of["train"]) + len(of["dev"]) for task, of in read_corpus(run.info().data).examples.items()}
    assert f"Trained on train and dev: sentiment {sizes['sentiment']}, " in (run.refit / "model/README.md").read_text()


def test_all_that_was_found_is_printed_and_drawn(refitted: Refitted) -> None:
    results, said = refitted.results, refitted.said
    kept = next(one for one in results.candidates if one.kept)
    for figure in (results.selection.searched, results.selection.corrected.value, kept.test.figures.overall):
        assert f"{figure:.4f}" in said
    report = refitted.run.path / "report.html"
    assert f"Report:  {report}" in said
    assert f"{kept.test.figures.overall:.4f}"[:5] in report.read_text()


def test_the_encoder_loads_in_transformers_with_the_same_outputs(refitted: Refitted) -> None:
    transformers = pytest.importorskip("transformers")
    member = _members(refitted.run)[0]
    model, encoder = read_model(member)
    theirs = transformers.AutoModel.from_pretrained(member / "encoder").eval()
    ids = torch.randint(5, encoder.shape.vocab_size, (3, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = states(model.eval().bert, ids, torch.zeros_like(ids))
        torch.testing.assert_close(ours, theirs(ids).last_hidden_state, atol=1e-5, rtol=0)


def test_test_sentences_are_in_no_training_set(refitted: Refitted) -> None:
    data = refitted.run.info().data
    train, test = (read_corpus(data, (split,)).examples for split in ("train", "test"))
    for task in train:
        assert not {e.id for e in train[task]["train"]} & {e.id for e in test[task]["test"]}


@pytest.mark.slow
def test_an_interrupted_refit_goes_on_to_the_same_results(refitted: Refitted, tmp_path: Path) -> None:
    shutil.copytree(refitted.run.path, tmp_path / "one", ignore=shutil.ignore_patterns("retrained", "refit*", "ray"))
    run = open_run(tmp_path, "one")
    argv = [sys.executable, "-m", "analysis.best", "one", "--refit", "--finalists", "2", "--seeds", "2"]
    with subprocess.Popen(
        [*argv, "--runs-dir", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        while not run.retrained.ledger.exists() or not any(
            record.reports for record in read_ledger(run.retrained.ledger).trials.values()
        ):
            assert process.poll() is None, "it ended before it could be interrupted"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert process.returncode == 130
    assert "Go on:" in said
    assert not run.refit.exists()
    done = command("analysis.best", *argv[3:], "--runs-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found, expected = read_results(run.refit), refitted.results
    assert found is not None
    assert [[s.dev for s in one.seeds] for one in found.selection.finalists] == [
        [s.dev for s in one.seeds] for one in expected.selection.finalists
    ]
    assert [one.test for one in found.candidates] == [one.test for one in expected.candidates]
