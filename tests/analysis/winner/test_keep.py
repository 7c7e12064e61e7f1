"""Which model is kept, and what it is judged on: of models whose outputs are made up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from analysis.statistics.intervals import SeedNoise, gain, overall_of
from analysis.winner import ensemble
from analysis.winner.keep import Candidates, Combination
from analysis.winner.refit import trained_with_dev
from analysis.winner.results import Estimate
from model.data.corpus import Corpus, Example
from model.data.tasks import CS224N
from model.data.tokens import tokenize
from model.training.evaluate import decide
from search.job import Job
from tests.analysis.winner.test_ensemble import EVERY_ROW, LABELS, model
from tests.support import tiny_config, tiny_encoder

Said = Mapping[str, np.ndarray]
NOISE = {"a1": 3.0, "a2": 2.9, "b1": 2.8, "b2": 3.1}
SAID: dict[str, Said] = {name: model(seed, noise) for seed, (name, noise) in enumerate(NOISE.items())}
ALL_REAL = SeedNoise(0.01, 0.01, 9)
GOOD, BAD = model(10, noise=1.5), model(11, noise=9.0)


class Made:
    """Stands for `Trained`: a trial's record is its name, and a soup says what it is given."""

    def __init__(self, soup: Said) -> None:
        self._soup = soup

    def labels(self, split: str) -> Said:
        return LABELS

    def outputs(self, record: str) -> Mapping[str, Said]:
        return {"dev": SAID[record], "test": SAID[record]}

    def weights(self, record: str) -> dict[str, Any]:
        return {}

    def model(self, record: str, weights: object) -> str:
        return "the soup"

    def ask(self, model: object) -> Mapping[str, Said]:
        assert model == "the soup"
        return {"dev": self._soup, "test": self._soup}


def predicted(said: Said, rows: Said) -> dict[str, np.ndarray]:
    return {task.name: decide(task, said[task.name])[rows[task.name]] for task in CS224N}


def judged(said: Said, above: Said, rows: Said) -> Estimate:
    labels = {task: values[rows[task]] for task, values in LABELS.items()}
    return gain(CS224N, labels, predicted(said, rows), predicted(above, rows))


def contender(*names: str) -> Any:
    dev = {name: overall_of(CS224N, LABELS, predicted(SAID[name], EVERY_ROW)) for name in names}
    return SimpleNamespace(seeds=[SimpleNamespace(name=name, dev=SimpleNamespace(overall=dev[name])) for name in names])


def candidates(soup: Said, *others: Any, noise: SeedNoise = ALL_REAL) -> Candidates:
    """Where the seeds of the chosen configuration are a1 and a2; all that trainings differ by is real by default."""
    chosen = contender("a1", "a2")
    records = cast(Any, {name: name for name in SAID})
    return Candidates(chosen, [chosen, *others], records, cast(Any, Made(soup)), CS224N, noise)


@pytest.fixture
def best() -> str:
    """The single model."""
    return max(contender("a1", "a2").seeds, key=lambda seed: seed.dev.overall).name


def test_a_soup_is_judged_on_all_of_dev_against_the_single_model(best: str) -> None:
    found = candidates(GOOD)
    assert found.single.names == [best]
    assert found._gains["soup"].over == "single"
    assert found._gains["soup"].by == judged(GOOD, SAID[best], EVERY_ROW)


def test_a_soup_is_kept_for_any_gain(monkeypatch: pytest.MonkeyPatch, best: str) -> None:
    monkeypatch.setattr(ensemble, "ensemble_helps", lambda gain: False)
    other = {"a1": "a2", "a2": "a1"}[best]
    near = {task: 0.8 * SAID[best][task] + 0.2 * SAID[other][task] for task in LABELS}
    found = candidates(near)
    by = found._gains["soup"].by
    assert by.low < 0 < by.value, "it may be chance"
    assert found.kept.kind == "soup"
    assert candidates(BAD).kept.kind == "single"


@pytest.mark.parametrize(("real", "share"), [(0.01, 0.0), (0.004, 0.6), (0.0, 1.0)])
def test_the_luck_of_the_single_model_counts_for_the_others(real: float, share: float) -> None:
    low, high = sorted(seed.dev.overall for seed in contender("a1", "a2").seeds)
    found = candidates(GOOD, noise=SeedNoise(real, 0.01, 9))._gains["soup"].by
    plain = candidates(GOOD)._gains["soup"].by
    luck = share * (high - low) / 2
    assert (found.value, found.low, found.high) == pytest.approx(
        (plain.value + luck, plain.low + luck, plain.high + luck)
    )


