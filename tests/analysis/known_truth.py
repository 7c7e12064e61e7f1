"""Searches whose truth is known: configurations of known worth, and the predictions of models trained with them.

Nothing is trained. A model of accuracy p is right on an example where a standard normal value, the example's difficulty
to it, is below the p-quantile: on all sentences it is right with probability p, exactly. The difficulty is the sum of
what all models share, what a configuration's trainings share, what those of a family of configurations share, and what
is a training's own. Predicted similarities are r times the label plus errors of the same four parts, larger for extreme
labels: their correlation with the labels on all sentences is r, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special

from analysis.statistics.bootstrap import Predictions
from analysis.statistics.intervals import overall_of
from analysis.statistics.selection import Contender
from analysis.winner.results import Figures, Retrained
from model.data.tasks import CS224N

SIZES = {"sentiment": 1101, "paraphrase": 3055, "similarity": 863}
"""Of dev in the course's data."""
TEST_SIZES = {"sentiment": 795, "paraphrase": 3000, "similarity": 524}
_BASE = np.array([0.45, 0.83, 0.925])
"""Of the best configurations, about: each task's metric on 0 to 1."""
_LABELS = np.arange(0, 5.01, 0.2)
_ERRORS = 1 + 0.5 * np.abs(_LABELS - _LABELS.mean()) / _LABELS.std()
"""By label: how large errors are, up to a factor."""


@dataclass(frozen=True)
class Training:
    """A configuration trained once: what it predicts, and how good it truly is."""

    predicted: Predictions
    dev: float
    """Overall on dev."""
    metrics: np.ndarray
    """(3,): on all sentences, each on 0 to 1; its mean is the true overall."""


@dataclass(kw_only=True)
class World:
    """Configurations of known worth and a dev set."""

    rng: np.random.Generator
    offsets: np.ndarray
    """(n,): each configuration's overall less that of a good one."""
    seed_spread: np.ndarray
    """(n,): standard deviation of its true overall between seeds."""
    sizes: Mapping[str, int] = field(default_factory=lambda: SIZES)
    families: np.ndarray | None = None
    """(n,): the family of each configuration, whose mistakes are alike."""
    epochs: int = 1
    """A training's best epoch on dev counts, though all of them are equally good."""
    labels: Predictions = field(init=False)
    metrics: np.ndarray = field(init=False)
    """(n, 3): each task's metric on all sentences, on 0 to 1, mean over all seeds."""

    def __post_init__(self) -> None:
        count = len(self.offsets)
        emphasis = self.rng.normal(0, 0.006, (count, 3))
        emphasis -= emphasis.mean(axis=1, keepdims=True)
        self.metrics = _BASE + self.offsets[:, None] + emphasis
        self.labels = draw_labels(self.rng, self.sizes)
        self._shared: dict[str, dict[str, np.ndarray]] = {}

    def worth(self, configuration: int) -> float:
        """Overall on all sentences, mean over all seeds."""
        return float(self.metrics[configuration].mean())

    def train(self, configuration: int) -> Training:
        """With a fresh seed."""
        spread = self.seed_spread[configuration] * np.sqrt(3)
        metrics = self.metrics[configuration] + self.rng.normal(0, spread, 3)
        parts = {"all": 0.75, f"configuration {configuration}": 0.1}
        if self.families is not None:
            parts = {"all": 0.7, f"family {self.families[configuration]}": 0.07, f"configuration {configuration}": 0.08}
        own = 1 - sum(parts.values())
        of_epoch = 0.06 if self.epochs > 1 else 0.0
        fixed = {task: np.sqrt(own - of_epoch) * self._draw(size) for task, size in self.sizes.items()}
        for name, part in parts.items():
            shared = self._shared.setdefault(name, {})
            for task, size in self.sizes.items():
                if task not in shared:
                    shared[task] = self._draw(size)
                fixed[task] = fixed[task] + np.sqrt(part) * shared[task]
        tried = []
        for _ in range(self.epochs):
            difficulty = {task: fixed[task] + np.sqrt(of_epoch) * self._draw(len(fixed[task])) for task in fixed}
            predicted = predict(metrics, self.labels, difficulty)
            tried.append(Training(predicted, overall_of(CS224N, self.labels, predicted), metrics))
        return max(tried, key=lambda one: one.dev)

    def _draw(self, size: int) -> np.ndarray:
        return self.rng.standard_normal(size, dtype=np.float32)


