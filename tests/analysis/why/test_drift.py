"""How far fine-tuning moved an encoder, beside an obvious twin, whatever was fine-tuned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis.why.drift import KINDS, drift
from analysis.winner.results import Drift
from model.config import TrialConfig
from model.data.batches import assemble
from model.data.tasks import CS224N
from model.data.tokens import Tokens
from model.network.bert import Bert
from model.network.multitask import MultitaskBert
from model.network.pretrained import Encoder
from model.network.saved import read_model, write_model
from tests.model.techniques import TECHNIQUES, adapter, configured, encoder
from tests.support import refused, tiny_encoder

LAYERS = 4
CONFIGS = {
    "plain": configured(),
    "mean pooling": configured(encoder(pooling="mean")),
    "frozen layers": configured(encoder(freeze_depth=2)),
    "all frozen": configured(encoder(freeze_depth=LAYERS)),
    "removed at the bottom": configured(encoder(removed_layers=2, removal="bottom", freeze_depth=1)),
    "removed by turns": configured(encoder(removed_layers=2, removal="alternate")),
    "branches": configured(encoder(branch_layers=2, freeze_depth=1)),
    "branches of all that is left": configured(encoder(branch_layers=3, removed_layers=1)),
    "adapters in frozen layers": configured(encoder(freeze_depth=LAYERS), adapter(pal_size=8, lhuc=True)),
    "adapters above": configured(
        encoder(freeze_depth=2, branch_layers=1), adapter(bottleneck="after_layer_norm", layers="trainable")
    ),
    "everything at once": configured(TECHNIQUES["everything at once"].change),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


@pytest.fixture(scope="module")
def pretrained() -> Encoder:
    return tiny_encoder(layers=LAYERS, scale=0.3)


def moved(config: TrialConfig, pretrained: Encoder) -> MultitaskBert:
    """A model whose trained weights have all gone somewhere, each task's copies somewhere else."""
    torch.manual_seed(0)
    model = MultitaskBert(config, CS224N, pretrained)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def weights_of(model: MultitaskBert, task: str) -> dict[str, Tensor]:
    """A task's whole encoder, under the names that a pretrained one's weights have."""
    state = model.state_dict()
    weights = {name.removeprefix("bert."): weight for name, weight in state.items() if name.startswith("bert.")}
    for name, weight in state.items():
        if name.startswith(f"branches.{task}.layers."):
            number, rest = name.removeprefix(f"branches.{task}.layers.").split(".", 1)
            weights[f"layers.{len(model.bert.layers) + int(number)}.{rest}"] = weight
        elif name.startswith(f"branches.{task}.pooler."):
            weights[name.removeprefix(f"branches.{task}.")] = weight
    return weights


def slow_weights(model: MultitaskBert, started_from: Encoder, place: str, kind: str) -> float | None:
    """All weights of a kind in a place as two long vectors. Of all tasks, which counts what they share three times:
    that changes no ratio."""
    before, after = [], []
    for task in CS224N:
        for name, weight in weights_of(model, task.name).items():
            if name.startswith(f"{place}.") and name.removeprefix(f"{place}.").startswith(KINDS[kind]):
                before.append(started_from.weights[name].astype(np.float64).ravel())
                after.append(weight.double().numpy().ravel())
    if not before:
        return None
    old, new = np.concatenate(before), np.concatenate(after)
    return float(np.linalg.norm(new - old) / np.linalg.norm(old))


def came_from(config: TrialConfig) -> list[int]:
    """The layers that are left, by hand."""
    return {
        ("top", 0): [0, 1, 2, 3],
        ("bottom", 2): [2, 3],
        ("alternate", 2): [1, 3],
        ("top", 1): [0, 1, 2],
    }[config.encoder.removal, config.encoder.removed_layers]


@every_config
def test_weights_are_those_of_the_slow_twin(config: TrialConfig, pretrained: Encoder, tokens: Tokens) -> None:
    model, left = moved(config, pretrained), came_from(config)
    got = drift(model, pretrained, tokens)
    assert got.layers == ["embeddings", *(f"layer {number + 1}" for number in left), "pooler"]
    places = ["embeddings", *(f"layers.{number}" for number in range(len(left))), "pooler"]
    for kind in KINDS:
        expected = [slow_weights(model, pretrained.keeping(left), place, kind) for place in places]
        assert got.weights[kind] == [None if value is None else pytest.approx(value, rel=1e-5) for value in expected]
    assert any(value for values in got.weights.values() for value in values), "something was trained"


def said_by(modules: list[nn.Module], run: object) -> list[np.ndarray]:
    """What modules put out while `run` runs, (N, C) each."""
    outputs: list[np.ndarray] = []
    hooks = [m.register_forward_hook(lambda _, __, said: outputs.append(said.numpy())) for m in modules]
    with torch.no_grad():
        run()  # type: ignore[operator]
    for hook in hooks:
        hook.remove()
    return outputs


