"""What the five papers found (published.figures), as data, and whether it held in a run of spaces/papers.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.published import figures as published
from analysis.published.figures import Figures
from analysis.published.measures import (
    DevSets,
    Measure,
    Outcome,
    Quantity,
    differs,
    keeps,
    narrows_gap,
    rises,
    rises_in_any,
    saves_time,
)
from search.records import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a paper says to have found."""

    paper: str
    section: str
    claim: str
    points: tuple[str, ...]
    """The configurations that it is about, the one without it first."""
    published: str
    """The paper's own figures or words."""
    measure: Measure

    def missing(self, trials: Mapping[str, TrialRecord]) -> list[str]:
        """Which of its configurations have no scores and will get none: not begun, diverged or failed."""
        return [p for p in self.points if p not in trials or trials[p].state in ("diverged", "failed")]

    def outcome(self, trials: Mapping[str, TrialRecord], dev: DevSets) -> Outcome:
        """Measured on `trials`, by configuration."""
        missing = self.missing(trials)
        if missing:
            return Outcome(figures=f"of {' and '.join(missing)}", verdict="no scores")
        records = [trials[point] for point in self.points]
        # The best of two epochs and the best of ten do not compare.
        short = [f"{record.name} {record.state}" for record in records if record.state != "completed"]
        if short:
            return Outcome(figures=", ".join(short), verdict="not ended")
        return self.measure(records, dev)


def _printed(quantity: Quantity, without: Figures, with_it: Figures) -> str:
    """The papers' own figures for a rise."""
    old, new = ({**figures.scores, "overall": figures.overall}[quantity] for figures in (without, with_it))
    return f"{old:.3f} to {new:.3f}"


GAMARRA, GRUDZINSKI, JETTY = "Gamarra Lafuente and Udash", "Grudzinski", "Jetty"
NAEEM, PANDEY = "Naeem", "Pandey and Narayan"

