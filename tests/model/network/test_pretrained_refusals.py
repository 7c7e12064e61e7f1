"""What is said about an encoder folder that is not a whole BERT."""

import json
import shutil

import pytest
import torch

from model.errors import UserError
from model.network.pretrained import read_encoder
from tests.model.network.hf import SIZES, bert_folder, edit_json, edit_weights, vocabulary_only
from tests.support import VOCABULARY, refused


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return bert_folder(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bert")


WORDS = "embeddings.word_embeddings.weight"


def config(**changes):
    return lambda folder: edit_json(folder, "config.json", **changes)


def weights(edit):
    return lambda folder: edit_weights(folder, edit)


def without(missing):
    return lambda weights: {key: tensor for key, tensor in weights.items() if key != missing}


def write(file, content):
    return lambda folder: (folder / file).write_bytes(content)


def delete(file):
    return lambda folder: (folder / file).unlink()


def vocabulary_without(token):
    return lambda folder: vocabulary_only(folder, None, tuple(word for word in VOCABULARY if word != token))


def cut_short(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def only_a_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def tokenizer_vocabulary(edit):
    def change(folder):
        values = json.loads((folder / "tokenizer.json").read_text())
        edit(values)
        (folder / "tokenizer.json").write_text(json.dumps(values))

    return change


def forget_mask(values):
    del values["model"]["vocab"]["[MASK]"]
    values["added_tokens"] = [token for token in values["added_tokens"] if token["content"] != "[MASK]"]


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (
            config(model_type="roberta"),
            "{folder}: model_type is 'roberta' in config.json; only 'bert' can be fine-tuned here",
        ),
        (config(model_type=None), "{folder}: model_type is None in config.json; only 'bert' can be fine-tuned here"),
        (
            config(position_embedding_type="relative_key"),
            "{folder}: position_embedding_type is 'relative_key' in config.json; only 'absolute' is BERT's",
        ),
        (
            config(hidden_act="silu"),
            "{folder}: hidden_act is 'silu' in config.json; known are gelu, gelu_new, gelu_pytorch_tanh, relu",
        ),
        (
            config(hidden_size=None),
            "{folder}: hidden_size is None in config.json; allowed is a whole number from 1 to 10000000",
        ),
        (
            config(num_hidden_layers=0),
            "{folder}: num_hidden_layers is 0 in config.json; allowed is a whole number from 1 to 10000000",
        ),
        (
            config(num_attention_heads=3),
            "{folder}: num_attention_heads is 3 in config.json; allowed is what divides hidden_size, 16",
        ),
        (
            delete("config.json"),
            "{folder}/config.json: no such file; an encoder folder has config.json and model.safetensors",
        ),
        (
            write("config.json", b'{"model_type": '),
            "{folder}/config.json: not JSON (Expecting value: line 1 column 16 (char 15))",
        ),
        (write("config.json", b"[]"), "{folder}/config.json: not a JSON object"),
        (
            config(num_hidden_layers=3),
            "{folder}/model.safetensors: weights of 2 layers; num_hidden_layers is 3 in config.json",
        ),
        (
            config(num_hidden_layers=1),
            "{folder}/model.safetensors: weights of 2 layers; num_hidden_layers is 1 in config.json",
        ),
        (weights(without(WORDS)), f"{{folder}}/model.safetensors: the key '{WORDS}' is missing"),
        (
            weights(without("pooler.dense.bias")),
            "{folder}/model.safetensors: the key 'pooler.dense.bias' is missing (1 in all)",
        ),
        (
            weights(lambda w: w | {"encoder.layer.0.adapter.weight": torch.zeros(2)}),
            "{folder}/model.safetensors: no place in a BERT of 2 layers for the key 'encoder.layer.0.adapter.weight'",
        ),
        (
            config(intermediate_size=25),
            "{folder}/model.safetensors: 'encoder.layer.0.intermediate.dense.weight' has shape (24, 16); "
            "(25, 16) follows from config.json",
        ),
        (
            config(vocab_size=100),
            f"{{folder}}/model.safetensors: '{WORDS}' has shape ({SIZES['vocab_size']}, 16); "
            "(100, 16) follows from config.json",
        ),
        (delete("model.safetensors"), "{folder}: neither model.safetensors nor model.safetensors.index.json"),
        (
            only_a_pickle,
            "{folder}: neither model.safetensors nor model.safetensors.index.json; "
            "pytorch_model.bin is not read, since pickles can run code",
        ),
        (delete("tokenizer.json"), "{folder}: neither tokenizer.json nor vocab.txt"),
        (tokenizer_vocabulary(forget_mask), "{folder}/tokenizer.json: the tokenizer has no [MASK] token"),
        (vocabulary_without("[PAD]"), "{folder}/vocab.txt: the tokenizer has no [PAD] token"),
        (
            tokenizer_vocabulary(lambda values: values["model"]["vocab"].update(more=51)),
            "{folder}: the tokenizer knows 52 tokens; vocab_size is 51 in config.json",
        ),
        (
            write("tokenizer_config.json", b"{a}"),
            "{folder}/tokenizer_config.json: not JSON "
            "(Expecting property name enclosed in double quotes: line 1 column 2 (char 1))",
        ),
        (
            vocabulary_without("[SEP]"),
            "{folder}/vocab.txt: the tokenizer has no [SEP] token",
        ),
        (
            tokenizer_vocabulary(lambda values: values["model"]["vocab"].update(good=99)),
            "{folder}: the tokenizer knows 100 tokens; vocab_size is 51 in config.json",
        ),
        (
            config(type_vocab_size=1),
            "{folder}: type_vocab_size is 1 in config.json; allowed is a whole number from 2 to 10000000",
        ),
        (
            config(type_vocab_size=None),
            "{folder}: type_vocab_size is None in config.json; allowed is a whole number from 2 to 10000000",
        ),
        (
            config(layer_norm_eps="small"),
            "{folder}: layer_norm_eps is 'small' in config.json; allowed is a number between 0 and 1",
        ),
        (
            config(hidden_size=True),
            "{folder}: hidden_size is True in config.json; allowed is a whole number from 1 to 10000000",
        ),
        (
            config(hidden_act=["gelu"]),
            "{folder}: hidden_act is ['gelu'] in config.json; known are gelu, gelu_new, gelu_pytorch_tanh, relu",
        ),
        (
            config(is_decoder=True),
            "{folder}: is_decoder is True in config.json; only an encoder can be fine-tuned here",
        ),
        (
            weights(lambda w: w | {"bert.pooler.dense.bias": torch.ones(16)}),
            "{folder}/model.safetensors: the key 'pooler.dense.bias' stands in it twice, with 'bert.' and without",
        ),
    ],
)
def test_refuses(folder, damage, text):
    damage(folder)
    with refused(text.format(folder=folder)):
        read_encoder(str(folder))


