"""The papers' figures and findings beside a run's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from analysis.papers import as_markdown, compare, main
from analysis.published import figures as published
from analysis.published.figures import FIGURES, Figures
from analysis.published.findings import FINDINGS
from analysis.published.measures import (
    DevSets,
    Outcome,
    differs,
    keeps,
    narrows_gap,
    rises,
    rises_in_any,
    saves_time,
    variance,
)
from model.data.scores import overall, overall_2023
from model.data.tasks import CS224N, CS224N_SOURCES
from search.ledger import Ledger
from search.records import Decision, End, Report, TrialRecord
from search.run_folder import RunFolder, RunInfo, create_run
from spaces.papers import POINTS
from tests.search.events import TASKS, report, suggested
from tests.search.test_run_folder import INFO
from tests.support import refused

DEV = DevSets(
    size={"sentiment": 1101, "paraphrase": 20215, "similarity": 864},
    chance={"sentiment": 0.26, "paraphrase": 0.625, "similarity": 0.0},
)
"""The course's dev sets."""


def test_every_configuration_has_its_place() -> None:
    assert list(FIGURES["papers"]) == list(POINTS)
    counted = {point for finding in FINDINGS for point in finding.points}
    assert counted == set(POINTS)


@pytest.mark.parametrize(
    ("figures", "printed"),
    [
        (published.GAMARRA_LAYERS["common 0, task 3"], 0.7286),
        (published.JETTY_MULTITASK, 0.640),
        (published.JETTY_REGULARIZED, 0.712),
        (published.JETTY_FINAL, 0.754),
    ],
)
def test_overall_is_what_a_paper_prints_by_the_same_formula(figures: Figures, printed: float) -> None:
    assert figures.overall == pytest.approx(printed, abs=5.01e-4)


PRINTED_BY_NAEEM = {
    ("papers", "course-baseline"): 0.294,
    ("papers", "naeem-final"): 0.608,
    ("cosine_heads", "multitask"): 0.323,
    ("cosine_heads", "layer-norm"): 0.362,
    ("cosine_heads", "relu"): 0.328,
    ("learning_rate", "naeem-2e-5"): 0.599,
    ("learning_rate", "naeem-5e-5"): 0.586,
    ("learning_rate", "naeem-1e-4"): 0.588,
    ("dropout", "naeem-20"): 0.583,
    ("dropout", "naeem-30"): 0.592,
    ("dropout", "naeem-35"): 0.596,
    ("dropout", "naeem-50"): 0.595,
}


@pytest.mark.parametrize("place", PRINTED_BY_NAEEM, ids=" ".join)
def test_naeem_prints_the_formula_of_2023(place: tuple[str, str]) -> None:
    figures = FIGURES[place[0]][place[1]][-1]
    assert figures.where.startswith("Naeem, 5.4, ")
    assert overall_2023(CS224N, figures.scores) == pytest.approx(PRINTED_BY_NAEEM[place], abs=6.7e-4)


@pytest.mark.parametrize(("arm", "computed"), [("cosine", 0.410), ("cosine-layer-norm", 0.476)])
def test_where_naeem_s_overall_does_not_follow_from_the_scores(arm: str, computed: float) -> None:
    """docs/papers.md says so: the paper prints 0.407 and 0.496."""
    assert overall_2023(CS224N, FIGURES["cosine_heads"][arm][0].scores) == pytest.approx(computed, abs=5e-4)


def test_the_papers_own_figures_of_a_rise() -> None:
    printed = {finding.claim: finding.published for finding in FINDINGS}
    assert printed["the final model beats the baseline in similarity"] == "0.508 to 0.591"
    assert printed["SMART helps the small set, similarity"] == "-0.047 to 0.202"
    assert printed["layer drop and a shared layer raise overall"] == "0.640 to 0.712"
    assert printed["heads of three layers a task and none in common beat the baseline's"] == "0.718 to 0.729"
    assert printed["the place of the adapters matters: similarity"] == "0.195 and -0.087"
    assert printed["everything together beats the milestone"] == "0.453 to 0.680"


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


def trial(*reports: Report) -> TrialRecord:
    return TrialRecord(name="t001", source="tpe", params={}, distributions={}, config={}, reports=list(reports))


