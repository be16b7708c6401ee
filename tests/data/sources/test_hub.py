"""Hub data sets: no network here, so the client is replaced; what it is asked for is what counts."""

from __future__ import annotations

from typing import Any

import pytest

from penchant.data.load import load_preferences
from penchant.data.sources import hub
from penchant.errors import InputError

ROWS = [{"prompt": "p", "chosen": "a", "rejected": "b"}]
FILES = [
    "first/train/0000.parquet",
    "first/train/0001.parquet",
    "first/test/0000.parquet",
    "second/partial-train/0000.parquet",
]


class FakeHub:
    """Stands for `datasets.load_dataset` and the list of Parquet files; remembers how it was called."""

    def __init__(self, files: list[str] | Exception, rows: list[dict[str, Any]] | Exception) -> None:
        self.files, self.rows = files, rows
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def list_files(self, repository: str) -> list[str]:
        if isinstance(self.files, Exception):
            raise self.files
        return self.files

    def load_dataset(self, repository: str, **arguments: Any) -> list[dict[str, Any]]:
        self.calls.append((repository, arguments))
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    import datasets

    fake = FakeHub(FILES, ROWS)
    monkeypatch.setattr(hub, "list_parquet_files", fake.list_files)
    monkeypatch.setattr(datasets, "load_dataset", fake.load_dataset)
    return fake


def said(source: str, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_preferences(source, **arguments)
    return str(caught.value)


def test_the_parquet_revision_is_asked_for(fake_hub: FakeHub) -> None:
    groups = load_preferences("org/name:first")
    assert groups[0].source == "org/name:first[train] row 1"
    files = {"train": ["first/train/0000.parquet", "first/train/0001.parquet"]}
    assert fake_hub.calls == [("org/name", {"split": "train", "revision": "refs/convert/parquet", "data_files": files})]


def test_a_partly_converted_split_is_read(fake_hub: FakeHub) -> None:
    load_preferences("org/name:second")
    assert fake_hub.calls[0][1]["data_files"] == {"train": ["second/partial-train/0000.parquet"]}


def test_a_part_of_a_split_is_read(fake_hub: FakeHub) -> None:
    load_preferences("org/name:first", split="train[:10]")
    files = {"train": ["first/train/0000.parquet", "first/train/0001.parquet"]}
    assert fake_hub.calls[0][1] == {"split": "train[:10]", "revision": "refs/convert/parquet", "data_files": files}
    assert "no split 'dev'" in said("org/name:first", split="dev[:10]")


def test_a_choice_of_configs_and_splits_is_named(fake_hub: FakeHub) -> None:
    message = said("org/name")
    assert "has the configs first, second" in message
    assert "'org/name:first'" in message
    assert "no config 'third'" in said("org/name:third")
    message = said("org/name:first", split="dev")
    assert "no split 'dev'" in message
    assert "it has test, train" in message
    assert fake_hub.calls == []


def test_without_a_conversion_the_plain_data_set_is_asked_for(fake_hub: FakeHub) -> None:
    fake_hub.files = FileNotFoundError("no such revision")
    load_preferences("org/name", split="test")
    assert fake_hub.calls == [("org/name", {"split": "test"})]
    load_preferences("org/name:config")
    assert fake_hub.calls[1] == ("org/name", {"split": "train", "name": "config"})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionError("Couldn't reach the hub"), "cannot be reached; check the path or the network"),
        (
            type("DatasetNotFoundError", (FileNotFoundError,), {})("gone"),
            "no such data set on the Hugging Face hub",
        ),
        (ValueError('Unknown split "train". Should be one of [].'), "the hub data set has no split 'train'"),
        (ValueError("Config name is missing."), "choose one as 'org/name:config'"),
        (
            RuntimeError("Dataset scripts are no longer supported\nmore"),
            "download it and give the file's path",
        ),
    ],
)
def test_every_failure_of_the_client_is_one_message(fake_hub: FakeHub, error: Exception, expected: str) -> None:
    fake_hub.files, fake_hub.rows = ConnectionError("no network"), error
    message = said("org/name")
    assert message.startswith("org/name: ")
    assert expected in message
    assert "\n" not in message


def test_without_a_network_the_real_client_ends_in_one_message() -> None:
    # tests/conftest.py sets HF_HUB_OFFLINE
    message = said("penchant-tests/no-such-data-set")
    assert "no such local file, and the Hugging Face hub cannot be reached" in message
