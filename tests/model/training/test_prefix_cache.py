"""The frozen prefix computed once: same losses and scores as without, and nothing computed twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.config import AdapterConfig, NoiseStabilityConfig, ProximalConfig, SmartConfig, TrialConfig
from model.data.tokens import Tokens, tokenize
from model.network.packing import Packing
from model.network.pretrained import Encoder
from model.training.loop import Epoch, Training, train
from model.training.precision import Precision
from model.training.prefix_cache import Prefix, is_cacheable
from model.training.prefix_store import Entry, PrefixStore, Unavailable
from tests.support import tiny_config, tiny_corpus, tiny_encoder

ROOM = 2**30


@pytest.fixture
def store(tmp_path: Path) -> PrefixStore:
    return PrefixStore(tmp_path / "cache", ROOM)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many layers each sequence goes through to be kept."""
    layers: list[int] = []
    through = Prefix.through

    def counting(
        self: Prefix, hidden: torch.Tensor, packing: Packing, depth: int, after_layer: Callable[[], None]
    ) -> torch.Tensor:
        layers.extend([self.depth - depth] * packing.count)
        return through(self, hidden, packing, depth, after_layer)

    monkeypatch.setattr(Prefix, "through", counting)
    return layers


def trained(
    config: TrialConfig,
    tokens: Tokens,
    encoder: Encoder,
    store: PrefixStore | None,
    precision: Precision = "fp32",
    epochs: int = 2,
) -> list[Epoch]:
    return list(
        train(config, tokens, encoder, epochs=epochs, epoch_examples=48, seed=3, precision=precision, store=store)
    )


