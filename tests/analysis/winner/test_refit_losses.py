"""A refit in which trainings diverge: what is lost is told, and the rest stands. Trained here, without Ray."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any

import optuna
import pytest

from analysis.winner.options import Options
from analysis.winner.refit import refit
from analysis.winner.results import Results
from model.config import TrialConfig
from model.console import Console
from model.data.corpus import Corpus
from model.data.tokens import Tokens
from model.errors import UserError
from model.network.pretrained import Encoder
from model.problem import Problem
from model.training.loop import train
from search.job import Job, key_of
from search.ledger import Ledger
from search.records import End, Report, Suggested, TrialRecord
from search.run_folder import RunFolder
from search.space import load_space
from tests.search.events import report

SPACE = """
from model.config import EncoderConfig, HeadConfig, OptimizationConfig, TaskConfig, TrialConfig

POINTS = {"plain": {"rate": 1e-3, "pooling": "pooler"}, "naeem-final": {"rate": 1e-4, "pooling": "mean"}}


def space(trial, problem):
    return TrialConfig(
        encoder=EncoderConfig(pooling=trial.suggest_categorical("pooling", ["pooler", "mean"])),
        head=HeadConfig(),
        tasks={
            "sentiment": TaskConfig(),
            "paraphrase": TaskConfig(pair_encoding="cross"),
            "similarity": TaskConfig(pair_encoding="cross", loss="mse"),
        },
        optimization=OptimizationConfig(learning_rate=trial.suggest_float("rate", 1e-5, 1e-1, log=True)),
    )
"""
TRIALS: dict[str, tuple[str, dict[str, Any], float]] = {
    "t001": ("point plain", {"rate": 1e-3, "pooling": "pooler"}, 0.5),
    "t002": ("point naeem-final", {"rate": 1e-4, "pooling": "mean"}, 0.4),
    "t003": ("tpe", {"rate": 2e-3, "pooling": "pooler"}, 0.6),
    "t004": ("tpe", {"rate": 3e-3, "pooling": "pooler"}, 0.55),
}
Diverges = Callable[[Job], bool]


@pytest.fixture
def searched(run: RunFolder, corpus: Corpus, encoder: Encoder) -> RunFolder:
    """A run of two points, one of them a paper's, and two trials of TPE, the first of which won."""
    run.space.write_text(SPACE)
    run.ledger.unlink()
    problem = Problem.of(corpus, encoder.shape)
    space = load_space(run.space, problem)
    with Ledger(run.ledger) as ledger:
        for name, (source, params, overall) in TRIALS.items():
            trial = optuna.trial.FixedTrial(params)
            config = space.draw(trial, problem).to_dict()  # type: ignore[arg-type]
            ledger.append(Suggested(trial=name, source=source, params=params, distributions={}, config=config))
            ledger.append(report(name, 1, overall))
            ledger.append(End(trial=name, state="completed"))
    return run


