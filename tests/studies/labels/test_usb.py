"""The files of the benchmark USB, with their back-translations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.studies.labels.usb import read_usb


def write(folder: Path, train: Mapping[str, object], test: Mapping[str, object]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.json").write_text(json.dumps(train))
    (folder / "test.json").write_text(json.dumps(test))
    return folder


def row(text: str, label: object = "0") -> dict[str, object]:
    return {"ori": text, "aug_0": f"{text}, once", "aug_1": f"{text}, twice", "label": label}


def test_rows_have_their_back_translations_and_test_rows_do_not_train(tmp_path: Path) -> None:
    train = {str(number): row(f"text {number}", str(number % 3)) for number in range(9)} | {"9": row("Text 4")}
    folder = write(tmp_path / "ag_news", train, {"0": {"ori": "text 2!", "label": 2}, "1": {"ori": "new", "label": 0}})
    training, testing, dropped = read_usb(folder, train=None, test=None)
    assert sorted(testing.texts) == ["new", "text 2!"]
    assert sorted(training.texts) == [f"text {number}" for number in range(9) if number != 2]
    assert dropped == {"that test, too": 1, "twice": 1}
    for place, text in enumerate(training.texts):
        assert [copies[place] for copies in training.copies] == [f"{text}, once", f"{text}, twice"]
        assert training.labels[place] == int(text[-1]) % 3
    fewer, _, _ = read_usb(folder, train=3, test=1)
    assert fewer.texts == training.texts[:3]


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ({"0": {"ori": "a", "label": 1}}, "row '0': expected ori, aug_0, aug_1, label"),
        ({"0": row("a", "one")}, "row '0'"),
        ({"0": row("a", -1)}, "a class below 0"),
        ({"0": row("a", 1.7)}, "row '0'"),
        ({"0": row("  ")}, "an empty text"),
        ({}, "no file of USB"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, train: dict[str, object], words: str) -> None:
    folder = write(tmp_path / "bad", train, {"0": {"ori": "b", "label": 0}})
    with pytest.raises(InputError, match=words):
        read_usb(folder, train=None, test=None)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lacks train.json and test.json"):
        read_usb(tmp_path, train=None, test=None)
    (tmp_path / "train.json").write_text("{")
    (tmp_path / "test.json").write_text('{"0": {"ori": "b", "label": 0}}')
    with pytest.raises(InputError, match=r"train.json cannot be read as JSON"):
        read_usb(tmp_path, train=None, test=None)
