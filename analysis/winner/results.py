"""What `python -m analysis.best --refit` finds, as plain values: what it prints, and what the report draws.

refit/results.json     a Results
refit/labels.npz       TASK.SPLIT: labels; TASK.SPLIT.contaminated: whether the example stands in train too,
                       or, of test, in dev
refit/outputs/NAME.npz TASK.SPLIT: what a model says of each example of dev and test (model.training.evaluate.outputs);
                       NAME is that of a trial in `retrained`, or soup, ensemble, and kept for what lies in model/
refit/predictions/     of the model that is kept; for the course's tasks in its format
refit/model/           the model that is kept
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from model.errors import UserError

FILE = "results.json"
KEPT = "kept"
"""The file of outputs of the model that is kept."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A model's scores on one split."""

    by_task: Mapping[str, float]
    """Each task's own metric."""
    overall: float
    """The mean of the metrics, each on 0 to 1: for CS224N's tasks its leaderboard's formula of 2024."""
    overall_2023: Annotated[float | None, Field(exclude_if=lambda value: value is None)] = None
    """The mean of the metrics as they are; None, and not in the file, for other tasks than CS224N's."""
    clean_by_task: Mapping[str, float]
    """Without the rows that stand in train too, or, of test, in dev; without a task of which none remain."""
    clean_overall: float | None
    """None where a task is missing."""


@dataclass(frozen=True)
class Estimate:
    """A value, and the interval that holds the true one in 95 of 100 cases."""

    value: float
    low: float
    high: float

    def is_above(self, other: float) -> bool:
        """Whether it is shown to be: the whole interval lies there."""
        return self.low > other


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """A configuration trained once more."""

    name: str
    """Of the trial in the folder `retrained`, and of its file in `outputs`."""
    seed: int
    best_epoch: int
    dev: Figures
    test: Figures


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """One of the search's best trials, over several seeds."""

    trial: str
    source: str
    searched: float
    """Overall on dev in the search: one seed, picked for being high."""
    epochs: int
    """How many the search had trained it for."""
    most_epochs: int
    """How many it might have had there, and each of its seeds had here."""
    seeds: list[Retrained]
    """Without those that diverged or failed."""
    lost: int
    """How many seeds diverged or failed."""
    mean: Estimate | None
    """Overall on dev, mean over the seeds; None where all are lost."""
    behind: Estimate | None
    """How much less than the best finalist's; None for that one, and where all seeds are lost."""
    tied: bool
    """Whether it can't be told apart from the best finalist, or is that one."""
    train_seconds: float
    """Mean over the seeds."""
    trainable_parameters: int

    @property
    def cut_short(self) -> str | None:
        """For how many epochs the search had trained it, in words, where its seeds had more: the scores do not compare.
        None where they had as many."""
        return f"{self.epochs} of {self.most_epochs} epochs" if self.epochs < self.most_epochs else None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which finalist was chosen, and what its score is worth."""

    finalists: list[Finalist]
    """By mean over the seeds, best first."""
    chosen: str
    """The trial in the search."""
    prefer: Literal["score", "cheap"]
    searched: float
    """The highest overall on dev that the search saw."""
    corrected: Estimate
    """The chosen configuration's on sentences like dev's: without the luck that made it win."""

    @property
    def winner(self) -> Finalist:
        """The one that was chosen."""
        return next(finalist for finalist in self.finalists if finalist.trial == self.chosen)

    @property
    def trained_less(self) -> str | None:
        """That the search had trained the chosen trial for fewer epochs than its seeds had, in words; None where it
        hadn't."""
        one = self.winner
        if one.cut_short is None:
            return None
        more = f"while each seed here had all {one.most_epochs}: the difference is not of luck alone"
        return f"the search had trained {one.trial} for {one.cut_short} only, {more}"

    @property
    def above_the_search(self) -> str | None:
        """That `corrected` is above what the search saw of the chosen trial, and why, in words; None where it isn't."""
        one = self.winner
        searched = _as_printed(one.searched)
        if one.mean is None or _as_printed(self.corrected.value) <= searched:
            return None
        mean = _as_printed(one.mean.value)
        better = [
            other.trial
            for other in self.finalists
            if other.tied and other.mean is not None and _as_printed(other.mean.value) > max(mean, searched)
        ]
        if mean > searched:
            why = f"its fresh seeds did better, {mean:.4f} in the mean; with few seeds a part of that is luck too"
        elif better:
            why = f"the fresh seeds of {', '.join(better)} did better, and it can't be told from them"
        else:
            why = "empirical Bayes draws a trial's score towards those of the others"
        return f"above the {searched:.4f} that the search saw of {self.chosen}, since {why}"


def _as_printed(score: float) -> float:
    """What is said of scores must be true of their four digits, which are all that a reader sees."""
    return round(score, 4)


Kind = Literal["single", "soup", "ensemble"]
"""The best seed of the chosen configuration; the mean of its seeds' weights; means of models' outputs, by task."""


@dataclass(frozen=True, kw_only=True)
class OnTest:
    """A model's scores on test, and their intervals over the examples."""

    figures: Figures
    overall: Estimate
    by_task: Mapping[str, Estimate]


def at_chance(test: OnTest, chance: Figures) -> str | None:
    """Which of a model's scores on test are not shown to be better than `chance` there, in words; None where all are.
    Of one task, whose score is the overall, once."""
    several = test.by_task.items() if len(test.by_task) > 1 else ()
    scores = [("overall", test.overall, chance.overall), *((task, one, chance.by_task[task]) for task, one in several)]
    told = [
        f"{name} ({one.low:.4f} to {one.high:.4f}, chance {by_chance:.4f})"
        for name, one, by_chance in scores
        if not one.is_above(by_chance)
    ]
    return f"Not shown to be better than chance on test: {', '.join(told)}." if told else None


