"""Texts that are longer than what is read of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.config import PairEncoding
from model.data.batches import assemble, sequence_lengths
from model.data.corpus import Corpus, Example
from model.data.tasks import CS224N
from model.data.tokens import describe_cut, tokenize
from tests.support import tiny_encoder

WORDS = "the dog sees a cat and the house ."  # nine tokens


def corpus_of(lengths: list[int]) -> Corpus:
    """Texts of so many times nine tokens, alone and in pairs with a short one."""
    texts = [" ".join([WORDS] * length) for length in lengths]
    return Corpus(
        "long",
        CS224N[:2],
        {
            "sentiment": {"train": [Example(str(i), (text,), 0.0) for i, text in enumerate(texts)]},
            "paraphrase": {"train": [Example(str(i), (text, "a cat"), 0.0) for i, text in enumerate(texts)]},
        },
    )


def test_it_is_said_once_for_each_task() -> None:
    encoder = tiny_encoder()
    assert describe_cut(tokenize(corpus_of([1, 4, 5]), encoder)) == [
        "paraphrase: 1 of 3 examples (33.3%) is longer than 48 tokens when read as one sequence, and is cut then"
    ]
    assert describe_cut(tokenize(corpus_of([1, 4, 5]), encoder, 16)) == [
        "sentiment: 2 of 3 examples (66.7%) are longer than 16 tokens, and are cut there",
        "paraphrase: 2 of 3 examples (66.7%) are longer than 16 tokens when read as one sequence, and are cut then",
    ]
    assert describe_cut(tokenize(corpus_of([1]), encoder)) == []


@pytest.mark.parametrize("most", [16, 30])
def test_sequences_have_no_more_tokens(most: int) -> None:
    tokens = tokenize(corpus_of([1, 3, 5]), tiny_encoder(), most)
    read: list[tuple[str, PairEncoding | None]] = [("sentiment", None), ("paraphrase", "cross"), ("paraphrase", "bi")]
    for task, pairs in read:
        split = tokens.splits[task]["train"]
        assert sequence_lengths(split, pairs, tokens.max_length).max() == most
        batch = assemble(tokens, split, np.arange(3), pairs)
        assert int(batch.packing.lengths.max()) == most


def test_fewer_tokens_are_the_first_ones() -> None:
    whole, cut = (tokenize(corpus_of([5]), tiny_encoder(), most) for most in (None, 16))
    split = whole.splits["sentiment"]["train"]
    ids = [assemble(tokens, split, np.zeros(1, dtype=np.int64), None).ids.tolist() for tokens in (whole, cut)]
    assert ids[1] == [*ids[0][:15], whole.sep_id]
    assert replace(whole, max_length=16, splits=cut.splits) == cut