def assert_alike(found: list[Epoch], expected: list[Epoch], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.losses == pytest.approx(other.losses, abs=tolerance)
        for name in ("scores", "train_scores", "clean_scores"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=max(tolerance, 1e-4))


def frozen(depth: int, encoder: dict[str, Any] | None = None, **changes: Any) -> TrialConfig:
    """A configuration whose lowest layers are frozen; `changes` are tiny_config's, or regularizers."""
    regularizers = {name: changes.pop(name) for name in ("smart", "proximal", "noise_stability") if name in changes}
    config = tiny_config(encoder={"freeze_depth": depth, **(encoder or {})}, **changes)
    return dataclasses.replace(config, **regularizers)


ABOVE = AdapterConfig(bottleneck="after_layer_norm", pal_size=8, lhuc=True, layers="trainable")
CONFIGS: dict[str, Callable[[], TrialConfig]] = {
    "the lower layer": lambda: frozen(1),
    "dropout above": lambda: frozen(1, encoder={"hidden_dropout": 0.2, "attention_dropout": 0.1}),
    "cross-encoded": lambda: frozen(1, similarity={"pair_encoding": "cross"}),
    "both orders": lambda: frozen(1, similarity={"pair_encoding": "cross", "pair_order": "both"}),
    "both orders, bi-encoded": lambda: frozen(1, similarity={"pair_encoding": "bi", "pair_order": "both"}),
    "all layers": lambda: frozen(2),
    "all layers, mean": lambda: frozen(2, encoder={"pooling": "mean"}),
    "a layer removed": lambda: frozen(1, encoder={"removed_layers": 1, "removal": "bottom"}),
    "branches": lambda: frozen(1, encoder={"branch_layers": 1}),
    "all tasks a step": lambda: frozen(1, tasks_per_step="all"),
    "SMART": lambda: frozen(1, smart=SmartConfig()),
    "SMART above all layers": lambda: frozen(2, smart=SmartConfig()),
    "proximal": lambda: frozen(1, proximal=ProximalConfig()),
    "noise stability": lambda: frozen(1, noise_stability=NoiseStabilityConfig()),
    "adapters above": lambda: frozen(1, encoder={"adapter": ABOVE}),
    "layers dropped above": lambda: frozen(1, encoder={"layer_drop": 0.5, "adapter": ABOVE}),
    "PCGrad": lambda: frozen(1, tasks_per_step="all", gradient_surgery=True),
    "averaged epochs": lambda: frozen(1, averaged_epochs=2),
    "layers removed by turns": lambda: frozen(1, encoder={"removed_layers": 1, "removal": "alternate"}),
    "branches, SMART and proximal": lambda: frozen(
        1, encoder={"branch_layers": 1}, smart=SmartConfig(), proximal=ProximalConfig()
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_trial_comes_to_the_same(name: str, tokens: Tokens, store: PrefixStore) -> None:
    config, encoder = CONFIGS[name](), tiny_encoder(layers=3 if "removed" in name else 2)
    assert is_cacheable(config)
    expected = trained(config, tokens, encoder, None)
    assert_alike(trained(config, tokens, encoder, store), expected, 1e-4)


@pytest.mark.parametrize("micro_batches", [2, 3])
def test_in_parts_of_batches_it_comes_to_the_same(tokens: Tokens, store: PrefixStore, micro_batches: int) -> None:
    config = frozen(1, similarity={"pair_encoding": "bi", "pair_order": "both"})
    found, expected = (
        list(
            train(
                config, tokens, tiny_encoder(), epochs=2, epoch_examples=48, seed=3, precision="fp32",
                micro_batches=micro_batches, store=kept,
            )
        )
        for kept in (store, None)
    )  # fmt: skip
    assert_alike(found, expected, 1e-4)


def test_in_bf16_it_comes_to_nearly_the_same(tokens: Tokens, encoder: Encoder, store: PrefixStore) -> None:
    config = frozen(1)
    expected = trained(config, tokens, encoder, None, "bf16", epochs=1)
    found = trained(config, tokens, encoder, store, "bf16", epochs=1)
    assert found[0].losses == pytest.approx(expected[0].losses, rel=0.02)


@pytest.mark.parametrize("name", CONFIGS)
def test_nothing_is_computed_twice(name: str, tokens: Tokens, store: PrefixStore, computed: list[int]) -> None:
    config, encoder = CONFIGS[name](), tiny_encoder(layers=3 if "removed" in name else 2)
    first = trained(config, tokens, encoder, store)
    assert computed
    computed.clear()
    assert_alike(trained(config, tokens, encoder, store), first, 0.0)
    assert computed == []


def test_a_sequence_is_added_when_it_is_read(
    tokens: Tokens, encoder: Encoder, store: PrefixStore, computed: list[int]
) -> None:
    next(train(frozen(1), tokens, encoder, epochs=2, epoch_examples=12, seed=3, precision="fp32", store=store))
    dev = sum(len(splits["dev"]) * (1 + (task == "similarity")) for task, splits in tokens.splits.items())
    train_sample = sum(len(splits["train"]) * (1 + (task == "similarity")) for task, splits in tokens.splits.items())
    assert len(computed) == dev + train_sample, "the sample is all of train here"


def test_a_deeper_prefix_goes_on_from_a_shallower_one(tokens: Tokens, store: PrefixStore, computed: list[int]) -> None:
    encoder = tiny_encoder(layers=4)
    trained(frozen(2), tokens, encoder, store)
    assert set(computed) == {2}
    computed.clear()
    found = trained(frozen(3), tokens, encoder, store)
    assert set(computed) == {1}
    computed.clear()
    trained(frozen(4), tokens, encoder, store)
    assert set(computed) == {1}
    assert_alike(found, trained(frozen(3), tokens, encoder, None), 1e-4)


def test_what_pooling_reads_is_all_that_is_kept_of_frozen_encoders(tmp_path: Path, tokens: Tokens) -> None:
    def size(config: TrialConfig) -> int:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        trained(config, tokens, tiny_encoder(), PrefixStore(folder, ROOM))
        return sum(file.stat().st_size for file in folder.glob("*/states"))

    whole = size(frozen(1))
    assert size(frozen(2)) < whole / 5
    assert size(frozen(2, encoder={"pooling": "mean"})) < whole / 5


@pytest.mark.parametrize(
    ("what", "config", "other"),
    [
        ("another encoder", frozen(1), tiny_encoder(seed=1)),
        ("another depth", frozen(2), tiny_encoder(layers=3)),
        ("a layer removed", frozen(1, encoder={"removed_layers": 1, "removal": "bottom"}), tiny_encoder(layers=3)),
    ],
)
def test_another_prefix_is_another_key(
    what: str, config: TrialConfig, other: Encoder, tokens: Tokens, store: PrefixStore
) -> None:
    trained(frozen(1), tokens, tiny_encoder(layers=other.num_layers), store)
    assert_alike(trained(config, tokens, other, store), trained(config, tokens, other, None), 1e-4)


def test_other_sentences_are_another_key(store: PrefixStore, encoder: Encoder) -> None:
    for seed in (0, 1):
        corpus = tiny_corpus(train=60 + seed)
        tokens = tokenize(corpus, encoder)
        config = frozen(1)
        assert_alike(trained(config, tokens, encoder, store), trained(config, tokens, encoder, None), 1e-4)


def test_nothing_frozen_or_trained_inside_is_not_kept() -> None:
    assert not is_cacheable(tiny_config())
    adapter = AdapterConfig(bottleneck="after_feed_forward", layers="all")
    assert not is_cacheable(frozen(1, encoder={"adapter": adapter}))
    assert is_cacheable(frozen(1, encoder={"adapter": dataclasses.replace(adapter, layers="trainable")}))


@pytest.mark.parametrize("room", [0, 40_000])
def test_without_room_trials_compute_as_before(tmp_path: Path, tokens: Tokens, encoder: Encoder, room: int) -> None:
    store = PrefixStore(tmp_path / "cache", room)
    config = frozen(1)
    found = trained(config, tokens, encoder, store)
    assert_alike(found, trained(config, tokens, encoder, None), 1e-4)
    for epoch in found:
        assert epoch.note is not None
        assert epoch.note.startswith(f"frozen layers are computed anew in every step: {tmp_path / 'cache'} has no room")
    assert sum(file.stat().st_size for file in (tmp_path / "cache").glob("*/states")) <= room


def test_an_epoch_that_finds_room_reads_again(
    tokens: Tokens, encoder: Encoder, store: PrefixStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another trial took all the room meanwhile, and let go of it."""
    config, add, full = frozen(1), Entry.add, False

    def add_unless_full(self: Entry, *arguments: Any) -> None:
        if full:
            raise Unavailable("full")
        add(self, *arguments)

    monkeypatch.setattr(Entry, "add", add_unless_full)
    training = train(config, tokens, encoder, epochs=3, epoch_examples=24, seed=3, precision="fp32", store=store)
    found = []
    for full in (False, True, False):  # noqa: B007 (it is read above)
        found.append(next(training))
    expected = list(train(config, tokens, encoder, epochs=3, epoch_examples=24, seed=3, precision="fp32"))
    assert_alike(found, expected, 1e-4)
    note = "frozen layers are computed anew in every step: full"
    assert [one.note for one in found] == [None, note, None]


def test_an_interrupted_trial_ends_in_the_same_bits(
    tmp_path: Path, tokens: Tokens, encoder: Encoder, store: PrefixStore
) -> None:
    config = frozen(1, encoder={"hidden_dropout": 0.1})
    whole = trained(config, tokens, encoder, store, epochs=3)

    def begun() -> Training:
        return train(config, tokens, encoder, epochs=3, epoch_examples=48, seed=3, precision="fp32", store=store)

    first = begun()
    next(first)
    first.save(tmp_path / "state")
    second = begun()
    second.restore(tmp_path / "state")
    assert_alike(list(second), whole[1:], 0.0)


def test_fillers_give_signs_of_life(tokens: Tokens, encoder: Encoder, store: PrefixStore) -> None:
    beats: list[int] = []
    training = train(
        frozen(1),
        tokens,
        encoder,
        epochs=1,
        epoch_examples=12,
        seed=3,
        precision="fp32",
        store=store,
        on_step=lambda: beats.append(1),
    )
    training._prepare(training._plan.epoch(1), dict.fromkeys(("sentiment", "paraphrase", "similarity")))
    assert beats
