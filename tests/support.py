"""What many tests need: a tiny encoder, a tiny corpus, a small configuration, and the check of a message's text."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from model.config import EncoderConfig, HeadConfig, OptimizationConfig, TaskConfig, TrialConfig
from model.data.corpus import Corpus, Example, Split, part_of
from model.data.tasks import CS224N, CS224N_SOURCES, Source
from model.errors import UserError
from model.network.bert import Bert
from model.network.packing import Packing
from model.network.pretrained import Encoder
from model.network.shape import BertShape
from model.problem import Problem

PROBLEM = Problem(tasks=CS224N, num_layers=2, hidden_size=16, num_heads=2, train_size={}, dev_size={})
"""For what does not depend on it."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
GOOD, BAD = ("good", "great", "fine", "lovely"), ("bad", "poor", "awful", "dull")
NOUNS = ("film", "plot", "song", "dog", "cat", "man", "girl", "car", "house", "tree", "river", "book")
OTHER = ("the", "a", "is", "was", "and", "not", "very", "with", "sees", "likes", "finds", "has", ".", ",", "?")
PIECES = ("##s", "##ing", "##ed", "un", "##like", "##ly", "caf", "##e", "##é", "The", "Film")
VOCABULARY = (*SPECIAL, *GOOD, *BAD, *NOUNS, *OTHER, *PIECES)


@contextmanager
def refused(text: str, kind: type[Exception] = UserError) -> Iterator[None]:
    """Passes where the block raises `kind` with exactly this text."""
    with pytest.raises(kind) as caught:
        yield
    assert str(caught.value) == text


def tiny_encoder(
    seed: int = 0, *, layers: int = 2, hidden: int = 16, heads: int = 2, positions: int = 48, scale: float = 0.1
) -> Encoder:
    """A BERT of random weights, drawn by numpy: the same numbers on every machine."""
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": len(VOCABULARY),
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": positions,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "pad_token_id": 0,
    }
    tokenizer = BertWordPieceTokenizer({token: i for i, token in enumerate(VOCABULARY)}, lowercase=True)
    encoder = Encoder(name="tiny", config=config, weights={}, tokenizer=tokenizer.to_str())
    return Encoder(**{**vars(encoder), "weights": _random_weights(encoder.shape, seed, scale)})


def _random_weights(shape: BertShape, seed: int, scale: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    with torch.device("meta"):
        shapes = {key: tuple(tensor.shape) for key, tensor in Bert(shape).state_dict().items()}
    centre = {key: 1.0 if "norm.weight" in key else 0.0 for key in shapes}
    return {key: rng.normal(centre[key], scale, size).astype(np.float32) for key, size in sorted(shapes.items())}


def states(bert: Bert, ids: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """The last layer's output, (R, T, C), of sequences of one length, as transformers takes and gives them."""
    packing = Packing.of(np.full(len(ids), ids.shape[1]))
    return packing.pad(bert(ids.flatten(), segments.flatten(), packing))


def tiny_corpus(train: int = 60, dev: int = 24, test: int = 12) -> Corpus:
    """Made-up sentences for the three tasks, whose labels can be told from their words."""
    rows: dict[Split, int] = {"train": train, "dev": dev, "test": test}
    make = {"sentiment": _review, "paraphrase": _paraphrase, "similarity": _similar}
    examples: dict[str, dict[Split, list[Example]]] = {}
    for task in CS224N:
        rng = random.Random(task.name)
        splits: dict[Split, list[Example]] = {}
        for split, count in rows.items():
            made = [make[task.name](rng) for _ in range(count)]
            splits[split] = [Example(f"{task.name}-{split}-{i}", *example) for i, example in enumerate(made)]
        examples[task.name] = splits
    return Corpus("tiny", CS224N, examples)


def write_corpus(folder: Path, corpus: Corpus) -> None:
    """`corpus` as the course's files: train, dev and student test, no labelled test."""
    folder.mkdir()
    for source in CS224N_SOURCES:
        for split in ("train", "dev"):
            _write_split(folder, source, split, corpus, split)
        _write_split(folder, source, "unlabelled", corpus, "test")


def _write_split(folder: Path, source: Source, key: Split, corpus: Corpus, split: Split) -> None:
    name, task, labelled = source.file(key), source.task, key != "unlabelled"
    assert name is not None
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\r\n")
        writer.writerow(["", "id", *task.sentence_columns, *([task.label_column] if labelled else [])])
        for i, e in enumerate(corpus.examples[task.name][split]):
            writer.writerow([i, e.id, *e.sentences, *([e.label] if labelled else [])])
    assert any(part_of(e.id, {"test": 0.1}) == "test" for e in corpus.examples[task.name]["train"])


def _review(rng: random.Random) -> tuple[tuple[str], float]:
    good = rng.randint(0, 4)
    words = rng.sample(GOOD, good) + rng.sample(BAD, 4 - good)
    rng.shuffle(words)
    return (f"the {rng.choice(NOUNS)} is {' and '.join(words)}.",), float(good)


def _words(rng: random.Random) -> list[str]:
    return rng.sample(NOUNS, rng.randint(3, 6))


def _paraphrase(rng: random.Random) -> tuple[tuple[str, str], float]:
    words = _words(rng)
    same = rng.random() < 0.4
    others = words[::-1] if same else rng.sample([n for n in NOUNS if n not in words], 3)
    return (f"the {' and '.join(words)}?", f"a {' with '.join(others)}?"), float(same)


def _similar(rng: random.Random) -> tuple[tuple[str, str], float]:
    words = rng.sample(NOUNS, 5)
    kept = rng.randint(0, 5)
    others = words[:kept] + rng.sample([n for n in NOUNS if n not in words], 5 - kept)
    return (f"the {' '.join(words)}.", f"the {' '.join(others)}."), kept + (0.2 if kept < 5 else 0.0)


def tiny_config(
    *,
    encoder: Mapping[str, Any] | None = None,
    head: Mapping[str, Any] | None = None,
    sentiment: Mapping[str, Any] | None = None,
    paraphrase: Mapping[str, Any] | None = None,
    similarity: Mapping[str, Any] | None = None,
    **optimization: Any,
) -> TrialConfig:
    """A configuration of the three tasks with small batches; every argument changes fields of its part."""
    return TrialConfig(
        encoder=EncoderConfig(**(encoder or {})),
        head=HeadConfig(**(head or {})),
        tasks={
            "sentiment": TaskConfig(**(sentiment or {})),
            "paraphrase": TaskConfig.from_dict({"pair_encoding": "cross", "loss": "bce"} | dict(paraphrase or {})),
            "similarity": TaskConfig.from_dict({"pair_encoding": "bi", "loss": "mse"} | dict(similarity or {})),
        },
        optimization=OptimizationConfig(
            **{"learning_rate": 1e-3, "head_learning_rate": 1e-2, "batch_size": 8} | optimization
        ),
    )
