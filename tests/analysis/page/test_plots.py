"""The report's pictures: what is drawn, where, and in what words."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from analysis.page.plots import curves, drift, errors, parameters, refitted, tradeoff
from analysis.page.plots.canvas import ACCENT, LIGHT, SCALE, Canvas, Picture, canvas, drawn_twice, on_scale
from analysis.page.plots.refitted import Row
from analysis.why.cost import train_seconds
from analysis.why.importance import Importance
from analysis.winner.results import AblationPath, Change, Drift, Estimate, Step
from search.pareto import Objective
from search.records import Decision, Report, State, TrialRecord
from tests.analysis.simulated import simulated_record

TASKS: tuple[str, ...] = ("sentiment", "paraphrase", "similarity")
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: Picture) -> list[str]:
    """All that is written in a picture, in order."""
    return [element.text or "" for element in ElementTree.fromstring(picture.svg).iter(f"{SVG}text")]


def notes(picture: Picture) -> list[str]:
    """What the pointer is told."""
    return [element.text or "" for element in ElementTree.fromstring(picture.svg).iter(f"{SVG}title")]


def record(
    name: str,
    overalls: list[float],
    state: State = "completed",
    source: str = "tpe",
    seconds: float = 10.0,
    **params: object,
) -> TrialRecord:
    scores: dict[str, float] = dict.fromkeys(TASKS, 0.5)
    reports = [
        Report(
            trial=name,
            epoch=epoch,
            scores=scores,
            clean_scores=scores,
            train_scores=dict.fromkeys(TASKS, 0.6),
            losses={"sentiment": 2.0 / epoch, "paraphrase": 1.0},
            overall=overall,
            clean_overall=overall,
            best=max(overalls[:epoch]),
            examples=10,
            train_seconds=seconds,
            seconds=seconds,
            trainable_parameters=1000,
        )
        for epoch, overall in enumerate(overalls, 1)
    ]
    choices = {"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}
    rate = {"name": "FloatDistribution", "attributes": {"low": 1e-4, "high": 1e-2, "log": True, "step": None}}
    layers = {"name": "IntDistribution", "attributes": {"low": 1, "high": 3, "log": False, "step": 1}}
    kinds = {"choice": choices, "rate": rate, "layers": layers}
    return TrialRecord(
        name=name,
        source=source,
        params=params,
        distributions={param: kinds[param] for param in params},
        config={},
        reports=reports,
        state=state,
    )


def stopped(name: str, overalls: list[float]) -> TrialRecord:
    one = record(name, overalls, "stopped")
    epoch = len(overalls)
    one.decisions.append(Decision(trial=name, epoch=epoch, action="stop", rung=epoch, cutoff=0.6))
    return one


# The canvas ----------------------------------------------------------------------------------------------------------


def dot(text: str = "text", name: str = "dot") -> Picture:
    with canvas(name, 300, 200) as drawing:
        axes = drawing.axes()
        (artist,) = axes.plot(1, 1, marker="o", color=ACCENT)
        axes.set_title(text)
        drawing.tell(artist, f"note: {text}", f"trial {text}")
        return drawing.picture(reads="reads", shows=text)


def test_a_picture_takes_the_pages_colours_and_font() -> None:
    svg = dot().svg
    assert "var(--accent)" in svg
    assert "var(--ink)" in svg
    assert not re.findall("#[0-9a-f]{6}", svg), "a colour that does not follow the page into the dark"
    assert set(re.findall("font-family: ([^;]*)", svg)) == {"inherit"}


def test_ids_are_a_pictures_own() -> None:
    first, second = (set(re.findall(' id="([^"]*)"', dot(name=name).svg)) for name in ("one", "two"))
    assert first
    assert not first & second
    root = ElementTree.fromstring(dot().svg)
    ids = {element.get("id") for element in root.iter()}
    used = re.findall(r'(?:href="#|url\(#)([^")]*)', dot().svg)
    assert used
    assert set(used) <= ids


def test_the_same_picture_is_the_same_bytes_and_the_settings_stay() -> None:
    before = dict(matplotlib.rcParams)
    assert dot().svg == dot().svg
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("text", ["<script>&\"'</script>", "$\\frac{1}{$", "日本 😀", "a\nb"])
def test_any_text_is_text(text: str) -> None:
    picture = dot(text)
    root = ElementTree.fromstring(picture.svg)
    assert not list(root.iter(f"{SVG}script"))
    assert root.get("aria-label") == text
    assert notes(picture) == [f"note: {text}"]
    assert "".join(texts(picture)).replace("\n", "").endswith(text.replace("\n", ""))
    assert [e.get("data-trial") for e in root.iter() if e.get("data-trial")] == [f"trial {text}"]


def test_a_picture_drawn_twice_fits_a_laptop_and_a_phone() -> None:
    widths = []

    def draw(drawing: Canvas) -> None:
        widths.append(drawing.narrow)
        drawing.axes()

    picture = drawn_twice("both", draw, height=100, phone_height=200, reads="", shows="")
    assert widths == [False, True]
    assert picture.phone is not None
    assert 'viewBox="0 0 800 100"' in picture.svg
    assert 'viewBox="0 0 350 200"' in picture.phone


def test_the_scale_goes_from_its_first_colour_to_its_last() -> None:
    assert [on_scale(value, 0.0, 1.0) for value in (-1, 0, 0.5, 1, 2)] == [0, 0, 3, 6, 6]
    assert on_scale(0.5, 0.5, 0.5) == len(SCALE) - 1


# Curves --------------------------------------------------------------------------------------------------------------


def test_curves_mark_the_winner_and_the_stops() -> None:
    won = record("t001", [0.5, 0.7, 0.69])
    records = [won, stopped("t002", [0.4, 0.5]), stopped("t003", [0.3, 0.4]), record("t004", [0.2], "diverged")]
    picture = curves.all_trials(records, won)
    assert picture.shows == "t001 reached 0.7000 after epoch 2; of 2 trials at rung 2: 2 stopped."
    written = texts(picture)
    for text in ("winner, t001", "completed (1)", "stopped (2)", "diverged (1)", "rung"):
        assert text in [one.strip() for one in written]
    assert "t002, tpe: 0.5000 after epoch 2, stopped" in notes(picture)
    assert "running (0)" not in written


def test_curves_tell_what_became_of_trials_at_a_rung() -> None:
    """A trial that was paused and went on is not paused, nor is one that was stopped after its pause."""
    paused, anew, dropped = (record(f"t00{i}", [0.5] * (3 if i == 2 else 2), "paused") for i in (1, 2, 3))
    anew.state, dropped.state = "completed", "stopped"
    for one in (paused, anew, dropped):
        one.decisions.append(Decision(trial=one.name, epoch=2, action="pause", rung=2, cutoff=None))
    picture = curves.all_trials([anew, paused, dropped], anew)
    assert picture.shows.endswith("; of 3 trials at rung 2: 1 gone on, 1 paused, 1 stopped.")
    assert "A cross is where it was stopped or paused." in picture.reads


def test_curves_without_a_winner() -> None:
    picture = curves.all_trials([record("t001", [0.2], "diverged")], None)
    assert picture.shows == "1 trial with scores, none of which is sound."


def test_scores_and_losses_of_one_trial() -> None:
    one = record("t001", [0.5, 0.6])
    first = curves.scores(one, TASKS, dict.fromkeys(TASKS, "accuracy"))[0]
    assert first.shows == "At the end 0.500 on dev, 0.600 on train: a gap of +0.100."
    losses = curves.losses(one, TASKS)
    assert losses.shows == "sentiment 2.000 to 1.000; paraphrase 1.000 to 1.000."
    assert "similarity" not in texts(losses), "it has no losses"


# Parameters ----------------------------------------------------------------------------------------------------------


def test_an_axis_places_numbers_and_choices() -> None:
    records = [record("t001", [0.5], choice="b", rate=1e-3, layers=3)]
    rate, choice, layers = (parameters.Axis.of(name, records) for name in ("rate", "choice", "layers"))
    assert [rate.place(value) for value in (1e-4, 1e-3, 1e-2)] == pytest.approx([0, 0.5, 1])
    assert [label for _, label in rate.ticks] == ["0.0001", "0.001", "0.01"]
    assert choice.ticks == [(0.25, "a"), (0.75, "b")]
    assert choice.place("b") == 0.75
    assert [label for _, label in layers.ticks] == ["1", "2", "3"]
    assert layers.place(3) == pytest.approx(5 / 6)


def test_an_axis_is_as_wide_as_the_widest_range() -> None:
    records = [record(name, [0.5], rate=1e-3) for name in ("t001", "t002")]
    wide = {"name": "FloatDistribution", "attributes": {"low": 1e-5, "high": 1e-3, "log": True, "step": None}}
    records[1].distributions = {"rate": wide}
    axis = parameters.Axis.of("rate", records)
    assert (axis.low, axis.high) == (1e-5, 1e-2)


def test_parallel_coordinates_show_who_has_no_such_parameter() -> None:
    records = [record("t001", [0.7], choice="a", rate=1e-3), record("t002", [0.6], choice="b")]
    picture = parameters.parallel(records, ["choice", "rate"], records[0])
    assert picture.shows == "2 trials with scores. The winner, t001, has choice a, rate 0.001."
    assert "Below an axis pass the trials" in picture.reads
    assert {"a", "b", "0.0001", "0.01", "0.600", "0.700", "not"} <= set(texts(picture))
    assert "Below" not in parameters.parallel(records, ["choice"], records[0]).reads


def test_importance_tells_chance_and_conditional_parameters_apart() -> None:
    measured = [
        Importance(param="choice", trials=20, share=0.75, chance=0.002),
        Importance(param="rate", trials=12, share=0.25, chance=0.3),
        Importance(param="layers", trials=4, share=None, chance=None),
    ]
    picture = parameters.importance(measured, of=20, best=4)
    assert "among the best, 4 of 20 (cond" in picture.reads
    assert "of 2 parameters without any effect, 0.1 would be filled on average." in picture.reads
    assert picture.shows == "Beyond chance: choice (75.0%)."
    written = texts(picture)
    assert {"0.75", "0.25, 12 of 20 trials"} <= set(written)
    assert "layers" not in written, "nothing is known of it"
    luck = parameters.importance(measured[1:], of=20, best=4)
    assert luck.shows == "No parameter stands out from chance."


# Cost ----------------------------------------------------------------------------------------------------------------


def test_the_pareto_front_is_told() -> None:
    records = [record("t001", [0.7], seconds=100), record("t002", [0.6], seconds=10), record("t003", [0.5], seconds=50)]
    records += [stopped("t004", [0.65]), stopped("t005", [0.45])]
    picture = tradeoff.pareto(records, records[0], train_seconds, "training time", "s")
    assert picture.shows == (
        "t002 costs 10 s and reaches 0.6000; the best, t001, costs 10 times as much and reaches 0.7000."
    )
    assert "t003, tpe: 0.5000, 50 s, completed" in notes(picture)
    assert "t004, tpe: 0.6500, 10 s, stopped" in notes(picture)
    assert "t005" not in "".join(notes(picture)), "worse than all that had their full budget"
    alone = tradeoff.pareto(records[:1], records[0], train_seconds, "training time", "s")
    assert alone.shows == "t001 is the best and the cheapest of those that had their full budget."
    none = tradeoff.pareto(records[3:], records[3], train_seconds, "training time", "s")
    assert none.shows == "No trial had its full budget."
    assert len(notes(none)) == 2, "then all are drawn"
    parameters_of = tradeoff.pareto(records, records[0], lambda one: 3.2e6 + (one.name == "t001"), "parameters", "")
    assert "costs hardly more and reaches 0.7000." in parameters_of.shows
    assert {"2M", "5M"} <= set(texts(parameters_of)), "the axis is wide enough for ticks"


def test_the_front_of_a_search_for_several_objectives_is_told() -> None:
    """Stopped trials are on it too: what they cost an epoch compares."""
    figures = {"t001": (0.7, 100, 10), "t002": (0.6, 10, 900), "t003": (0.5, 50, 950), "t004": (0.65, 40, 999)}
    records = [
        simulated_record(name, [overall], "stopped" if name == "t004" else "completed", epoch_seconds=seconds,
                         trainable_parameters=1000 * size)
        for name, (overall, seconds, size) in figures.items()
    ]  # fmt: skip
    three: tuple[Objective, ...] = ("overall", "seconds", "parameters")
    picture = tradeoff.searched(records, records[0], three, "seconds")
    assert picture.shows == (
        "t002 costs 10 s and reaches 0.6000; the best, t001, costs 10 times as much and reaches 0.7000."
    )
    assert len([note for note in notes(picture) if note.startswith("t0")]) == 4
    assert "t004, tpe: 0.6500, 40 s, stopped" in notes(picture)
    assert {"training an epoch", "t001", "t002", "t004"} <= set(texts(picture))
    assert "in all of overall, seconds, parameters." in picture.reads
    assert picture.svg.count("var(--task0)") == 2, "t002 and t004; t001 is the star, t003 is beaten"
    small = tradeoff.searched(records, records[0], three, "parameters")
    assert small.shows == "t001 is the best and the cheapest."
    assert small.svg.count("var(--task0)") == 2, "the same: of the front of all three"


# What was retrained --------------------------------------------------------------------------------------------------

PATH = AblationPath(
    point="baseline",
    steps=[
        Step(changes=[], name="a", overall=0.6, gain=None),
        Step(changes=[Change("choice", "a", "b")], name="b", overall=0.7, gain=Estimate(0.1, 0.08, 0.12)),
        Step(
            changes=[Change("rate", "0.001", "0.002"), Change("layers", "1", "2")],
            name="c",
            overall=0.69,
            gain=Estimate(-0.01, -0.02, 0.01),
        ),
    ],
    whole=Estimate(0.09, 0.05, 0.13),
)


def test_the_ablation_path_names_each_step() -> None:
    picture = refitted.ablation(PATH)
    assert picture.shows == (
        "From baseline, 0.6000, to the winner, 0.6900: +0.0900, 95% interval +0.0500 to +0.1300. The most, +0.1000, "
        "came with choice. Beyond chance, of 2 steps: 1 for the better, 0 for the worse."
    )
    for text in ("choice: a → b", "rate: 0.001 → 0.002 (+1)", "+0.1000", "-0.0100", "0.6900", "the winner"):
        assert text in texts(picture)


def test_a_way_that_leads_nowhere_is_no_win() -> None:
    worse = [replace(PATH.steps[0], overall=0.8), Step(changes=[Change("choice", "a", "b")], name="b", overall=0.7,
             gain=Estimate(-0.1, -0.12, -0.08))]  # fmt: skip
    picture = refitted.ablation(AblationPath(point="baseline", steps=worse, whole=worse[1].gain))
    assert picture.shows == (
        "From baseline, 0.8000, to the winner, 0.7000: -0.1000, 95% interval -0.1200 to -0.0800: worse. "
        "Beyond chance, of 1 step: 0 for the better, 1 for the worse."
    )
    doubtful = refitted.ablation(replace(PATH, whole=Estimate(0.09, -0.01, 0.19)))
    assert "95% interval -0.0100 to +0.1900: not shown to be better. The most, +0.1000, came" in doubtful.shows


def test_a_path_of_one_step_is_drawn() -> None:
    picture = refitted.ablation(replace(PATH, steps=PATH.steps[:1], whole=None))
    assert picture.shows == "From baseline, 0.6000, to the winner, 0.6000: +0.0000."


def test_the_winner_is_held_against_the_points() -> None:
    rows = [
        Row(label="searched", estimate=None, before=0.75),
        Row(label="test", estimate=Estimate(0.7, 0.69, 0.71), strong=True),
    ]
    peers = [Row(label="low", estimate=Estimate(0.6, 0.5, 0.68)), Row(label="near", estimate=Estimate(0.69, 0.68, 0.7))]
    picture = refitted.honest(rows, peers, 0.5, None)
    assert picture.shows == (
        "On test what is kept reaches 0.7000, 95% interval 0.6900 to 0.7100. All of it lies above the intervals of 1 "
        "of the space's 2 points."
    )
    assert picture.reads.endswith("Below stand the space's points, one seed each.")
    assert "points" not in refitted.honest(rows, [], 0.5, None).reads


def test_the_winner_is_held_against_chance() -> None:
    rows = [
        Row(label="searched", estimate=None, before=0.75),
        Row(label="test", estimate=Estimate(0.7, 0.69, 0.71), strong=True),
    ]
    picture = refitted.honest(rows, [], 0.5, None)
    assert "chance on test: 0.5000" in notes(picture)
    assert picture.shows.endswith("0.6900 to 0.7100.")
    assert picture.reads.endswith("is chance on test, 0.5000: one and the same prediction for every row.")
    high = refitted.honest(rows, [], 0.69, "2 of 3 epochs")
    assert high.shows.endswith("0.6900 to 0.7100: not shown to be better than chance.")
    assert "its luck too, but after 2 of 3 epochs only. The dashed" in high.reads


def test_a_heat_map_leaves_out_what_is_not_there() -> None:
    moved = Drift(layers=["embeddings", "layer 1"], weights={"query": [None, 0.25], "norm": [0.0, 0.031]}, outputs={})
    picture = drift.weights(moved, "the soup")
    assert texts(picture)[-3:] == [".25", "0", ".031"]
    assert picture.shows == "Furthest: layer 1, query, 0.25; least: embeddings, norm, 0."
    assert picture.reads.startswith("Of the soup: how far the weights")


# Errors --------------------------------------------------------------------------------------------------------------


def test_roc_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=500)
    probability = np.round(rng.uniform(size=500) * 0.6 + 0.4 * labels, 2)  # with ties
    false, true = errors._roc(probability, labels)
    theirs_false, theirs_true, _ = roc_curve(labels, probability)
    assert np.interp(theirs_false[1:-1], false, true) == pytest.approx(
        np.interp(theirs_false[1:-1], theirs_false, theirs_true)
    )
    assert np.trapezoid(true, false) == pytest.approx(roc_auc_score(labels, probability))
    picture = errors.roc(TASKS, "paraphrase", ("0", "1"), probability, labels)
    assert f"AUC {roc_auc_score(labels, probability):.3f}" in texts(picture)


def test_roc_of_one_class_is_drawn() -> None:
    errors.roc(TASKS, "paraphrase", ("0", "1"), np.array([0.2, 0.9]), np.array([1, 1]))


def test_roc_quotes_what_the_classes_are_called() -> None:
    picture = errors.roc(TASKS, "paraphrase", ("not a match", "it"), np.array([0.2, 0.9]), np.array([0, 1]))
    assert picture.shows.endswith("At 0.5 it finds 100.0% of those labelled 'it', with 0.0% false alarms.")
    assert {"false alarms: share of 'not a match' called 'it'", "found: share of 'it' called so"} <= set(texts(picture))


def test_confusion_counts_by_true_class() -> None:
    labels = np.array([0, 0, 0, 1, 2])
    probabilities = np.eye(3)[[0, 0, 1, 1, 2]]
    picture = errors.confusion(TASKS, "sentiment", "012", probabilities, labels)
    assert "true 0, predicted 1: 1 of 3" in notes(picture)
    assert picture.shows == ("Right: 80.0% of 5; at most one class off: 100.0%. Most often mistaken: '0' for '1', 33%.")


def test_without_a_mistake_none_is_the_most_frequent() -> None:
    labels = np.array([0, 1, 2])
    picture = errors.confusion(TASKS, "sentiment", ("a", "b", "c"), np.eye(3), labels)
    assert picture.shows == "Right: 100.0% of 3."


def test_of_many_classes_those_are_drawn_that_are_mistaken() -> None:
    names = [f"class of tickets {number}" for number in range(60)]
    labels = np.arange(600) % 60
    said = np.where(labels >= 40, (labels + 1) % 60, labels)
    picture = errors.confusion(TASKS, "sentiment", names, np.eye(60)[said], labels)
    assert "true class of tickets 41, predicted class of tickets 42: 10 of 10" in notes(picture)
    assert len(notes(picture)) == 20 * 20
    assert picture.reads.endswith(" Of 60 classes, those mistaken most often.")
    assert picture.shows.startswith("Right: 66.7% of 600. Most often mistaken: 'class of tickets 4")


def test_scatter_tells_how_far_off() -> None:
    picture = errors.scatter(TASKS, "similarity", "pearson", np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    assert picture.shows == "3 examples, Pearson's r 0.982; off by 0.33 on average, 0.33 too high in the mean."
    assert "data:image/png;base64," in picture.svg
    ranks = errors.scatter(TASKS, "similarity", "spearman", np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    assert ranks.shows.startswith("3 examples, Spearman's rho 1.000; off"), "the task's own metric"


def test_every_colour_has_one_name() -> None:
    assert len(set(LIGHT.values())) == len(LIGHT), "or the page could not tell which one is meant"
