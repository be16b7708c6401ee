"""Pictures in the commands of weak labels: sets by name, folders per class, and a column of a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import penchant as pt
from penchant.errors import InputError
from penchant.image import Image
from penchant.weak.command_rows import read_rows
from penchant.weak.picture_sets import is_picture_set

CNN = {"name": "cnn", "steps": 8, "batch_size": 16, "width": 8}


def _picture(low: int, seed: int) -> Image:
    return Image.make(np.random.default_rng(seed).integers(low, low + 100, (8, 8), np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a folder per class, of 20 dark and 20 bright pictures."""
    for name, low in (("dark", 0), ("light", 150)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for seed in range(20):
            (tmp_path / "set" / name / f"{seed}.png").write_bytes(_picture(low, seed).read())
    return tmp_path / "set"


@pytest.fixture
def listed(folder: Path) -> Path:
    """A table of the same pictures by their places beside it, with classes and digests."""
    file = folder / "rows.csv"
    rows = [(f"{name}/{seed}.png", name) for seed in range(20) for name in ("dark", "light")]
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "label", "sha256"))
        writer.writerows((place, name, Image.make(folder / place).sha256) for place, name in rows)
    return file


def test_a_folder_and_a_table_of_it_are_the_same_rows(folder: Path, listed: Path) -> None:
    by_folder, by_table = read_rows(str(folder), "classes"), read_rows(str(listed), "classes")
    assert by_folder.names == by_table.names == ("dark", "light")
    assert set(by_folder.texts) == set(by_table.texts)
    assert by_folder.targets is not None
    assert by_folder.targets.sum(0).tolist() == [20, 20]
    assert is_picture_set("digits:40")
    assert not is_picture_set(str(listed))


def test_a_set_by_its_name_has_two_parts_that_share_nothing() -> None:
    train, test = read_rows("digits:60", "classes"), read_rows("digits:50", "classes", part="test")
    assert (len(train.examples), len(test.examples)) == (60, 50)
    assert not set(train.texts) & set(test.texts)
    assert train.names == tuple("0123456789")
    with pytest.raises(InputError, match="the class '0' is none of a, b"):
        read_rows("digits:60", "classes", names=("a", "b"))


def test_bad_pictures_are_named_with_their_rows(listed: Path) -> None:
    (listed.parent / "dark" / "3.png").write_bytes(b"no picture")
    (listed.parent / "light" / "4.png").write_bytes(_picture(0, 99).read())
    (listed.parent / "light" / "5.png").unlink()
    with pytest.raises(InputError) as caught:
        read_rows(str(listed), "classes")
    message = str(caught.value)
    assert "3 rows cannot be used" in message
    assert "dark/3.png is no picture" in message
    assert "light/4.png is another picture than the one that was listed" in message
    assert "light/5.png cannot be read" in message
    file = listed.with_name("mixed.jsonl")
    for path, expected in (
        ("a" * 5_000, "File name too long"),
        ("a\0.png", "is no path"),
        ("~no_such_person/a.png", "is no path"),
    ):
        file.write_text(json.dumps({"image": path, "label": "a"}))
        with pytest.raises(InputError, match=f"field 'image': .*{expected}"):
            read_rows(str(file), "classes")
    file.write_text('{"image": "dark/1.png", "label": "a"}\n{"text": "a film", "label": "b"}\n')
    with pytest.raises(InputError, match=r"1 rows have a picture .*others not"):
        read_rows(str(file), "classes")


def test_places_outside_of_the_folder_need_a_digest(folder: Path, tmp_path: Path) -> None:
    file, outside = folder / "rows.jsonl", tmp_path / "secret.png"
    outside.write_bytes(_picture(0, 77).read())
    (folder / "link.png").symlink_to(outside)
    for place in ("../secret.png", str(outside), "link.png", "dark/../../secret.png", f"{folder.parent}/none.png"):
        file.write_text(json.dumps({"image": place, "label": "a"}))
        with pytest.raises(InputError, match=r"field 'image': .* lies outside .*set: copy it there, or state its dig"):
            read_rows(str(file), "classes")
    # who states what the picture is has seen it
    file.write_text(json.dumps({"image": "../secret.png", "label": "a", "sha256": Image.make(outside).sha256}))
    assert len(read_rows(str(file), "classes", names=("a", "b")).examples) == 1
    # within the folder every spelling will do
    rows = [{"image": place, "label": "a"} for place in (str(folder / "dark" / "1.png"), "dark/../dark/2.png")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(read_rows(str(file), "classes", names=("a", "b")).examples) == 2


def test_a_supervisor_labels_pictures_and_a_student_learns_from_its_file(listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    rows = [_picture(low, seed) for seed in range(100, 130) for low in (0, 150)]
    places = [tmp_path / f"{number}.png" for number in range(len(rows))]
    for place, image in zip(places, rows, strict=True):
        place.write_bytes(image.read())
    (tmp_path / "new.jsonl").write_text("".join(json.dumps({"image": place.name}) + "\n" for place in places))
    labelled = pt.weak_label(
        pt.WeakLabel(data=str(tmp_path / "new.jsonl"), train=str(listed), supervisor=CNN, out=str(out))
    )
    assert labelled.rows == 60
    first = json.loads(out.read_text().splitlines()[0])
    assert (first["image"], first["sha256"]) == (str(places[0]), rows[0].sha256)
    run = pt.weak_train(
        pt.WeakTrain(
            data=str(out),
            student={**CNN, "algorithm": "fixmatch"},
            unlabeled=str(listed.parent),
            held_out=0.3,
            out=str(tmp_path / "run"),
        )
    )
    assert run.metrics["unlabeled"]["rows"] == 40
    assert run.metrics.get("consistency") is None
    predictions = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert {row["sha256"] for row in predictions} <= {image.sha256 for image in rows}


def test_labels_of_a_set_come_with_its_pictures(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    train = tmp_path / "train.jsonl"
    digits = read_rows("digits:40", "classes", part="test")
    assert digits.targets is not None
    lines = []
    for number, (image, target) in enumerate(zip(digits.examples, digits.targets, strict=True)):
        assert isinstance(image, Image)
        (tmp_path / f"{number}.png").write_bytes(image.read())
        lines.append(json.dumps({"image": f"{number}.png", "label": digits.names[int(target.argmax())]}))
    train.write_text("\n".join(lines) + "\n")
    pt.weak_label(pt.WeakLabel(data="digits:30", train=str(train), supervisor=CNN, out=str(out)))
    again = read_rows(str(out), "classes", names=digits.names)
    assert set(again.texts) == set(read_rows("digits:30", "classes").texts)
    assert len(list((tmp_path / "labels-images").iterdir())) == 30
