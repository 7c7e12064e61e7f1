"""The figures of the five papers, as they are printed, by the spaces that try them again and the points of these.

- Adrian Gamarra Lafuente and Avi Udash: Effects of Appropriate Modeling of Tasks and Hyperparameters on Downstream
  Tasks
- Nathaniel Grudzinski: Progressive Layer Sharing on BERT
- Karthik Jetty: Using Stochastic Layer Dropping as a Regularization Tool to Improve Downstream Prediction Accuracy
- Aqil Naeem: Multitask BERT: Exploration and Extension
- Arjun Pandey and Neel Narayan: Investigating BERT through Fine-Tuned Regularization and Layer-Level Adaptations for
  Multi-Task Performance

All are reports on Stanford's CS224N default project. Two of them print the overall score of 2023's formula or none, and
the best overall that Gamarra Lafuente and Udash print is not always that of the three scores beside it. So overall is
computed here, for all alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from model.data.scores import overall
from model.data.tasks import CS224N


@dataclass(frozen=True)
class Figures:
    """A paper's scores of one configuration."""

    split: Literal["dev", "test"]
    where: str
    """The paper, and its table, or the section of one without a number."""
    sentiment: float
    """Accuracy, 0 to 1."""
    paraphrase: float
    """Accuracy, 0 to 1."""
    similarity: float
    """Pearson's r."""

    @property
    def scores(self) -> dict[str, float]:
        """By task."""
        return {"sentiment": self.sentiment, "paraphrase": self.paraphrase, "similarity": self.similarity}

    @property
    def overall(self) -> float:
        """The leaderboard's formula of 2024."""
        return overall(CS224N, self.scores)


GAMARRA_DROPOUT = {
    "0%": Figures("dev", "Gamarra-Udash, table 2, 0%", 0.471, 0.765, 0.807),
    "30%": Figures("dev", "Gamarra-Udash, table 2, 30%", 0.4723, 0.7683, 0.8072),
    "40%": Figures("dev", "Gamarra-Udash, table 2, 40%", 0.4869, 0.7658, 0.7992),
    "50%": Figures("dev", "Gamarra-Udash, table 2, 50%", 0.4873, 0.7624, 0.801),
    "60%": Figures("dev", "Gamarra-Udash, table 2, 60%", 0.4859, 0.7606, 0.8035),
}
GAMARRA_LAYERS = {
    "common 1, task 1": Figures("dev", "Gamarra-Udash, table 3, row 1", 0.4768, 0.7773, 0.798),
    "common 0, task 1": Figures("dev", "Gamarra-Udash, table 3, row 2", 0.5041, 0.7707, 0.804),
    "common 0, task 3": Figures("dev", "Gamarra-Udash, table 3, row 3", 0.4995, 0.7818, 0.8088),
    "common 0, task 5": Figures("dev", "Gamarra-Udash, table 3, row 4", 0.4768, 0.7738, 0.804),
    "common 2, task 2": Figures("dev", "Gamarra-Udash, table 3, row 5", 0.4841, 0.7728, 0.7991),
    "common 5, task 5": Figures("dev", "Gamarra-Udash, table 3, row 6", 0.4825, 0.7651, 0.7901),
    "common 9, task 9": Figures("dev", "Gamarra-Udash, table 3, row 7", 0.4641, 0.7305, 0.7722),
}
GRUDZINSKI_BASELINE = Figures("test", "Grudzinski, 5.4, Baseline", 0.439, 0.819, 0.508)
GRUDZINSKI_FINAL = Figures("test", "Grudzinski, 5.4, Shared Layer", 0.488, 0.829, 0.591)
JETTY_MULTITASK = Figures("test", "Jetty, table 2", 0.467, 0.775, 0.357)
JETTY_REGULARIZED = Figures("test", "Jetty, table 3", 0.524, 0.784, 0.656)
JETTY_FINAL = Figures("test", "Jetty, table 4", 0.530, 0.877, 0.708)
NAEEM_MILESTONE = Figures("test", "Naeem, 5.4, milestone", 0.293, 0.541, 0.048)
NAEEM_COSINE = Figures("test", "Naeem, 5.4, cosine", 0.331, 0.670, 0.230)
NAEEM_FINAL = Figures("test", "Naeem, 5.4, final model", 0.531, 0.724, 0.569)
PANDEY_BASELINE = Figures("dev", "Pandey-Narayan, table 1, baseline", 0.293, 0.586, -0.047)
PANDEY_SMART = Figures("dev", "Pandey-Narayan, table 1, SMART", 0.308, 0.582, 0.202)
PANDEY_BEFORE = Figures("dev", "Pandey-Narayan, table 1, adaptbefore", 0.312, 0.584, 0.195)
PANDEY_AFTER = Figures("dev", "Pandey-Narayan, table 1, adaptafter", 0.301, 0.563, -0.087)

