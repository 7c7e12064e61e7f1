"""A stand-in for the Hugging Face hub on this machine: folders, served as huggingface_hub asks for repositories."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(http.server.ThreadingHTTPServer):
    """Serves each folder as the repository of that name, those of data as `datasets/NAME`."""

    def __init__(self, repositories: Mapping[str, Path], gated: Iterable[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories
        self.gated = frozenset(gated)
        """Those of which no file is given."""
        self.asked: set[tuple[str, str]] = set()
        """Repository and name of each file that was there and was asked for."""

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT must be."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def hub_of(repositories: Mapping[str, Path], gated: Iterable[str] = ()) -> Iterator[HubServer]:
    """A server of these folders, while the block runs."""
    with HubServer(repositories, gated) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def in_a_process(code: str, names: Iterable[str], environment: Mapping[str, str]) -> Any:
    """The JSON that `code` prints of these names, in a process of its own, since huggingface_hub looks for its endpoint
    when it is imported."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if not _reaches_the_hub(name)}
    given = kept | {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": path, **environment}
    done = subprocess.run([sys.executable, "-c", code, *names], env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _reaches_the_hub(name: str) -> bool:
    """Whether a variable says where the hub, its caches or a proxy are: those of whoever runs the tests, whose caches
    are to hold nothing of a stand-in."""
    return name.startswith(("HF_", "HUGGINGFACE_", "TRANSFORMERS_")) or name.lower().endswith("_proxy")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, HubServer)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        url = urlsplit(self.path)
        in_api, name, rest = _parted(unquote(url.path))
        folder = self.server.repositories.get(name)
        if folder is None:
            self._answer(404, headers={"X-Error-Code": "RepoNotFound"})
        elif in_api and rest[:1] == ["tree"]:
            within = folder.joinpath(*rest[2:])
            paths = within.rglob("*") if "recursive=true" in url.query.lower() else within.glob("*")
            self._answer_json([_entry(folder, path) for path in sorted(paths)])
        elif in_api and rest[:1] == ["paths-info"]:
            self._answer_json([_entry(folder, path) for one in _paths(body) if (path := folder / one).exists()])
        elif in_api:
            files = [{"rfilename": str(path.relative_to(folder))} for path in folder.rglob("*") if path.is_file()]
            self._answer_json({"id": name.removeprefix("datasets/"), "sha": COMMIT, "siblings": files})
        elif name in self.server.gated:
            self._answer(401, headers={"X-Error-Code": "GatedRepo"})
        elif (file := folder.joinpath(*rest[2:])).is_file():
            self.server.asked.add((name, "/".join(rest[2:])))
            content = file.read_bytes()
            self._answer(200, content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT})
        else:
            self._answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _answer_json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode())

    def _answer(self, status: int, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        pass


def _parted(path: str) -> tuple[bool, str, list[str]]:
    """Whether the API is asked, about which repository, and the rest of the path."""
    parts = path.strip("/").split("/")
    in_api = parts[0] == "api"
    parts = [part for part in parts[in_api:] if part != "models"]
    kept = 3 if parts[0] == "datasets" else 2
    return in_api, "/".join(parts[:kept]), parts[kept:]


def _paths(body: str) -> list[str]:
    return json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]


def _entry(folder: Path, path: Path) -> dict[str, object]:
    """What the API says of a file or a folder."""
    kind = {"type": "directory", "size": 0} if path.is_dir() else {"type": "file", "size": path.stat().st_size}
    return {**kind, "path": str(path.relative_to(folder)), "oid": COMMIT}