@dataclass(frozen=True)
class Gain:
    """How much higher a candidate's overall on dev is than that of a simpler one."""

    over: Kind
    by: Estimate
    """Of an ensemble on the half of dev that it was not chosen on, both ways; without the luck of the single model."""

    @property
    def baseline(self) -> str:
        """What it is over, in words."""
        return "the single model" if self.over == "single" else f"the {self.over}"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that could be kept."""

    kind: Kind
    members: Mapping[str, Mapping[str, int]]
    """By task, then name of a retrained trial: how often its outputs count there, or, in a soup, its weights."""
    gain: Gain | None
    """None for the single model."""
    kept: bool
    dev: Figures
    test: OnTest

    @property
    def names(self) -> list[str]:
        """All its members."""
        return sorted({name for counts in self.members.values() for name in counts})


@dataclass(frozen=True)
class WithDev:
    """The model that is kept, all its members trained once more on train and dev together, each for as many epochs as
    were best on dev."""

    members: Mapping[str, Mapping[str, int]]
    """As a candidate's, but by names in `retrained-with-dev`."""
    test: OnTest


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One of the space's POINTS, trained in the same budget, with one seed."""

    point: str
    name: str
    """Of the trial in `retrained`, and of its file in `outputs`."""
    seed: int
    dev: Figures
    test: OnTest


@dataclass(frozen=True)
class Change:
    """One parameter of the space, and its value as text; `not drawn` where it has none."""

    param: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One configuration on the way from a point of the space to the winner, trained."""

    changes: list[Change]
    """Since the step before; none for the first one."""
    name: str
    """Of the trial in `retrained`."""
    overall: float
    """On dev."""
    gain: Estimate | None
    """Above the step before; None for the first one."""


@dataclass(frozen=True, kw_only=True)
class AblationPath:
    """The way from one of the space's POINTS, of the papers' the best, to the winner, all trained with one seed."""

    point: str
    steps: list[Step]
    whole: Estimate | None
    """How much the winner's overall on dev, which it was chosen on, is above the point's; None where they are one
    configuration."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far fine-tuning moved an encoder from what it was pretrained to."""

    layers: list[str]
    """embeddings, layer 1, ..., pooler"""
    weights: Mapping[str, list[float | None]]
    """By kind of weight (attention, feed-forward, LayerNorm, ...): ||after - before|| / ||before|| by layer; None
    where a layer has none of that kind."""
    outputs: Mapping[str, list[float]]
    """By task: 1 - mean cosine between the token states before and after, on sentences of dev, by layer."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """An example of test that the kept model is most wrong about."""

    task: str
    sentences: list[str]
    label: str
    predicted: str
    error: float
    """Classes: the probability given to the wrong answer less the right one's; numbers: the distance."""
    read: int | None = None
    """Tokens after which it was cut; None: it was read to its end."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """All of it."""

    selection: Selection
    candidates: list[Candidate]
    with_dev: WithDev | None
    """What lies in `model` then. None where it was not asked for."""
    peers: list[Peer]
    path: AblationPath | None
    """None where the space has no POINTS in the run, or --no-comparison was given."""
    drift: Drift
    mistakes: list[Mistake]
    chance: Figures
    """On test, what one and the same prediction for all rows of a task scores at best: nothing learned."""
    test_size: Mapping[str, int]
    """Labelled examples of test, by task."""
    contaminated: Mapping[str, Mapping[str, int]]
    """By split (dev, test), then task: examples that stand in train too, or, of test, in dev."""
    flags: list[str]
    """What was typed beside --refit."""

    @property
    def kept(self) -> Candidate:
        """The candidate that is kept, as it was trained on train."""
        return next(one for one in self.candidates if one.kept)

    @property
    def final(self) -> OnTest:
        """The figures of what lies in `model`."""
        return self.with_dev.test if self.with_dev else self.kept.test

    @property
    def at_chance(self) -> str | None:
        """Which of its scores are not shown to be better than chance, in words."""
        return at_chance(self.final, self.chance)

    @property
    def behind(self) -> str | None:
        """Which of the space's points, but for the chosen configuration itself, have a higher overall on test, in
        words; None where none has."""
        own = {seed.name for seed in self.selection.winner.seeds}
        ahead = [
            f"{peer.point} ({peer.test.overall.value:.4f})"
            for peer in sorted(self.peers, key=lambda peer: -peer.test.overall.value)
            if peer.name not in own and _as_printed(peer.test.overall.value) > _as_printed(self.final.overall.value)
        ]
        return f"behind {'the point' if len(ahead) == 1 else 'the points'} {', '.join(ahead)}" if ahead else None

    @property
    def overall_at_chance(self) -> bool:
        """Whether its overall is one of them."""
        return not self.final.overall.is_above(self.chance.overall)


_ADAPTER: TypeAdapter[Any] = TypeAdapter(Results)


def write_results(folder: Path, results: Results) -> None:
    """Writes `results` into the folder `refit`."""
    (folder / FILE).write_bytes(_ADAPTER.dump_json(results, indent=2) + b"\n")


def results_time(folder: Path) -> float:
    """When the results that lie in the folder `refit` were written, in seconds since the epoch."""
    return (folder / FILE).stat().st_mtime


def read_results(folder: Path) -> Results | None:
    """What `write_results` wrote; None where there is nothing. Raises UserError for anything else."""
    path = folder / FILE
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: not the results of a refit: {place}: {first['msg']}; a new --refit writes them"
        ) from None
