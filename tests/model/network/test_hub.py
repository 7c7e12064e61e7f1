"""Encoders by their hub id, from a stand-in for the hub on this machine."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from model.errors import UserError
from model.network.pretrained import read_encoder
from model.network.shape import another_can_be_named, read_config
from tests.model.network.hf import bert_folder, edit_json
from tests.support import refused

ROOT = Path(__file__).parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
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


class Hub(http.server.ThreadingHTTPServer):
    """Serves folders by repository id, and notes which files were asked for."""

    def __init__(self, repositories):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = repositories
        self.asked: set[tuple[str, str]] = set()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert isinstance(self.server, Hub)
        parts = self.path.split("?")[0].strip("/").split("/")
        repository = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        folder = self.server.repositories.get(repository)
        if folder is None:
            self.answer(404, headers={"X-Error-Code": "RepoNotFound"})
        elif "tree" in parts:
            files = [
                {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": COMMIT} for p in folder.iterdir()
            ]
            self.answer(200, json.dumps(files).encode())
        elif parts[0] == "api":
            siblings = [{"rfilename": path.name} for path in folder.iterdir()]
            self.answer(200, json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode())
        elif (folder / parts[-1]).is_file():
            self.server.asked.add((repository, parts[-1]))
            headers = {"ETag": f'"{repository.replace("/", "-")}-{parts[-1]}"', "X-Repo-Commit": COMMIT}
            self.answer(200, (folder / parts[-1]).read_bytes(), headers)
        else:
            self.answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status, body=b"{}", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format, *_):  # noqa: A002
        pass


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
    with Hub(folders) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def answers(hub, home):
    """What comes of reading each; in a process of its own, since the library looks for its endpoint when imported."""
    names = ("org/whole", "org/shards", "org/roberta", "org/pickled", "org/none", "none")
    environment = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home)}
    return dict(zip(names, read_in_a_process(names, environment), strict=True))


def read_in_a_process(names, environment):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": path, **environment}
    done = subprocess.run(
        [sys.executable, "-c", READ, *names], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
    monkeypatch.setattr("model.network.shape._PATIENCE", 0.0)
    monkeypatch.setattr("urllib.request.getproxies", dict)
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
    one, other = read_in_a_process(("org/whole", "org/other"), nowhere)
    assert one == answers["org/whole"]
    assert other.startswith("--encoder org/other: no such folder, and not to be had from the hub (")
    assert "offline mode is enabled" in other
    nowhere["HF_ENDPOINT"] = "http://nowhere.invalid"
    (other,) = read_in_a_process(("org/other",), nowhere)
    assert "offline mode is enabled" in other, "no name is looked for"
