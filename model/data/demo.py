"""The built-in corpus: three tasks that a small grammar generates, the same everywhere and without a download.

Sentiment composes graded adjectives with negation, degree and concession; paraphrases share a frame but not their
words, and most other pairs share words but not the frame; similarity is 5 less the weighted differences of two scenes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from random import Random

from model.data import demo_grammar as grammar

ENCODER = Path(__file__).parent / "assets" / "demo-encoder"
"""The encoder pre-trained on this grammar by `python -m model.data.demo_encoder`: a folder in Hugging Face's layout."""
SIZES = {"train": 3000, "dev": 600, "test": 600}
"""Rows of a split, for each task."""
LENGTHS = range(5, 21)
"""Words in a sentence."""

Sentences = tuple[str, ...]


def rows(task_name: str, split: str) -> list[tuple[str, Sentences, float]]:
    """(id, sentences, label) of every example. No example occurs twice, be it in one split or in two."""
    sizes = list(SIZES.values())
    position = list(SIZES).index(split)
    start = sum(sizes[:position])
    examples = _labelled(task_name)[start : start + sizes[position]]
    return [(f"{task_name}-{start + i:04}", sentences, label) for i, (sentences, label) in enumerate(examples)]


@functools.cache
def _labelled(task_name: str) -> list[tuple[Sentences, float]]:
    """Every split's examples, one split after the other."""
    write = {"sentiment": grammar.review, "paraphrase": grammar.questions, "similarity": grammar.captions}[task_name]
    rng = Random(f"minbert-search demo: {task_name}")
    examples: dict[frozenset[str], tuple[Sentences, float]] = {}  # a pair is the same pair the other way round
    while len(examples) < sum(SIZES.values()):
        texts, label = write(rng)
        sentences = tuple(map(_sentence, texts))
        key = frozenset(sentences)
        if len(key) == len(sentences) and _fit(sentences):
            examples.setdefault(key, (sentences, label))
    return list(examples.values())


def passages(task_name: str) -> Iterator[Sentences]:
    """Unlabelled text of the same grammar without end, two sentences at a time that belong together as those of any
    text do: a review comes to its verdict, a question is asked again in other words, a scene is told twice.

    None of the sentences is in dev or test.
    """
    write = {
        "sentiment": grammar.review_with_verdict,
        "paraphrase": grammar.question_asked_twice,
        "similarity": grammar.scene_told_twice,
    }[task_name]
    held_out = {s for split in ("dev", "test") for _, sentences, _ in rows(task_name, split) for s in sentences}
    rng = Random(f"minbert-search demo, unlabelled: {task_name}")
    while True:
        sentences = tuple(map(_sentence, write(rng)))
        if _fit(sentences) and held_out.isdisjoint(sentences):
            yield sentences


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _fit(sentences: Sentences) -> bool:
    return all(len(sentence.split()) in LENGTHS for sentence in sentences)
