"""What a refit prints of its results: every figure, and how to read it."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from analysis.winner.results import Estimate, Gain, Results, WithDev, at_chance
from analysis.winner.tables import show
from model.console import Console
from model.data.tasks import CS224N, Task
from search.records import is_fit
from tests.analysis.staged import TASKS, results_of, stage
from tests.support import tiny_config


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A soup is kept."""
    run = stage(tmp_path_factory.mktemp("runs"), 14, config=tiny_config())
    return results_of(TASKS, [record for record in run.trials() if is_fit(record)], kind="soup", path=True)


def printed(results: Results, tasks: Sequence[Task] = CS224N) -> str:
    text = io.StringIO()
    show(results, tasks, Console(file=text, width=200))
    return text.getvalue()


def row(text: str, label: str) -> list[str]:
    """The cells of the one row that begins with `label`."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"│ {label} ")]
    return [cell.strip() for cell in line.strip("│").split("│")]


def with_candidates(results: Results, **changes: dict[str, Any]) -> Results:
    """Other values of the candidates, by their kind."""
    candidates = [dataclasses.replace(one, **changes.get(one.kind, {})) for one in results.candidates]
    return dataclasses.replace(results, candidates=candidates)


def test_the_finalists_and_how_far_they_can_be_told_apart(results: Results) -> None:
    text, finalists = printed(results), results.selection.finalists
    first, second = finalists[:2]
    assert first.mean is not None
    assert second.behind is not None
    assert row(text, first.trial)[:3] == [first.trial, f"{first.searched:.4f}", f"{first.mean.value:.4f} of 3"]
    assert "the best" in row(text, first.trial)
    told = f"{second.behind.value - second.behind.low:.4f}"
    assert row(text, second.trial)[4:7] == [f"{second.behind.value:.4f}", told, "no"]
    assert row(text, finalists[2].trial)[2].endswith("of 2, 1 lost")
    assert row(text, finalists[4].trial)[6] == "yes"
    assert f"Chosen: {first.trial}, the best mean. Not told apart from the best: {second.trial}, " in text
    corrected = results.selection.corrected
    assert f"Without the luck of that: {corrected.value:.4f} ({corrected.low:.4f} to {corrected.high:.4f}), by" in text


def above(results: Results, *, mean: float, other: float = 0.68, corrected: float = 0.71) -> Results:
    """With a corrected score above the 0.7 that the search saw of the chosen trial, whose seeds came to `mean`, those
    of another one that can't be told from it to `other`, and those of a third one, which can, to 0.9."""
    selection = results.selection
    finalists = [
        dataclasses.replace(one, searched=0.7, mean=Estimate(value, value - 0.01, value + 0.01), tied=value < 0.9)
        for one, value in zip(selection.finalists, (mean, other, 0.9), strict=False)
    ]
    estimate = Estimate(corrected, corrected - 0.02, corrected + 0.02)
    return dataclasses.replace(
        results, selection=dataclasses.replace(selection, finalists=finalists, corrected=estimate)
    )


def test_why_the_corrected_score_is_above_the_search(results: Results) -> None:
    assert results.selection.above_the_search is None
    assert "That is above" not in printed(results)
    seen = f"That is above the 0.7000 that the search saw of {results.selection.chosen}, since "
    luckless = seen + "its fresh seeds did better, 0.7200 in the mean; with few seeds a part of that is luck too.\n"
    assert luckless in printed(above(results, mean=0.72))
    equal = f"the fresh seeds of {results.selection.finalists[1].trial} did better, and it can't be told from them.\n"
    assert seen + equal in printed(above(results, mean=0.69, other=0.72))
    drawn = seen + "empirical Bayes draws a trial's score towards those of the others.\n"
    assert drawn in printed(above(results, mean=0.69))
    assert drawn in printed(above(results, mean=0.70004)), "0.7000 is not better than 0.7000"
    assert "That is above" not in printed(above(results, mean=0.72, corrected=0.70004)), "nor is it above it"


