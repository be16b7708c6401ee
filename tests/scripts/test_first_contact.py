"""The first contact with the hub, against a hub on this machine: what is there, what differs, and what is pinned."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from penchant.data.sources.hub_table import TABLE, HubDataset, HubModel, read_table
from penchant.studies.core.definition import definitions
from penchant.tasks.load import NAMES, task_spec
from repository import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "scripts"))

from contact.compare import dataset_differences, model_differences, shape_of
from contact.hub import DatasetFacts, ModelFacts
from contact.pins import with_pins

MAIN, PARQUET = "1" * 40, "2" * 40


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_table_has_all_that_presets_and_tasks_read() -> None:
    table = read_table()
    datasets = {entry.name: entry for entry in table.datasets}
    for name in NAMES:
        spec = task_spec(name)
        if spec.hub:
            assert name in datasets[spec.hub].used, name
            assert {split.partition("[")[0] for split in spec.splits} <= set(datasets[spec.hub].splits)
    models = {entry.id for entry in table.models}
    for definition in definitions():
        for command, presets in definition.presets.items():
            if "paper" not in presets:
                continue
            content = yaml.safe_load(presets["paper"].read_text())
            for path, split in _sources(content):
                assert command in datasets[path].used, (command, path)
                assert split in datasets[path].splits
            assert _models(content) <= models


def _sources(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        if "path" in node:
            yield node["path"], node.get("split", "train")
        for item in node.values():
            yield from _sources(item)
    elif isinstance(node, list):
        for item in node:
            yield from _sources(item)


def _models(node: Any) -> set[str]:
    if isinstance(node, dict):
        named = {node["model"]} if isinstance(node.get("model"), str) and "/" in node["model"] else set()
        reward = {node["reward"].partition(":")[2]} if str(node.get("reward")).startswith("classifier:") else set()
        return named | reward | {name for item in node.values() for name in _models(item)}
    return {name for item in node for name in _models(item)} if isinstance(node, list) else set()


def test_no_commit_of_the_table_is_made_up() -> None:
    """A pinned commit has 40 digits; the table that is shipped has none until somebody was there."""
    for entry in (*read_table().datasets, *read_table().models):
        for commit in (entry.revision, getattr(entry, "parquet", "")):
            assert commit == "" or len(bytes.fromhex(commit)) == 20
        assert entry.read


# -- what differs -----------------------------------------------------------------------------------------------------

HH = HubDataset("Anthropic/hh-rlhf", "", {"train": 3, "test": None}, ("chosen", "rejected"), ("dialogue",), "r")
ROW = {"chosen": "\n\nHuman: Hi\n\nAssistant: Yes.", "rejected": "\n\nHuman: Hi\n\nAssistant: No."}
FACTS = DatasetFacts(MAIN, PARQUET, {"train": 3, "test": 1}, ("default/train",), ("chosen", "rejected"), ROW)


def changed(**changes: Any) -> DatasetFacts:
    return DatasetFacts(**{**vars(FACTS), **changes})


def test_nothing_differs() -> None:
    assert dataset_differences(HH, FACTS) == []


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (changed(splits={"train": 4, "test": 1}), "split train: 4 rows, the table says 3"),
        (changed(splits={"train": 3}), "split test: not there; there are default/train"),
        (changed(columns=("chosen", "other")), "columns: no rejected; there are chosen, other"),
        (changed(first_row={"x": 3}), "the first row is of no layout here"),
        (changed(first_row={"chosen": "\n\nHuman: Hi", "rejected": "\n\nHuman: Hi"}), "the layout hh cannot read"),
    ],
)
def test_what_differs_is_said(facts: DatasetFacts, sentence: str) -> None:
    assert any(difference.startswith(sentence) for difference in dataset_differences(HH, facts))


def test_a_task_reads_the_first_row() -> None:
    entry = HubDataset("stanfordnlp/sst2", "", {"train": None}, ("sentence",), ("sst2",), "r")
    facts = changed(splits={"train": 1}, columns=("sentence",), first_row={"sentence": "Fine"})
    assert dataset_differences(entry, facts) == ["task sst2 cannot read the first row (KeyError: 'label')"]


def test_a_pinned_commit_that_moved_differs() -> None:
    pinned = HubModel("a/b", ("x",), "r", "3" * 40)
    assert model_differences(pinned, ModelFacts(MAIN, ("config.json", "model.safetensors"))) == [
        f"revision: {MAIN} now, pinned is {'3' * 40}"
    ]
    assert model_differences(HubModel("a/b", ("x",), "r"), ModelFacts(MAIN, ())) == [
        "no config.json",
        "no weights (.safetensors or .bin)",
    ]


def test_shapes_are_short() -> None:
    assert shape_of({"a": ["xyz", "b"], "n": 3, "none": None}) == "{a: list of 2 text of 3, n: int 3, none: null}"


def test_pins_change_their_lines_alone() -> None:
    text = TABLE.read_text()
    written = with_pins(
        text, {"hendrycks/ethics": {"revision": MAIN, "parquet": PARQUET}, "a/none": {"revision": MAIN}}
    )
    lines = [(old, new) for old, new in zip(text.splitlines(), written.splitlines(), strict=True) if old != new]
    # it has two configs, and each line of both is filled in
    assert lines == [('  revision: ""', f'  revision: "{MAIN}"'), ('  parquet: ""', f'  parquet: "{PARQUET}"')] * 2
    with pytest.raises(ValueError, match="expected a commit"):
        with_pins(text, {"hendrycks/ethics": {"revision": "main"}})


def test_a_pinned_commit_is_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from penchant.data.sources import hub
    from penchant.models import hub as models
    from penchant.rewards.content import data_content

    assert hub.parquet_revision("Anthropic/hh-rlhf") == hub.PARQUET_REVISION
    assert data_content("Anthropic/hh-rlhf") == "Anthropic/hh-rlhf"
    for module in ("penchant.data.sources.hub", "penchant.rewards.content"):
        monkeypatch.setattr(f"{module}.pinned_parquet", lambda name: PARQUET if name == "a/b" else "")
    assert hub.parquet_revision("a/b") == PARQUET
    assert data_content("a/b:first") == f"a/b:first {PARQUET}"
    # a model whose pinned commit cannot be had is refused, since another commit is another model
    monkeypatch.setattr(models, "pinned_model", lambda name: MAIN)
    with pytest.raises(ValueError, match=r"which hub_table\.yaml pins"):
        models.pinned_folder("nobody/nothing-at-all")


# -- the command ------------------------------------------------------------------------------------------------------


@dataclass
class ReadHub:
    """A hub that data sets and models can be read from."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    models: dict[str, list[str]] = field(default_factory=dict)
    address: str = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        path = unquote(path)
        for name, files in self.files.items():
            if path.startswith(f"/api/datasets/{name}/paths-info/"):
                paths = json.loads(body)["paths"]
                return _json([_entry(p, files[p]) for p in paths if p in files])
            if path.startswith(f"/api/datasets/{name}/tree/"):
                return _json([_entry(p, content) for p, content in files.items()])
            if path.startswith(f"/api/datasets/{name}"):
                sha = PARQUET if "refs/convert/parquet" in path or PARQUET in path else MAIN
                siblings = [{"rfilename": file} for file in files]
                return _json({"id": name, "sha": sha, "siblings": siblings, "private": False, "tags": []})
            if path.startswith(f"/datasets/{name}/resolve/"):
                file = path.split("/resolve/", 1)[1].removeprefix("refs/convert/parquet/").removeprefix(f"{PARQUET}/")
                content = files[file]
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                return 200, {"ETag": etag, "X-Repo-Commit": PARQUET, "Accept-Ranges": "bytes"}, content
        for name, names in self.models.items():
            if path.startswith(f"/api/models/{name}"):
                siblings = [{"rfilename": file} for file in names]
                return _json({"id": name, "sha": MAIN, "siblings": siblings, "private": False, "tags": []})
        return 404, {"X-Error-Code": "RepoNotFound"}, b'{"error": "Repository not found"}'


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def _json(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def parquet(rows: list[dict[str, object]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), stream)
    return stream.getvalue()


@pytest.fixture
def read_hub() -> Iterator[ReadHub]:
    hub = ReadHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = hub.answer(self.command, urlsplit(self.path).path, body)
            if status == 200 and (span := self.headers.get("Range")):
                start, _, end = span.removeprefix("bytes=").partition("-")
                last = min(int(end), len(content) - 1) if end else len(content) - 1
                headers["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
                status, content = 206, content[int(start) : last + 1]
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    server.server_close()


def contact(address: str, table: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": address,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(table.parent / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": f"{REPOSITORY / 'src'}",
        "NO_PROXY": "127.0.0.1",
    }
    script = str(REPOSITORY / "scripts" / "first_contact.py")
    return subprocess.run(
        [sys.executable, script, "--table", str(table), *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


SMALL_TABLE = """datasets:
- id: Anthropic/hh-rlhf
  config: ""
  splits: {train: 3, test: null}
  columns: [chosen, rejected]
  used: [dialogue]
  read: "a paper"
  revision: ""
  parquet: ""
models:
- id: EleutherAI/pythia-70m
  used: [weak-to-strong]
  read: "a list"
  revision: ""
"""


@pytest.mark.slow
def test_contact_with_a_hub(read_hub: ReadHub, tmp_path: Path) -> None:
    table = tmp_path / "table.yaml"
    table.write_text(SMALL_TABLE)
    read_hub.files["Anthropic/hh-rlhf"] = {
        "default/train/0000.parquet": parquet([ROW] * 2),
        "default/train/0001.parquet": parquet([ROW]),
        "default/test/0000.parquet": parquet([ROW]),
    }
    read_hub.models["EleutherAI/pythia-70m"] = ["config.json", "model.safetensors"]
    done = contact(read_hub.address, table)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train 3, test 1; columns chosen, rejected" in done.stdout
    assert "chosen: text of" in done.stdout
    assert table.read_text() == SMALL_TABLE
    done = contact(read_hub.address, table, "--write")
    assert done.returncode == 0, done.stdout + done.stderr
    written = read_table(table)
    assert (written.datasets[0].revision, written.datasets[0].parquet) == (MAIN, PARQUET)
    assert written.models[0].revision == MAIN
    # another row more than the table says, and a model that is gone
    read_hub.files["Anthropic/hh-rlhf"]["default/train/0001.parquet"] = parquet([ROW] * 2)
    read_hub.models.clear()
    table.write_text(SMALL_TABLE)
    done = contact(read_hub.address, table, "--write")
    assert done.returncode == 1
    assert "differs: split train: 4 rows, the table says 3" in done.stdout
    assert "EleutherAI/pythia-70m:\n  differs: cannot be read (RepositoryNotFoundError" in done.stdout
    assert table.read_text() == SMALL_TABLE


@pytest.mark.slow
def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    table = tmp_path / "table.yaml"
    table.write_text(SMALL_TABLE)
    done = contact("http://127.0.0.1:9", table)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "the hub cannot be reached" in done.stdout