FINDINGS = (
    Finding(
        paper=GAMARRA,
        section="4",
        claim="similarity gains where both sentences meet the encoder as one sequence",
        points=("gamarra-udash-similarity-apart", "gamarra-udash-baseline"),
        published='"roughly 10 percent" more',
        measure=rises("similarity"),
    ),
    Finding(
        paper=GAMARRA,
        section="5.4.1",
        claim="with two top layers trained, 97% of overall is kept",
        points=("gamarra-udash-unfrozen", "gamarra-udash-baseline"),
        published="97% kept",
        measure=keeps(0.97),
    ),
    Finding(
        paper=GAMARRA,
        section="5.4.1",
        claim="with two top layers trained, an epoch takes less time",
        points=("gamarra-udash-unfrozen", "gamarra-udash-baseline"),
        published="-52%",
        measure=saves_time,
    ),
    Finding(
        paper=GAMARRA,
        section="5.4.4",
        claim="heads of three layers a task and none in common beat the baseline's",
        points=("gamarra-udash-baseline", "gamarra-udash-task-layers"),
        published=_printed(
            "overall",
            published.GAMARRA_LAYERS["common 1, task 1"],
            published.GAMARRA_LAYERS["common 0, task 3"],
        ),
        measure=rises("overall"),
    ),
    Finding(
        paper=GAMARRA,
        section="5.4.5",
        claim="the final model beats the solely fine-tuned one on dev",
        points=("gamarra-udash-fine-tuned", "gamarra-udash-final"),
        published='"quite a bit better" on dev, but worse on test',
        measure=rises("overall"),
    ),
    Finding(
        paper=GRUDZINSKI,
        section="5.4",
        claim="the final model (sharing graph, LayerNorm, other dropout) beats the baseline",
        points=("grudzinski-baseline", "grudzinski-final"),
        published=_printed("overall", published.GRUDZINSKI_BASELINE, published.GRUDZINSKI_FINAL),
        measure=rises("overall"),
    ),
    Finding(
        paper=GRUDZINSKI,
        section="5.4",
        claim="the final model beats the baseline in similarity",
        points=("grudzinski-baseline", "grudzinski-final"),
        published=_printed("similarity", published.GRUDZINSKI_BASELINE, published.GRUDZINSKI_FINAL),
        measure=rises("similarity"),
    ),
    Finding(
        paper=GRUDZINSKI,
        section="6",
        claim="the sharing graph by itself raises similarity",
        points=("grudzinski-no-edges", "grudzinski-final"),
        published="taken for the reason, not measured apart",
        measure=rises("similarity"),
    ),
    Finding(
        paper=GRUDZINSKI,
        section="6",
        claim="the upstream heads must be frozen: overall",
        points=("grudzinski-free-edges", "grudzinski-final"),
        published='"really only started working well" then',
        measure=rises("overall"),
    ),
    Finding(
        paper=GRUDZINSKI,
        section="5.2",
        claim="with the upstream heads frozen, an epoch takes less time",
        points=("grudzinski-free-edges", "grudzinski-final"),
        published="+400% where they are free",
        measure=saves_time,
    ),
    Finding(
        paper=JETTY,
        section="5.4",
        claim="layer drop and a shared layer narrow the gap between train and dev",
        points=("course-baseline", "jetty-regularized"),
        published='"much closer"',
        measure=narrows_gap,
    ),
    Finding(
        paper=JETTY,
        section="5.4",
        claim="layer drop and a shared layer raise overall",
        points=("course-baseline", "jetty-regularized"),
        published=_printed("overall", published.JETTY_MULTITASK, published.JETTY_REGULARIZED),
        measure=rises("overall"),
    ),
    Finding(
        paper=JETTY,
        section="5.4",
        claim="both sentences as one sequence raise overall further",
        points=("jetty-regularized", "jetty-final"),
        published=_printed("overall", published.JETTY_REGULARIZED, published.JETTY_FINAL),
        measure=rises("overall"),
    ),
    Finding(
        paper=NAEEM,
        section="5.4",
        claim="the cosine raises paraphrase",
        points=("naeem-without-cosine", "naeem-cosine"),
        published=_printed("paraphrase", published.NAEEM_MILESTONE, published.NAEEM_COSINE) + ", from the milestone",
        measure=rises("paraphrase"),
    ),
    Finding(
        paper=NAEEM,
        section="5.4",
        claim="the cosine raises similarity",
        points=("naeem-without-cosine", "naeem-cosine"),
        published=_printed("similarity", published.NAEEM_MILESTONE, published.NAEEM_COSINE) + ", from the milestone",
        measure=rises("similarity"),
    ),
    Finding(
        paper=NAEEM,
        section="5.4",
        claim="everything together beats the cosine alone",
        points=("naeem-cosine", "naeem-final"),
        published=_printed("overall", published.NAEEM_COSINE, published.NAEEM_FINAL),
        measure=rises("overall"),
    ),
    Finding(
        paper=NAEEM,
        section="5.4",
        claim="everything together beats the milestone",
        points=("course-baseline", "naeem-final"),
        published=_printed("overall", published.NAEEM_MILESTONE, published.NAEEM_FINAL),
        measure=rises("overall"),
    ),
    Finding(
        paper=PANDEY,
        section="4.4",
        claim="SMART helps the small set, similarity",
        points=("pandey-narayan-baseline", "pandey-narayan-smart"),
        published=_printed("similarity", published.PANDEY_BASELINE, published.PANDEY_SMART),
        measure=rises("similarity"),
    ),
    Finding(
        paper=PANDEY,
        section="4.4",
        claim="adapters in at least one of the two places raise similarity",
        points=(
            "pandey-narayan-baseline",
            "pandey-narayan-adapter-feed-forward",
            "pandey-narayan-adapter-layer-norm",
        ),
        published=_printed("similarity", published.PANDEY_BASELINE, published.PANDEY_BEFORE),
        measure=rises_in_any("similarity"),
    ),
    Finding(
        paper=PANDEY,
        section="4.3",
        claim="the place of the adapters matters: similarity",
        points=("pandey-narayan-adapter-feed-forward", "pandey-narayan-adapter-layer-norm"),
        published="{:.3f} and {:.3f}".format(*(f.similarity for f in published.ADAPTER)),
        measure=differs("similarity"),
    ),
)
