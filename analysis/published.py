"""The figures of the five papers, as they are printed, by the names of the configurations in spaces/papers.py.

- Adrian Gamarra Lafuente and Avi Udash: Effects of Appropriate Modeling of Tasks and Hyperparameters on Downstream
  Tasks
- Nathaniel Grudzinski: Progressive Layer Sharing on BERT
- Karthik Jetty: Using Stochastic Layer Dropping as a Regularization Tool to Improve Downstream Prediction Accuracy
- Aqil Naeem: Multitask BERT: Exploration and Extension
- Arjun Pandey and Neel Narayan: Investigating BERT through Fine-Tuned Regularization and Layer-Level Adaptations for
  Multi-Task Performance

All are reports on Stanford's CS224N default project. Two of them print the overall score of 2023's formula or none, and
Gamarra Lafuente and Udash's best overall is not always that of the three scores beside it. So overall is computed here,
for all alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from model.data.tasks import CS224N
from model.training.evaluate import overall


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A paper's scores of one configuration."""

    sentiment: float
    """Accuracy, 0 to 1."""
    paraphrase: float
    """Accuracy, 0 to 1."""
    similarity: float
    """Pearson's r."""
    split: Literal["dev", "test"]
    where: str
    """The table, or the section of one without a number."""

    @property
    def scores(self) -> dict[str, float]:
        """By task."""
        return {"sentiment": self.sentiment, "paraphrase": self.paraphrase, "similarity": self.similarity}

    @property
    def overall(self) -> float:
        """The leaderboard's formula of 2024."""
        return overall(CS224N, self.scores)


FIGURES: Mapping[str, Figures | None] = {
    "gamarra-udash-baseline": Figures(
        sentiment=0.4723, paraphrase=0.7683, similarity=0.8072, split="dev", where="table 2, 30% dropout"
    ),
    "gamarra-udash-similarity-apart": None,
    "gamarra-udash-unfrozen": None,
    # The final model itself has none on dev. This is experiment 4's third configuration: its heads, but the baseline's
    # dropout of 0.3, step size of 2e-5 and two layers trained.
    "gamarra-udash-final": Figures(
        sentiment=0.4995, paraphrase=0.7818, similarity=0.8088, split="dev", where="table 3, row 3: its heads alone"
    ),
    "grudzinski-baseline": Figures(
        sentiment=0.439, paraphrase=0.819, similarity=0.508, split="test", where="5.4, Baseline"
    ),
    "grudzinski-final": Figures(
        sentiment=0.488, paraphrase=0.829, similarity=0.591, split="test", where="5.4, Shared Layer"
    ),
    "grudzinski-free-edges": None,
    "jetty-multitask": Figures(sentiment=0.467, paraphrase=0.775, similarity=0.357, split="test", where="table 2"),
    "jetty-regularized": Figures(sentiment=0.524, paraphrase=0.784, similarity=0.656, split="test", where="table 3"),
    "jetty-final": Figures(sentiment=0.530, paraphrase=0.877, similarity=0.708, split="test", where="table 4"),
    "naeem-baseline": Figures(
        sentiment=0.293, paraphrase=0.541, similarity=0.048, split="test", where="5.4, milestone"
    ),
    "naeem-cosine": Figures(
        sentiment=0.331, paraphrase=0.670, similarity=0.230, split="test", where="5.4, Cosine Similarity"
    ),
    "naeem-final": Figures(sentiment=0.531, paraphrase=0.724, similarity=0.569, split="test", where="5.4, final model"),
    "pandey-narayan-baseline": Figures(
        sentiment=0.293, paraphrase=0.586, similarity=-0.047, split="dev", where="table 1, baseline"
    ),
    "pandey-narayan-smart": Figures(
        sentiment=0.308, paraphrase=0.582, similarity=0.202, split="dev", where="table 1, SMART"
    ),
    "pandey-narayan-adapter-before": Figures(
        sentiment=0.312, paraphrase=0.584, similarity=0.195, split="dev", where="table 1, adaptbefore"
    ),
    "pandey-narayan-adapter-after": Figures(
        sentiment=0.301, paraphrase=0.563, similarity=-0.087, split="dev", where="table 1, adaptafter"
    ),
}
"""None for a counterpart of which a paper speaks without figures."""
