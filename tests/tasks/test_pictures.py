"""Sets of pictures: what is read, what is divided, and what is named when it cannot be."""

from __future__ import annotations

import gzip
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from penchant.errors import InputError
from penchant.image import Image
from penchant.tasks import idx
from penchant.tasks.pictures import FASHION, dataset_rows, divide_images, load_images

RNG = np.random.default_rng(0)


def _folder(root: Path, *classes: str, each: int = 4) -> Path:
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(each):
            Pillow.fromarray(RNG.integers(0, 256, (6, 6), dtype=np.uint8)).save(root / name / f"{number}.png")
    return root


def test_digits_are_always_there() -> None:
    task = load_images("digits", train=100, test=60)
    assert (len(task.train), len(task.test), len(task.classes)) == (100, 60, 10)
    assert task == load_images("digits", train=100, test=60)
    assert task.train.images[0].decode().shape == (8, 8)
    assert not {image.pixel_digest() for image in task.train.images} & {i.pixel_digest() for i in task.test.images}
    assert set(Counter(task.train.labels)) == set(range(10))
    # fewer are a part of more
    assert task.train.images[:50] == load_images("digits", train=50, test=60).train.images


def test_a_folder_for_each_class_with_and_without_a_test_part(tmp_path: Path) -> None:
    task = load_images(str(_folder(tmp_path / "plain", "cat", "dog", each=20)))
    assert task.classes == ("cat", "dog")
    assert (len(task.train), len(task.test)) == (30, 10)
    for image, label in zip(task.train.images, task.train.labels, strict=True):
        assert task.classes[label] in image.name
    _folder(tmp_path / "parts" / "train", "cat", "dog")
    _folder(tmp_path / "parts" / "test", "cat", "dog", each=2)
    task = load_images(str(tmp_path / "parts"))
    assert (len(task.train), len(task.test)) == (8, 4)
    _folder(tmp_path / "parts" / "test", "cow")
    with pytest.raises(InputError, match="test has the classes cow, which"):
        load_images(str(tmp_path / "parts"))


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there are no pictures called 'digit': .* did you mean `digits`"):
        load_images("digit")
    with pytest.raises(InputError, match="has only the class 'cat': make a folder for each class"):
        load_images(str(_folder(tmp_path / "one", "cat")))
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(InputError, match=r"has no folder with pictures \(\.png"):
        load_images(str(tmp_path / "empty"))
    root = _folder(tmp_path / "broken", "cat", "dog")
    (root / "cat" / "1.png").write_bytes(b"nothing")
    (root / "dog" / "2.png").write_bytes((root / "dog" / "2.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"2 pictures below .*cat/1\.png is no picture.*dog/2\.png cannot be decoded"):
        load_images(str(root))


def test_a_picture_that_comes_twice_is_kept_once_and_never_trains_where_it_tests() -> None:
    images = [Image.make(RNG.integers(0, 256, (4, 4), dtype=np.uint8)) for _ in range(8)]
    training = [(image, number % 2) for number, image in enumerate(images)]
    testing = [(images[0], 0), (images[1], 0), (Image.make(np.zeros((4, 4), np.uint8)), 1)]
    task = divide_images("some", ("a", "b"), training, testing)
    assert (len(task.train), len(task.test)) == (6, 3)
    assert task.dropped == {"twice": 1, "twice, under two classes": 1}
    with pytest.raises(InputError, match="among 1 pictures to train on there is none of"):
        divide_images("some", ("a", "b"), training, testing, train=1)


def _write_idx(file: Path, numbers: np.ndarray) -> None:
    header = bytes((0, 0, 8, numbers.ndim)) + struct.pack(f">{numbers.ndim}I", *numbers.shape)
    file.write_bytes(gzip.compress(header + numbers.tobytes()))


def test_fashion_mnist_is_read_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path))
    monkeypatch.setattr(idx, "FOLDERS", ())
    with pytest.raises(InputError, match=r"files of Fashion-MNIST are not in .*`dataset-fashion-mnist`"):
        load_images("fashion_mnist")
    pixels = RNG.integers(0, 256, (40, 5, 5), dtype=np.uint8)
    labels = np.arange(40, dtype=np.uint8) % 10
    for (image_stem, label_stem), rows in zip(idx.STEMS, (slice(0, 20), slice(20, 40)), strict=True):
        _write_idx(tmp_path / f"{image_stem}.gz", pixels[rows])
        _write_idx(tmp_path / f"{label_stem}.gz", labels[rows])
    task = load_images("fashion_mnist")
    assert task.classes == FASHION
    assert (len(task.train), len(task.test)) == (20, 20)
    by_pixels = {picture.tobytes(): label for picture, label in zip(pixels, labels.tolist(), strict=True)}
    assert [by_pixels[image.decode().tobytes()] for image in task.train.images] == list(task.train.labels)
    file = tmp_path / f"{idx.STEMS[0][1]}.gz"
    _write_idx(file, labels[:19])
    with pytest.raises(InputError, match=r"20 pictures and .* 19 labels"):
        load_images("fashion_mnist")
    file.write_bytes(file.read_bytes()[:-12])
    with pytest.raises(InputError, match=r"train-labels.* cannot be read"):
        load_images("fashion_mnist")
    file.write_bytes(gzip.compress(b"words"))
    with pytest.raises(InputError, match="no idx file of bytes with 1 dimensions"):
        load_images("fashion_mnist")


def test_a_data_set_of_datasets_is_found_by_its_columns() -> None:
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageColumn

    features = Features({"picture": ImageColumn(), "kind": ClassLabel(names=["a", "b"])})
    pictures = [Pillow.fromarray(RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)) for _ in range(6)]
    part = Dataset.from_dict({"picture": pictures, "kind": [0, 1, 0, 1, 0, -1]}, features=features)
    classes, train, test = dataset_rows({"train": part, "validation": part}, "mine")
    assert (classes, len(train), test and len(test)) == (("a", "b"), 5, 5)
    np.testing.assert_array_equal(train[3][0].decode(), np.asarray(pictures[3]))
    assert dataset_rows({"train": part}, "mine")[2] is None
    with pytest.raises(InputError, match="mine has the columns kind: one must be of pictures"):
        dataset_rows({"train": part.remove_columns("picture")}, "mine")
    with pytest.raises(InputError, match="has the parts test, and none called train"):
        dataset_rows({"test": part}, "mine")
