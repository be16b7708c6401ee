"""Modules of users by name: a file here, or an installed one."""

from __future__ import annotations

from pathlib import Path

import pytest

from penchant.errors import InputError
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
