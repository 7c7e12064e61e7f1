"""Files made to do harm: nothing that is handed over is unpickled, and odd JSON is an error like any other."""

import ast
import json
import pickle
import shutil
import zlib
from pathlib import Path

import pytest
import torch

from model.data.corpus import read_corpus
from model.data.tasks import CS224N, CS224N_SOURCES
from model.errors import UserError
from model.network.multitask import MultitaskBert
from model.network.pretrained import read_encoder, write_encoder
from model.network.saved import read_model, write_model
from model.training import checkpoint
from model.training.checkpoint import Damaged, load_newest, save_state
from tests.support import refused, tiny_encoder

ROOT = Path(__file__).parents[2]


class Payload:
    """Unpickled, it makes the file `marker`."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    """A file that must not be there at the end of the test."""
    path = tmp_path / "marker"
    yield path
    assert not path.exists()


@pytest.fixture(params=["pickle", "torch.save"])
def bomb(request, marker, tmp_path) -> bytes:
    if request.param == "pickle":
        return pickle.dumps(Payload(marker))
    torch.save({"weight": Payload(marker)}, tmp_path / "bomb")
    return (tmp_path / "bomb").read_bytes()


@pytest.fixture
def folder(tmp_path):
    encoder = tiny_encoder()
    write_encoder(tmp_path / "bert", encoder, {key: torch.tensor(array) for key, array in encoder.weights.items()})
    return tmp_path / "bert"


def test_the_payload_is_live(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "marker")))  # noqa: S301
    assert (tmp_path / "marker").exists()


# -------------------------------------------------------------------------------------------------------- pickles


def test_an_encoder_of_pickled_weights(folder, bomb):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(bomb)
    with refused(
        f"{folder}: neither model.safetensors nor model.safetensors.index.json; "
        "pytorch_model.bin is not read, since pickles can run code"
    ):
        read_encoder(str(folder))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pkl", "a.npy"])
def test_pickles_beside_the_weights_are_left_alone(folder, bomb, name):
    (folder / name).write_bytes(bomb)
    assert read_encoder(str(folder)).fingerprint() == tiny_encoder().fingerprint()


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_pickle_under_the_name_of_an_encoders_file(folder, bomb, file):
    (folder / file).write_bytes(bomb)
    with pytest.raises(UserError) as caught:
        read_encoder(str(folder))
    assert str(caught.value).startswith(f"{folder / file}: not ")


def test_an_index_that_names_a_pickle(folder, bomb):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(bomb)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"pooler.dense.bias": "pytorch_model.bin"}}))
    with refused(f"{index}: weight_map names 'pytorch_model.bin'; allowed are *.safetensors files beside it"):
        read_encoder(str(folder))


@pytest.mark.parametrize("name", ["state.pt", "state.pkl", "optimizer.bin", "data.pkl"])
def test_pickles_beside_a_checkpoint_are_left_alone(tmp_path, bomb, name):
    save_state(tmp_path / "state", {"w": torch.ones(3)}, {"epoch": 1})
    (tmp_path / "state" / name).write_bytes(bomb)
    assert load_newest(tmp_path / "state").values == {"epoch": 1}


def test_a_checkpoint_whose_tensors_are_a_pickle(tmp_path, bomb):
    """With checksums that fit, since whoever plants it can compute them."""
    save_state(tmp_path / "state", {"w": torch.ones(3)}, {"epoch": 1})
    (tmp_path / "state" / "state.safetensors").write_bytes(bomb)
    described = checkpoint._to_json({"bytes": len(bomb), "crc32": zlib.crc32(bomb), "values": {"epoch": 1}})
    (tmp_path / "state" / "state.json").write_bytes(described)
    with pytest.raises(Damaged, match=r"state\.safetensors: not what was saved: .*header"):
        load_newest(tmp_path / "state")


def test_a_checkpoint_whose_values_are_a_pickle(tmp_path, bomb):
    save_state(tmp_path / "state", {"w": torch.ones(3)}, {"epoch": 1})
    (tmp_path / "state" / "state.json").write_bytes(bomb)
    with pytest.raises(Damaged, match=r"state\.json: not what was saved"):
        load_newest(tmp_path / "state")


def test_a_model_whose_heads_are_a_pickle(tmp_path, bomb, config, encoder):
    write_model(tmp_path / "model", MultitaskBert(config, CS224N, encoder), encoder, "fp32")
    (tmp_path / "model" / "heads.safetensors").write_bytes(bomb)
    with pytest.raises(UserError, match=r"heads\.safetensors: not a whole safetensors file \(.*header"):
        read_model(tmp_path / "model")


def test_a_data_file_that_is_a_pickle(tmp_path, bomb):
    for source in CS224N_SOURCES:
        for file in (source.train, source.dev):
            (tmp_path / str(file)).write_bytes(bomb)
    with pytest.raises(UserError, match=r"ids-sst-train\.csv(:\d+)?: "):
        read_corpus(str(tmp_path))


# ----------------------------------------------------------------------------------------------------------- JSON

DEEP = "nested too deeply; allowed are 100 levels"


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "model.safetensors.index.json"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, DEEP),
        ('{"a":' * 100_000, DEEP),
        ('{"a": ' + "[" * 500 + "]" * 500 + "}", DEEP),  # Python reads it, and could not hand it to another process
        ('{"a": 1, "a": 2}', "not JSON (the key 'a' stands in it twice)"),
        ('{"a": {"b": 1, "b": 1}}', "not JSON (the key 'b' stands in it twice)"),
        ('{"a": NaN}', "not JSON (NaN is no number)"),
        ('{"a": -Infinity}', "not JSON (-Infinity is no number)"),
        ('["__class__"]', "not a JSON object"),
        ("{'a': 1}", "not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
    ],
)
def test_odd_json(folder, file, text, reason):
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    (folder / file).write_text(text)
    with refused(f"{folder / file}: {reason}"):
        read_encoder(str(folder))


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 4000, "1e999", "-1e999", "1e-999"])
@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "layer_norm_eps"])
def test_huge_and_tiny_numbers(folder, key, digits):
    values = json.loads((folder / "config.json").read_text())
    del values[key]
    (folder / "config.json").write_text(f'{json.dumps(values)[:-1]}, "{key}": {digits}}}')
    with pytest.raises(UserError) as caught:
        read_encoder(str(folder))
    message = str(caught.value)
    assert message.startswith((f"{folder}: {key} is ", f"{folder / 'config.json'}: not JSON ("))
    assert len(message) < 300 + len(str(folder))


@pytest.mark.parametrize("key", ["__class__", "__reduce__", "__init__", "__dict__", "py/object", "../../x"])
def test_keys_that_mean_something_elsewhere_mean_nothing_here(folder, config, encoder, tmp_path, key):
    value = ["os.system", "touch marker"]
    values = json.loads((folder / "config.json").read_text()) | {key: value}
    (folder / "config.json").write_text(json.dumps(values))
    assert read_encoder(str(folder)).fingerprint() == tiny_encoder().fingerprint()

    write_model(tmp_path / "model", MultitaskBert(config, CS224N, encoder), encoder, "fp32")
    (tmp_path / "model" / "config.json").write_text(json.dumps(config.to_dict() | {key: value}))
    with pytest.raises(UserError, match=f"config.json: not a model's configuration: TrialConfig has no field '{key}'"):
        read_model(tmp_path / "model")


def test_tasks_named_like_paths_lead_nowhere(config, encoder, tmp_path):
    write_model(tmp_path / "model", MultitaskBert(config, CS224N, encoder), encoder, "fp32")
    values = config.to_dict()
    values["tasks"]["../../x"] = values["tasks"].pop("similarity")
    (tmp_path / "model" / "config.json").write_text(json.dumps(values))
    shutil.copytree(tmp_path / "model" / "encoder", tmp_path / "x")
    with pytest.raises(UserError, match=r"config\.json: it is of the tasks sentiment, paraphrase, \.\./\.\./x; "):
        read_model(tmp_path / "model")
    path = tmp_path / "model" / "tasks.json"
    path.write_text(path.read_text().replace('"name": "similarity"', '"name": "../../x"'))
    with pytest.raises(UserError, match=r"tasks\.json: not a model's tasks: name is '\.\./\.\./x'; allowed are "):
        read_model(tmp_path / "model")


# --------------------------------------------------------------------------------------------------- the code itself

PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
LOADERS = {("torch", "load"), ("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("hub", "load")}


def unsafe(source: str) -> list[str]:
    """What in `source` can run what a file says: pickles in all their guises, and code made from text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if PICKLES & set(alias.name.split("."))]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name for name in names if PICKLES & set(name.split(".")) or name in ("torch.load", "yaml.load")]
        elif isinstance(node, ast.Call):
            found += _unsafe_call(node)
    return found