def slow_outputs(model: MultitaskBert, before: Bert, tokens: Tokens, task: str) -> list[float]:
    """Example by example."""
    pairs, examples = model.config.tasks[task].pair_encoding, tokens.splits[task]["dev"]
    own = [*model.branches[task].layers] if model.branches else []  # type: ignore[union-attr]
    apart: list[list[float]] = [[] for _ in range(len(before.layers) + 1)]
    for row in range(len(examples)):
        batch = assemble(tokens, examples, np.array([row]), pairs)
        new = said_by(
            [model.bert.embeddings, *model.bert.layers, *own],
            lambda b=batch: model.trajectory(task, model.prefix(b), b.packing, whole=True),
        )
        old = said_by([before.embeddings, *before.layers], lambda b=batch: before(b.ids, b.segments, b.packing))
        for found, u, v in zip(apart, old, new, strict=True):
            real = slice(len(batch.ids))  # without idle tokens
            for x, y in zip(u[real].astype(np.float64), v[real].astype(np.float64), strict=True):
                found.append(1 - float(x @ y) / math.sqrt(float(x @ x) * float(y @ y)))
    return [float(np.mean(found)) for found in apart]


@every_config
def test_outputs_are_those_of_the_slow_twin(config: TrialConfig, pretrained: Encoder, tokens: Tokens) -> None:
    model = moved(config, pretrained).eval()
    started_from = pretrained.keeping(came_from(config))
    before = Bert(started_from.shape).eval()
    started_from.load_into(before)
    got = drift(model, pretrained, tokens)
    assert list(got.outputs) == [task.name for task in CS224N]
    for task, values in got.outputs.items():
        assert values == pytest.approx(slow_outputs(model, before, tokens, task), abs=1e-6)
        assert len(values) == len(got.layers) - 1, "a pooler says nothing of tokens"


def values_at(found: Drift, places: range) -> list[float]:
    by_kind = [values[place] for values in found.weights.values() for place in places]
    return [value for value in by_kind if value is not None]


@pytest.mark.parametrize("name", ["frozen layers", "all frozen", "removed at the bottom", "branches", "adapters above"])
def test_frozen_layers_have_moved_by_exactly_0(name: str, pretrained: Encoder, tokens: Tokens) -> None:
    config = CONFIGS[name]
    found = drift(moved(config, pretrained), pretrained, tokens)
    frozen = range(config.encoder.freeze_depth + 1)
    assert set(values_at(found, frozen)) == {0.0}
    assert {values[place] for values in found.outputs.values() for place in frozen} == {0.0}
    trained = range(len(frozen), len(found.layers) - 1)
    assert all(value > 0 for value in values_at(found, trained))
    assert all(values[place] > 0 for values in found.outputs.values() for place in trained)


def test_adapters_move_what_frozen_layers_say(pretrained: Encoder, tokens: Tokens) -> None:
    found = drift(moved(CONFIGS["adapters in frozen layers"], pretrained), pretrained, tokens)
    assert set(values_at(found, range(LAYERS + 1))) == {0.0}
    assert all(values[0] == 0 and min(values[1:]) > 0 for values in found.outputs.values())


@every_config
def test_nothing_has_moved_before_training(config: TrialConfig, pretrained: Encoder, tokens: Tokens) -> None:
    model = MultitaskBert(config, CS224N, pretrained)
    found = drift(model, pretrained, tokens)
    assert set(values_at(found, range(len(found.layers)))) == {0.0}
    near = 0.0 if config.encoder.adapter is None else 1e-3  # adapters begin near no effect
    assert max(value for values in found.outputs.values() for value in values) <= near


def test_a_sample_of_dev_is_compared(pretrained: Encoder, tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    model = moved(CONFIGS["plain"], pretrained)
    whole = drift(model, pretrained, tokens)
    monkeypatch.setattr("analysis.why.drift.BATCH_SIZE", 5)
    for task, values in drift(model, pretrained, tokens).outputs.items():
        assert values == pytest.approx(whole.outputs[task], abs=1e-6)
    monkeypatch.setattr("analysis.why.drift.SAMPLE", 12)
    some = drift(model, pretrained, tokens)
    assert some.weights == whole.weights
    for task, values in some.outputs.items():
        assert values != pytest.approx(whole.outputs[task], abs=1e-6)
        assert values == pytest.approx(whole.outputs[task], rel=0.5)


def test_each_weight_is_of_one_kind(pretrained: Encoder) -> None:
    bert = Bert(pretrained.shape)
    for module in (bert.embeddings, *bert.layers, bert.pooler):
        for name, _ in module.named_parameters():
            assert sum(name.startswith(beginnings) for beginnings in KINDS.values()) == 1, name


def test_a_model_that_forgot_which_layers_were_removed(pretrained: Encoder, tokens: Tokens, tmp_path) -> None:
    write_model(tmp_path, moved(CONFIGS["removed by turns"], pretrained), pretrained, "fp32")
    with refused("this model was not built on this encoder", ValueError):
        drift(read_model(tmp_path)[0], pretrained, tokens)