def test_names_the_file_that_is_not_whole(folder):
    cut_short(folder)
    with pytest.raises(UserError, match=rf"^{folder}/model.safetensors: not a whole safetensors file \("):
        read_encoder(str(folder))


def test_names_the_tokenizer_that_is_none(folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=rf"^{folder}/tokenizer.json: not a tokenizer \("):
        read_encoder(str(folder))


@pytest.fixture
def sharded(tmp_path):
    return bert_folder(tmp_path / "bert", max_shard_size="8KB")


def test_names_the_missing_shard(sharded):
    shard = sorted(sharded.glob("model-*.safetensors"))[1]
    shard.unlink()
    with refused(f"{shard}: no such file, though {sharded}/model.safetensors.index.json names it"):
        read_encoder(str(sharded))


def test_names_an_index_that_is_none(sharded):
    edit_json(sharded, "model.safetensors.index.json", weight_map=["a"])
    with refused(f"{sharded}/model.safetensors.index.json: weight_map is no table from key to file"):
        read_encoder(str(sharded))


@pytest.mark.parametrize(
    "name",
    [
        "/no/such/folder",
        "a/b/c",
        "white space",
        "https://huggingface.co/a/b",
        "../bert",
    ],
)
def test_what_can_be_no_hub_id_is_not_looked_for_there(name):
    with refused(f"--encoder {name}: no such folder"):
        read_encoder(name)