def constant(similarity: float = 0.03) -> TrialRecord:
    """A model that says the same of every review, and of every pair of questions."""
    return trial(epoch(sentiment=0.262, paraphrase=0.626, similarity=similarity))


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
    outcome = rises("similarity")([trial(epoch()), trial(epoch(similarity=similarity))], DEV)
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
    dev = dataclasses.replace(DEV, size={task: scale * size for task, size in DEV.size.items()})
    outcome = rises("overall")([trial(epoch()), trial(epoch(sentiment=0.55))], dev)
    assert (outcome.figures, outcome.verdict) == (figures, verdict)


def test_the_noise_of_one_score_never_falls_below_two_points() -> None:
    outcome = rises("paraphrase")([trial(epoch()), trial(epoch(paraphrase=0.715))], DEV)
    assert outcome == Outcome(figures="0.700 to 0.715 (+0.015, noise 0.020)", verdict="within noise")


def test_where_neither_model_has_learned_there_is_nothing_to_find() -> None:
    """Both models say the same of every example: the one keeps all that the other has."""
    trials = [constant(), constant()]
    for measure in (keeps(0.97), rises("overall"), rises("paraphrase"), differs("similarity"), narrows_gap):
        assert measure(trials, DEV).verdict == "nothing learned"
    assert saves_time(trials, DEV).verdict == "within noise"
    assert rises_in_any("overall")([*trials, constant()], DEV).verdict == "nothing learned"


def test_a_model_that_has_learned_one_task_counts_for_that_and_for_overall() -> None:
    without, with_it = constant(), constant(similarity=0.5)
    assert rises("overall")([without, with_it], DEV).verdict == "held"
    assert rises("similarity")([without, with_it], DEV).verdict == "held"
    assert rises("similarity")([with_it, without], DEV).verdict == "did not hold"
    assert rises("paraphrase")([without, with_it], DEV).verdict == "nothing learned"
    assert keeps(0.97)([with_it, without], DEV).verdict == "did not hold"


@pytest.mark.parametrize(
    ("small", "large", "verdict"),
    [(0.35, 0.5, "held"), (0.5, 0.35, "held"), (0.35, 0.41, "within noise"), (0.3, 0.31, "did not hold")],
)
def test_one_of_two_may_rise(small: float, large: float, verdict: str) -> None:
    trials = [trial(epoch(similarity=r)) for r in (0.4, small, large)]
    assert rises_in_any("similarity")(trials, DEV).verdict == verdict


@pytest.mark.parametrize(("similarity", "verdict"), [(0.5, "held"), (0.3, "held"), (0.41, "within noise")])
def test_two_may_differ_either_way(similarity: float, verdict: str) -> None:
    assert differs("similarity")([trial(epoch()), trial(epoch(similarity=similarity))], DEV).verdict == verdict


def test_a_trial_is_judged_by_its_best_epoch() -> None:
    fell = trial(epoch(1, similarity=0.6), epoch(2, similarity=0.1))
    assert rises("similarity")([trial(epoch()), fell], DEV).verdict == "held"


@pytest.mark.parametrize(
    ("sentiment", "figures", "verdict"),
    [
        (0.50, "0.633 to 0.633 (100.0% kept)", "held"),
        (0.40, "0.633 to 0.600 (94.7% kept)", "held"),
        (0.38, "0.633 to 0.593 (93.7% kept)", "did not hold"),
    ],
)
def test_most_of_overall_is_kept(sentiment: float, figures: str, verdict: str) -> None:
    outcome = keeps(0.97)([trial(epoch()), trial(epoch(sentiment=sentiment))], DEV)
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
    outcome = saves_time([trial(epoch(1), epoch(2), epoch(3)), frozen], DEV)
    assert (outcome.figures, outcome.verdict) == (figures, verdict)


@pytest.mark.parametrize(
    ("above", "figures", "verdict"),
    [
        (0.1, "train above dev by 0.200 to 0.100 (noise 0.043)", "held"),
        (0.19, "train above dev by 0.200 to 0.190 (noise 0.040)", "within noise"),
        (0.25, "train above dev by 0.200 to 0.250 (noise 0.037)", "did not hold"),
    ],
)
def test_a_gap_is_that_of_the_last_epoch(above: float, figures: str, verdict: str) -> None:
    one = trial(epoch(1, similarity=0.41), epoch(2, above=0.2))
    outcome = narrows_gap([one, trial(epoch(1, above=0.3), epoch(2, above=above))], DEV)
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