@pytest.mark.parametrize(("soup", "over"), [(GOOD, "soup"), (BAD, "single")], ids=["good soup", "bad soup"])
def test_an_ensemble_is_judged_on_what_it_was_not_chosen_on_against_the_better_of_the_two(
    soup: Said, over: str, best: str
) -> None:
    found = candidates(soup, contender("b1", "b2"))
    halves, judged_by = ensemble.halves(LABELS), {task: values.copy() for task, values in SAID["a1"].items()}
    summed: dict[str, Counter[str]] = {task: Counter() for task in LABELS}
    for chosen_on, judged_on in (halves, halves[::-1]):
        for task in CS224N:
            name = task.name
            of_task = {model: said[name] for model, said in SAID.items()}
            counts = ensemble.choose_members(task, LABELS[name], of_task, chosen_on[name])
            judged_by[name][judged_on[name]] = ensemble.combined(SAID, {name: counts})[name][judged_on[name]]
            summed[name].update(counts)
    assert found._gains["ensemble"].over == over
    assert found._gains["ensemble"].by == judged(judged_by, soup if over == "soup" else SAID[best], EVERY_ROW)
    together = found._found[-1]
    assert together.members == summed
    np.testing.assert_array_equal(together.outputs["dev"]["sentiment"], ensemble.combined(SAID, summed)["sentiment"])


@pytest.mark.parametrize("helps", [True, False])
def test_what_an_ensemble_must_gain_decides(monkeypatch: pytest.MonkeyPatch, helps: bool) -> None:
    asked: list[Estimate] = []
    monkeypatch.setattr(ensemble, "ensemble_helps", lambda gain: asked.append(gain) or helps)
    found = candidates(GOOD, contender("b1", "b2"))
    assert asked == [found._gains["ensemble"].by]
    assert found.kept.kind == ("ensemble" if helps else "soup")


@pytest.mark.parametrize("kind", ["single", "soup", "ensemble"])
def test_with_dev_each_member_counts_as_before(kind: Any) -> None:
    counts: dict[str, dict[str, int]] = {
        "single": {task: {"r002": 1} for task in LABELS},
        "soup": {task: {"r001": 1, "r002": 1} for task in LABELS},
        "ensemble": {"sentiment": {"r001": 2, "r002": 1}, "paraphrase": {"r002": 1}, "similarity": {"r001": 3}},
    }[kind]
    epochs = {"r001": 3, "r002": 1}
    records = {
        name: SimpleNamespace(config={"of": name}, seed=number, best=SimpleNamespace(epoch=epochs[name]))
        for number, name in enumerate(epochs)
    }
    asked: list[Job] = []

    def train_with_dev(jobs: list[Job]) -> dict[str, Any]:
        asked.extend(jobs)
        return {job.key: SimpleNamespace(name=f"d{number}-{job.config['of']}") for number, job in enumerate(jobs)}

    anew = SimpleNamespace(is_sound=lambda record: True)
    ground = SimpleNamespace(train_with_dev=train_with_dev, trained_with_dev=anew)
    kept = Combination(kind, counts, cast(Any, records), cast(Any, None))
    found = trained_with_dev(cast(Any, ground), kept)
    assert {job.config["of"]: job.epochs for job in asked} == {name: epochs[name] for name in kept.names}
    assert found.kind == kind
    assert found.trained is anew
    renamed = {
        task: {name.partition("-")[2]: count for name, count in of_task.items()}
        for task, of_task in found.members.items()
    }
    assert renamed == counts


def test_what_any_member_cuts_is_not_read_to_its_end() -> None:
    """Of pairs, what one of two reads as one sequence."""
    texts, pairs = ["good " * 9, "good " * 8], [("good " * 5, "dog " * 3), ("good " * 5, "dog " * 2)]
    rows: dict[str, list[tuple[str, ...]]] = {"sentiment": [(text,) for text in texts], "paraphrase": [*pairs]}
    examples = {task: {"test": [Example("", sentences, 0.0) for sentences in rows[task]]} for task in rows}
    tokens = tokenize(Corpus("made up", CS224N[:2], examples), tiny_encoder(), 10)  # type: ignore[arg-type]
    records = {
        name: SimpleNamespace(config=tiny_config(paraphrase={"pair_encoding": encoding}).to_dict())
        for name, encoding in (("a1", "bi"), ("b1", "cross"))
    }
    both = {"a1": 1, "b1": 1}
    for counts, expected in ((both, [10, None]), ({"a1": 1}, [None, None])):
        members = {"sentiment": {"a1": 1}, "paraphrase": counts}
        kept = Combination(
            "ensemble",
            members,
            cast(Any, {name: records[name] for name in counts}),
            cast(Any, SimpleNamespace(tokens=tokens)),
        )
        assert kept.read("test") == {"sentiment": [10, None], "paraphrase": expected}
