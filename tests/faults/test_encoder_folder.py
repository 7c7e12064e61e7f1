"""Broken encoder folders: each one is refused with one line that names the file and the key."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.errors import UserError
from model.network.pretrained import read_encoder, write_encoder
from model.network.shape import read_config
from tests.support import VOCABULARY, refused, tiny_encoder

WEIGHTS, CONFIG, TOKENIZER, VOCAB = "model.safetensors", "config.json", "tokenizer.json", "vocab.txt"
INDEX, TOKENIZER_CONFIG = "model.safetensors.index.json", "tokenizer_config.json"
BIAS = "pooler.dense.bias"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder, encoder = tmp_path_factory.mktemp("whole"), tiny_encoder()
    write_encoder(folder, encoder, {key: torch.tensor(array) for key, array in encoder.weights.items()})
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bert")


def refusal(folder: Path) -> str:
    """What is said of the folder: one line, not a long one."""
    with pytest.raises(UserError) as caught:
        read_encoder(str(folder))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400 + len(str(folder))
    return message


def edit(folder: Path, file: str, **changes: object) -> None:
    values = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(values | changes))


def edit_weights(folder: Path, **changes: torch.Tensor) -> None:
    save_file(load_file(folder / WEIGHTS) | changes, folder / WEIGHTS)


def test_the_whole_one_is_taken(folder):
    assert read_encoder(str(folder)).num_layers == 2


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG])
def test_a_file_that_is_a_folder(folder, file):
    (folder / file).unlink()
    (folder / file).mkdir()
    reason = {
        CONFIG: "not readable (Is a directory)",
        WEIGHTS: "a folder, not a safetensors file",
        TOKENIZER: "not a tokenizer (Is a directory (os error 21))",
        TOKENIZER_CONFIG: "not readable (Is a directory)",
    }[file]
    with refused(f"{folder / file}: {reason}"):
        read_encoder(str(folder))


def test_a_file_in_place_of_the_folder(folder):
    with refused(f"--encoder {folder / WEIGHTS}: a file; give the folder it lies in"):
        read_encoder(str(folder / WEIGHTS))


# --------------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("part", [0.0, 7, 8, 0.05, 0.13, 0.135, 0.5, 0.9, 0.9999])
def test_cut_off(folder, part):
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: part if isinstance(part, int) else int(part * len(content))])
    assert refusal(folder).startswith(f"{folder / WEIGHTS}: not a whole safetensors file (")


def test_too_long(folder):
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"\0")
    assert refusal(folder).startswith(f"{folder / WEIGHTS}: not a whole safetensors file (")


@pytest.mark.parametrize("seed", range(40))
def test_any_flipped_bit_of_the_header(folder, seed):
    content = bytearray((folder / WEIGHTS).read_bytes())
    names = content.index(b'"data_offsets"')  # before them stand the length, and metadata that says nothing
    rng = random.Random(seed)
    where = rng.choice([*range(8), *range(names, 8 + int.from_bytes(content[:8], "little") - 8)])
    content[where] ^= 1 << rng.randrange(7)
    (folder / WEIGHTS).write_bytes(content)
    assert refusal(folder).startswith(f"{folder / WEIGHTS}: ")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({BIAS: torch.zeros(16, dtype=torch.int64)}, f"'{BIAS}' is of int64; allowed are {{dtypes}}"),
        ({BIAS: torch.zeros(16, dtype=torch.bool)}, f"'{BIAS}' is of bool; allowed are {{dtypes}}"),
        (
            {BIAS: torch.zeros(16, dtype=torch.float8_e4m3fn)},
            f"'{BIAS}' is of float8_e4m3fn; allowed are {{dtypes}}",
        ),
        ({BIAS: torch.full((16,), torch.nan)}, f"'{BIAS}' has numbers that are not finite in fp32"),
        ({BIAS: torch.tensor([-torch.inf] + [0.0] * 15)}, f"'{BIAS}' has numbers that are not finite in fp32"),
        (
            {BIAS: torch.full((16,), 1e300, dtype=torch.float64)},
            f"'{BIAS}' has numbers that are not finite in fp32",
        ),
        ({BIAS: torch.zeros(16, 1)}, f"'{BIAS}' has shape (16, 1); (16,) follows from config.json"),
        ({BIAS: torch.zeros(())}, f"'{BIAS}' has shape (); (16,) follows from config.json"),
        (
            {"encoder.layer.0.output.dense.weight": torch.zeros(16, 16)},
            "'encoder.layer.0.output.dense.weight' has shape (16, 16); (16, 32) follows from config.json",
        ),
        (
            {"encoder.layer.2.output.dense.bias": torch.zeros(16)},
            "weights of 3 layers; num_hidden_layers is 2 in config.json",
        ),
        ({"decoder.weight": torch.zeros(1)}, "no place in a BERT of 2 layers for the key 'decoder.weight'"),
        ({"": torch.zeros(1)}, "no place in a BERT of 2 layers for the key ''"),
    ],
)
def test_a_wrong_tensor(folder, changes, text):
    edit_weights(folder, **changes)
    with refused(f"{folder / WEIGHTS}: {text.format(dtypes='float16, bfloat16, float32, float64')}"):
        read_encoder(str(folder))


def test_any_missing_key(folder):
    whole = load_file(folder / WEIGHTS)
    for key in whole:
        save_file({other: tensor for other, tensor in whole.items() if other != key}, folder / WEIGHTS)
        assert refusal(folder).startswith(f"{folder / WEIGHTS}: the key '{key}' is missing")


@pytest.mark.parametrize(
    ("key", "size"), [("vocab_size", 10**7), ("max_position_embeddings", 10**7), ("intermediate_size", 10**7),
                      ("type_vocab_size", 10**7), ("num_hidden_layers", 10**7), ("hidden_size", 10**7)],
)  # fmt: skip
def test_sizes_beyond_all_memory_are_refused_before_any_is_taken(folder, key, size):
    edit(folder, CONFIG, **{key: size})
    assert str(size) in refusal(folder)


@pytest.mark.parametrize("name", ["../bert/model.safetensors", "/etc/passwd", "a/b.safetensors", "x.bin", "", ".."])
def test_an_index_that_leads_elsewhere(folder, name):
    shutil.copy(folder / WEIGHTS, folder / "x.bin")
    (folder / WEIGHTS).rename(folder.parent / WEIGHTS)
    (folder / INDEX).write_text(json.dumps({"weight_map": {BIAS: name}}))
    with refused(f"{folder / INDEX}: weight_map names {name!r}; allowed are *.safetensors files beside it"):
        read_encoder(str(folder))


def test_a_key_in_two_shards(folder):
    shutil.move(folder / WEIGHTS, folder / "model-1.safetensors")
    save_file({BIAS: torch.zeros(16)}, folder / "model-2.safetensors")
    map_ = {"a": "model-1.safetensors", BIAS: "model-2.safetensors"}
    (folder / INDEX).write_text(json.dumps({"weight_map": map_}))
    with refused(f"{folder / 'model-2.safetensors'}: the key '{BIAS}' stands in another file too"):
        read_encoder(str(folder))


# ---------------------------------------------------------------------------------------------------- config.json

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
         "max_position_embeddings", "type_vocab_size")  # fmt: skip


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("value", [None, 0, -1, 1.5, 10**7 + 1, True, "16", [], {}, [16]])
def test_a_size_that_is_none(folder, key, value):
    edit(folder, CONFIG, **{key: value})
    least = 2 if key == "type_vocab_size" else 1
    with refused(f"{folder}: {key} is {value!r} in config.json; allowed is a whole number from {least} to 10000000"):
        read_config(str(folder))


@pytest.mark.parametrize("key", ["model_type", *(size for size in SIZES if size != "type_vocab_size")])
def test_a_missing_field(folder, key):
    values = json.loads((folder / CONFIG).read_text())
    del values[key]
    (folder / CONFIG).write_text(json.dumps(values))
    assert refusal(folder).startswith(f"{folder}: {key} is None in config.json; ")


@pytest.mark.parametrize("value", [0, -1e-12, 1, 1.0, True, "1e-12", None, []])
def test_a_layer_norm_eps_that_is_none(folder, value):
    edit(folder, CONFIG, layer_norm_eps=value)
    with refused(f"{folder}: layer_norm_eps is {value!r} in config.json; allowed is a number between 0 and 1"):
        read_encoder(str(folder))


@pytest.mark.parametrize("model_type", ["roberta", "distilbert", "BERT", "bert ", ["bert"], {"bert": 1}, 7])
def test_another_model(folder, model_type):
    edit(folder, CONFIG, model_type=model_type)
    with refused(f"{folder}: model_type is {model_type!r} in config.json; only 'bert' can be fine-tuned here"):
        read_encoder(str(folder))


@pytest.mark.parametrize("heads", [3, 17, 10**7])
def test_heads_that_do_not_divide_the_width(folder, heads):
    edit(folder, CONFIG, num_attention_heads=heads)
    with refused(f"{folder}: num_attention_heads is {heads} in config.json; allowed is what divides hidden_size, 16"):
        read_encoder(str(folder))


# ------------------------------------------------------------------------------------------------------ tokenizer


def edit_vocabulary(folder: Path, **changes: int) -> None:
    values = json.loads((folder / TOKENIZER).read_text())
    values["model"]["vocab"] |= changes
    (folder / TOKENIZER).write_text(json.dumps(values))


def test_two_tokens_of_one_number(folder):
    edit_vocabulary(folder, film=VOCABULARY.index("plot"))
    with refused(f"{folder / TOKENIZER}: two tokens have the same number; allowed is one each"):
        read_encoder(str(folder))


def test_a_tokenizer_of_a_larger_vocabulary(folder):
    edit_vocabulary(folder, more=len(VOCABULARY))
    with refused(f"{folder}: the tokenizer knows 52 tokens; vocab_size is 51 in config.json"):
        read_encoder(str(folder))


def test_a_tokenizer_of_a_much_smaller_vocabulary_is_warned_of(folder):
    key = "embeddings.word_embeddings.weight"
    for more in (127, 128):
        words = torch.cat([load_file(folder / WEIGHTS)[key][: len(VOCABULARY)], torch.zeros(more, 16)])
        edit_weights(folder, **{key: words})
        edit(folder, CONFIG, vocab_size=len(words))
        if more == 127:  # padding, that no tokenizer need know
            read_encoder(str(folder))
    text = f"^{folder}: the tokenizer knows 51 tokens, the model 179: do they belong together\\?$"
    with pytest.warns(UserWarning, match=text):
        read_encoder(str(folder))


def test_a_tokenizer_that_fails_on_unknown_words(folder):
    values = json.loads((folder / TOKENIZER).read_text())
    values["model"]["unk_token"] = "<unk>"
    (folder / TOKENIZER).write_text(json.dumps(values))
    assert refusal(folder).startswith(f"{folder / TOKENIZER}: the tokenizer fails on a word that it does not know (")


@pytest.mark.parametrize("key", ["do_lower_case", "tokenize_chinese_chars", "strip_accents"])
@pytest.mark.parametrize("value", ["true", 1, 0, [], {}])
def test_a_tokenizer_setting_that_is_none(folder, key, value):
    (folder / TOKENIZER).unlink()
    edit(folder, TOKENIZER_CONFIG, **{key: value})
    allowed = "true, false, null" if key == "strip_accents" else "true, false"
    with refused(f"{folder / TOKENIZER_CONFIG}: {key} is {value!r}; allowed are {allowed}"):
        read_encoder(str(folder))


@pytest.mark.parametrize("file", [TOKENIZER, VOCAB])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"null", b"[" * 100_000])
def test_a_tokenizer_that_is_none(folder, file, content):
    if file == VOCAB:
        (folder / TOKENIZER).unlink()
    (folder / file).write_bytes(content)
    assert refusal(folder).startswith(f"{folder / file}: ")
