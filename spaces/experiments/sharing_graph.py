"""Which task should hear which other one, and may it train it? (Grudzinski, 5 to 7)

The paper told sentiment to the two other tasks, then paraphrase to similarity too (5), which helped similarity most
(5.4: .508 to .591), but only with the weights of what is imported frozen (6). What it left open (7): importing one of
the two tasks alone, not quite freezing the weights, and an attention over the outputs in place of putting them one
after the other. Which task gains from hearing is asked here as well.
"""

from dataclasses import replace

import optuna

from model.config import SharingConfig, TrialConfig
from model.problem import Problem
from spaces.papers import ALL_EDGES, grudzinski_final, sharing_graph

TO_PARAPHRASE = (("sentiment", "paraphrase"),)
TO_SIMILARITY = (("sentiment", "similarity"), ("paraphrase", "similarity"))
FROM_SENTIMENT = (("sentiment", "paraphrase"), ("sentiment", "similarity"))
FROM_PARAPHRASE = (("paraphrase", "similarity"),)

GRAPHS: dict[str, SharingConfig | None] = {
    "none": None,
    "to-paraphrase": sharing_graph(*TO_PARAPHRASE),
    "to-similarity": sharing_graph(*TO_SIMILARITY),
    "to-both": sharing_graph(*ALL_EDGES),
    "from-sentiment": sharing_graph(*FROM_SENTIMENT),
    "from-paraphrase": sharing_graph(*FROM_PARAPHRASE),
    "to-both-a-tenth-of-the-gradient": sharing_graph(*ALL_EDGES, gradient_scale=0.1),
    "to-both-all-of-the-gradient": sharing_graph(*ALL_EDGES, gradient_scale=1.0),
    "to-both-attention": replace(sharing_graph(*ALL_EDGES), fusion="attention"),
}


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """The final model, with another sharing graph."""
    return replace(grudzinski_final(problem), sharing=GRAPHS[trial.suggest_categorical("graph", list(GRAPHS))])


POINTS = {name: {"graph": name} for name in GRAPHS}
