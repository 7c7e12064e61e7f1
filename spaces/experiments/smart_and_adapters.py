"""Regularize what is fine-tuned, or adapt what is frozen? (Pandey and Narayan, 2, 3 and 4.4)

The paper found that SMART helps the smallest set (table 1: similarity from -0.047 to 0.202), and so do adapters in one
of two places (0.195; in the other -0.087; spaces/papers.py says why it is open which is which). It always had them
whole; here the parts of SMART and of the adapters are apart too; SMART with moves long enough to change a prediction
(at the paper's 1e-6 its term is next to nothing); and what the paper only describes, projected attention layers (2.1)
and noise stability (2.3).

Its text is of two minds on whether the baseline is frozen, so there are both: frozen with steps of 1e-3, and trained
with the course's 1e-5.
"""

from dataclasses import replace

import optuna

from model.config import AdapterConfig, NoiseStabilityConfig, SmartConfig, TrialConfig
from model.problem import Problem
from spaces.papers import PROXIMAL, SMOOTHNESS, course, pandey_narayan_baseline, with_adapters

REGULARIZERS = ["none", "smart", "smart_farther", "smoothness", "proximal"]
ADAPTERS = ["adapter_feed_forward", "adapter_layer_norm", "lhuc", "projected_attention"]


def space(trial: optuna.Trial, problem: Problem) -> TrialConfig:
    """The baseline, frozen or trained, with one technique."""
    if trial.suggest_categorical("encoder", ["frozen", "trained"]) == "frozen":
        technique = trial.suggest_categorical("frozen.technique", [*REGULARIZERS, *ADAPTERS])
        if technique in ADAPTERS:
            return adapted(technique, problem)
        return regularized(technique, pandey_narayan_baseline(problem))
    return regularized(trial.suggest_categorical("trained.technique", [*REGULARIZERS, "noise_stability"]), course())


def regularized(technique: str, config: TrialConfig) -> TrialConfig:
    """`config` with the regularizer of that name."""
    match technique:
        case "smart":
            return replace(config, smart=SMOOTHNESS, proximal=PROXIMAL)
        case "smart_farther":
            return replace(config, smart=SmartConfig(), proximal=PROXIMAL)
        case "smoothness":
            return replace(config, smart=SMOOTHNESS)
        case "proximal":
            return replace(config, proximal=PROXIMAL)
        case "noise_stability":
            return replace(config, noise_stability=NoiseStabilityConfig())
    return config


def adapted(technique: str, problem: Problem) -> TrialConfig:
    """The frozen baseline with the adapters of that name. Projected attention is about a quarter as wide as the encoder
    (Stickland and Murray 2019: 204 of 768)."""
    config = pandey_narayan_baseline(problem)
    match technique:
        case "adapter_feed_forward":
            return with_adapters(problem, "after_feed_forward")
        case "adapter_layer_norm":
            return with_adapters(problem, "after_layer_norm")
        case "lhuc":
            adapter = AdapterConfig(lhuc=True)
        case _:
            adapter = AdapterConfig(pal_size=problem.num_heads * max(1, problem.hidden_size // problem.num_heads // 4))
    return replace(config, encoder=replace(config.encoder, adapter=adapter))


POINTS = {
    **{f"frozen-{name}": {"encoder": "frozen", "frozen.technique": name} for name in [*REGULARIZERS, *ADAPTERS]},
    **{
        f"trained-{name}": {"encoder": "trained", "trained.technique": name}
        for name in [*REGULARIZERS, "noise_stability"]
    },
}
