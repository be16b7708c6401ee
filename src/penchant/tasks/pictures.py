"""Pictures with a class: scikit-learn's digits, Fashion-MNIST, a folder per class, or a data set of `datasets`.

What is taken of a set, and which pictures test, is decided by a fixed order that no seed moves: every method of a study
sees the same rows. A picture that comes twice is kept once, and never trains where it tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from penchant.errors import InputError, RunError
from penchant.extension.user_code import suggest
from penchant.image import Image
from penchant.tasks.idx import find_fashion_mnist, read_idx_pair
from penchant.tasks.picture_names import HUB, SETS

FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
TEST_SHARE = 4  # of a set without a test part every fourth picture tests
SMALL_PART = 1_000  # pictures to train on that are read where only tests are asked for
TEST_PARTS = ("test", "val", "valid", "validation")
Labeled = tuple[Image, int]


@dataclass(frozen=True)
class ImageRows:
    """Pictures with their classes.

    Attributes:
        labels: a class for each, from 0.
    """

    images: tuple[Image, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class ImageTask:
    """Pictures to train and to test on, which share none.

    Attributes:
        title: for people. classes: their names, in the order of labels.
        dropped: how many pictures were left out, by reason.
    """

    title: str
    classes: tuple[str, ...]
    train: ImageRows
    test: ImageRows
    dropped: Mapping[str, int] = field(default_factory=dict)


def load_images(name: str, *, train: int | None = None, test: int | None = None) -> ImageTask:
    """Return the pictures of a set.

    Args:
        name: `digits`, `fashion_mnist` (Debian's package `dataset-fashion-mnist`, or its four idx files in the folder
            that PENCHANT_DATA names), a folder with a folder per class (below `train` and `test`, or without these), or
            `hub:org/name`, a data set of `datasets` with a column of pictures and one of classes.
        train, test: how many to take at most.

    Raises:
        InputError: no such set, a broken file, or a folder with fewer than two classes.
    """
    if name == "digits":
        title, classes, training, testing = "handwritten digits (scikit-learn)", *_digits()
    elif name == "fashion_mnist":
        title, classes = "Fashion-MNIST", FASHION
        training, testing = (
            _idx_rows(pair, count) for pair, count in zip(find_fashion_mnist(), (train, test), strict=True)
        )
    elif name.startswith(HUB):
        title, classes, training, testing = name.removeprefix(HUB), *_hub_rows(name.removeprefix(HUB))
    else:
        title, classes, training, testing = name, *_folder_rows(Path(name).expanduser(), name)
    return divide_images(title, classes, training, testing, train=train, test=test)


def load_part(
    name: str, part: Literal["train", "test"], count: int | None = None
) -> tuple[tuple[str, ...], ImageRows, Mapping[str, int]]:
    """Return classes, pictures and what was dropped of one part of a set; a folder without parts is one as a whole.

    Args:
        name: as for `load_images`. count: how many to take at most.

    Raises:
        InputError: as `load_images`.
    """
    folder = Path(name).expanduser()
    if folder.is_dir() and not (folder / "train").is_dir():
        classes, dropped = _classes(folder), Counter[str]()
        return classes, _take(_shuffled(_read_folder(folder, classes)), count, {}, dropped), dropped
    # tests are taken first: which they are does not depend on how many there are to train on
    task = load_images(name, test=count, train=SMALL_PART) if part == "test" else load_images(name, train=count)
    return task.classes, task.test if part == "test" else task.train, task.dropped


def has_class_folders(folder: Path) -> bool:
    """Return whether a folder has a folder per class, in parts or at once."""
    folder = folder.expanduser()
    inner = folder / "train" if (folder / "train").is_dir() else folder
    return inner.is_dir() and any(part.is_dir() and _files(part) for part in inner.iterdir())


def divide_images(
    title: str,
    classes: Sequence[str],
    training: Iterable[Labeled],
    testing: Iterable[Labeled] | None,
    *,
    train: int | None = None,
    test: int | None = None,
) -> ImageTask:
    """Return pictures to train and to test on: in a fixed order, none twice, those of the test part first.

    Args:
        testing: None where a quarter of the others tests. train, test: how many to take at most.

    Raises:
        InputError: a part is empty, or lacks a class.
    """
    training = _shuffled(training)
    if testing is None:
        testing, training = training[::TEST_SHARE], [row for n, row in enumerate(training) if n % TEST_SHARE]
    dropped: Counter[str] = Counter()
    class_by_digest: dict[str, int] = {}
    # test rows first: a picture that both parts have tests, and does not train
    parts = [
        _take(rows, count, class_by_digest, dropped) for rows, count in ((_shuffled(testing), test), (training, train))
    ]
    for part, kind in zip(parts, ("test", "train on"), strict=True):
        # a class that is not tested would have no accuracy, one that is not trained none above 0
        if missing := sorted(set(range(len(classes))) - set(part.labels)):
            names = ", ".join(classes[label] for label in missing)
            raise InputError(f"{title}: among {len(part)} pictures to {kind} there is none of {names}: take more")
    return ImageTask(title, tuple(classes), parts[1], parts[0], dict(dropped))


def _shuffled(rows: Iterable[Labeled]) -> list[Labeled]:
    """Return rows in an order that is always the same; files may be sorted by class."""
    listed = list(rows)
    return [listed[index] for index in np.random.default_rng(0).permutation(len(listed)).tolist()]


def _take(
    rows: Sequence[Labeled], count: int | None, class_by_digest: dict[str, int], dropped: Counter[str]
) -> ImageRows:
    """Return the first rows that are not known, and add them to the known ones."""
    chosen_rows: list[Labeled] = []
    for image, label in rows:
        # digests are asked for one by one: of a large set only those that are taken are decoded
        if len(chosen_rows) == count:
            break
        digest = image.pixel_digest()
        if digest in class_by_digest:
            dropped["twice" if class_by_digest[digest] == label else "twice, under two classes"] += 1
            continue
        class_by_digest[digest] = label
        chosen_rows.append((image, label))
    return ImageRows(tuple(image for image, _ in chosen_rows), tuple(label for _, label in chosen_rows))


@cache
def _digits() -> tuple[tuple[str, ...], list[Labeled], None]:
    """Read the 1,797 digits of 8 x 8 pixels that come with scikit-learn; they have no test part."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = (digits.images * 255 / 16).round().astype(np.uint8)  # they are counts from 0 to 16
    rows = [
        (Image.make(picture, name=f"digit {number}"), int(label))
        for number, (picture, label) in enumerate(zip(pixels, digits.target, strict=True))
    ]
    return tuple(map(str, range(10))), rows, None


