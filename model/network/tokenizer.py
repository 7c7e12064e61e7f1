"""WordPiece tokenizers of Hugging Face's BERT folders, in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from tokenizers.models import WordPiece

from model.errors import UserError
from model.network.shape import from_hub, local_folder, read_json, shown

_CONFIG_FILE = "tokenizer_config.json"
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", _CONFIG_FILE)


def tokenizer_of(name: str) -> Tokenizer:
    """The tokenizer of the encoder called `name` (`demo`, a folder, or a hub id), without its weights; see
    `read_tokenizer`."""
    folder = local_folder(name)
    if folder is None:
        with from_hub(name):
            folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=[*TOKENIZER_FILES]))
    return read_tokenizer(folder)


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a Hugging Face folder: its tokenizer.json, or what its vocab.txt and tokenizer_config.json come
    to.

    Raises UserError, naming the file, where there is none, or one without BERT's special tokens.
    """
    file = next((folder / name for name in ("tokenizer.json", "vocab.txt") if (folder / name).exists()), None)
    if file is None:
        raise UserError(f"{folder}: neither tokenizer.json nor vocab.txt")
    try:
        vocab = WordPiece.read_file(str(file)) if file.suffix == ".txt" else Tokenizer.from_file(str(file)).get_vocab()
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"{file}: not a tokenizer ({error})") from None
    for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
        if token not in vocab:
            raise UserError(f"{file}: the tokenizer has no {token} token")
    if len(set(vocab.values())) < len(vocab):
        raise UserError(f"{file}: two tokens have the same number; allowed is one each")
    config = read_json(folder / _CONFIG_FILE) if (folder / _CONFIG_FILE).exists() else {}
    tokenizer = _wordpiece(vocab, folder, config) if file.suffix == ".txt" else Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        tokenizer.encode("\U00013000")  # a hieroglyph, in no vocabulary
    except Exception as error:
        raise UserError(f"{file}: the tokenizer fails on a word that it does not know ({error})") from None
    return tokenizer


def _wordpiece(vocab: dict[str, int], folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    """BERT's own tokenizer with the vocabulary of a vocab.txt."""
    for key, allowed in (
        ("do_lower_case", (True, False)),
        ("tokenize_chinese_chars", (True, False)),
        ("strip_accents", (True, False, None)),
    ):
        if not any(config.get(key, True) is value for value in allowed):
            words = ", ".join(json.dumps(value) for value in allowed)
            value = shown(config[key])
            raise UserError(f"{folder / _CONFIG_FILE}: {key} is {value}; allowed are {words}")
    wordpiece = BertWordPieceTokenizer(
        vocab,
        lowercase=config.get("do_lower_case", True),
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
    )
    return Tokenizer.from_str(wordpiece.to_str())


def write_tokenizer(folder: Path, tokenizer: Tokenizer, max_length: int) -> None:
    """Writes `tokenizer` so that `transformers.AutoTokenizer` makes the same of every text."""
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    vocab = tokenizer.get_vocab()
    lines = "".join(f"{token}\n" for token in sorted(vocab, key=vocab.__getitem__))
    (folder / "vocab.txt").write_text(lines, encoding="utf-8")
    normalizer = _normalizer(tokenizer)
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": normalizer.get("lowercase", True),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
        "model_max_length": max_length,
    }
    (folder / _CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")


def _normalizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """What BERT's normalizer is set to; empty where the tokenizer has another."""
    normalizer = json.loads(tokenizer.to_str())["normalizer"] or {}
    steps = [normalizer, *normalizer.get("normalizers", [])]
    return next((step for step in steps if step["type"] == "BertNormalizer"), {})
