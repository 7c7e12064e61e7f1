"""Encoder folders in and out, beside transformers."""

import json
import re
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.network.bert import Bert
from model.network.pretrained import read_encoder, write_encoder
from tests.model.network.hf import (
    bert_folder,
    edit_json,
    edit_weights,
    ids_of_ours,
    ids_of_theirs,
    outputs_of_ours,
    outputs_of_theirs,
    vocabulary_only,
)
from tests.support import VOCABULARY, tiny_encoder


def assert_alike(encoder, folder, tolerance=1e-5):
    for ours, theirs in zip(outputs_of_ours(encoder), outputs_of_theirs(folder), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


# ------------------------------------------------------------------------------------------------------------- in


@pytest.mark.parametrize("model_class", ["BertModel", "BertForPreTraining", "BertForSequenceClassification"])
def test_reads_what_transformers_saves(tmp_path, model_class):
    folder = bert_folder(tmp_path, model_class)
    prefixed = any(key.startswith("bert.") for key in load_file(folder / "model.safetensors"))
    assert prefixed == (model_class != "BertModel")
    assert_alike(read_encoder(str(folder)), folder)


def test_reads_shards(tmp_path):
    folder = bert_folder(tmp_path, max_shard_size="8KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert not (folder / "model.safetensors").exists()
    assert_alike(read_encoder(str(folder)), folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_reads_half_precision_as_fp32(tmp_path, dtype):
    folder = bert_folder(tmp_path, dtype=dtype)
    encoder = read_encoder(str(folder))
    assert {array.dtype for array in encoder.weights.values()} == {np.dtype(np.float32)}
    assert_alike(encoder, folder)


def test_reads_old_names_and_passes_over_what_holds_no_weights(tmp_path):
    folder = bert_folder(tmp_path, "BertForPreTraining")
    expected = outputs_of_theirs(folder)

    def as_in_2018(weights):
        weights["bert.embeddings.position_ids"] = torch.arange(20)[None]
        old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        return {re.sub("|".join(old), lambda m: old[m[0]], key): tensor for key, tensor in weights.items()}

    edit_weights(folder, as_in_2018)
    assert sum(key.endswith(".gamma") for key in load_file(folder / "model.safetensors")) == 6
    for ours, theirs in zip(outputs_of_ours(read_encoder(str(folder))), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_a_missing_pooler_is_warned_of_and_always_the_same(tmp_path):
    folder = bert_folder(tmp_path, "BertForMaskedLM")
    with pytest.warns(UserWarning, match=rf"^{folder} has no pooler: it starts from random weights, pooling='mean' "):
        one = read_encoder(str(folder))
    with pytest.warns(UserWarning, match="no pooler"):
        other = read_encoder(str(folder))
    assert one.fingerprint() == other.fingerprint()
    assert 0.015 < one.weights["pooler.weight"].std() < 0.025
    assert not one.weights["pooler.bias"].any()


@pytest.mark.parametrize(
    ("tokenizer_config", "first"),
    [
        (None, ["the", "caf", "##e", "film", "##s"]),
        ({"do_lower_case": True}, ["the", "caf", "##e", "film", "##s"]),
        ({"do_lower_case": False}, ["The", "caf", "##é", "film", "##s"]),
        ({"do_lower_case": True, "strip_accents": False}, ["the", "caf", "##é", "film", "##s"]),
    ],
)
def test_reads_vocab_txt_as_transformers_does(tmp_path, tokenizer_config, first):
    folder = vocabulary_only(bert_folder(tmp_path), tokenizer_config)
    encoder = read_encoder(str(folder))
    assert [VOCABULARY[i] for i in ids_of_ours(encoder)[0][:5]] == first
    assert ids_of_ours(encoder) == ids_of_theirs(folder)


def test_tokenizer_neither_cuts_nor_pads(tmp_path):
    folder = bert_folder(tmp_path)
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    pad = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
           "pad_token": "[PAD]"}  # fmt: skip
    expected = ids_of_ours(read_encoder(str(folder)))
    edit_json(folder, "tokenizer.json", truncation=cut, padding=pad)
    assert ids_of_ours(read_encoder(str(folder))) == expected


def test_reads_the_weights_once_made_read_only():
    encoder = tiny_encoder()
    for array in encoder.weights.values():
        array.flags.writeable = False  # as Ray's object store hands them out
    bert = Bert(encoder.shape)
    with warnings.catch_warnings(action="error"):
        encoder.load_into(bert)
    with torch.no_grad():
        bert.pooler.bias.add_(1)
    np.testing.assert_array_equal(encoder.weights["pooler.bias"], tiny_encoder().weights["pooler.bias"])


def test_fingerprint_follows_weights_and_tokenizer_alone(tmp_path):
    plain, elsewhere = bert_folder(tmp_path / "a"), bert_folder(tmp_path / "b", max_shard_size="8KB")
    fingerprint = read_encoder(str(plain)).fingerprint()
    assert read_encoder(str(elsewhere)).fingerprint() == fingerprint
    edit_weights(plain, lambda weights: weights | {"pooler.dense.bias": weights["pooler.dense.bias"] + 1e-3})
    assert read_encoder(str(plain)).fingerprint() != fingerprint
    vocabulary_only(elsewhere, {"do_lower_case": False})
    assert read_encoder(str(elsewhere)).fingerprint() != fingerprint


# ------------------------------------------------------------------------------------------------------------ out


def tensors(encoder) -> dict[str, torch.Tensor]:
    return {key: torch.tensor(array) for key, array in encoder.weights.items()}


@pytest.mark.parametrize("lowercase", [True, False])
def test_what_is_written_transformers_and_we_read_alike(tmp_path, lowercase):
    folder = vocabulary_only(bert_folder(tmp_path / "in"), {"do_lower_case": lowercase})
    encoder = read_encoder(str(folder))
    changed = {key: tensor * 1.1 for key, tensor in tensors(encoder).items()}
    write_encoder(tmp_path / "out", encoder, changed)
    back = read_encoder(str(tmp_path / "out"))
    assert all(torch.equal(torch.tensor(back.weights[key]), tensor) for key, tensor in changed.items())
    assert (back.shape, back.tokenizer) == (encoder.shape, encoder.tokenizer)
    assert_alike(back, tmp_path / "out")
    assert ids_of_theirs(tmp_path / "out") == ids_of_ours(encoder) == ids_of_theirs(folder)
    (tmp_path / "out" / "tokenizer.json").unlink()  # vocab.txt, for older readers
    assert ids_of_theirs(tmp_path / "out") == ids_of_ours(encoder)


@pytest.mark.parametrize(
    "tokenizer_config",
    [
        pytest.param({"do_lower_case": False}, id="cased"),
        pytest.param({"do_lower_case": True, "strip_accents": False}, id="accents"),
    ],
)
def test_writes_a_tokenizer_that_was_read_from_its_json_alone(tmp_path, tokenizer_config):
    transformers = pytest.importorskip("transformers")
    folder = vocabulary_only(bert_folder(tmp_path / "in"), tokenizer_config)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    (folder / "tokenizer_config.json").unlink()
    encoder = read_encoder(str(folder))
    write_encoder(tmp_path / "out", encoder, tensors(encoder))
    assert ids_of_theirs(tmp_path / "out") == ids_of_ours(encoder)


def test_writes_fp32_and_says_so(tmp_path):
    encoder = read_encoder(str(bert_folder(tmp_path / "in", dtype=torch.float16)))
    assert encoder.config["dtype"] == "float16"
    write_encoder(tmp_path / "out", encoder, tensors(encoder))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["dtype"], config["architectures"]) == ("float32", ["BertModel"])
    assert {tensor.dtype for tensor in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.float32}


def test_real_encoder_goes_out_and_in(real_encoder, real_encoder_folder, tmp_path):
    write_encoder(tmp_path, real_encoder, tensors(real_encoder))
    assert read_encoder(str(tmp_path)).fingerprint() == real_encoder.fingerprint()
    assert ids_of_theirs(tmp_path) == ids_of_theirs(real_encoder_folder) == ids_of_ours(real_encoder)
    assert_alike(real_encoder, tmp_path)
