"""A trained model as a folder, and an ensemble of them."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from model.data.tasks import CS224N
from model.errors import UserError
from model.network.multitask import MultitaskBert
from model.network.saved import (
    member_folder,
    read_ensemble,
    read_max_tokens,
    read_model,
    read_precision,
    write_ensemble,
    write_model,
)
from model.training.evaluate import outputs
from tests.support import refused, states, tiny_config, tiny_encoder

WHOLE = "a model folder has config.json, tasks.json, evaluation.json, heads.safetensors and encoder/ or encoders/"


@pytest.mark.parametrize(
    "config",
    [
        tiny_config(),
        tiny_config(
            encoder={"freeze_depth": 1, "pooling": "mean"},
            head={"common_layers": 2, "layer_norm": True, "activation": "gelu"},
            similarity={"pair_features": "product", "task_layers": 3},
            schedule="linear",
        ),
    ],
    ids=["plain", "deep"],
)
def test_says_the_same_when_read_again(tmp_path, config, encoder, tokens):
    torch.manual_seed(0)
    model = MultitaskBert(config, CS224N, encoder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    expected = outputs(model, tokens, "dev", "fp32")
    write_model(tmp_path, model, encoder, "bf16")
    again, its_encoder = read_model(tmp_path)
    assert again.config == config
    assert its_encoder.tokenizer == encoder.tokenizer
    assert read_precision(tmp_path) == "bf16"
    for task, said in outputs(again, tokens, "dev", "fp32").items():
        np.testing.assert_array_equal(said, expected[task])

    theirs = transformers.AutoModel.from_pretrained(tmp_path / "encoder").eval()
    ids = torch.tensor([[2, 8, 20, 30, 3], [2, 9, 3, 21, 3]])
    with torch.no_grad():
        hidden = states(model.eval().bert, ids, torch.zeros_like(ids))
        torch.testing.assert_close(theirs(input_ids=ids).last_hidden_state, hidden, rtol=0, atol=1e-5)


@pytest.fixture
def folder(tmp_path, config, encoder):
    write_model(tmp_path / "model", MultitaskBert(config, CS224N, encoder), encoder, "fp32")
    return tmp_path / "model"


def test_holds_nothing_to_unpickle(folder):
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".safetensors", ".json", ".txt"}


def read(folder):
    read_model(folder)
    read_precision(folder)


@pytest.mark.parametrize("file", ["config.json", "tasks.json", "evaluation.json", "heads.safetensors"])
def test_a_file_that_is_missing(folder, file):
    (folder / file).unlink()
    with refused(f"{folder / file}: no such file; {WHOLE}"):
        read(folder)


def test_an_encoder_that_is_missing_is_not_looked_for_on_the_hub(folder, monkeypatch):
    shutil.rmtree(folder / "encoder")
    monkeypatch.chdir(folder.parent)
    relative = folder.relative_to(folder.parent)
    with refused(f"{relative}/encoder: no such folder; {WHOLE}"):
        read_model(relative)


def changed(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("file", ["config.json", "tasks.json", "evaluation.json"])
def test_a_file_that_is_torn(folder, file):
    (folder / file).write_text((folder / file).read_text()[:9])
    with pytest.raises(UserError, match=rf"{file}: not JSON \("):
        read(folder)


@pytest.mark.parametrize("file", ["heads.safetensors", "encoder/model.safetensors"])
def test_weights_that_are_torn(folder, file):
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=rf"{file}: not a whole safetensors file \("):
        read_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda values: values.update(heads={}),
            "not a model's configuration: TrialConfig has no field 'heads': did you mean 'head'?",
        ),
        (
            lambda values: values.pop("tasks"),
            "not a model's configuration: TrialConfig.tasks is missing",
        ),
        (
            lambda values: values["tasks"].update({"../x": values["tasks"]["sentiment"]}),
            "it is of the tasks sentiment, paraphrase, similarity, ../x; tasks.json beside it is of sentiment, "
            "paraphrase, similarity",
        ),
    ],
)
def test_a_configuration_of_something_else(folder, change, message):
    changed(folder / "config.json", change)
    with refused(f"{folder / 'config.json'}: {message}"):
        read_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("tasks"), "not a model's tasks: tasks are None; allowed is a list of tables"),
        (
            lambda values: values.update(tasks=["sentiment"]),
            "not a model's tasks: a task is 'sentiment'; allowed is a table",
        ),
        (lambda values: values.update(tasks=[]), "not a model's tasks: there is no task; allowed are one or more"),
        (
            lambda values: values["tasks"][1].update(name="sentiment"),
            "not a model's tasks: two tasks are called 'sentiment'",
        ),
        (
            lambda values: values["tasks"][0].update(name="../x"),
            "not a model's tasks: name is '../x'; allowed are up to 40 letters, digits, '_' and '-', a letter first",
        ),
        (
            lambda values: values["tasks"][0].update(files="a.csv"),
            "not a model's tasks: a task has no 'files'; allowed are name, sentences, label, label_kind, classes, "
            "labels, range, metric",
        ),
        (
            lambda values: values["tasks"][2].pop("range"),
            "not a model's tasks: range is missing; allowed is two numbers from -1000000 to 1000000, the lowest label "
            "and the highest one",
        ),
    ],
)
def test_tasks_of_something_else(folder, change, message):
    changed(folder / "tasks.json", change)
    with refused(f"{folder / 'tasks.json'}: {message}"):
        read_model(folder)


def test_a_configuration_of_another_encoder(folder):
    changed(folder / "config.json", lambda values: values["encoder"].update(freeze_depth=5))
    with refused(
        f"{folder / 'encoder'}: not of the configuration beside it: EncoderConfig.freeze_depth = 5: allowed is 0 to 2, "
        "the encoder's layers"
    ):
        read_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda heads: heads.pop("heads.sentiment.output.1.bias"),
            "the key 'heads.sentiment.output.1.bias' is missing in a model of the configuration beside it",
        ),
        (
            lambda heads: heads.update(extra=torch.ones(1)),
            "the key 'extra' has no place in a model of the configuration beside it",
        ),
        (
            lambda heads: heads.update({"heads.sentiment.output.1.bias": torch.ones(4)}),
            "'heads.sentiment.output.1.bias' has shape (4,); (5,) follows from the configuration beside it",
        ),
        (
            lambda heads: heads.update({"heads.sentiment.output.1.bias": torch.full((5,), torch.nan)}),
            "'heads.sentiment.output.1.bias' is not of finite numbers in fp32",
        ),
        (
            lambda heads: heads.update({"heads.sentiment.output.1.bias": torch.ones(5, dtype=torch.int64)}),
            "'heads.sentiment.output.1.bias' is not of finite numbers in fp32",
        ),
    ],
)
def test_heads_of_something_else(folder, change, message):
    path = folder / "heads.safetensors"
    heads = load_file(path)
    change(heads)
    save_file(heads, path)
    with refused(f"{path}: {message}"):
        read_model(folder)


def test_a_precision_that_is_none(folder):
    (folder / "evaluation.json").write_text('{"precision": "fp8"}')
    with refused(f"{folder / 'evaluation.json'}: precision is 'fp8'; allowed are fp32, bf16, fp16"):
        read_precision(folder)


@pytest.mark.parametrize("found", [None, 7, 49, 12.0, True, "48"])
def test_tokens_that_it_cannot_cut_to(folder, encoder, found):
    assert read_max_tokens(folder, encoder) == 48
    changed(folder / "evaluation.json", lambda values: values.update(max_tokens=found))
    with refused(
        f"{folder / 'evaluation.json'}: max_tokens is {found!r}; allowed is a whole number from 8 to 48, the encoder's "
        "positions"
    ):
        read_max_tokens(folder, encoder)


def test_a_tasks_own_encoder_of_another_shape(tmp_path, encoder):
    config = tiny_config(encoder={"branch_layers": 1})
    for layers in (2, 3):
        pretrained = tiny_encoder(layers=layers)
        write_model(tmp_path / str(layers), MultitaskBert(config, CS224N, pretrained), pretrained, "fp32")
    own = tmp_path / "2" / "encoders" / "paraphrase"
    shutil.rmtree(own)
    shutil.copytree(tmp_path / "3" / "encoders" / "paraphrase", own)
    with refused(f"{own}: another shape or tokenizer than in {tmp_path / '2' / 'encoders' / 'sentiment'}"):
        read_model(tmp_path / "2")


# ------------------------------------------------------------------------------------------------------- ensembles


COUNTS = {"sentiment": {"t001": 3, "t002-seed-1": 1}, "paraphrase": {"t001": 1}, "similarity": {"t002-seed-1": 2}}


def test_members(folder, tmp_path):
    assert read_ensemble(folder) is None
    ensemble = tmp_path / "ensemble"
    for name in ("t001", "t002-seed-1"):
        shutil.copytree(folder, member_folder(ensemble, name))
    write_ensemble(ensemble, COUNTS)
    assert read_ensemble(ensemble) == COUNTS


def test_what_is_no_model(tmp_path):
    with refused(
        f"{tmp_path / 'x'}: no such folder; allowed is one with a trained model, such as runs/NAME/refit/model"
    ):
        read_ensemble(tmp_path / "x")
    with refused(
        f"{tmp_path}: no trained model: neither config.json nor ensemble.json is in it; allowed is a folder such as "
        "runs/NAME/refit/model"
    ):
        read_ensemble(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, ": members is None; allowed is an object of tasks"),
        ({"members": {}}, ": members is {}; allowed is an object of tasks"),
        ({"members": ["a"]}, ": members is ['a']; allowed is an object of tasks"),
        (
            {"members": {"sentiment": {}}},
            ": sentiment has {}; allowed is an object of members and whole numbers from 1",
        ),
        (
            {"members": {"sentiment": "a"}},
            ": sentiment has 'a'; allowed is an object of members and whole numbers from 1",
        ),
        (
            {"members": {"sentiment": {"../a": 1}}},
            ": sentiment has a member '../a'; allowed are letters, digits, '_', '-' and '.'",
        ),
        (
            {"members": {"sentiment": {"a": 0}}},
            ": sentiment: the member a counts 0; allowed is a whole number from 1 to 1000",
        ),
        (
            {"members": {"sentiment": {"a": 1.5}}},
            ": sentiment: the member a counts 1.5; allowed is a whole number from 1 to 1000",
        ),
        (
            {"members": {"sentiment": {"a": True}}},
            ": sentiment: the member a counts True; allowed is a whole number from 1 to 1000",
        ),
    ],
)
def test_what_is_no_ensemble(tmp_path, values, message):
    (tmp_path / "ensemble.json").write_text(json.dumps(values))
    with refused(f"{tmp_path / 'ensemble.json'}{message}"):
        read_ensemble(tmp_path)


def test_who_may_read_one_file_may_read_all(tmp_path, encoder):
    """As the umask says: a colleague, of a folder that is shared."""
    before = os.umask(0o027)
    try:
        write_model(tmp_path, MultitaskBert(tiny_config(), CS224N, encoder), encoder, "fp32")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"heads.safetensors", "model.safetensors"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o640}
