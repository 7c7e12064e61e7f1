"""Which task should hear which other one, and may it train it? (Grudzinski, 5 to 7)

The paper had sentiment told to paraphrase, and both to similarity, which it found to help similarity above all (5.4:
.508 to .591), but only with the weights of what is imported frozen (6). What it left open (7): importing one of the two
tasks alone, not quite freezing the weights, and an attention over the outputs in place of putting them one after the
other.
"""

from dataclasses import replace

import optuna

from model.config import SharingConfig, TrialConfig
from model.problem import Problem
from spaces.papers import ALL_EDGES, grudzinski_final, sharing_graph

SENTIMENT_EDGES = (("sentiment", "paraphrase"), ("sentiment", "similarity"))
PARAPHRASE_EDGES = (("paraphrase", "similarity"),)

GRAPHS: dict[str, SharingConfig | None] = {
    "none": None,
    "sentiment-imported": sharing_graph(*SENTIMENT_EDGES),
    "paraphrase-imported": sharing_graph(*PARAPHRASE_EDGES),
    "both-imported": sharing_graph(*ALL_EDGES),
    "both-imported-a-tenth-of-the-gradient": sharing_graph(*ALL_EDGES, gradient_scale=0.1),
    "both-imported-all-of-the-gradient": sharing_graph(*ALL_EDGES, gradient_scale=1.0),
    "both-imported-attention": replace(sharing_graph(*ALL_EDGES), fusion="attention"),
}


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """The final model, with another sharing graph."""
    return replace(grudzinski_final(problem), sharing=GRAPHS[trial.suggest_categorical("graph", list(GRAPHS))])


POINTS = {name: {"graph": name} for name in GRAPHS}