def make_run(
    folder: Path, trials: Mapping[str, TrialRecord], *, early_stopping: bool = False, space: str = "spaces/papers.py"
) -> RunFolder:
    """A run with `trials`, by their sources."""
    asked: RunInfo = dataclasses.replace(
        INFO,
        space=space,
        data="/data/cs224n",
        encoder="/models/bert-small",
        sources=CS224N_SOURCES,
        dev_size=dict(DEV.size),
        chance=dict(DEV.chance),
        early_stopping=early_stopping,
    )
    run = create_run(folder, "papers", asked, "def space(trial, problem): ...\n")
    with Ledger(run.ledger) as ledger:
        for number, (source, record) in enumerate(trials.items(), 1):
            name = f"t{number:03}"
            ledger.append(suggested(name, source))
            for made in record.reports:
                ledger.append(dataclasses.replace(made, trial=name))
            if record.state == "paused":
                ledger.append(Decision(trial=name, epoch=record.epoch, action="pause", rung=None, cutoff=None))
            elif record.state not in ("running", "unfinished"):
                ledger.append(End(trial=name, state=record.state))
    return run


def ended(state: str, *reports: Report) -> TrialRecord:
    return dataclasses.replace(trial(*reports), state=state)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(
        tmp_path,
        {
            "point naeem-without-cosine": ended("completed", epoch(1, paraphrase=0.6), epoch(2, paraphrase=0.5)),
            "point naeem-cosine": ended("completed", epoch(1, paraphrase=0.7)),
            "point naeem-final": ended("diverged", epoch(1, paraphrase=0.9)),
            "point course-baseline": ended("completed", epoch(1)),
            "point jetty-regularized": ended("stopped", epoch(1)),
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
    assert [row[0] for row in rows if row[0]] == list(POINTS)
    at = {row[0]: i for i, row in enumerate(rows) if row[0]}
    assert [row[1:] for row in rows[at["course-baseline"] :][:3]] == [
        ["test: Jetty, table 2", "0.467", "0.775", "0.357", "0.640"],
        ["test: Naeem, 5.4, milestone", "0.293", "0.541", "0.048", "0.453"],
        ["this run: t004, epoch 1 of 1", "0.500", "0.700", "0.400", "0.633"],
    ]
    assert [row[1:] for row in rows[at["naeem-without-cosine"] :][:2]] == [
        ["the papers: none", "-", "-", "-", "-"],
        ["this run: t001, epoch 1 of 2", "0.500", "0.600", "0.400", "0.600"],
    ]
    assert rows[at["naeem-final"] + 1] == ["", "this run: t003, diverged", "-", "-", "-", "-"]
    assert rows[at["jetty-final"] + 1] == ["", "this run: t006, unfinished", "-", "-", "-", "-"]
    assert rows[at["grudzinski-free-edges"] + 1] == ["", "not in this run", "-", "-", "-", "-"]


def test_findings_have_their_verdicts(run: RunFolder) -> None:
    page = as_markdown(compare(run))
    head, _, *rows = tables(page)["Findings"]
    assert head == ["paper, section", "finding", "the paper", "this run", "verdict"]
    assert [row[1:] for row in rows] == [
        [
            "layer drop and a shared layer narrow the gap between train and dev",
            '"much closer"',
            "t005 stopped",
            "not ended",
        ],
        [
            "layer drop and a shared layer raise overall",
            "0.640 to 0.712",
            "t005 stopped",
            "not ended",
        ],
        [
            "both sentences as one sequence raise overall further",
            "0.712 to 0.754",
            "t005 stopped, t006 unfinished",
            "not ended",
        ],
        [
            "the cosine raises paraphrase",
            "0.541 to 0.670, from the milestone",
            "0.600 to 0.700 (+0.100, noise 0.020)",
            "held",
        ],
        [
            "the cosine raises similarity",
            "0.048 to 0.230, from the milestone",
            "0.400 to 0.400 (+0.000, noise 0.081)",
            "within noise",
        ],
    ]
    assert {row[0] for row in rows} == {"Jetty, 5.4", "Naeem, 5.4"}
    assert (
        "\n\nOf 20 findings: 1 held, 0 did not hold, 1 within noise, 0 nothing learned, 3 not ended, 15 no scores.\n\n"
        in page
    )


def test_findings_without_scores_are_one_line(run: RunFolder) -> None:
    (line,) = [line for line in as_markdown(compare(run)).splitlines() if line.startswith("Left out")]
    assert line.startswith("Left out are findings on configurations without scores: gamarra-udash-baseline, ")
    assert " naeem-final," in line
    assert "jetty" not in line


def test_it_says_what_compares(run: RunFolder) -> None:
    first, second, third, *_ = as_markdown(compare(run)).split("\n\n")
    assert first == (
        "This run: 6 of the papers' 20 configurations in papers.py, data cs224n, encoder bert-small, 2 epochs of 48 "
        "training examples, seed 5, fp32; scores on dev (sentiment 1101, paraphrase 20215, similarity 864) after each "
        "trial's best epoch. One and the same prediction for every example of a task has 0.260, 0.625, 0.000."
    )
    assert second == (
        "The papers: BERT-base (12 layers, 768 wide), ten passes over all training examples, other splits of the data, "
        "and scores on dev or test, as each row says. So levels do not compare with this run's; differences between "
        "configurations do."
    )
    assert third == "Not ended, with the scores reached so far: jetty-final."


@pytest.mark.parametrize("path", ["spaces/experiments/head_layers.py", "/elsewhere/head_layers.py"])
def test_the_arms_of_an_experiment_stand_beside_its_table(tmp_path: Path, path: str) -> None:
    run = make_run(tmp_path, {"point common-0-task-3": ended("completed", epoch(1))}, space=path)
    page = as_markdown(compare(run))
    assert page.startswith("This run: 1 of the papers' 7 configurations in head_layers.py, ")
    (rows,) = tables(page).values()
    assert rows[2:4] == [
        ["common-1-task-1", "dev: Gamarra-Udash, table 3, row 1", "0.477", "0.777", "0.798", "0.718"],
        ["", "not in this run", "-", "-", "-", "-"],
    ]
    assert rows[6:8] == [
        ["common-0-task-3", "dev: Gamarra-Udash, table 3, row 3", "0.499", "0.782", "0.809", "0.729"],
        ["", "this run: t001, epoch 1 of 1", "0.500", "0.700", "0.400", "0.633"],
    ]


def test_any_other_space_may_have_the_papers_points(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"point jetty-final": ended("completed", epoch(1))}, space="spaces/full.py")
    assert as_markdown(compare(run)).startswith("This run: 1 of the papers' 20 configurations in full.py, ")


def test_a_paused_trial_has_not_ended(tmp_path: Path) -> None:
    page = as_markdown(compare(make_run(tmp_path, {"point jetty-final": ended("paused", epoch(1))})))
    assert "\n\nNot ended, with the scores reached so far: jetty-final.\n\n" in page
    assert "| this run: t001, epoch 1 of 1 |" in page


def test_it_says_that_trials_were_stopped(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"point jetty-final": ended("stopped", epoch(1))}, early_stopping=True)
    assert (
        "\n\nWeak trials were stopped early: what they would have come to is not known (--no-early-stopping).\n\n"
        in as_markdown(compare(run))
    )


