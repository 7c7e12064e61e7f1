"""The papers' figures and findings beside a run's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from analysis.findings import FINDINGS, keeps, narrows_gap, rises, saves_time, variance
from analysis.papers import as_markdown, compare, main
from analysis.published import FIGURES
from model.data.tasks import CS224N
from model.training.evaluate import overall, overall_2023
from search.ledger import End, Ledger, Report, TrialRecord
from search.run_folder import RunFolder, RunInfo, create_run
from spaces.papers import POINTS
from tests.search.events import TASKS, report, suggested
from tests.search.test_run_folder import INFO

DEV = {"sentiment": 1101, "paraphrase": 20215, "similarity": 864}
"""The course's dev sets."""


def test_every_configuration_has_its_place() -> None:
    assert list(FIGURES) == list(POINTS)
    assert {point for finding in FINDINGS for point in finding.points} == set(POINTS)


@pytest.mark.parametrize(
    ("point", "printed"),
    [
        ("gamarra-udash-final", 0.7286),
        ("jetty-multitask", 0.640),
        ("jetty-regularized", 0.712),
        ("jetty-final", 0.754),
    ],
)
def test_overall_is_what_a_paper_prints_by_the_same_formula(point: str, printed: float) -> None:
    figures = FIGURES[point]
    assert figures is not None
    assert figures.overall == pytest.approx(printed, abs=5.01e-4)


@pytest.mark.parametrize(("point", "printed"), [("naeem-baseline", 0.294), ("naeem-final", 0.608)])
def test_naeem_prints_the_formula_of_2023(point: str, printed: float) -> None:
    figures = FIGURES[point]
    assert figures is not None
    assert overall_2023(CS224N, figures.scores) == pytest.approx(printed, abs=5.01e-4)


def test_the_papers_own_figures_of_a_rise() -> None:
    printed = {finding.claim: finding.published for finding in FINDINGS}
    assert printed["the sharing graph, frozen, raises similarity"] == "0.508 to 0.591"
    assert printed["SMART helps the small set, similarity"] == "-0.047 to 0.202"
    assert printed["layer drop and a shared layer raise overall"] == "0.640 to 0.712"


def epoch(
    number: int = 1,
    *,
    sentiment: float = 0.5,
    paraphrase: float = 0.7,
    similarity: float = 0.4,
    above: float = 0.0,
    seconds: float = 2.0,
) -> Report:
    """A report; scores on train lie `above` those on dev, and so does overall."""
    scores = {"sentiment": sentiment, "paraphrase": paraphrase, "similarity": similarity}
    train_scores = {
        "sentiment": sentiment + above,
        "paraphrase": paraphrase + above,
        "similarity": similarity + 2 * above,
    }
    mean = overall(CS224N, scores)
    made = report("t001", number, mean)
    return dataclasses.replace(made, scores=scores, train_scores=train_scores, train_seconds=seconds)


def trial(*reports: Report, source: str = "tpe") -> TrialRecord:
    return TrialRecord(name="t001", source=source, params={}, distributions={}, config={}, reports=list(reports))


@pytest.mark.parametrize(
    ("similarity", "figures", "verdict"),
    [
        (0.5, "0.400 to 0.500 (+0.100, noise 0.077)", "held"),
        (0.45, "0.400 to 0.450 (+0.050, noise 0.079)", "within noise"),
        (0.35, "0.400 to 0.350 (-0.050, noise 0.083)", "within noise"),
        (0.3, "0.400 to 0.300 (-0.100, noise 0.084)", "did not hold"),
    ],
)
def test_a_rise_of_one_score(similarity: float, figures: str, verdict: str) -> None:
    outcome = rises("similarity")(trial(epoch()), trial(epoch(similarity=similarity)), DEV)
    assert (outcome.figures, outcome.verdict) == (figures, verdict)


@pytest.mark.parametrize(
    ("scale", "figures", "verdict"),
    [
        (1, "0.633 to 0.650 (+0.017, noise 0.020)", "within noise"),
        (100, "0.633 to 0.650 (+0.017, noise 0.010)", "held"),
    ],
)
def test_a_rise_of_overall(scale: int, figures: str, verdict: str) -> None:
    """On sets a hundred times as large it is out of the noise, which never falls below 0.01."""
    sizes = {task: scale * size for task, size in DEV.items()}
    outcome = rises("overall")(trial(epoch()), trial(epoch(sentiment=0.55)), sizes)
    assert (outcome.figures, outcome.verdict) == (figures, verdict)