class Refit:
    """Runs a refit whose trainings happen here; those that `diverges` names do."""

    def __init__(self, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        self._run = run
        self._diverges: Diverges = lambda job: False
        self.said = ""
        monkeypatch.setattr("search.retrain.retrain", self._retrain)
        monkeypatch.setattr("analysis.winner.ground.usable_cores", lambda: 1)  # enough for models so small

    def __call__(self, diverges: Diverges = lambda job: False, **options: Any) -> Results:
        self._diverges, text = diverges, io.StringIO()
        asked = dataclasses.replace(Options(finalists=2, seeds=2), **options)
        try:
            return refit(self._run, asked, Console(file=text, width=200), "again")
        finally:
            self.said = text.getvalue()

    def _retrain(
        self,
        run: RunFolder,
        folder: RunFolder,
        jobs: Sequence[Job],
        tokens: Tokens,
        encoder: Encoder,
        console: Console,
        *,
        letter: str,
        address: str | None,
        go_on: str,
    ) -> list[TrialRecord]:
        folder.path.mkdir(exist_ok=True)
        with Ledger(folder.ledger) as ledger:
            for job in jobs:
                if job.key not in [key_of(record) for record in ledger.records.values()]:
                    self._train(folder, ledger, job, letter, tokens, encoder)
            return [next(r for r in ledger.records.values() if key_of(r) == job.key) for job in jobs]

    def _train(
        self, folder: RunFolder, ledger: Ledger, job: Job, letter: str, tokens: Tokens, encoder: Encoder
    ) -> None:
        name = f"{letter}{len(ledger.records) + 1:03d}"
        ledger.append(
            Suggested(
                trial=name,
                source=job.purpose,
                params={},
                distributions={},
                config=dict(job.config),
                seed=job.seed,
                epochs=job.epochs,
            )
        )
        if self._diverges(job):
            ledger.append(End(trial=name, state="diverged"))
            return
        config = TrialConfig.from_dict(job.config)
        training = train(config, tokens, encoder, epochs=1, epoch_examples=48, seed=job.seed, precision="fp32")
        ledger.append(Report.of(name, next(training), 0.0))
        training.save_model(folder.checkpoint(name))
        ledger.append(End(trial=name, state="completed"))


@pytest.fixture
def anew(searched: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Refit:
    return Refit(searched, monkeypatch)


def test_nothing_is_lost(anew: Refit) -> None:
    results = anew()
    assert [one.lost for one in results.selection.finalists] == [0, 0]
    assert sorted(peer.point for peer in results.peers) == ["naeem-final", "plain"]
    assert results.path is not None
    assert results.path.point == "naeem-final", "the paper's, though the other point is better"
    assert [len(step.changes) for step in results.path.steps] == [0, 1, 1]
    assert anew.said.strip() == ""


def test_a_refit_that_will_be_replaced_is_told(anew: Refit, searched: RunFolder) -> None:
    anew(seeds=1, comparison=False)
    assert "replace" not in anew.said
    anew(seeds=1, comparison=False)
    assert "replace" not in anew.said, "it is the same"
    anew(seeds=1)
    flags = "--finalists 2 --seeds 1 --no-comparison"
    assert f"This will replace {searched.refit}, which was made with: {flags}\n" in anew.said
    (searched.refit / "results.json").write_text("{}")
    anew(seeds=1, comparison=False)
    assert "replace" not in anew.said, "nobody can read it"


def test_a_seed_that_diverges_is_told_and_counted(anew: Refit) -> None:
    results = anew(lambda job: "t003, seed 7" in job.purpose)
    lost = {one.trial: (one.lost, len(one.seeds)) for one in results.selection.finalists}
    assert lost == {"t003": (1, 1), "t004": (0, 2)}
    assert "(finalist t003, seed 7) diverged" in anew.said


def test_a_finalist_of_which_all_seeds_diverge_is_not_chosen(anew: Refit) -> None:
    results = anew(lambda job: job.purpose.startswith("finalist t003"))
    assert results.selection.chosen == "t004"
    last = results.selection.finalists[-1]
    assert (last.trial, last.mean, last.lost, last.seeds) == ("t003", None, 2, [])


def test_where_all_diverge_there_is_none_to_choose(anew: Refit, searched: RunFolder) -> None:
    with pytest.raises(UserError, match=r"every seed of every finalist \(t003, t004\) diverged or failed"):
        anew(lambda job: job.purpose.startswith("finalist"))
    assert not searched.refit.exists()


def test_a_point_that_diverges_is_left_out_and_the_path_with_it(anew: Refit) -> None:
    results = anew(lambda job: job.purpose.startswith("point naeem-final"))
    assert [peer.point for peer in results.peers] == ["plain"]
    assert results.path is None
    assert "No path to the winner: one of its ends diverged or failed with seed 6." in anew.said


def test_a_step_of_the_path_that_diverges_is_made_with_the_next(anew: Refit) -> None:
    results = anew(lambda job: job.purpose == "ablation, step 1")
    assert results.path is not None
    assert [len(step.changes) for step in results.path.steps] == [0, 2]
    gain = results.path.steps[1].gain
    assert gain is not None
    assert gain.value == pytest.approx(results.path.steps[1].overall - results.path.steps[0].overall)


def test_to_a_point_that_wins_the_way_is_from_another_one(anew: Refit) -> None:
    results = anew(lambda job: job.purpose.startswith(("finalist t003", "finalist t004")), finalists=3)
    assert results.selection.chosen == "t001"
    assert results.path is not None
    assert results.path.point == "naeem-final"


def test_a_member_that_diverges_on_dev_is_refused(anew: Refit, searched: RunFolder) -> None:
    with pytest.raises(
        UserError,
        match=r"^d001: r00\d diverged on train and dev; the same command tries once more what failed, and without",
    ):
        anew(lambda job: "on train and dev" in job.purpose, with_dev=True)
    assert not searched.refit.exists()
