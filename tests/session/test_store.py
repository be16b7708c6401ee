"""Files of what a session handed over: named by content, found again, and refused where they are not what they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.session.store import (
    INPUTS,
    keep_inputs,
    names_in,
    search_inputs_of,
    session_path,
    store_file,
    store_folder,
)


def test_equal_content_has_one_name_and_another_content_another() -> None:
    name = store_file("rows", b"a\n", ".jsonl")
    assert name == store_file("rows", b"a\n", ".jsonl") != store_file("rows", b"b\n", ".jsonl")
    assert name == "session:rows-87428fc522803d31.jsonl"  # printf 'a\n' | sha256sum
    assert Path(session_path(name)).read_bytes() == b"a\n"
    assert session_path("prefs.jsonl") == "prefs.jsonl"


def test_a_run_keeps_what_it_used_and_gives_it_back(tmp_path: Path) -> None:
    name = store_file("rows", b"a\n", ".jsonl")
    keep_inputs(tmp_path / "run", {"data": {"path": name}})
    session_path(name)
    (store_folder() / name.removeprefix("session:")).unlink()
    with pytest.raises(InputError, match="was handed over by a Python session and is not in"):
        session_path(name)
    search_inputs_of(tmp_path / "run")
    assert Path(session_path(name)) == (tmp_path / "run" / INPUTS / name.removeprefix("session:")).resolve()


def test_another_content_under_the_name_is_refused_and_written_anew_by_the_same_call() -> None:
    name = store_file("rows", b"a\n", ".jsonl")
    file = store_folder() / name.removeprefix("session:")
    file.write_bytes(b"b\n")
    with pytest.raises(InputError, match="is damaged"):
        session_path(name)
    assert store_file("rows", b"a\n", ".jsonl") == name
    assert file.read_bytes() == b"a\n"


def test_a_name_leads_to_no_other_folder() -> None:
    with pytest.raises(InputError, match="is not in"):
        session_path("session:../../etc/passwd")


def test_names_are_found_wherever_settings_have_them() -> None:
    settings = {"a": ["session:f_0", {"b": "thoughts:session:g_1"}], "c": "x", "d": 3, "e": "session:f_0"}
    assert names_in(settings) == ["session:f_0", "session:g_1"]


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot keep the list in .* PENCHANT_CACHE"):
        store_file("rows", b"a\n", ".jsonl")