def test_the_command_prints_markdown(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--runs-dir", str(tmp_path), "--markdown"])
    assert capsys.readouterr().out == as_markdown(compare(run)) + "\n"


@pytest.mark.parametrize(("width", "head"), [(120, " sentiment ┃"), (80, " senti ┃")])
@pytest.mark.usefixtures("run")
def test_the_command_fits_the_terminal(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    head: str,
) -> None:
    monkeypatch.setattr("analysis.papers.make_console", lambda: Console(width=width))
    main(["--runs-dir", str(tmp_path)])
    said = capsys.readouterr().out
    assert head in said
    assert max(map(len, said.splitlines())) == width
    names = {line.split("│")[1].strip() for line in said.splitlines() if line.startswith("│")}
    assert {"gamarra-udash-", "similarity-apart", "adapter-feed-", "adapter-layer-norm"} <= names  # folded at hyphens


def test_a_run_without_a_name_is_refused(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["", "--runs-dir", str(tmp_path)])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: no run called ''; runs here: {run.name}\n"


def test_a_run_of_other_tasks_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"tpe": ended("completed", epoch(1))})
    run.write_info(dataclasses.replace(run.info(), sources=CS224N_SOURCES[:1]))
    with refused(
        f"{run.path}: its tasks are sentiment; the papers' configurations and figures are of those of CS224N, "
        "sentiment, paraphrase, similarity"
    ):
        compare(run)


def test_a_run_without_the_papers_configurations_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, {"tpe": ended("completed", epoch(1))})
    with pytest.raises(SystemExit) as exit_:
        main(["papers", "--runs-dir", str(tmp_path)])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/papers: none of the papers' configurations is in this run; python -m search.run --space "
        "spaces/papers.py tries them\n"
    )