def _unsafe_call(node: ast.Call) -> list[str]:
    match node.func:
        case ast.Name(id="eval" | "exec" as name):
            return [name]
        case ast.Attribute(value=ast.Name(id=module) | ast.Attribute(attr=module), attr=name) if (
            module,
            name,
        ) in LOADERS:
            return [f"{module}.{name}"]
    pickled = [k for k in node.keywords if k.arg == "allow_pickle" and not (
        isinstance(k.value, ast.Constant) and k.value.value is False)]  # fmt: skip
    return ["allow_pickle"] * len(pickled)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", ["pickle"]),
        ("import os, cloudpickle as c", ["cloudpickle"]),
        ("from ray import cloudpickle", ["ray.cloudpickle"]),
        ("from pickle import loads", ["pickle.loads"]),
        ("from torch import load", ["torch.load"]),
        ("def f(p):\n    return torch.load(p, weights_only=False)", ["torch.load"]),
        ("torch.hub.load('a/b')", ["hub.load"]),
        ("yaml.load(text)", ["yaml.load"]),
        ("numpy.load(p, allow_pickle=True)", ["allow_pickle"]),
        ("np.load(p, allow_pickle=mode)", ["allow_pickle"]),
        ("eval(text)", ["eval"]),
        ("exec(compile(text, 'x', 'exec'))", ["exec"]),
        ("model.eval(); json.load(f); np.load(p); np.load(p, allow_pickle=False); load_file(p)  # pickle", []),
    ],
)
def test_what_counts_as_unsafe(source, found):
    assert unsafe(source) == found


def test_nothing_is_unpickled_and_only_space_files_are_run():
    files = [path for room in ("model", "search", "analysis") for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(files) > 50
    found = {str(path.relative_to(ROOT)): unsafe(path.read_text(encoding="utf-8")) for path in files}
    assert {path: names for path, names in found.items() if names} == {"search/space.py": ["exec"]}
