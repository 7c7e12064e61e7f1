"""Encoder folders as transformers and others write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from model.network.bert import Bert, pool
from model.network.pretrained import Encoder
from tests.support import VOCABULARY, states, tiny_encoder

SIZES: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
}
TEXTS = ["The café films, not good.", "THE Film is unlikely", "films 🙂 中文 caf\u00e9s\u200b [MASK]."]


def bert_folder(folder: Path, model_class: str = "BertModel", **saving) -> Path:
    """A random BERT of transformers and a tokenizer, saved."""
    torch.manual_seed(0)
    model = getattr(transformers, model_class)(transformers.BertConfig(**SIZES))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.to(saving.pop("dtype", torch.float32)).save_pretrained(folder, **saving)
    (folder / "tokenizer.json").write_text(tiny_encoder().tokenizer)
    return folder


def vocabulary_only(folder: Path, tokenizer_config: dict | None, vocabulary: tuple[str, ...] = VOCABULARY) -> Path:
    """The folder with vocab.txt in place of tokenizer.json, as old ones are."""
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    if tokenizer_config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    return folder


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(edit(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})


def edit_json(folder: Path, file: str, **changes) -> None:
    values = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(values | changes))


@torch.no_grad()
def outputs_of_theirs(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    theirs = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    reference = theirs(input_ids=IDS, token_type_ids=SEGMENTS)
    return reference.last_hidden_state, reference.pooler_output


@torch.no_grad()
def outputs_of_ours(encoder: Encoder) -> tuple[torch.Tensor, torch.Tensor]:
    bert = Bert(encoder.shape).eval()
    encoder.load_into(bert)
    hidden = states(bert, IDS, SEGMENTS)
    return hidden, pool(bert.pooler, hidden[:, 0])


def ids_of_theirs(folder: Path) -> list[list[int]]:
    return transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, add_special_tokens=False)["input_ids"]


def ids_of_ours(encoder: Encoder) -> list[list[int]]:
    tokenizer = Tokenizer.from_str(encoder.tokenizer)
    return [encoding.ids for encoding in tokenizer.encode_batch(TEXTS, add_special_tokens=False)]


IDS = torch.tensor([[2, 20, 8, 31, 3, 9, 3], [2, 44, 5, 3, 17, 30, 3]])
SEGMENTS = torch.tensor([[0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1, 1]])
