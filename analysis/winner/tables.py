"""What `python -m analysis.best --refit` prints of its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from analysis.published.figures import in_paper
from analysis.winner.results import Candidate, Estimate, Figures, Finalist, OnTest, Results, Selection
from model.console import Console
from model.data.scores import SIGNED
from model.data.tasks import Task
from search.leaderboard import parameter_count


def show(results: Results, tasks: Sequence[Task], console: Console) -> None:
    """Every figure of it, and how each is to be read."""
    console.print(_finalists(results.selection.finalists))
    for line in _on_the_choice(results):
        console.say(line)
    console.print(_models(results, [task.name for task in tasks]))
    for line in _on_the_models(results, tasks):
        console.say(line)
    if results.path is not None:
        console.print(_path(results))


def interval(estimate: Estimate) -> str:
    """A value and its interval, in words."""
    return f"{estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"


def _signed(gain: Estimate) -> str:
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _finalists(finalists: Sequence[Finalist]) -> Table:
    table = _table(
        "Finalists, trained anew (overall on dev)",
        "trial",
        "in the search",
        "mean of seeds",
        "95% interval",
        "behind the best",
        "luck explains up to",
        "told apart",
        "train s",
        "parameters",
    )
    for one in finalists:
        if one.mean is None:
            table.add_row(one.trial, f"{one.searched:.4f}", "all seeds lost", "", "", "", "", "", "")
            continue
        seeds = f"{one.mean.value:.4f} of {len(one.seeds)}" + (f", {one.lost} lost" if one.lost else "")
        behind = one.behind
        table.add_row(
            one.trial,
            f"{one.searched:.4f}",
            seeds,
            f"{one.mean.low:.4f} to {one.mean.high:.4f}",
            "" if behind is None else f"{behind.value:.4f}",
            "" if behind is None else f"{behind.value - behind.low:.4f}",
            "the best" if behind is None else "no" if one.tied else "yes",
            f"{one.train_seconds:.0f}",
            parameter_count(one.trainable_parameters),
        )
    return table


def _on_the_choice(results: Results) -> Iterator[str]:
    selection = results.selection
    if len(selection.finalists) == 1:
        yield f"Chosen: {selection.chosen}, the only finalist."
    else:
        yield from _among_several(selection)
    short = [f"{one.trial} ({one.cut_short})" for one in selection.finalists if one.cut_short]
    if short:
        yield f"Trained less in the search than here: {', '.join(short)}."
    yield (
        f"Dev as the search saw it: {selection.winner.searched:.4f}, one of the best of many on the same examples; the "
        f"search's highest: {selection.searched:.4f}. Without the luck of that: {interval(selection.corrected)}, by "
        "empirical Bayes over all trials, from the search's score and the fresh ones."
    )
    if selection.above_the_search:
        yield f"That is {selection.above_the_search}."
    if selection.trained_less:
        yield f"But {selection.trained_less}."


def _among_several(selection: Selection) -> Iterator[str]:
    tied = [one.trial for one in selection.finalists if one.tied and one.behind is not None]
    why = "the cheapest to train of those not told apart" if selection.prefer == "cheap" else "the best mean"
    yield f"Chosen: {selection.chosen}, {why}. Not told apart from the best: {', '.join(tied) or 'none other'}."
    yield (
        "In 95 of 100 cases the finalist that truly is best is the best one here or one that is not told apart from it "
        "(Hsu 1981, all finalists at once)."
    )


def _models(results: Results, tasks: Sequence[str]) -> Table:
    papers, kept, both = _printed(results), results.with_dev is None, _both_formulas(results)
    clean = any(results.contaminated["test"].values())
    table = _table(
        "On test, which nothing was decided on" + (", but for rows that stand in train or dev" if clean else ""),
        "model",
        "dev",
        "test",
        "95% interval",
        *(["without rows in train or dev"] if clean else []),
        *(["2023"] if both else []),
        *tasks,
        *(["in its paper"] if papers else []),
    )
    blank = "" if papers else None

    def add(label: str, dev: Figures | None, test: OnTest, printed: str | None = blank, *, bold: bool = False) -> None:
        cells = _cells(label, dev, test.figures, test.overall, tasks, printed, clean=clean)
        table.add_row(*cells, style="bold" if bold else None)

    for one in results.candidates:
        label = _called(one) + (", kept" if one.kept and kept else "")
        add(label, one.dev, one.test, bold=one.kept and kept)
    if results.with_dev is not None:
        label = _called(results.kept)
        add(f"{label}, trained on dev too, kept", None, results.with_dev.test, bold=True)
    for peer in results.peers:
        add(peer.point, peer.dev, peer.test, in_paper(peer.point) if papers else None)
    table.add_row(*_cells("chance", None, results.chance, None, tasks, blank, clean=clean))
    return table


def _called(one: Candidate) -> str:
    return one.kind if one.kind == "single" else f"{one.kind} of {len(one.names)}"


def _cells(
    label: str,
    dev: Figures | None,
    figures: Figures,
    overall: Estimate | None,
    tasks: Sequence[str],
    printed: str | None,
    *,
    clean: bool,
) -> list[str]:
    """A row of the models' table, `figures` and `overall` on test; `printed` in a paper: None where no paper is spoken
    of."""
    return [
        label,
        "" if dev is None else f"{dev.overall:.4f}",
        f"{figures.overall:.4f}",
        "" if overall is None else f"{overall.low:.4f} to {overall.high:.4f}",
        *(["" if figures.clean_overall is None else f"{figures.clean_overall:.4f}"] if clean else []),
        *([] if figures.overall_2023 is None else [f"{figures.overall_2023:.4f}"]),
        *(f"{figures.by_task[task]:.3f}" for task in tasks),
        *([] if printed is None else [printed]),
    ]


def _printed(results: Results) -> bool:
    """Whether a paper has printed figures of a point: of CS224N's tasks."""
    return _both_formulas(results) and any(in_paper(peer.point) for peer in results.peers)


