"""Pushing by the hub's own client to a hub of ours on this machine: what arrives, who sees it, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fake_hub import TOKEN, FakeHub
from penchant.cli.main import main
from penchant.errors import InputError
from penchant.export.folder import write_export
from penchant.export.settings import Export, Push

pytest_plugins = ("fake_hub",)
Run = Callable[..., int]


@pytest.fixture(scope="module")
def exported(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder of a tiny model."""
    out = tmp_path_factory.mktemp("export") / "tiny"
    write_export(Export(model=tiny_model, out=str(out), license="mit"), out)
    return out


def test_a_folder_arrives_whole_in_one_commit_and_private(
    exported: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(exported), "ann/tiny"]) == 0
    repository = hub.repositories["ann/tiny"]
    sent = {path.name: path.read_bytes() for path in exported.iterdir()}
    assert {name: content for name, content in repository.files.items() if name != ".gitattributes"} == sent
    assert repository.private
    assert repository.commits == ["initial commit", "Upload a model trained with Penchant"]
    out = capsys.readouterr().out
    assert f"pushed to {hub.address}/ann/tiny (private, commit {repository.sha})" in out
    assert TOKEN not in out


def test_a_dry_run_shows_what_would_go_and_asks_nobody(
    exported: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert main(["push", str(exported), "ann/tiny", "dry_run=true"]) == 0
    out = capsys.readouterr().out
    assert hub.requests == []
    assert f"{hub.address}/ann/tiny (private: only its owner sees it)" in out
    for path in exported.iterdir():
        assert path.name in out
    assert "  | license: mit" in out
    assert "nothing was sent" in out
    assert main(["push", str(exported), "ann/tiny", "dry_run=true", "private=false"]) == 0
    assert "PUBLIC" in capsys.readouterr().out


def test_a_run_or_model_is_exported_first(tiny_model: str, hub: FakeHub) -> None:
    assert main(["push", tiny_model, "lab/made", "license=mit", "private=false", "shard_size=10KB"]) == 0
    repository = hub.repositories["lab/made"]
    assert not repository.private
    assert "model.safetensors.index.json" in repository.files
    assert b"license: mit" in repository.files["README.md"]


def test_an_interrupted_push_shows_nothing_and_goes_on_where_it_stopped(
    exported: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fail_uploads = 1
    assert main(["push", str(exported), "ann/tiny"]) == 2
    error = capsys.readouterr().err
    assert "did not end" in error
    assert "Give the same command again" in error
    assert set(hub.repositories["ann/tiny"].files) == {".gitattributes"}
    first = list(hub.uploads)
    # the repository is there now, but empty: no question, no `update`
    assert main(["push", str(exported), "ann/tiny"]) == 0
    assert "model.safetensors" in hub.repositories["ann/tiny"].files
    assert len(hub.uploads) == len(set(hub.uploads)), "a file was sent twice"
    assert hub.uploads[: len(first)] == first


def test_a_name_that_holds_files_is_refused_or_asked_about(
    exported: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["push", str(exported), "ann/tiny"]) == 0
    before = hub.repositories["ann/tiny"].sha
    assert main(["push", str(exported), "ann/tiny"]) == 2
    assert "is there and holds" in (error := capsys.readouterr().err)
    assert "update=true" in error
    assert hub.repositories["ann/tiny"].sha == before

    from penchant.export.push import exported_folder, push_folder

    questions: list[str] = []
    settings = Push(model=str(exported), repository="ann/tiny", message="Again")
    with exported_folder(settings) as folder:
        (exported / "README.md").touch()
        push_folder(settings, folder, lambda question: not questions.append(question))
    more = len(list(exported.iterdir())) - 3
    assert questions == [f"ann/tiny holds README.md, SHA256SUMS, config.json and {more} more files. Add a commit?"]


def test_an_update_replaces_the_shards_of_an_earlier_push_and_keeps_files_of_others(
    tiny_model: str, hub: FakeHub, tmp_path: Path
) -> None:
    assert main(["push", tiny_model, "ann/tiny", "license=mit", "shard_size=10KB"]) == 0
    repository = hub.repositories["ann/tiny"]
    assert any("-of-" in name for name in repository.files)
    repository.files["notes.md"] = b"mine"
    assert main(["push", tiny_model, "ann/tiny", "license=mit", "update=true"]) == 0
    assert not any("-of-" in name for name in repository.files)
    assert repository.files["notes.md"] == b"mine"
    assert "model.safetensors" in repository.files


def test_a_public_repository_gets_no_model_that_should_be_private(
    exported: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(exported), "ann/open", "private=false"]) == 0
    assert main(["push", str(exported), "ann/open", "update=true"]) == 2
    assert "is there and public: push with private=false" in capsys.readouterr().err


def test_a_public_model_needs_a_licence(
    tiny_model: str, tmp_path: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", tiny_model, "ann/open", "private=false"]) == 2
    assert "look it up and say which (license=apache-2.0)" in capsys.readouterr().err
    assert main(["export", tiny_model, f"out={tmp_path / 'open'}"]) == 0
    assert main(["push", str(tmp_path / "open"), "ann/open", "private=false"]) == 2
    # `push` refuses a licence for such a folder
    assert "look it up and export the run again with it (license=apache-2.0)" in capsys.readouterr().err
    assert hub.requests == []
    assert main(["push", tiny_model, "ann/closed"]) == 0
    assert b"license: unknown" in hub.repositories["ann/closed"].files["README.md"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no token", r"hf auth login.*HF_TOKEN"),
        ("offline", r"offline mode is on \(HF_HUB_OFFLINE\)"),
        ("wrong token", r"does not accept the token.*hf auth login"),
        ("read only", r"may not write to ann/tiny"),
    ],
)
def test_without_the_right_to_push_it_says_how_to_get_it(
    change: str, words: str, exported: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    from penchant.export.push import exported_folder, push_folder

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    if change == "no token":
        monkeypatch.delenv("HF_TOKEN")
    elif change == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif change == "wrong token":
        monkeypatch.setenv("HF_TOKEN", "hf_" + "b" * 34)
    else:
        hub.writes = False
    settings = Push(model=str(exported), repository="ann/tiny")
    with exported_folder(settings) as folder, pytest.raises(InputError, match=f"(?s){words}"):
        push_folder(settings, folder, lambda _: False)
    assert hub.repositories == {}


def test_a_gated_name_is_said_to_be_so(exported: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.gated.add("lab/tiny")
    assert main(["push", str(exported), "lab/tiny"]) == 2
    assert "lab/tiny is gated, and your account has no access" in capsys.readouterr().err
    assert hub.repositories == {}


def test_an_owner_that_one_does_not_belong_to_is_named(exported: Path, hub: FakeHub, capsys: Any) -> None:
    assert main(["push", str(exported), "others/tiny"]) == 2
    assert "may not write to others/tiny" in capsys.readouterr().err


def test_a_damaged_folder_a_link_in_it_and_settings_that_change_nothing_are_refused(
    exported: Path, hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(exported), "ann/tiny", "shard_size=1GB"]) == 2
    assert "is exported already, so shard_size would change nothing" in capsys.readouterr().err
    for name, spoil, words in (
        ("flipped", lambda f: (f / "config.json").write_text("{}"), "config.json is damaged"),
        ("added", lambda f: (f / "diary.txt").write_text("mine"), "diary.txt is not listed"),
        ("linked", lambda f: (f / "secret").symlink_to("/etc/passwd"), "is a symbolic link"),
    ):
        folder = tmp_path / name
        shutil.copytree(exported, folder)
        spoil(folder)
        assert main(["push", str(folder), "ann/tiny"]) == 2
        assert words in capsys.readouterr().err
    assert hub.requests == []


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "ann/", "ann/a b", "ann/-x", "ann/x..y", "ann/../x"])
def test_names_that_no_hub_takes_are_refused_before_anything_else(name: str) -> None:
    with pytest.raises(InputError, match="`repository` must be owner/name"):
        Push(model="penchant-0.5m", repository=name)