def test_a_trial_is_judged_by_its_best_epoch() -> None:
    fell = trial(epoch(1, similarity=0.6), epoch(2, similarity=0.1))
    assert rises("similarity")(trial(epoch()), fell, DEV).verdict == "held"


@pytest.mark.parametrize(
    ("sentiment", "figures", "verdict"),
    [
        (0.50, "0.633 to 0.633 (100.0% kept)", "held"),
        (0.40, "0.633 to 0.600 (94.7% kept)", "held"),
        (0.38, "0.633 to 0.593 (93.7% kept)", "did not hold"),
    ],
)
def test_most_of_overall_is_kept(sentiment: float, figures: str, verdict: str) -> None:
    outcome = keeps(0.97)(trial(epoch()), trial(epoch(sentiment=sentiment)), DEV)
    assert (outcome.figures, outcome.verdict) == (figures, verdict)


@pytest.mark.parametrize(
    ("seconds", "figures", "verdict"),
    [
        (0.96, "2.0 s to 1.0 s an epoch (-52%)", "held"),
        (1.9, "2.0 s to 1.9 s an epoch (-5%)", "within noise"),
        (3.0, "2.0 s to 3.0 s an epoch (+50%)", "did not hold"),
    ],
)
def test_time_is_that_of_the_median_epoch(seconds: float, figures: str, verdict: str) -> None:
    slow_start = epoch(1, seconds=100.0)
    frozen = trial(slow_start, epoch(2, seconds=seconds), epoch(3, seconds=seconds))
    outcome = saves_time(trial(epoch(1), epoch(2), epoch(3)), frozen, DEV)
    assert (outcome.figures, outcome.verdict) == (figures, verdict)


@pytest.mark.parametrize(
    ("above", "figures", "verdict"),
    [
        (0.1, "train above dev by 0.200 to 0.100, epoch 2 (noise 0.033)", "held"),
        (0.19, "train above dev by 0.200 to 0.190, epoch 2 (noise 0.031)", "within noise"),
        (0.25, "train above dev by 0.200 to 0.250, epoch 2 (noise 0.030)", "did not hold"),
    ],
)
def test_a_gap_is_that_of_the_last_epoch_of_both(above: float, figures: str, verdict: str) -> None:
    one = trial(epoch(1), epoch(2, above=0.2), epoch(3, above=0.3))
    outcome = narrows_gap(one, trial(epoch(1, above=0.3), epoch(2, above=above)), DEV)
    assert (outcome.figures, outcome.verdict) == (figures, verdict)


def test_variances_are_those_of_scores_on_many_dev_sets() -> None:
    """The slow twin: dev sets are drawn, and scored."""
    sizes, rng = {"sentiment": 50, "paraphrase": 200, "similarity": 100}, np.random.default_rng(0)
    true = {"sentiment": 0.45, "paraphrase": 0.8, "similarity": 0.6}
    drawn: dict[str, list[float]] = {task: [] for task in (*TASKS, "overall")}
    for _ in range(4000):
        labels, noise = rng.standard_normal((2, sizes["similarity"]))
        scores = {task: float(rng.binomial(sizes[task], true[task]) / sizes[task]) for task in TASKS[:2]}
        predicted = true["similarity"] * labels + (1 - true["similarity"] ** 2) ** 0.5 * noise
        scores["similarity"] = float(np.corrcoef(labels, predicted)[0, 1])
        for task, score in {**scores, "overall": overall(CS224N, scores)}.items():
            drawn[task].append(score)
    for quantity in ("sentiment", "paraphrase", "similarity", "overall"):
        assert variance(quantity, true, sizes) == pytest.approx(np.var(drawn[quantity]), rel=0.1)


def make_run(folder: Path, trials: Mapping[str, TrialRecord], *, early_stopping: bool = False) -> RunFolder:
    """A run with `trials`, by their sources."""
    asked: RunInfo = dataclasses.replace(
        INFO, encoder="/models/bert-small", tasks=list(TASKS), dev_size=DEV, early_stopping=early_stopping
    )
    run = create_run(folder, "papers", asked, "def space(trial, problem): ...\n")
    with Ledger(run.ledger) as ledger:
        for number, (source, record) in enumerate(trials.items(), 1):
            name = f"t{number:03}"
            ledger.append(suggested(name, source))
            for made in record.reports:
                ledger.append(dataclasses.replace(made, trial=name))
            if record.state != "running":
                ledger.append(End(trial=name, state=record.state))
    return run


