"""A run on disk that never was: a ledger, and what a refit would have written, all from drawn numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.winner.results import (
    KEPT,
    AblationPath,
    Candidate,
    Change,
    Drift,
    Estimate,
    Figures,
    Finalist,
    Gain,
    Mistake,
    OnTest,
    Peer,
    Results,
    Retrained,
    Selection,
    Step,
    WithDev,
    write_results,
)
from model.config import TrialConfig
from model.data.tasks import CS224N, CS224N_SOURCES, Classes, Number
from search.ledger import Ledger
from search.records import Decision, End, EndState, Event, Report, Session, Suggested, TrialError, TrialRecord, is_fit
from search.run_folder import RunFolder, RunInfo, create_run

TASKS = tuple(task.name for task in CS224N)
TEST_SIZE = 400
_FLOAT, _INT, _CHOICE = "FloatDistribution", "IntDistribution", "CategoricalDistribution"
_SPACE: dict[str, dict[str, Any]] = {
    "technique.on": {"name": _CHOICE, "attributes": {"choices": [False, True]}},
    "encoder.pooling": {"name": _CHOICE, "attributes": {"choices": ["mean", "pooler"]}},
    "similarity.pair_encoding": {"name": _CHOICE, "attributes": {"choices": ["cross", "bi"]}},
    "optimization.learning_rate": {
        "name": _FLOAT,
        "attributes": {"low": 1e-5, "high": 4e-4, "log": True, "step": None},
    },
    "optimization.batch_size": {"name": _CHOICE, "attributes": {"choices": [8, 16, 32]}},
    "head.dropout": {"name": _FLOAT, "attributes": {"low": 0.0, "high": 0.5, "log": False, "step": None}},
    "head.common_layers": {"name": _INT, "attributes": {"low": 0, "high": 2, "log": False, "step": 1}},
    "layer_drop.probability": {"name": _FLOAT, "attributes": {"low": 0.05, "high": 0.3, "log": False, "step": None}},
}
POINTS = ("sentence-bert", "cross-encoder", "jetty-final", "naeem-final", "course-baseline")


def info(tasks: Sequence[str]) -> RunInfo:
    """What is said of the run."""
    return RunInfo(
        started="2026-01-01T00:00:00.5",
        space="spaces/full.py",
        data="/data/cs224n",
        data_fingerprint="95ae543509bf0053",
        skipped_rows={},
        dev_rows_in_train={task: 2 * i for i, task in enumerate(tasks)},
        encoder="bert-base-uncased",
        encoder_fingerprint="128d487f59019806",
        max_tokens=512,
        pretrain_epochs=0,
        pretrained_from=None,
        tasks_file=None,
        sources=tuple(source for source in CS224N_SOURCES if source.task.name in tasks),
        dev_size=dict.fromkeys(tasks, 1000),
        chance=dict.fromkeys(tasks, 0.3),
        trials=30,
        budget=None,
        epochs=8,
        epoch_examples=4000,
        search="freeze-thaw",
        objectives=["overall"],
        early_stopping=True,
        seed=5,
        precision="auto",
        computes_in="bf16",
        concurrent=2,
        concurrent_limit=None,
        threads=1,
        gpus_per_trial=0.0,
        cache_gb=8.0,
        versions={"python": "3.11.7", "torch": "2.13.0"},
    )


def stage(
    runs: Path,
    trials: int,
    *,
    config: TrialConfig,
    name: str = "staged",
    tasks: Sequence[str] = TASKS,
    mark: str = "",
    asked: int = 30,
) -> RunFolder:
    """A run of so many trials: points first, then TPE's; most stopped, some diverged or failed, the last still
    running where there are more than two; `asked` were wanted. `mark` stands in all that a user may have named."""
    run = create_run(runs, name, replace(info(tasks), trials=asked), "def space(trial, problem): ...\n")
    rng = np.random.default_rng(7)
    with Ledger(run.ledger) as ledger:
        ledger.append(Session(time=0.0))
        for number in range(1, trials + 1):
            for event in _trial(rng, number, trials, tasks, config, mark):
                ledger.append(event)
    return run


def _trial(
    rng: np.random.Generator, number: int, trials: int, tasks: Sequence[str], config: TrialConfig, mark: str
) -> list[Event]:
    name = f"t{number:03}{mark}"
    source = f"point {POINTS[number - 1]}{mark}" if number <= len(POINTS) else "tpe"
    params = _draw(rng)
    worth = 0.72 + 0.03 * (params["similarity.pair_encoding"] == "bi") - 0.02 * (params["encoder.pooling"] == "pooler")
    worth -= 0.05 * abs(np.log10(params["optimization.learning_rate"]) + 3.9) + abs(rng.normal(0, 0.012))
    end: EndState = "diverged" if number % 11 == 0 else "failed" if number % 13 == 0 else "completed"
    epochs = 3 if end != "completed" else 8 if worth > 0.7 else 6 if worth > 0.685 else 2
    events: list[Event] = [
        Suggested(
            trial=name,
            source=source,
            params=params | {f"odd{mark}": f"value{mark}"},
            distributions={param: _SPACE[param] for param in params} | {f"odd{mark}": _odd(mark)},
            config=config.to_dict(),
            time=10.0 * number,
        )
    ]
    running = number == trials and trials > 2
    best = 0.0
    for epoch in range(1, epochs + 1 - running):
        overall = float(worth - 0.12 * np.exp(-0.9 * epoch) + rng.normal(0, 0.002))
        best = max(best, overall)
        events.append(_report(name, epoch, overall, best, tasks, worth, rng))
        if epoch in (2, 6):
            action = "stop" if epoch == epochs else "continue"
            events.append(Decision(trial=name, epoch=epoch, action=action, rung=epoch, cutoff=0.69))
    if not running:
        error = TrialError(type="OSError", message=f"no space left{mark}", traceback="") if end == "failed" else None
        state: EndState = "stopped" if end == "completed" and epochs < 8 else end
        events.append(End(trial=name, state=state, error=error, time=10.0 * number + 5))
    return events


def _odd(mark: str) -> dict[str, Any]:
    return {"name": _CHOICE, "attributes": {"choices": [f"value{mark}", "other"]}}


def _draw(rng: np.random.Generator) -> dict[str, Any]:
    on = bool(rng.integers(2))
    params: dict[str, Any] = {
        "technique.on": on,
        "encoder.pooling": str(rng.choice(["mean", "pooler"])),
        "similarity.pair_encoding": str(rng.choice(["cross", "bi"])),
        "optimization.learning_rate": float(10 ** rng.uniform(-5, np.log10(4e-4))),
        "optimization.batch_size": int(rng.choice([8, 16, 32])),
        "head.dropout": float(rng.uniform(0, 0.5)),
        "head.common_layers": int(rng.integers(3)),
    }
    return params | ({"layer_drop.probability": float(rng.uniform(0.05, 0.3))} if on else {})


def _report(
    name: str, epoch: int, overall: float, best: float, tasks: Sequence[str], worth: float, rng: np.random.Generator
) -> Report:
    scores = {task: _metric(task, overall) for task in tasks}
    return Report(
        trial=name,
        epoch=epoch,
        scores=scores,
        clean_scores=scores,
        train_scores={task: score + 0.02 * epoch for task, score in scores.items()},
        losses={task: float(np.exp(-0.2 * epoch)) * (i + 1) for i, task in enumerate(tasks)},
        overall=overall,
        clean_overall=overall - 0.001,
        best=best,
        examples=4000,
        train_seconds=float(60 * (1 + 3 * (worth - 0.6)) * rng.uniform(0.5, 2)),
        seconds=90.0,
        trainable_parameters=int(22_000_000 * rng.choice([1, 0.05, 0.007])),
        time=1000.0 + epoch,
    )


def _metric(task: str, overall: float) -> float:
    return {"sentiment": overall - 0.28, "paraphrase": overall + 0.1}.get(task, 2 * (overall + 0.18) - 1)


def stage_refit(
    run: RunFolder, *, kind: str = "soup", path: bool = True, chosen: int = 0, with_dev: bool = False
) -> Results:
    """What a refit of `run` would have written; `chosen` is the place of the finalist that was."""
    tasks, records = run.info().tasks, [record for record in run.trials() if is_fit(record)]
    folder = run.path / "refit"
    (folder / "outputs").mkdir(parents=True, exist_ok=True)
    results = results_of(tasks, records, kind=kind, path=path, chosen=chosen, with_dev=with_dev)
    write_results(folder, results)
    said, labels = _outputs(tasks)
    np.savez(folder / "outputs" / f"{KEPT}.npz", **said)
    np.savez(folder / "labels.npz", **labels)
    return results


def results_of(
    tasks: Sequence[str],
    records: Sequence[TrialRecord],
    *,
    kind: str,
    path: bool,
    chosen: int = 0,
    with_dev: bool = False,
) -> Results:
    """Of drawn numbers, near to what such runs come to."""
    rng = np.random.default_rng(3)
    finalists = [_finalist(rng, rank, record, tasks) for rank, record in enumerate(records[:5])]
    won = finalists[chosen]
    best = won.seeds[0]
    candidates = [
        _candidate("single", {best.name: 1}, None, 0.7289, 0.7312, kind, tasks),
        _candidate(
            "soup",
            {seed.name: 1 for seed in won.seeds},
            Gain("single", _near(0.0031, 0.004)),
            0.7331,
            0.7356,
            kind,
            tasks,
        ),
        _candidate(
            "ensemble", {best.name: 1, "t002": 2}, Gain("soup", _near(0.0052, 0.005)), 0.7402, 0.737, kind, tasks
        ),
    ]
    return Results(
        selection=Selection(
            finalists=finalists,
            chosen=won.trial,
            prefer="cheap" if chosen else "score",
            searched=max(one.searched for one in finalists),
            corrected=_near(won.searched - 0.009, 0.011),
        ),
        candidates=candidates,
        with_dev=WithDev({task: {"d001": 1} for task in tasks}, _tested(0.7411, tasks)) if with_dev else None,
        peers=[
            Peer(
                point=point,
                name=f"peer-{point}",
                seed=1,
                dev=_figures(value, tasks),
                test=_tested(value - 0.004, tasks),
            )
            for point, value in zip(POINTS, (0.729, 0.717, 0.61, 0.598, 0.5), strict=True)
        ],
        path=_path() if path else None,
        drift=_drift(rng, tasks),
        chance=_figures(0.45, tasks),
        mistakes=[_mistake(task, i) for task in tasks for i in range(3)],
        test_size=dict.fromkeys(tasks, TEST_SIZE),
        contaminated={split: dict.fromkeys(tasks, 3) for split in ("dev", "test")},
        flags=["--seeds 3"],
    )


def _near(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half)


def _figures(overall: float, tasks: Sequence[str]) -> Figures:
    by_task = {task: _metric(task, overall) for task in tasks}
    return Figures(
        by_task=by_task,
        overall=overall,
        overall_2023=overall - 0.02,
        clean_by_task=by_task,
        clean_overall=overall - 0.0007,
    )


def _retrained(name: str, seed: int, overall: float, tasks: Sequence[str]) -> Retrained:
    dev, test = _figures(overall, tasks), _figures(overall - 0.004, tasks)
    return Retrained(name=name, seed=seed, best_epoch=3, dev=dev, test=test)


def _finalist(rng: np.random.Generator, rank: int, record: TrialRecord, tasks: Sequence[str]) -> Finalist:
    assert record.best is not None
    searched = record.best.overall
    values = searched - 0.006 + rng.normal(0, 0.003, 3)
    lost = 1 if rank == 2 else 0
    seeds = [_retrained(f"{record.name}-seed-{i}", i, float(v), tasks) for i, v in enumerate(values[lost:], 1)]
    return Finalist(
        trial=record.name,
        source=record.source,
        searched=searched,
        epochs=record.epoch,
        most_epochs=8,
        seeds=seeds,
        lost=lost,
        mean=_near(float(values.mean()), 0.008),
        behind=None if rank == 0 else _near(0.003 * rank, 0.006),
        tied=rank < 3,
        train_seconds=700.0 + 90 * rank,
        trainable_parameters=22_568_838,
    )


def _candidate(
    kind: Any, members: dict[str, int], gain: Gain | None, dev: float, test: float, kept: str, tasks: Sequence[str]
) -> Candidate:
    return Candidate(
        kind=kind,
        members=dict.fromkeys(tasks, members),
        gain=gain,
        kept=kind == kept,
        dev=_figures(dev, tasks),
        test=_tested(test, tasks),
    )


def _tested(overall: float, tasks: Sequence[str]) -> OnTest:
    return OnTest(
        figures=_figures(overall, tasks),
        overall=_near(overall, 0.011),
        by_task={task: _near(_metric(task, overall), 0.02) for task in tasks},
    )


def _path() -> AblationPath:
    moves = (
        ([("similarity.pair_encoding", "cross", "bi"), ("similarity.cosine", "not drawn", "alone")], 0.081),
        ([("optimization.learning_rate", "1e-05", "0.000104")], 0.034),
        ([("encoder.pooling", "pooler", "mean")], 0.012),
        ([("optimization.schedule", "constant", "linear"), ("optimization.warmup", "not drawn", "0.1")], -0.004),
        ([("head.dropout", "0.3", "0.12")], 0.002),
    )
    overall, steps = 0.601, [Step(changes=[], name="path-0", overall=0.601, gain=None)]
    for i, (changes, gain) in enumerate(moves, 1):
        overall += gain
        steps.append(
            Step(changes=[Change(*c) for c in changes], name=f"path-{i}", overall=overall, gain=_near(gain, 0.006))
        )
    return AblationPath(point="naeem-final", steps=steps, whole=_near(overall - 0.601, 0.01))


def _drift(rng: np.random.Generator, tasks: Sequence[str]) -> Drift:
    layers = ["embeddings", *(f"layer {i}" for i in range(1, 7)), "pooler"]
    kinds = ("attention", "feed-forward", "LayerNorm", "other")
    weights: dict[str, list[float | None]] = {
        kind: [float(0.01 * (i + 1) * rng.uniform(0.4, 1.6)) for i in range(len(layers))] for kind in kinds
    }
    weights["attention"][0] = weights["feed-forward"][-1] = None
    outputs = {task: [float(0.3 * (i / 7) ** 2 * rng.uniform(0.7, 1.3)) for i in range(len(layers))] for task in tasks}
    return Drift(layers=layers, weights=weights, outputs=outputs)


def _mistake(task: str, i: int) -> Mistake:
    single = task == "sentiment"
    sentences = [f"A made-up sentence, number {i}, about a film that nobody saw & <b>everybody</b> liked."]
    if not single:
        sentences.append("Another one, which says nearly the same.")
    return Mistake(task=task, sentences=sentences, label="1", predicted="4", error=0.97 - 0.1 * i)


def _outputs(tasks: Sequence[str]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    rng = np.random.default_rng(1)
    said, labels = {}, {}
    for task in (task for task in CS224N if task.name in tasks):
        key = f"{task.name}.test"
        if isinstance(task.label, Classes):
            labels[key] = rng.integers(task.label.count, size=TEST_SIZE)
            logits = -0.9 * np.abs(np.arange(task.label.count) - labels[key][:, None]) + rng.gumbel(size=(TEST_SIZE, 5))
            said[key] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        elif isinstance(task.label, Number):
            labels[key] = np.round(rng.uniform(0, 5, TEST_SIZE), 1)
            said[key] = np.clip(labels[key] + rng.normal(0.1, 0.7, TEST_SIZE), 0, 5)
        else:
            labels[key] = rng.integers(2, size=TEST_SIZE)
            said[key] = 1 / (1 + np.exp(-rng.normal(3 * labels[key] - 1.5, 1.6)))
        labels[f"{key}.contaminated"] = np.zeros(TEST_SIZE, dtype=bool)
    return {k: v.astype(np.float32) for k, v in said.items()}, labels
