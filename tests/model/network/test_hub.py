"""Encoders by their hub id, from a stand-in for the hub on this machine."""

import re
import socket

import pytest

from model.errors import UserError
from model.network.pretrained import read_encoder
from model.network.shape import another_can_be_named, read_config
from tests.model.hub_server import hub_of, in_a_process
from tests.model.network.hf import bert_folder, edit_json
from tests.support import refused

READ = """
import json, sys, warnings
from model.errors import UserError
from model.network.pretrained import read_encoder
warnings.simplefilter("error")
answers = []
for name in sys.argv[1:]:
    try:
        answers.append(read_encoder(name).fingerprint())
    except UserError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    names = ("whole", "shards", "roberta", "pickled")
    made = {
        f"org/{name}": bert_folder(
            tmp_path_factory.mktemp(name), **{"max_shard_size": "8KB"} if name == "shards" else {}
        )
        for name in names
    }
    edit_json(made["org/roberta"], "config.json", model_type="roberta")
    (made["org/pickled"] / "model.safetensors").rename(made["org/pickled"] / "pytorch_model.bin")
    for folder in made.values():
        (folder / "README.md").write_text("not needed")
    return made


@pytest.fixture(scope="module")
def hub(folders):
    with hub_of(folders) as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def answers(hub, home):
    """What comes of reading each."""
    names = ("org/whole", "org/shards", "org/roberta", "org/pickled", "org/none", "none")
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home)}
    return dict(zip(names, in_a_process(READ, names, environment), strict=True))


@pytest.mark.parametrize("name", ["org/whole", "org/shards"])
def test_reads_a_repository_like_its_folder(answers, folders, name):
    assert answers[name] == read_encoder(str(folders[name])).fingerprint()


def test_asks_only_for_what_it_reads(answers, hub):
    asked = {file for repository, file in hub.asked if repository == "org/whole"}
    assert asked == {"config.json", "model.safetensors", "tokenizer.json"}


def test_refuses_another_model_type_before_its_weights_are_asked_for(answers, hub):
    assert (
        answers["org/roberta"]
        == "org/roberta: model_type is 'roberta' in config.json; only 'bert' can be fine-tuned here"
    )
    assert {file for repository, file in hub.asked if repository == "org/roberta"} == {"config.json"}


def test_never_asks_for_a_pickle(answers, hub):
    assert answers["org/pickled"].endswith(": neither model.safetensors nor model.safetensors.index.json")
    assert ("org/pickled", "pytorch_model.bin") not in hub.asked


@pytest.mark.parametrize("name", ["org/none", "none"])
def test_names_the_unknown_repository(answers, name):
    assert answers[name].startswith(
        f"--encoder {name}: no such folder, and not to be had from the hub (404 Client Error"
    )
    assert "without the hub" not in answers[name], "which encoder else depends on the command"


@pytest.fixture
def tries(monkeypatch):
    """Without a network: how often a name was looked for."""
    found = []

    def look(host, port):
        found.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look)
    monkeypatch.setattr("model.hub_address._PATIENCE", 0.0)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://huggingface.co")
    return found


def test_without_a_network_it_is_known_soon(tries, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: pytest.fail("this tries for half a minute"))
    reason = f"[Errno {socket.EAI_AGAIN}] Temporary failure in name resolution"
    message = f"--encoder org/new: no such folder, and not to be had from the hub ({reason})"
    with refused(message):
        read_encoder("org/new")
    assert tries == ["huggingface.co"] * 2
    advice = "; without the hub: --encoder demo, the built-in one, or --encoder path/to/folder"
    with refused(message + advice), another_can_be_named():
        read_encoder("org/new")


@pytest.mark.parametrize("endpoint", ["http://a..b", "http://[::1"])
def test_an_endpoint_that_is_no_address(monkeypatch, endpoint):
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    with pytest.raises(UserError, match=f"HF_ENDPOINT is '{re.escape(endpoint)}'"):
        read_encoder("org/new")


def test_a_proxy_looks_for_the_hub_by_itself(tries, monkeypatch, folders):
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy:8080"})
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, file: str(folders[name] / file))
    assert read_config("org/whole")[1].hidden_size == 16
    assert tries == []
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"no": "localhost"})
    with pytest.raises(UserError, match="not to be had from the hub"):
        read_config("org/whole")
    assert tries, "where NO_PROXY alone is set, no proxy does"


def test_reads_what_was_fetched_before_without_the_hub(answers, home):
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    one, other = in_a_process(READ, ("org/whole", "org/other"), nowhere)
    assert one == answers["org/whole"]
    assert other.startswith("--encoder org/other: no such folder, and not to be had from the hub (")
    assert "offline mode is enabled" in other
    nowhere["HF_ENDPOINT"] = "http://nowhere.invalid"
    (other,) = in_a_process(READ, ("org/other",), nowhere)
    assert "offline mode is enabled" in other, "no name is looked for"
