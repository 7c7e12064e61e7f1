"""The page from a run on disk, whatever state the run is in."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from analysis.page.content import SECTIONS
from analysis.report import main, write_report
from analysis.why.importance import Importance
from analysis.winner.results import Estimate, read_results, write_results
from search.lock import locked
from search.pareto import Objective, front
from search.run_folder import RunFolder
from tests.analysis.staged import stage, stage_refit
from tests.support import refused, tiny_config

HOSTILE = "</title></svg><script>alert(1)</script><img src=x onerror=alert(2)>'\"&{{7*7}}$\\frac\x00\x1b"
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """A page's tags, ids and text; fails where tags are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.sections: dict[str, str] = {}
        self._open: list[str] = []
        self._section = ""
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self._section = dict(attrs)["id"] or ""
            self.sections[self._section] = ""
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._section:
            self.sections[self._section] += data

    def pictures(self) -> list[str]:
        """What each picture is called for those who can't see it."""
        return [attrs["aria-label"] or "" for tag, attrs in self.tags if tag == "svg"]


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of 30 trials with a refit."""
    run = stage(tmp_path_factory.mktemp("runs"), 30, config=tiny_config())
    stage_refit(run)
    write_report(run)
    return run


@pytest.fixture(scope="module")
def html(whole: RunFolder) -> str:
    return (whole.path / "report.html").read_text()


def page_of(run: RunFolder) -> Page:
    return Page(write_report(run).read_text())


def test_every_section_is_there_in_order(html: str) -> None:
    page = Page(html)
    assert list(page.sections) == [name for name, _ in SECTIONS]
    assert all(text.strip() for text in page.sections.values())
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == [f"#{name}" for name, _ in SECTIONS]


def test_the_page_loads_nothing(html: str) -> None:
    page = Page(html)
    for tag, attrs in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form"), tag
        for name in ("src", "href", "xlink:href", "data", "srcset", "poster"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/png;base64,")), (tag, attrs[name])
    assert "@import" not in html
    assert set(re.findall(r"url\(([^)]{1,5})", html)) <= {"#" + html_id[:4] for html_id in ids(page)}
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")


def ids(page: Page) -> list[str]:
    return [attrs["id"] or "" for _, attrs in page.tags if "id" in attrs]


def test_no_id_stands_twice_and_each_that_is_used_is_there(html: str) -> None:
    page = Page(html)
    assert [name for name, count in Counter(ids(page)).items() if count > 1] == []
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html)
    assert {one or other for one, other in used} <= set(ids(page))


def test_every_picture_says_what_it_shows(html: str) -> None:
    page = Page(html)
    assert len(page.pictures()) == 5 * 2 + 3 + 1 + 1 + 2 + 3 + 2, "five are drawn twice"
    assert all(page.pictures())
    for label in page.pictures():
        assert label in page.text, "as a caption too"


def test_with_several_objectives_the_front_that_was_searched_for_is_shown(tmp_path: Path) -> None:
    run = stage(tmp_path, 14, config=tiny_config())
    assert "On the front of training time" in page_of(run).sections["cost"]
    objectives: list[Objective] = ["overall", "seconds"]
    run.write_info(replace(run.info(), objectives=objectives))
    page = page_of(run)
    cost = page.sections["cost"]
    assert "On the front of overall, seconds" in cost
    assert "On the front of training time" not in cost
    for record in front(run.trials(), objectives):
        assert record.best is not None
        row = f"{record.name}{record.best.overall:.4f}"
        assert row in cost
        assert f"{record.best.trainable_parameters:,}{record.source}" in cost, "543,175 is less than 543,366"
    assert "Coloured are the trials that no other one beats in all of overall, seconds." in cost
    assert "a cross a trial that did not have its full budget" in cost, "of parameters, which were no objective"
    assert "overall, seconds" in page.sections["run"]
    assert "--objectives overall seconds" in page.sections["again"]


def test_the_figures_are_those_of_the_refit(whole: RunFolder, html: str) -> None:
    page, results = Page(html), read_results(whole.path / "refit")
    assert results is not None
    kept = next(one for one in results.candidates if one.kept)
    assert (
        f"{results.selection.chosen}, a soup of 3 seeds, wins with {kept.test.overall.value:.4f} on test" in page.text
    )
    figures = page.sections["figures"]
    for value in (
        kept.test.figures.overall,
        kept.test.figures.overall_2023,
        kept.test.figures.clean_overall,
        results.selection.corrected.value,
    ):
        assert f"{value:.4f}" in figures
    for peer in results.peers:
        assert f"test, {peer.point}" in figures
        assert f"{peer.test.figures.overall:.4f}" in figures
    assert "The figures on dev are of what they were chosen on, which flatters them." in figures
    assert "dev, which it was chosen on: the model that is kept (soup)" in figures
    assert "0.7537 test" in figures, "what Jetty's paper prints of its final model, by 2024's formula"
    assert "be told apart" in page.sections["finalists"]
    assert "1 seed lost" in page.sections["finalists"]
    assert "similarity.cosine" in page.sections["ablation"]
    assert "all of it" in page.sections["ablation"]
    assert page.sections["errors"].count("A made-up sentence") == 9
    assert "than the right one; of numbers, how far the predicted number is from" in page.sections["errors"]
    assert "--refit" not in page.sections["figures"]


def test_a_kept_model_that_a_point_is_ahead_of_does_not_win(tmp_path: Path) -> None:
    run = stage(tmp_path, 14, config=tiny_config())
    results = stage_refit(run)
    final = results.final.overall
    ahead = replace(results.peers[0].test, overall=Estimate(final.value + 0.01, final.low, final.high))
    write_results(run.refit, replace(results, peers=[replace(results.peers[0], test=ahead), *results.peers[1:]]))
    page = page_of(run)
    told = f"on test, behind the point {results.peers[0].point} ({final.value + 0.01:.4f})"
    assert f"{results.selection.chosen}, a soup of 3 seeds, is kept with {final.value:.4f} {told}" in page.text
    assert "wins" not in page.text
    assert "Why it won" not in page.text


def test_what_is_not_shown_to_be_better_than_chance_is_said_in_the_heading_too(tmp_path: Path) -> None:
    run = stage(tmp_path, 14, config=tiny_config(), tasks=("sentiment",))
    results = stage_refit(run)
    finalist = replace(results.selection.finalists[0], epochs=2)
    chance = replace(results.chance, overall=results.final.overall.low, by_task={"sentiment": 0.2})
    alone = replace(results.selection, finalists=[finalist])
    write_results(run.refit, replace(results, chance=chance, selection=alone))
    page = page_of(run)
    told = f"on test, not shown to be better than chance ({chance.overall:.4f})"
    assert f"wins with {results.final.overall.value:.4f} {told}" in page.text
    figures = page.sections["figures"]
    assert results.at_chance is None
    assert f"Not shown to be better than chance on test: overall ({chance.overall:.4f} to" in figures
    assert f"test, chance{chance.overall:.4f}" in figures
    assert "dev, chance" in figures
    assert "correlations" not in figures
    assert f"But the search had trained {finalist.trial} for 2 of 8 epochs only" in figures
    assert f"were trained less there: {finalist.trial} 2 of 8 epochs." in page.sections["finalists"]
    assert "Hsu" not in page.sections["finalists"]


def test_figures_that_the_tasks_have_no_formula_for_are_left_out(tmp_path: Path) -> None:
    run = stage(tmp_path, 14, config=tiny_config(), tasks=("sentiment",))
    results = stage_refit(run)
    assert "overall_2023" in (run.refit / "results.json").read_text()
    plain = replace(results, chance=replace(results.chance, overall_2023=None))
    write_results(run.refit, plain)
    assert read_results(run.refit) == plain
    whole = json.loads((run.refit / "results.json").read_text())
    assert "overall_2023" not in whole["chance"]


def test_a_corrected_score_above_the_search_is_explained(tmp_path: Path) -> None:
    run = stage(tmp_path, 14, config=tiny_config())
    results = stage_refit(run)
    above = replace(results.selection, corrected=Estimate(0.99, 0.98, 1.0))
    write_results(run.refit, replace(results, selection=above))
    assert f"Corrected for selection, dev is {above.above_the_search}." in page_of(run).sections["figures"]


def test_a_model_that_was_trained_on_dev_too(tmp_path: Path) -> None:
    run = stage(tmp_path, 14, config=tiny_config())
    results = stage_refit(run, kind="ensemble", with_dev=True)
    page = page_of(run)
    assert results.with_dev is not None
    assert f"An ensemble of 2 models wins with {results.with_dev.test.overall.value:.4f} on test" in page.text
    assert "test, the model that is kept (ensemble, trained on dev too)" in page.sections["figures"]
    assert "Of the model that is kept (ensemble, trained on dev too), on test." in page.sections["errors"]


def test_all_trials_stand_on_the_leaderboard(whole: RunFolder, html: str) -> None:
    page = Page(html)
    for record in whole.trials():
        assert record.name in page.sections["leaderboard"]
    assert "The other 15 trials" in page.sections["leaderboard"]
    assert "failed: OSError: no space left" in page.sections["run"]
    assert "t011 diverged: after epoch 3 its figures were no longer finite" in page.sections["run"]


def test_the_same_run_gives_the_same_bytes(whole: RunFolder, html: str) -> None:
    assert write_report(whole).read_text() == html


@pytest.mark.parametrize("trials", [0, 1, 2, 3])
def test_a_run_with_hardly_a_trial(tmp_path: Path, trials: int) -> None:
    run = stage(tmp_path, trials, config=tiny_config())
    page = page_of(run)
    assert list(page.sections) == [name for name, _ in SECTIONS]
    for section in ("finalists", "ablation", "errors", "drift"):
        assert "-m analysis.best staged --refit" in page.sections[section]
        assert "retrained:" in page.sections[section]
    if trials:
        assert "leads with" in page.text
        assert f"unfinished, {trials - (trials == 3)} of 30 trials ended" in page.text
        assert "running" not in page.sections["leaderboard"] + page.sections["curves"]
    else:
        assert "No winner yet" in page.text
        assert page.pictures() == []


def test_a_run_whose_ledger_is_not_there_yet(tmp_path: Path) -> None:
    run = stage(tmp_path, 0, config=tiny_config())
    run.ledger.unlink()
    assert "No trial has begun." in page_of(run).sections["leaderboard"]


def test_a_finished_run_has_won(tmp_path: Path) -> None:
    page = page_of(stage(tmp_path, 2, config=tiny_config(), asked=2))
    assert "won with" in page.text
    assert "trials ended" not in page.text


def test_a_run_that_goes_on_is_said_to_and_one_whose_budget_is_used_up_has_won(tmp_path: Path) -> None:
    run = stage(tmp_path, 3, config=tiny_config())
    with locked(run.lock, "the run"):
        page = page_of(run)
    assert "running, 2 of 30 trials ended" in page.text
    assert "running" in page.sections["leaderboard"]
    run.write_info(replace(run.info(), budget="3epochs"))
    page = page_of(run)
    assert "budget of 3epochs used up" in page.text
    assert "won with" in page.text


@pytest.mark.parametrize("kind", ["single", "ensemble"])
def test_one_task_and_no_path(tmp_path: Path, kind: str) -> None:
    task = {"single": "sentiment", "ensemble": "similarity"}[kind]
    run = stage(tmp_path, 12, config=tiny_config(), tasks=(task,))
    stage_refit(run, kind=kind, path=False)
    page = page_of(run)
    assert "There is no path to the winner: the run has no sound trial of one of" in page.sections["ablation"]
    assert "Of the single model: how far the weights" in page.sections["drift"], "an ensemble has no weights of its own"
    assert f"Of the model that is kept ({kind}), on test." in page.sections["errors"]
    assert ("Error: how far the predicted number" in page.sections["errors"]) == (task == "similarity")
    others = {"sentiment", "paraphrase", "similarity"} - {task}
    assert not any(f"{other}:" in page.text for other in others)


def test_what_the_search_saw_is_told_of_the_finalist_that_was_chosen(tmp_path: Path) -> None:
    run = stage(tmp_path, 14, config=tiny_config())
    selection = stage_refit(run, chosen=1).selection
    best, chosen = selection.finalists[:2]
    assert (selection.chosen, selection.searched) == (chosen.trial, best.searched)
    page = page_of(run)
    figures, header = page.sections["figures"], page.text.split("Honest figures")[0]
    assert figures.count(f"{chosen.searched:.4f}") == 3, "in the picture, once for a phone, and in the table"
    assert f"{chosen.searched:.4f}" in header
    assert f"{best.searched:.4f}" not in figures + header


def test_the_distance_from_the_best_stands_beside_what_luck_explains(whole: RunFolder, html: str) -> None:
    results = read_results(whole.path / "refit")
    assert results is not None
    text = Page(html).sections["finalists"]
    for one in results.selection.finalists[1:]:
        assert one.behind is not None
        assert f"{one.behind.value:.4f} luck explains up to {one.behind.value - one.behind.low:.4f}" in text
    fell = [one.searched - one.mean.value for one in results.selection.finalists if one.mean is not None]
    mean = sum(fell) / len(fell)
    assert f"In the search they looked {abs(mean):.4f} {'better' if mean > 0 else 'worse'} on average" in text
    assert "Hsu" in text


def test_parameters_that_matter_no_more_than_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stage(tmp_path, 20, config=tiny_config())
    none = [Importance(param="head.dropout", trials=20, share=0.0, chance=0.6)]
    monkeypatch.setattr("analysis.page.content.importances", lambda records: none)
    assert "No parameter shows more than chance would." in page_of(run).sections["parameters"]
    few = [Importance(param="head.dropout", trials=4, share=None, chance=None)]
    monkeypatch.setattr("analysis.page.content.importances", lambda records: few)
    assert "Too few trials: to say how much" in page_of(run).sections["parameters"]


def test_nothing_that_a_user_named_is_markup(tmp_path: Path) -> None:
    run = stage(tmp_path, 14, config=tiny_config(), name="run <i>", mark=HOSTILE)
    results = stage_refit(run)
    mistakes = [one.__class__(**{**vars(one), "sentences": [HOSTILE], "label": HOSTILE}) for one in results.mistakes]
    write_results(run.path / "refit", results.__class__(**{**vars(results), "mistakes": mistakes}))
    page = page_of(run)
    tags = Counter(tag for tag, _ in page.tags)
    assert tags["script"] == 1
    assert tags["img"] == tags["i"] == 0
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    shown = HOSTILE.replace("\x00", "�").replace("\x1b", "�")
    for section in ("leaderboard", "finalists", "errors", "run"):
        assert shown in page.sections[section]
    assert "run run <i>" in page.text


def test_both_commands_find_the_folder_of_the_runs(tmp_path: Path) -> None:
    search, refit, *_ = page_of(stage(tmp_path, 1, config=tiny_config())).sections["again"].strip().splitlines()[1:]
    assert search.endswith(f"--run staged-again --runs-dir {tmp_path}")
    assert refit.endswith(f"staged-again --refit --runs-dir {tmp_path}")


def test_the_same_search_again_has_as_many_trials_on_a_gpu(tmp_path: Path) -> None:
    run = stage(tmp_path, 1, config=tiny_config())
    for share, flag in ((0.0, ""), (1.0, ""), (0.25, "--trials-per-gpu 4 ")):
        run.write_info(replace(run.info(), gpus_per_trial=share))
        again = page_of(run).sections["again"]
        assert ("--trials-per-gpu" in again) == bool(flag)
        assert flag in again


def test_long_texts_are_folded_and_what_was_not_read_is_told(tmp_path: Path) -> None:
    run = stage(tmp_path, 14, config=tiny_config())
    results = stage_refit(run)
    long = {"sentences": ["a" * 398 + "<b>the rest</b>"], "read": 512}  # markup on both sides of the cut
    first, *others = results.mistakes
    mistakes = [first.__class__(**vars(first) | long), *others]
    write_results(run.path / "refit", results.__class__(**{**vars(results), "mistakes": mistakes}))
    shown = page_of(run).sections["errors"]
    assert f"{'a' * 398}<b…" in shown
    assert "…>the rest</b>" in shown
    assert shown.count("; read up to 512 tokens, and cut there") == 1


def test_letters_that_no_file_can_hold(tmp_path: Path) -> None:
    run = stage(tmp_path, 1, config=tiny_config(), mark="\ud800")
    assert "t001�" in page_of(run).sections["leaderboard"]


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    run = stage(tmp_path, 6, config=tiny_config())
    results = stage_refit(run)
    labels = run.path / "refit" / "labels.npz"
    labels.write_bytes(b"nothing")
    with pytest.raises(Exception, match=re.escape(f"{labels}: not a model's outputs or labels (")):
        write_report(run)
    np.savez(labels)
    selection = results.selection.__class__(**{**vars(results.selection), "chosen": "t999"})
    write_results(run.path / "refit", results.__class__(**{**vars(results), "selection": selection}))
    with refused(f"{run.path / 'refit'}: of another run: it chose t999, of which {run.ledger} has no scores"):
        write_report(run)


def test_the_command_says_where_the_page_is(whole: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    runs = str(whole.path.parent)
    main(["--runs-dir", runs])  # the newest run
    assert capsys.readouterr().out == f"Written: {whole.path / 'report.html'}\n"
    with pytest.raises(SystemExit) as caught:
        main(["stagd", "--runs-dir", runs])
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {runs}: no run called 'stagd'; did you mean staged?\n"