def test_the_cheapest_of_equals(results: Results) -> None:
    cheap = dataclasses.replace(results.selection, prefer="cheap")
    assert "the cheapest to train of those not told apart" in printed(dataclasses.replace(results, selection=cheap))


def test_a_finalist_of_which_all_seeds_are_lost(results: Results) -> None:
    *others, last = results.selection.finalists
    lost = dataclasses.replace(last, mean=None, behind=None, tied=False, seeds=[], lost=3)
    selection = dataclasses.replace(results.selection, finalists=[*others, lost])
    text = printed(dataclasses.replace(results, selection=selection))
    assert row(text, last.trial)[:4] == [last.trial, f"{last.searched:.4f}", "all seeds lost", ""]


def test_the_models_and_the_points_on_test(results: Results) -> None:
    text = printed(results)
    soup = next(one for one in results.candidates if one.kind == "soup")
    cells = row(text, "soup of 3, kept")
    assert cells[1:3] == [f"{soup.dev.overall:.4f}", f"{soup.test.figures.overall:.4f}"]
    assert cells[3] == f"{soup.test.overall.low:.4f} to {soup.test.overall.high:.4f}"
    assert cells[6:9] == [f"{soup.test.figures.by_task[task]:.3f}" for task in TASKS]
    assert row(text, "jetty-final")[-1] == "0.7537 test", "what its paper prints"
    assert row(text, "sentence-bert")[-1] == "", "ours"
    assert "In its paper: 2024's overall of the scores that it prints" in text
    assert "Rows of test that stand in train or dev: sentiment 3, paraphrase 3, similarity 3." in text


def test_chance_stands_below_the_models(results: Results) -> None:
    text, chance = printed(results), results.chance
    cells = row(text, "chance")
    assert cells[1:4] == ["", f"{chance.overall:.4f}", ""]
    assert cells[6:9] == [f"{chance.by_task[task]:.3f}" for task in TASKS]
    assert "Chance: what one and the same prediction for every row scores there at best." in text
    assert "Dev: what the models were chosen on, which flatters them." in text
    assert "Not shown to be better than chance" not in text
    overall, of_task = results.final.overall, results.final.by_task["sentiment"]
    high = dataclasses.replace(chance, overall=overall.value, by_task={**chance.by_task, "sentiment": 0.99})
    assert (
        "Not shown to be better than chance on test: "
        f"overall ({overall.low:.4f} to {overall.high:.4f}, chance {overall.value:.4f}), "
        f"sentiment ({of_task.low:.4f} to {of_task.high:.4f}, chance 0.9900).\n"
    ) in printed(dataclasses.replace(results, chance=high))


def test_of_one_task_chance_is_told_once(results: Results) -> None:
    test = dataclasses.replace(results.final, by_task={"sentiment": results.final.by_task["sentiment"]})
    chance = dataclasses.replace(results.chance, overall=0.99, by_task={"sentiment": 0.99})
    told = at_chance(test, chance)
    assert told is not None
    assert told.count("chance 0.9900") == 1


def test_correlations_are_spoken_of_where_there_are_some(results: Results) -> None:
    assert "Overall: the mean of the scores, correlations r entering as (r + 1) / 2, as the" in printed(results)
    accuracies = [dataclasses.replace(task, metric="accuracy") for task in CS224N]
    assert "correlations" not in printed(results, accuracies)


def test_one_finalist_is_held_against_none(results: Results) -> None:
    alone = dataclasses.replace(results.selection, finalists=results.selection.finalists[:1])
    text = printed(dataclasses.replace(results, selection=alone))
    assert f"Chosen: {alone.chosen}, the only finalist.\n" in text
    assert "Hsu" not in text


def test_what_the_search_had_trained_less_is_told(results: Results) -> None:
    selection = results.selection
    whole = [dataclasses.replace(one, epochs=8) for one in selection.finalists]
    text = printed(dataclasses.replace(results, selection=dataclasses.replace(selection, finalists=whole)))
    assert "Trained less" not in text
    assert "But the search" not in text
    short = [dataclasses.replace(whole[0], epochs=2), *whole[1:]]
    text = printed(dataclasses.replace(results, selection=dataclasses.replace(selection, finalists=short)))
    assert f"Trained less in the search than here: {selection.chosen} (2 of 8 epochs).\n" in text
    assert (
        f"But the search had trained {selection.chosen} for 2 of 8 epochs only, while each seed here had all 8" in text
    )


