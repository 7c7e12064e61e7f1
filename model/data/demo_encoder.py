"""Builds the encoder that is shipped for the demo: `python -m model.data.demo_encoder`, some minutes on one core.

A vocabulary and a small BERT, both learnt from passages of the demo grammar. No sentence of dev or test is among them,
and no label is read; but as in any text, what stands together belongs together, and the verdict that ends a review says
in words what its label says as a number.
"""

from __future__ import annotations

import itertools
import string
import sys
import time
from dataclasses import replace

import torch
from tokenizers import AddedToken
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from torch import Tensor

from model.data import demo
from model.data.corpus import Corpus, Example, Split
from model.data.tasks import CS224N
from model.data.tokens import tokenize
from model.network.bert import Bert
from model.network.pretrained import Encoder, write_encoder
from model.training.masked_language import pretrain

PASSAGES = 40_000
"""Of each task's kind."""
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORD_CHARACTERS = string.ascii_lowercase + string.digits
PUNCTUATION = string.punctuation + "\u2018\u2019\u201c\u201d\u2013\u2014\u2026"  # quotation marks, dashes, ellipsis
PIECES = 400
"""Characters and frequent parts of words; every word of the grammar comes on top as a whole."""
INITIAL_STD = 0.05
"""Of the first weights. BERT's 0.02 is meant for 768 units: weights of 96 have to be larger to carry as much."""
STEPS, BATCH_SIZE, LEARNING_RATE, SEED = 6000, 64, 2e-3, 0

_SENTENCES, _PASSAGES = replace(CS224N[0], name="sentences"), replace(CS224N[1], name="passages")


def main() -> None:
    torch.set_num_threads(1)  # the sums, and so the bits, depend on the number
    corpus = _corpus()
    encoder = _new_encoder(_tokenizer(corpus))
    weights = pretrain(
        encoder,
        tokenize(corpus, encoder),
        steps=STEPS,
        learning_rate=LEARNING_RATE,
        batch_size=BATCH_SIZE,
        seed=SEED,
        progress=_Progress(),
        precision="fp32",
    )
    # Half precision halves what is downloaded, and costs less than a step of training changes.
    write_encoder(demo.ENCODER, encoder, {name: tensor.half() for name, tensor in weights.items()})
    print(f"wrote {demo.ENCODER}")


def _corpus() -> Corpus:
    """Passages of all tasks, as sequences of two segments; and half of the reviews' sentences once more by themselves,
    as the sentiment task will show them."""
    passages = {task.name: list(itertools.islice(demo.passages(task.name), PASSAGES)) for task in CS224N}
    alone = [(sentence,) for passage in passages["sentiment"][: PASSAGES // 2] for sentence in passage]
    together = [passage for by_task in passages.values() for passage in by_task]
    sources = {_SENTENCES: alone, _PASSAGES: together}
    examples: dict[str, dict[Split, list[Example]]] = {
        task.name: {"train": [Example(str(i), text, None) for i, text in enumerate(texts)]}
        for task, texts in sources.items()
    }
    return Corpus(name="demo passages", tasks=tuple(sources), examples=examples)


def _tokenizer(corpus: Corpus) -> BertWordPieceTokenizer:
    """WordPiece with lower case, as `bert-base-uncased` has it: whole words where the grammar has them, and for any
    other text the parts of words, down to single characters."""
    sentences = [s for splits in corpus.examples.values() for e in splits["train"] for s in e.sentences]
    learner = BertWordPieceTokenizer(lowercase=True)
    # Characters named here get their ids first: left to the learner they come in another order in every process.
    characters: list[str | AddedToken] = [
        *SPECIAL,
        *PUNCTUATION,
        *WORD_CHARACTERS,
        *(f"##{c}" for c in WORD_CHARACTERS),
    ]
    learner.train_from_iterator(iter(sentences), vocab_size=PIECES, special_tokens=characters, show_progress=False)
    learnt = learner.get_vocab()
    words = {word for s in sentences for word, _ in learner.pre_tokenizer.pre_tokenize_str(learner.normalize(s))}
    pieces = dict.fromkeys([*sorted(learnt, key=learnt.__getitem__), *sorted(words)])
    return BertWordPieceTokenizer({piece: i for i, piece in enumerate(pieces)}, lowercase=True)


def _new_encoder(tokenizer: BertWordPieceTokenizer) -> Encoder:
    """BERT's shape in small, with random weights: normally distributed, biases 0."""
    config = {
        "model_type": "bert",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 384,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": INITIAL_STD,
        "pad_token_id": 0,
    }
    empty = Encoder(name="demo", config=config, weights={}, tokenizer=tokenizer.to_str())
    generator = torch.Generator().manual_seed(SEED)
    weights = {}
    for name, tensor in Bert(empty.shape).state_dict().items():
        if tensor.ndim > 1:
            torch.nn.init.normal_(tensor, std=INITIAL_STD, generator=generator)
        elif name.endswith("bias"):
            tensor.zero_()
        weights[name] = tensor.numpy()
    return Encoder(name="demo", config=config, weights=weights, tokenizer=empty.tokenizer)


class _Progress:
    """A line now and then: step, mean loss since the last line, time."""

    def __init__(self) -> None:
        self._start, self._sum, self._count = time.perf_counter(), torch.zeros(()), 0

    def __call__(self, step: int, loss: Tensor) -> None:
        self._sum, self._count = self._sum + loss, self._count + 1
        if step % 250 == 0 or step == STEPS:
            minutes = (time.perf_counter() - self._start) / 60
            print(f"step {step}/{STEPS}  loss {float(self._sum) / self._count:.3f}  {minutes:.1f} min", file=sys.stderr)
            self._sum, self._count = torch.zeros(()), 0


if __name__ == "__main__":
    main()
