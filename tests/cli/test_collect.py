"""The command line: what its words set, what it prints, and where it listens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from penchant.cli.arguments import make_parser, read_arguments
from penchant.cli.collect import _listener, key_file, startup_lines
from penchant.cli.commands import load_commands
from penchant.cli.main import main
from penchant.errors import InputError
from penchant.web.app import known_hosts
from penchant.web.settings import Collect
from penchant.web.signing_keys import ADMIN, Keys


def config(*words: str) -> Collect:
    return read_arguments(make_parser("", load_commands()), ["collect", *words]).load(Collect)


def test_flags_and_settings_are_one_configuration(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("data: rows.jsonl\noverlap: 1\nask: pairs\n")
    assert config("rows.jsonl", "annotators=4", "overlap=1", "ask=pairs") == Collect(
        data="rows.jsonl", annotators=4, overlap=1, ask="pairs"
    )
    assert config(str(file), "annotators=4") == Collect(data="rows.jsonl", annotators=4, overlap=1, ask="pairs")
    assert config("out=x.sqlite").data is None


def test_help_shows_every_setting_and_imports_no_web_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["collect", "--help-all"])
    text = capsys.readouterr().out
    assert all(name in text for name in Collect.model_fields)


def test_links_are_printed_and_an_open_address_is_said_aloud() -> None:
    keys = Keys(b"k" * 32)
    quiet = startup_lines(Collect(data="x"), keys, 8321, "x.sqlite", False)
    assert f"admin: http://127.0.0.1:8321/admin/in/{keys.link(ADMIN)}" in quiet
    assert f"annotator-2: http://127.0.0.1:8321/a/2/{keys.link('2')}" in quiet
    assert not any("WARNING" in line for line in quiet)
    open_to_all = startup_lines(Collect(data="x", host="0.0.0.0", url="http://10.0.0.5:8321/"), keys, 8321, "x", True)
    assert "other machines reach this page" in open_to_all[1]
    assert "unencrypted" in open_to_all[1]
    assert "admin: http://10.0.0.5:8321/admin/in/" in open_to_all[2]
    assert (
        "unencrypted"
        not in startup_lines(Collect(data="x", host="10.0.0.5", url="https://j.org"), keys, 1, "x", True)[1]
    )


def test_names_that_the_page_is_asked_for_under() -> None:
    assert known_hosts(Collect(data="x")) == {"localhost", "127.0.0.1", "::1"}
    assert known_hosts(Collect(data="x", host="10.0.0.5", url="https://j.org")) == {"10.0.0.5", "j.org"}


def test_a_port_in_use_is_refused_and_0_is_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="cannot listen on"):
            _listener(Collect(data="x", port=taken.getsockname()[1]))
    with _listener(Collect(data="x", port=0)) as listener:
        assert listener.getsockname()[1] > 0


def test_where_the_key_lies() -> None:
    assert key_file(Collect(data="x", out="a.sqlite")) == Path("a.sqlite.key")
    assert key_file(Collect(data="x", out="postgresql:///a")) == Path("penchant.key")
    assert key_file(Collect(data="x", key="k")) == Path("k")