Several = tuple[Figures, ...]
COURSE: Several = (JETTY_MULTITASK, NAEEM_MILESTONE)
GAMARRA_BASELINE: Several = (GAMARRA_DROPOUT["30%"], GAMARRA_LAYERS["common 1, task 1"])
ADAPTER: Several = (PANDEY_BEFORE, PANDEY_AFTER)
"""Of either place: which is which is not said (spaces/papers.py)."""


def is_of_paper(point: str) -> bool:
    """Whether a point of that name is a configuration of spaces/papers.py."""
    return point in FIGURES["papers"]


def in_paper(point: str) -> str:
    """The overall that the paper of a point of spaces/papers.py prints, and the split; empty where it prints none."""
    return " / ".join(f"{found.overall:.4f} {found.split}" for found in FIGURES["papers"].get(point, ()))


def _none(*points: str) -> dict[str, Several]:
    """Points of which a paper speaks without figures, and counterparts that it has not."""
    return dict.fromkeys(points, ())


FIGURES: Mapping[str, Mapping[str, Several]] = {
    "papers": {
        "course-baseline": COURSE,
        "gamarra-udash-baseline": GAMARRA_BASELINE,
        **_none("gamarra-udash-similarity-apart", "gamarra-udash-unfrozen"),
        "gamarra-udash-task-layers": (GAMARRA_LAYERS["common 0, task 3"],),
        **_none("gamarra-udash-fine-tuned", "gamarra-udash-final"),
        "grudzinski-baseline": (GRUDZINSKI_BASELINE,),
        "grudzinski-no-edges": (),
        "grudzinski-final": (GRUDZINSKI_FINAL,),
        "grudzinski-free-edges": (),
        "jetty-regularized": (JETTY_REGULARIZED,),
        "jetty-final": (JETTY_FINAL,),
        "naeem-without-cosine": (),
        "naeem-cosine": (NAEEM_COSINE,),
        "naeem-final": (NAEEM_FINAL,),
        "pandey-narayan-baseline": (PANDEY_BASELINE,),
        "pandey-narayan-smart": (PANDEY_SMART,),
        "pandey-narayan-adapter-feed-forward": ADAPTER,
        "pandey-narayan-adapter-layer-norm": ADAPTER,
    },
    "cosine_heads": {
        "none": (),
        "multitask": (Figures("test", "Naeem, 5.4, multitask", 0.322, 0.551, 0.095),),
        "cosine": (NAEEM_COSINE,),
        "layer-norm": (Figures("test", "Naeem, 5.4, LayerNorm", 0.382, 0.579, 0.124),),
        "cosine-layer-norm": (Figures("test", "Naeem, 5.4, LayerNorm on cosine", 0.390, 0.692, 0.345),),
        "relu": (Figures("test", "Naeem, 5.4, ReLU", 0.297, 0.584, 0.102),),
        "all": (NAEEM_FINAL,),
    },
    "dropout": {
        "gamarra-udash-0": (GAMARRA_DROPOUT["0%"],),
        "gamarra-udash-30": (GAMARRA_DROPOUT["30%"],),
        "gamarra-udash-40": (GAMARRA_DROPOUT["40%"],),
        "gamarra-udash-50": (GAMARRA_DROPOUT["50%"],),
        "gamarra-udash-60": (GAMARRA_DROPOUT["60%"],),
        "naeem-20": (Figures("test", "Naeem, 5.4, dropout 0.2", 0.501, 0.707, 0.542),),
        "naeem-30": (Figures("test", "Naeem, 5.4, dropout 0.3", 0.510, 0.714, 0.552),),
        "naeem-35": (Figures("test", "Naeem, 5.4, dropout 0.35", 0.512, 0.718, 0.559),),
        "naeem-40": (NAEEM_FINAL,),
        "naeem-50": (Figures("test", "Naeem, 5.4, dropout 0.5", 0.522, 0.709, 0.554),),
    },
    "freeze_depth": {**_none("all", "top-1"), "top-2": GAMARRA_BASELINE, "top-3": ()},
    "head_layers": {
        "common-1-task-1": (GAMARRA_LAYERS["common 1, task 1"],),
        "common-0-task-1": (GAMARRA_LAYERS["common 0, task 1"],),
        "common-0-task-3": (GAMARRA_LAYERS["common 0, task 3"],),
        "common-0-task-5": (GAMARRA_LAYERS["common 0, task 5"],),
        "common-2-task-2": (GAMARRA_LAYERS["common 2, task 2"],),
        "common-5-task-5": (GAMARRA_LAYERS["common 5, task 5"],),
        "common-9-task-9": (GAMARRA_LAYERS["common 9, task 9"],),
    },
    "layer_drop": {
        "neither": (JETTY_MULTITASK,),
        "shared-layer": (),
        "skipped-uniform-shared-layer": (JETTY_REGULARIZED,),
        **_none("skipped-uniform", "skipped-depth", "skipped-time"),
        **_none("removed-top", "removed-alternate", "removed-symmetric", "removed-bottom"),
    },
    "learning_rate": {
        "gamarra-udash-1e-5": (),
        "gamarra-udash-2e-5": GAMARRA_BASELINE,
        "gamarra-udash-3e-5": (),
        "naeem-1e-5": (NAEEM_FINAL,),
        "naeem-2e-5": (Figures("test", "Naeem, 5.4, step size 2e-5", 0.522, 0.725, 0.550),),
        "naeem-5e-5": (Figures("test", "Naeem, 5.4, step size 5e-5", 0.503, 0.715, 0.539),),
        "naeem-1e-4": (Figures("test", "Naeem, 5.4, step size 1e-4", 0.509, 0.709, 0.547),),
    },
    "losses": {
        "mse": COURSE,
        **_none("mae", "cosine-embedding", "cosine-mse", "evened-out", "uncertainty", "ranking"),
        **_none("summed", "gradient-surgery"),
    },
    "pair_encoding": {
        "apart": COURSE,
        **_none("similarity-together", "paraphrase-together", "together", "together-both-orders"),
        **_none("apart-both-orders", "apart-difference", "apart-product"),
    },
    "sharing_graph": {
        **_none("none", "to-paraphrase", "to-similarity"),
        "to-both": (GRUDZINSKI_FINAL,),
        **_none("from-sentiment", "from-paraphrase"),
        **_none("to-both-a-tenth-of-the-gradient", "to-both-all-of-the-gradient", "to-both-attention"),
    },
    "smart_and_adapters": {
        "frozen-none": (PANDEY_BASELINE,),
        "frozen-smart": (PANDEY_SMART,),
        **_none("frozen-smart_farther", "frozen-smoothness", "frozen-proximal"),
        "frozen-adapter_feed_forward": ADAPTER,
        "frozen-adapter_layer_norm": ADAPTER,
        **_none("frozen-lhuc", "frozen-projected_attention"),
        "trained-none": COURSE,
        **_none("trained-smart", "trained-smart_farther", "trained-smoothness", "trained-proximal"),
        "trained-noise_stability": (),
    },
}
"""By the name of a file in spaces/ or spaces/experiments/, then by its points, all of them."""