def draw_labels(rng: np.random.Generator, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Sentences of the kind that all of this is about."""
    return {
        "sentiment": rng.integers(5, size=sizes["sentiment"]),
        "paraphrase": rng.integers(2, size=sizes["paraphrase"]),
        "similarity": rng.choice(_LABELS, size=sizes["similarity"]),
    }


def predict(metrics: np.ndarray, labels: Predictions, difficulty: Predictions) -> dict[str, np.ndarray]:
    """What a model of these metrics on all sentences, (3,) and each on 0 to 1, predicts; `difficulty` is by task, (N,)
    standard normal values."""
    sentiment, paraphrase = (
        np.where(difficulty[task] < special.ndtri(metric), labels[task], (labels[task] + 1) % classes)
        for task, metric, classes in (("sentiment", metrics[0], 5), ("paraphrase", metrics[1], 2))
    )
    r, label = 2 * metrics[2] - 1, labels["similarity"]
    errors = np.interp(label, _LABELS, _ERRORS) / np.sqrt(np.mean(_ERRORS**2))
    standardized = (label - _LABELS.mean()) / _LABELS.std()
    similarity = r * standardized + np.sqrt(1 - r * r) * errors * difficulty["similarity"]
    return {"sentiment": sentiment, "paraphrase": paraphrase, "similarity": 2.5 + similarity}


@dataclass(frozen=True)
class Search:
    """What a search and the finalists' trainings leave behind, and the truth of it."""

    labels: Predictions
    searched: Mapping[str, float]
    contenders: list[Contender]
    worth: Mapping[str, float]
    """By trial."""
    trainings: Mapping[str, list[Training]]
    """Of each contender's seeds."""


def search(world: World, finalists: int = 5, seeds: int = 3) -> Search:
    """Trains every configuration once, and the best on dev again with fresh seeds."""
    names = [f"t{number:03d}" for number in range(1, len(world.offsets) + 1)]
    scores = [world.train(at).dev for at in range(len(names))]
    best = np.argsort(scores)[::-1][:finalists].tolist()
    trainings = {names[at]: [world.train(at) for _ in range(seeds)] for at in best}
    return Search(
        labels=world.labels,
        searched=dict(zip(names, scores, strict=True)),
        contenders=[contender(name, trained) for name, trained in trainings.items()],
        worth={name: world.worth(at) for at, name in enumerate(names)},
        trainings=trainings,
    )


def contender(trial: str, trainings: list[Training], *, lost: int = 0, train_seconds: float = 1.0) -> Contender:
    """A finalist with these trainings, of whose figures only the overall is filled in."""
    figures = [
        Figures(by_task={}, overall=one.dev, overall_2023=0.0, clean_by_task={}, clean_overall=None)
        for one in trainings
    ]
    return Contender(
        trial=trial,
        source="tpe",
        epochs=1,
        most_epochs=1,
        seeds=[
            Retrained(name=f"{trial}-{seed}", seed=seed, best_epoch=1, dev=one, test=one)
            for seed, one in enumerate(figures, 1)
        ],
        predicted=[one.predicted for one in trainings],
        lost=lost,
        train_seconds=train_seconds,
        trainable_parameters=1000,
    )


def on_test(rng: np.random.Generator, training: Training, sizes: Mapping[str, int]) -> tuple[Predictions, Predictions]:
    """Labels and predictions of a trained model for sentences that nobody has seen."""
    labels = draw_labels(rng, sizes)
    difficulty = {task: rng.standard_normal(size) for task, size in sizes.items()}
    return labels, predict(training.metrics, labels, difficulty)


def _world(rng: np.random.Generator, offsets: np.ndarray, seed_spread: float = 0.004) -> World:
    return World(rng=rng, offsets=offsets, seed_spread=np.full(len(offsets), seed_spread))


def _mixture(rng: np.random.Generator, spread: float) -> World:
    bad = rng.random(50) < 0.7
    return _world(rng, np.where(bad, -rng.uniform(0.08, 0.3, 50), rng.normal(0, spread, 50)))


def _families(rng: np.random.Generator) -> World:
    family = rng.integers(6, size=40)
    return replace(_world(rng, -rng.gamma(1.5, 0.01, 40) - 0.01 * (family > 2)), families=family)


def _uneven(rng: np.random.Generator) -> World:
    return World(rng=rng, offsets=-rng.gamma(1.5, 0.02, 40), seed_spread=rng.uniform(0.002, 0.008, 40))


REGIMES: Mapping[str, Callable[[np.random.Generator], World]] = {
    "all alike": lambda rng: _world(rng, np.zeros(40)),
    "close": lambda rng: _world(rng, rng.normal(0, 0.005, 40)),
    "spread": lambda rng: _world(rng, -rng.gamma(1.5, 0.02, 40)),
    "many bad": lambda rng: _mixture(rng, 0.004),
    "many bad, others alike": lambda rng: _mixture(rng, 0.0),
    "ever better": lambda rng: _world(rng, -rng.gamma(1, 0.05, 60) * np.linspace(1, 0.1, 60)),
    "families": _families,
    "noisy seeds": lambda rng: _world(rng, rng.normal(0, 0.005, 40), seed_spread=0.006),
    "uneven seeds": _uneven,
    "small dev": lambda rng: replace(_world(rng, -rng.gamma(1.5, 0.02, 30)), sizes=dict.fromkeys(SIZES, 150)),
    "best epoch of three": lambda rng: replace(_world(rng, -rng.gamma(1.5, 0.015, 40)), epochs=3),
}
"""How the worth of a search's configurations may be spread, from all luck to hardly any."""
