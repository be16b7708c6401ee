"""Modules of users by name: a file here, or an installed one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.extension import Door
from penchant.extension.user_code import check_function, load_module


def test_a_file_that_is_called_like_an_installed_module_is_no_stand_in_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("json.py").write_text("import pathlib\npathlib.Path('ran').touch()\n\n\ndef loads(pairs):\n    return [0.0]\n")
    for ask in (load_module, lambda source, refuse: check_function(source, "loads", refuse)):
        with pytest.raises(InputError, match=r"json\.py and an installed module are both called `json`: write"):
            ask("json", InputError)
    assert not Path("ran").exists()
    load_module("./json.py", InputError)
    assert Path("ran").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder.py:f", "folder.py is a folder, expected a file"),
        ("pipe.py:f", "pipe.py is a device or a pipe, expected a file"),
        ("link.py:f", "link.py is a link to nowhere.py, which is not there"),
        ("pip.py:f", "there is no file pip.py$"),
        ("relative.py:f", "import helper"),
        ("two.py:Judge:f", "it has one colon too many: expected one, between the module or file and its attribute"),
        ("a:b:c", "it has one colon too many"),
        ("two.py", "it names a file, but no attribute in it: write `two.py:loss` or `two.py:Judge`"),
        ("nowhere.py", "it names a file, but no attribute in it: write `nowhere.py:NAME`"),
    ],
)
def test_a_slip_in_a_name_is_answered_with_what_to_write(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.py").mkdir()
    os.mkfifo("pipe.py")
    Path("link.py").symlink_to("nowhere.py")
    Path("helper.py").write_text("f = 1\n")
    Path("relative.py").write_text("from .helper import f\n")
    Path("two.py").write_text("def loss():\n    pass\n\n\nclass Judge:\n    pass\n\n\ndef _hidden():\n    pass\n")
    with pytest.raises(InputError, match=message):
        Door("thing").load(name)


def test_a_file_with_colons_in_its_path_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a:b").mkdir()
    Path("a:b/mine.py").write_text("f = 1\n")
    assert Door("thing").load("a:b/mine.py:f") == 1
