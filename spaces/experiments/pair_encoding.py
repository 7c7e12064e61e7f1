"""Should the encoder see the two sentences of a pair together? (Gamarra Lafuente and Udash, 4; Jetty, 4.5.1)

Gamarra Lafuente and Udash found similarity some 10 points better so, and kept paraphrase apart. Jetty found both better
(table 4: paraphrase +0.093, similarity +0.052). The features of sentences encoded apart are those of Reimers and
Gurevych 2019, table 6; both orders of a pair is what makes an encoder that sees them together symmetric.
"""

from dataclasses import replace
from typing import Any

import optuna

from model.config import TaskConfig, TrialConfig
from model.problem import Problem
from spaces.papers import PARAPHRASE, SIMILARITY, course


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """The course's model, with its pairs encoded otherwise."""
    return course(paraphrase=draw(trial, "paraphrase", PARAPHRASE), similarity=draw(trial, "similarity", SIMILARITY))


def draw(trial: optuna.Trial, name: str, task: TaskConfig) -> TaskConfig:
    """The task, with its pairs encoded otherwise; features and order are the same for both tasks."""
    choices: dict[str, Any] = {"pair_order": trial.suggest_categorical("order", ["given", "both"])}
    choices["pair_encoding"] = trial.suggest_categorical(f"{name}.pair_encoding", ["bi", "cross"])
    if choices["pair_encoding"] == "bi":
        choices["pair_features"] = trial.suggest_categorical("features", ["concat", "difference", "product"])
    return replace(task, **choices)


APART = {"paraphrase.pair_encoding": "bi", "similarity.pair_encoding": "bi"}
TOGETHER = {"paraphrase.pair_encoding": "cross", "similarity.pair_encoding": "cross"}

POINTS = {
    "apart": {**APART, "features": "concat", "order": "given"},
    "similarity-together": {**APART, "similarity.pair_encoding": "cross", "features": "concat", "order": "given"},
    "paraphrase-together": {**APART, "paraphrase.pair_encoding": "cross", "features": "concat", "order": "given"},
    "together": {**TOGETHER, "order": "given"},
    "together-both-orders": {**TOGETHER, "order": "both"},
    "apart-both-orders": {**APART, "features": "concat", "order": "both"},
    "apart-difference": {**APART, "features": "difference", "order": "given"},
    "apart-product": {**APART, "features": "product", "order": "given"},
}