def ended(state: str, *reports: Report) -> TrialRecord:
    return dataclasses.replace(trial(*reports), state=state)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(
        tmp_path,
        {
            "point naeem-baseline": ended("completed", epoch(1, paraphrase=0.5), epoch(2, paraphrase=0.4)),
            "point naeem-cosine": ended("running", epoch(1, paraphrase=0.6)),
            "point naeem-final": ended("diverged", epoch(1, paraphrase=0.9)),
            "point jetty-final": ended("running"),
            "point of my own": ended("completed", epoch(1)),
            "tpe": ended("completed", epoch(1)),
        },
    )


def tables(markdown: str) -> dict[str, list[list[str]]]:
    """The rows of each table, by its title."""
    found = {}
    for part in markdown.split("### ")[1:]:
        title, *lines = part.splitlines()
        found[title] = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return found


def test_scores_of_the_paper_and_of_the_run_stand_one_above_the_other(run: RunFolder) -> None:
    head, rule, *rows = tables(as_markdown(compare(run)))["Scores; overall by the leaderboard's formula of 2024"]
    assert head == ["configuration", "from", "sentiment", "paraphrase", "similarity", "overall"]
    assert rule == ["---", "---", "---:", "---:", "---:", "---:"]
    assert {len(row) for row in rows} == {6}
    assert [row[0] for row in rows[::2]] == list(POINTS)
    by_name = {paper[0]: (paper[1:], ours[1:]) for paper, ours in zip(rows[::2], rows[1::2], strict=True)}
    assert by_name["naeem-baseline"] == (
        ["test: 5.4, milestone", "0.293", "0.541", "0.048", "0.453"],
        ["this run: t001, epoch 1 of 2", "0.500", "0.500", "0.400", "0.567"],
    )
    assert by_name["naeem-final"][1] == ["this run: t003, diverged", "-", "-", "-", "-"]
    assert by_name["jetty-final"][1] == ["this run: t004, running", "-", "-", "-", "-"]
    assert by_name["grudzinski-free-edges"] == (
        ["the paper: none", "-", "-", "-", "-"],
        ["not in this run", "-", "-", "-", "-"],
    )


def test_findings_have_their_verdicts(run: RunFolder) -> None:
    page = as_markdown(compare(run))
    head, _, *rows = tables(page)["Findings"]
    assert head == ["paper, section", "finding", "the paper", "this run", "verdict"]
    assert len(rows) == len(FINDINGS)
    assert [row[1:] for row in rows if row[0] == "Naeem, 5.4"] == [
        ["the cosine raises paraphrase", "0.541 to 0.670", "0.500 to 0.600 (+0.100, noise 0.010)", "held"],
        ["the cosine raises similarity", "0.048 to 0.230", "0.400 to 0.400 (+0.000, noise 0.081)", "within noise"],
        ["everything together beats the cosine alone", "0.539 to 0.680", "no scores of naeem-final", "not in this run"],
    ]
    assert "\nOf 17 findings: 1 held, 0 did not hold, 1 within noise, 15 not in this run.\n" in page


def test_it_says_what_compares(run: RunFolder) -> None:
    first, second, third, *_ = as_markdown(compare(run)).split("\n\n")
    assert first == (
        "This run: 4 of the papers' 17 configurations, encoder bert-small, 2 epochs of 48 training examples, seed 5, "
        "fp32; scores on dev (sentiment 1101, paraphrase 20215, similarity 864) after each trial's best epoch."
    )
    assert second == (
        "The papers: BERT-base (12 layers, 768 wide), ten passes over all training examples, other splits of the data, "
        "and scores on dev or test, as each row says. So levels do not compare with this run's; differences between "
        "configurations do."
    )
    assert third == "Not ended, and judged by what they have reached so far: jetty-final, naeem-cosine."


def test_it_says_that_trials_were_stopped(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"point jetty-final": ended("stopped", epoch(1))}, early_stopping=True)
    assert (
        "\n\nWeak trials were stopped early: what they would have come to is not known (--no-early-stopping).\n\n"
        in as_markdown(compare(run))
    )


@pytest.mark.parametrize("flags", [(), ("--markdown",)])
def test_the_command_prints_the_newest_run(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    main(["--runs-dir", str(tmp_path), *flags])
    said = capsys.readouterr().out
    assert "pandey-narayan-adapter-after" in said
    assert ("### Findings" in said) == bool(flags)
    assert max(map(len, said.splitlines())) <= 120 or flags


def test_a_run_without_the_papers_configurations_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, {"tpe": ended("completed", epoch(1))})
    with pytest.raises(SystemExit) as exit_:
        main(["papers", "--runs-dir", str(tmp_path)])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/papers: none of the papers' configurations is in this run; python -m search.run --space "
        "spaces/papers.py tries them\n"
    )