def _idx_rows(pair: tuple[Path, Path], count: int | None) -> list[Labeled]:
    """Read the pictures and labels of two idx files; no more than can be needed, since each becomes a picture."""
    pixels, labels = read_idx_pair(*pair)
    chosen = np.random.default_rng(0).permutation(len(labels))
    # some more than are asked for, since some come twice
    chosen = chosen if count is None else chosen[: count + count // 10 + 100]
    return [
        (Image.make(pixels[index], name=f"{pair[0].name}, picture {index}"), int(labels[index]))
        for index in chosen.tolist()
    ]


def _folder_rows(folder: Path, name: str) -> tuple[tuple[str, ...], list[Labeled], list[Labeled] | None]:
    """Read a folder that has a folder for each class."""
    if not folder.is_dir():
        raise InputError(
            f"there are no pictures called {name!r}: it is no folder, and the sets are {', '.join(SETS)}; a data set "
            f"of a hub is {HUB}org/name{suggest(name, SETS)}"
        )
    # both ways to lay a set out: with parts, or with the classes at once
    train = folder / "train" if (folder / "train").is_dir() else folder
    test = next((folder / part for part in TEST_PARTS if train != folder and (folder / part).is_dir()), None)
    classes = _classes(train)
    if test is not None and (extra_classes := sorted(set(_classes(test)) - set(classes))):
        raise InputError(
            f"{test} has the classes {', '.join(extra_classes)}, which {train} has not: name the folders alike"
        )
    return classes, _read_folder(train, classes), None if test is None else _read_folder(test, classes)


def _classes(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders that hold pictures."""
    # by name: a file system lists folders in any order, and labels are numbers of classes
    names = tuple(sorted(part.name for part in folder.iterdir() if part.is_dir() and _files(part)))
    # one class leaves nothing to tell apart; often the folder above was meant
    if len(names) < 2:
        content = f"only the class {names[0]!r}" if names else f"no folder with pictures ({', '.join(SUFFIXES)})"
        raise InputError(f"{folder} has {content}: make a folder for each class, with its pictures, and at least two")
    return names


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())


def _read_folder(folder: Path, classes: Sequence[str]) -> list[Labeled]:
    """Read all pictures, and name every broken one in one message."""
    rows: list[Labeled] = []
    problems: list[str] = []
    for label, name in enumerate(classes):
        for file in _files(folder / name):
            try:
                image = Image.make(file)
                # now, not in the middle of a training: a header may be whole where the pixels are not
                image.decode()
            except InputError as error:
                problems.append(str(error))
            else:
                rows.append((image, label))
    if problems:
        ending = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(f"{len(problems)} pictures below {folder} cannot be used: {'; '.join(problems[:3])}{ending}")
    return rows


def _hub_rows(name: str) -> tuple[tuple[str, ...], list[Labeled], list[Labeled] | None]:
    """Read a data set of the hub, or of its cache."""
    from datasets import load_dataset

    try:
        parts = load_dataset(name)
    except Exception as error:  # no network, no such name, no access: each with an error of its own kind
        raise RunError(f"the data set {name} cannot be loaded: {error}") from error
    return dataset_rows(parts, name)


def dataset_rows(parts: Mapping[str, Any], name: str) -> tuple[tuple[str, ...], list[Labeled], list[Labeled] | None]:
    """Return classes and rows of a data set of `datasets`, by its parts; None for tests where it has no such part.

    Raises:
        InputError: no part to train on, no column of pictures, or none of classes.
    """
    from datasets import ClassLabel
    from datasets import Image as ImageColumn

    if "train" not in parts:
        raise InputError(f"{name} has the parts {', '.join(parts)}, and none called train")
    features = parts["train"].features
    pictures = [column for column, kind in features.items() if isinstance(kind, ImageColumn)]
    labels = [column for column, kind in features.items() if isinstance(kind, ClassLabel)]
    if not pictures or not labels:
        raise InputError(
            f"{name} has the columns {', '.join(features)}: one must be of pictures (`Image`) and one of classes "
            "(`ClassLabel`)"
        )

    def read(part: str) -> list[Labeled]:
        # undecoded: the bytes are kept as they came
        rows = parts[part].cast_column(pictures[0], ImageColumn(decode=False))
        return [
            (Image.make(row[pictures[0]]["bytes"] or row[pictures[0]]["path"], name=f"{part} {number}"), row[labels[0]])
            for number, row in enumerate(rows)
            if row[labels[0]] is not None and row[labels[0]] >= 0  # -1 stands for no label
        ]

    test = next((part for part in TEST_PARTS if part in parts), None)
    return tuple(features[labels[0]].names), read("train"), None if test is None else read(test)
