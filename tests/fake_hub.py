"""A hub on this machine, as far as an upload by `huggingface_hub` needs one: accounts, repositories, LFS, commits."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_" + "a" * 34
LFS_FROM = 1024  # bytes; the real one goes by the name and 10 MB


@dataclass
class Repository:
    """A repository: its files by name, and what changed them."""

    private: bool
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.gguf filter=lfs\n"})
    commits: list[str] = field(default_factory=lambda: ["initial commit"])

    @property
    def sha(self) -> str:
        return hashlib.sha1(repr((sorted(self.files.items()), self.commits)).encode()).hexdigest()


@dataclass
class FakeHub:
    """The state of the hub, and what it was asked.

    Attributes:
        fail_uploads: so many uploads of large files fail, as where a connection breaks.
        writes: whether the token may write.
        gated: repositories that the account may not see into.
    """

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    fail_uploads: int = 0
    writes: bool = True
    gated: set[str] = field(default_factory=set)

    # -- answers: status and body -----------------------------------------------------------------------------------

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers."""
        self.requests.append(f"{method} {path}")
        if path.startswith("/upload/") and method == "PUT":
            return self._upload(path.removeprefix("/upload/"), body)
        if token != TOKEN:
            return _error(401, "Invalid username or password.")
        if path == "/api/whoami-v2":
            return _json(
                {"type": "user", "name": "ann", "orgs": [{"name": "lab"}], "auth": {"accessToken": {"role": "write"}}}
            )
        if path == "/api/validate-yaml":
            return _json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        if path.startswith("/api/models/"):
            return self._model(method, path.removeprefix("/api/models/"), body)
        if "/resolve/" in path:
            return self._file(*path.strip("/").split("/resolve/", 1))
        return _error(404, f"no such address: {path}")

    def _create(self, wanted: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        owner = wanted.get("organization") or "ann"
        if owner not in ("ann", "lab") or not self.writes:
            return _error(403, "You don't have the rights to create a model under this namespace")
        name = f"{owner}/{wanted['name']}"
        if name in self.repositories:
            return _error(409, "You already created this model repo")
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.repositories[name] = Repository(bool(private))
        return _json({"url": f"{self.address}/{name}", "name": name})

    def _model(self, method: str, rest: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        parts = rest.split("/")
        name, action = "/".join(parts[:2]), parts[2] if len(parts) > 2 else ""
        repository = self.repositories.get(name)
        if name in self.gated:
            return _error(403, f"Access to model {name} is restricted", {"X-Error-Code": "GatedRepo"})
        if repository is None:
            return _error(404, "Repository not found", {"X-Error-Code": "RepoNotFound"})
        if action in ("", "revision"):
            files = [{"rfilename": file} for file in repository.files]
            return _json(
                {"id": name, "modelId": name, "sha": repository.sha, "private": repository.private, "siblings": files}
            )
        if action == "tree":
            return _json(
                [
                    {"type": "file", "path": file, "size": len(content), "oid": "0" * 40}
                    for file, content in repository.files.items()
                ]
            )
        if action == "preupload":
            wanted = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "lfs" if f["size"] >= LFS_FROM else "regular", "shouldIgnore": False}
                for f in wanted
            ]
            return _json({"files": modes})
        if action == "commit":
            return self._commit(name, repository, body)
        return _error(404, f"no such address: {rest}")

    def _batch(self, wanted: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        objects = []
        for entry in wanted["objects"]:
            known = {"oid": entry["oid"], "size": entry["size"]}
            if entry["oid"] not in self.blobs:  # no action says that it is there already
                known["actions"] = {"upload": {"href": f"{self.address}/upload/{entry['oid']}"}}
            objects.append(known)
        return _json({"transfer": "basic", "objects": objects})

    def _upload(self, oid: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        if self.fail_uploads:
            self.fail_uploads -= 1
            return _error(400, "the connection broke")
        assert hashlib.sha256(body).hexdigest() == oid
        self.blobs[oid] = body
        self.uploads.append(oid)
        return 200, b"", {}

    def _commit(self, name: str, repository: Repository, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        if not self.writes:
            return _error(403, "Your token has the role read")
        files = dict(repository.files)
        for line in map(json.loads, body.splitlines()):
            key, value = line["key"], line["value"]
            if key == "header":
                message = value["summary"]
                if value.get("parentCommit") not in (None, repository.sha):
                    return _error(412, "A commit has happened since")
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.blobs[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        repository.files = files
        repository.commits.append(message)
        return _json({"commitUrl": f"{self.address}/{name}/commit/{repository.sha}", "commitOid": repository.sha})

    def _file(self, name: str, rest: str) -> tuple[int, bytes, dict[str, str]]:
        content = self.repositories[name].files.get(rest.split("/", 1)[1])
        if content is None:
            return _error(404, "Entry not found", {"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha1(content).hexdigest()
        return 200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": self.repositories[name].sha}


def _json(content: object) -> tuple[int, bytes, dict[str, str]]:
    return 200, json.dumps(content).encode(), {"Content-Type": "application/json"}


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, dict[str, str]]:
    return status, json.dumps({"error": message}).encode(), {"Content-Type": "application/json", **(headers or {})}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that the client of this process talks to, with the token of `ann`."""
    from huggingface_hub import constants

    state = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, content, headers = state.answer(self.command, unquote(urlsplit(self.path).path), body, token)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_HEAD = _reply  # noqa: N815  # the server's names

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", state.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", state.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a fake of that storage would be another hub
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    Thread(target=server.serve_forever, daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()
