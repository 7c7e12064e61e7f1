"""Tokenized corpora: ragged arrays, made once by the driver of a run and read by every trial without a copy."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from model.data.contamination import contaminated
from model.data.corpus import Corpus, Example, Split
from model.data.tasks import Task

if TYPE_CHECKING:
    from model.network.pretrained import Encoder  # with torch, which takes seconds, and which a dry run can do without


@dataclass(frozen=True)
class Ragged:
    """Sequences of token ids, one after the other, without special tokens."""

    ids: np.ndarray
    """int32, all sequences joined."""
    starts: np.ndarray
    """int64, one more than there are sequences: sequence i is `ids[starts[i]:starts[i + 1]]`."""

    def __getitem__(self, i: int) -> np.ndarray:
        return self.ids[self.starts[i] : self.starts[i + 1]]

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)


@dataclass(frozen=True)
class TokenizedSplit:
    """One split of one task."""

    sentences: tuple[Ragged, ...]
    """One for a task on single sentences, two for a task on pairs."""
    labels: np.ndarray
    """float32, NaN where the split has no labels."""
    contaminated: np.ndarray
    """bool, (N,): whether the example stands in an earlier split too: of dev in train, of test in train or dev
    (`model.data.contamination`). All False in the other splits, and where the corpus holds no train."""

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the sentences."""
        digest = hashlib.sha256()
        for sentence in self.sentences:
            digest.update(np.ascontiguousarray(sentence.ids).data)
            digest.update(np.ascontiguousarray(sentence.starts).data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Tokens:
    """A corpus as one encoder's tokenizer sees it: numpy arrays and plain values only."""

    tasks: tuple[Task, ...]
    splits: Mapping[str, Mapping[Split, TokenizedSplit]]
    """By task name, then split."""
    cls_id: int
    sep_id: int
    max_length: int
    """Tokens of the longest sequence that is read, special ones included."""


def tokenize(corpus: Corpus, encoder: Encoder, max_tokens: int | None = None) -> Tokens:
    """`corpus` as token ids of `encoder`'s vocabulary, to be cut to sequences of `max_tokens`; None: to as many as the
    encoder takes."""
    return tokenized(corpus, Tokenizer.from_str(encoder.tokenizer), max_tokens or encoder.shape.max_positions)


def tokenized(corpus: Corpus, tokenizer: Tokenizer, max_tokens: int) -> Tokens:
    """The same by a tokenizer alone."""
    splits: dict[str, dict[Split, TokenizedSplit]] = {
        task.name: {split: _tokenize(tokenizer, corpus, task, split) for split in corpus.examples[task.name]}
        for task in corpus.tasks
    }
    vocab = tokenizer.get_vocab()
    return Tokens(corpus.tasks, splits, vocab["[CLS]"], vocab["[SEP]"], max_tokens)


def describe_cut(tokens: Tokens) -> list[str]:
    """A line for every task of which some examples are longer than what is read of them. A pair is measured as one
    sequence: where each of its sentences is one by itself, fewer are cut."""
    lines = []
    for task in tokens.tasks:
        splits = tokens.splits[task.name].values()
        lengths = np.concatenate([sum(sentence.lengths for sentence in split.sentences) for split in splits])
        long = int(np.sum(lengths + 1 + len(task.sentence_columns) > tokens.max_length))
        if long:
            are = "is" if long == 1 else "are"
            cut = f" when read as one sequence, and {are} cut then" if task.is_pair else f", and {are} cut there"
            lines.append(
                f"{task.name}: {long} of {len(lengths)} examples ({long / len(lengths):.1%}) {are} longer than "
                f"{tokens.max_length} tokens{cut}"
            )
    return lines


def with_dev_in_train(tokens: Tokens) -> Tokens:
    """The same with dev's examples in train as well, after its own; of dev none is clean any more."""
    return replace(tokens, splits={name: _with_dev(splits) for name, splits in tokens.splits.items()})


def _with_dev(splits: Mapping[Split, TokenizedSplit]) -> dict[Split, TokenizedSplit]:
    train, dev = splits["train"], splits["dev"]
    sentences = tuple(_joined(*both) for both in zip(train.sentences, dev.sentences, strict=True))
    labels = np.concatenate([train.labels, dev.labels])
    return {
        **splits,
        "train": TokenizedSplit(sentences, labels, np.zeros(len(labels), dtype=bool)),
        "dev": replace(dev, contaminated=np.ones(len(dev), dtype=bool)),
    }


def _joined(first: Ragged, second: Ragged) -> Ragged:
    starts = np.concatenate([first.starts, second.starts[1:] + first.starts[-1]])
    return Ragged(np.concatenate([first.ids, second.ids]), starts)


def _tokenize(tokenizer: Tokenizer, corpus: Corpus, task: Task, split: Split) -> TokenizedSplit:
    examples = corpus.examples[task.name][split]
    sentences = tuple(
        _ragged(tokenizer, [example.sentences[slot] for example in examples])
        for slot in range(len(task.sentence_columns))
    )
    labels = np.array([np.nan if e.label is None else e.label for e in examples], dtype=np.float32)
    return TokenizedSplit(sentences, labels, _contaminated(corpus.examples[task.name], split))


def _contaminated(splits: Mapping[Split, Sequence[Example]], split: Split) -> np.ndarray:
    mask = np.zeros(len(splits[split]), dtype=bool)
    if split in ("dev", "test") and "train" in splits:
        # Which model is kept was decided on dev: what of test stands there is not clean either.
        earlier = [*splits["train"], *(splits.get("dev", ()) if split == "test" else ())]
        mask[contaminated(earlier, splits[split]).rows] = True
    return mask


def _ragged(tokenizer: Tokenizer, texts: list[str]) -> Ragged:
    encoded = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    lengths = [len(ids) for ids in encoded]
    joined = np.fromiter((token for ids in encoded for token in ids), dtype=np.int32, count=sum(lengths))
    return Ragged(joined, np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))