def test_where_test_is_clean_nothing_is_said_of_it(results: Results) -> None:
    assert row(printed(results), "jetty-final")[4] == f"{results.peers[2].test.figures.clean_overall:.4f}"
    text = printed(dataclasses.replace(results, contaminated={"dev": {}, "test": dict.fromkeys(TASKS, 0)}))
    assert "without" not in text.split("On test")[1].split("Overall")[0]
    assert row(text, "jetty-final")[4] == f"{results.peers[2].test.figures.overall_2023:.4f}"


def test_without_points_no_paper_is_spoken_of(results: Results) -> None:
    text = printed(dataclasses.replace(results, peers=[], path=None))
    assert "paper" not in text
    assert "points" not in text
    assert "each step trained" not in text


def test_what_became_of_each_candidate(results: Results) -> None:
    text = printed(results)
    assert "gains +0.0031 (-0.0009 to +0.0071) over the single model on dev: kept, for it costs nothing more." in text
    where = "on the halves of dev that it was not chosen on"
    assert f"The ensemble of 2 gains +0.0052 (+0.0002 to +0.0102) over the soup {where}" in text
    assert "Gains over the single model are without the luck that made it the best of its seeds on dev." in text
    none = Gain("single", Estimate(-0.001, -0.005, 0.003))
    chance = Gain("single", Estimate(0.001, -0.003, 0.005))
    other = with_candidates(
        results, single={"kept": True}, soup={"kept": False, "gain": none}, ensemble={"gain": chance}
    )
    text = printed(other)
    assert "(-0.0050 to +0.0030) over the single model on dev: not kept." in text
    assert f"{where}: not kept, for it may be chance." in text


def test_the_model_that_was_trained_on_dev_too(results: Results, tmp_path: Path) -> None:
    soup = next(one for one in results.candidates if one.kind == "soup")
    text = printed(dataclasses.replace(results, with_dev=WithDev(soup.members, soup.test)))
    assert row(text, "soup of 3, trained on dev too, kept")[1:3] == ["", f"{soup.test.figures.overall:.4f}"]
    assert row(text, "soup of 3")[1] == f"{soup.dev.overall:.4f}"
    assert "Trained on dev too: the one that is kept, for as many epochs as were best on dev" in text


def test_the_way_to_the_winner(results: Results) -> None:
    text = printed(results)
    assert "From naeem-final to the winner, each step trained" in text
    assert row(text, "0  naeem-final")[1:] == ["0.6010", ""]
    assert row(text, "2  optimization.learning_rate: 1e-05 to 0.000104")[1:] == [
        "0.7160",
        "+0.0340 (+0.0280 to +0.0400)",
    ]
    assert row(text, "all of it")[1:] == ["", "+0.1250 (+0.1150 to +0.1350)"]


def test_points_that_are_ahead_on_test_are_named(results: Results) -> None:
    """But for a training of the chosen configuration itself, where that is one of them."""
    assert results.behind is None
    assert "is behind" not in printed(results)
    final, (first, second, *others) = results.final.overall.value, results.peers
    high, higher = (dataclasses.replace(results.final, overall=Estimate(final + by, 0.0, 1.0)) for by in (0.01, 0.02))
    own = dataclasses.replace(others[0], name=results.selection.winner.seeds[0].name, test=higher)
    one = dataclasses.replace(results, peers=[dataclasses.replace(first, test=high), second, own])
    assert one.behind == f"behind the point {first.point} ({final + 0.01:.4f})"
    two = dataclasses.replace(results, peers=[one.peers[0], dataclasses.replace(second, test=higher)])
    told = f"{second.point} ({final + 0.02:.4f}), {first.point} ({final + 0.01:.4f})"
    assert f"On test, what is kept is behind the points {told}.\n" in printed(two)