def _both_formulas(results: Results) -> bool:
    """Whether the tasks are those that two formulas were made for."""
    return results.final.figures.overall_2023 is not None


def _on_the_models(results: Results, tasks: Sequence[Task]) -> Iterator[str]:
    years = ", as the leaderboard of 2024; 2023: r as it is" if _both_formulas(results) else ""
    correlations = ", correlations r entering as (r + 1) / 2" if any(task.metric in SIGNED for task in tasks) else ""
    yield f"Overall: the mean of the scores{correlations}{years}."
    yield "Chance: what one and the same prediction for every row scores there at best."
    yield "Dev: what the models were chosen on, which flatters them."
    if results.at_chance:
        yield results.at_chance
    if results.peers:
        seeds = len(results.selection.winner.seeds)
        best = f"; the single model is the best on dev of {seeds} seeds" if seeds > 1 else ""
        yield f"Below the models, the space's points, trained anew in the same budget, one seed each{best}."
    if results.behind:
        yield f"On test, what is kept is {results.behind}."
    if _printed(results):
        yield (
            "In its paper: 2024's overall of the scores that it prints, of BERT base on the course's whole data and in "
            "its own budget."
        )
    for one in results.candidates:
        if one.gain is not None:
            where = "dev" if one.kind == "soup" else "the halves of dev that it was not chosen on"
            yield f"The {_called(one)} gains {_signed(one.gain.by)} over {one.gain.baseline} on {where}{_verdict(one)}."
    if any(one.gain and one.gain.over == "single" for one in results.candidates):
        yield "Gains over the single model are without the luck that made it the best of its seeds on dev."
    if results.with_dev is not None:
        yield "Trained on dev too: the one that is kept, for as many epochs as were best on dev; test alone judges it."
    for split, by_task in results.contaminated.items():
        rows = ", ".join(f"{task} {count}" for task, count in by_task.items() if count)
        if rows:
            yield f"Rows of {split} that stand in train{' or dev' if split == 'test' else ''}: {rows}."


def _verdict(one: Candidate) -> str:
    assert one.gain is not None, "it was judged"
    if one.kept:
        return ": kept, for it costs nothing more" if one.kind == "soup" else ": kept"
    if one.gain.by.value <= 0:
        return ": not kept"
    return ": not kept, for it may be chance" if one.kind == "ensemble" else ": not kept, for the ensemble is"


def _path(results: Results) -> Table:
    path = results.path
    assert path is not None, "there is one to show"
    table = _table(f"From {path.point} to the winner, each step trained", "step", "overall on dev", "gain")
    for number, step in enumerate(path.steps):
        changes = "; ".join(f"{one.param}: {one.before} to {one.after}" for one in step.changes)
        gain = "" if step.gain is None else _signed(step.gain)
        table.add_row(f"{number}  {changes or path.point}", f"{step.overall:.4f}", gain)
    if path.whole is not None:
        table.add_row("all of it", "", _signed(path.whole))
    table.columns[0].no_wrap = False
    return table
