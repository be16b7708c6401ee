"""Starting `penchant collect`: addresses that are none, a full disk, damaged files, Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from penchant.cli.main import main
from penchant.errors import InputError, RunError
from penchant.web.database import Database
from penchant.web.settings import Collect
from penchant.web.signing_keys import load_keys

ROW = '{"prompt": "p", "responses": ["a", "b"]}\n'


@pytest.mark.parametrize(
    "settings",
    [
        {"port": -1},
        {"port": 65536},
        {"port": 10**30},
        {"port": "eighty"},
        {"host": "300.1.1.1"},
        {"host": "a b"},
        {"host": "\0"},
        {"host": "a" * 300},
        {"host": "."},
        {"host": "[::1"},
        {"url": "judge.example.org"},
        {"url": "https://judge.example.org:0"},
        {"url": "https://a b"},
        {"url": "https://judge.example.org:99999"},
    ],
)
def test_addresses_and_ports_that_are_none_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        Collect(data="x", **settings)


def test_a_host_that_is_not_this_machine_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(ROW)
    assert main(["collect", "rows.jsonl", "host=192.0.2.1", "port=0"]) == 2
    assert "cannot listen on 192.0.2.1" in capsys.readouterr().err


def test_a_full_disk_leaves_no_key_and_an_empty_one_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "k.key"

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"k\.key: the key file cannot be written \(No space left on device\)"):
            load_keys(path)
    assert list(tmp_path.iterdir()) == []
    path.touch()  # as an earlier version left it
    made = load_keys(path)
    assert load_keys(path).fingerprint == made.fingerprint
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_others_could_read_is_closed_to_them(tmp_path: Path, sqlite_only: None, make_site: Any) -> None:
    key = tmp_path / "k.key"
    made = load_keys(key)
    key.chmod(0o644)
    assert load_keys(key).fingerprint == made.fingerprint
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    database = tmp_path / "c.sqlite"
    make_site([{"prompt": "p", "responses": ["a", "b"]}], out=str(database)).database.close()
    database.chmod(0o644)
    make_site(out=str(database)).person(1).judge("tie")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("c.sqlite*")}
    assert set(modes.values()) == {0o600}, modes


def test_a_file_of_another_kind_keeps_its_mode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    path.chmod(0o644)
    with pytest.raises(InputError, match=r"notes\.txt: no database that can be used \(it is another kind of file\)"):
        Database(str(path))
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("mine", 0o644)
    assert not caplog.records


@pytest.mark.parametrize(
    "damage", ["text", "header", "page", "folder", "tables", "settings", "rows", "truncated", "empty"]
)
def test_a_database_that_is_damaged_or_anothers_is_one_message(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_only: None
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(ROW)
    path = Path("penchant.sqlite")
    assert main(["collect", "rows.jsonl", "host=192.0.2.1"]) == 2  # filled, and not served
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    match damage:
        case "text":
            path.write_text("prompt,response\n" * 500)
        case "header":
            path.write_bytes(b"\0" * 100 + whole[100:])
        case "page":
            path.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "empty":
            path.write_bytes(b"")
        case "folder":
            path.unlink()
            path.mkdir()
        case _:
            if damage == "tables":
                path.unlink()
            with closing(sqlite3.connect(path)) as connection:
                statement = {
                    "tables": "CREATE TABLE songs (id INTEGER)",
                    "settings": "UPDATE collection SET settings = '{\"overlap\": '",
                    "rows": "DROP TABLE judgment",
                }[damage]
                connection.execute(statement)
                connection.commit()
    capsys.readouterr()
    assert main(["collect", "out=penchant.sqlite", "host=192.0.2.1"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "penchant.sqlite" in told
    assert "cannot listen" not in told
    assert "Traceback" not in told


@pytest.mark.slow
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_soon_though_a_browser_keeps_its_connection(
    serve: Any, name: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve([{"prompt": "p", "responses": ["a", "b"]}])
    with socket.create_connection(("127.0.0.1", server.port)) as browser:
        browser.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200 OK" in browser.recv(4096)
        server.process.send_signal(name)
        server.process.wait(20)
    assert "Traceback" not in capfd.readouterr().err
