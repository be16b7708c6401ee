"""Files in the idx format of MNIST, packed or not: where those of Fashion-MNIST lie, and what they hold."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InputError

FOLDERS = ("/usr/share/datasets/fashion-mnist",)
"""Where Debian's package `dataset-fashion-mnist` puts its files."""
STEMS = (("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"))
UNSIGNED_BYTE = 8  # the format's number for this type


def find_fashion_mnist() -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    """Return the files of pictures and labels to train and to test on.

    Raises:
        InputError: they are nowhere.
    """
    data = os.environ.get("PENCHANT_DATA")
    # a folder of one's own comes before what a system has installed
    folders = [Path(folder).expanduser() for folder in (*([data, f"{data}/fashion-mnist"] if data else []), *FOLDERS)]
    for folder in folders:
        train, test = ([_packed_or_not(folder / stem) for stem in pair] for pair in STEMS)
        match train, test:
            case [Path() as images, Path() as labels], [Path() as test_images, Path() as test_labels]:
                return (images, labels), (test_images, test_labels)
    raise InputError(
        f"the files of Fashion-MNIST are not in {' or '.join(map(str, folders))}: install Debian's package "
        f"`dataset-fashion-mnist`, or put {STEMS[0][0]}.gz and the other three into a folder, and name it by "
        "PENCHANT_DATA"
    )


def _packed_or_not(file: Path) -> Path | None:
    return next((path for path in (file.with_name(f"{file.name}.gz"), file) if path.is_file()), None)


def read_idx_pair(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return pictures, shape (pictures, height, width), and their labels, shape (pictures,).

    Raises:
        InputError: a file that is no such file or broken, or files that do not belong together.
    """
    pixels, classes = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(classes):
        raise InputError(f"{images} has {len(pixels)} pictures and {labels} {len(classes)} labels: they do not match")
    return pixels, classes


def read_idx(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the numbers of an idx file of bytes: big-endian sizes after a magic number, then the numbers.

    Raises:
        InputError: it cannot be read, has another type or number of dimensions, or is cut.
    """
    try:
        content = file.read_bytes()
        content = gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    header = 4 * (1 + dimensions)
    if len(content) < header or content[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise InputError(f"{file} is no idx file of bytes with {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    # a cut file is named here: numpy would only say that it cannot reshape
    if len(content) - header != math.prod(shape):
        raise InputError(f"{file} says {shape} and holds {len(content) - header} bytes: it is damaged")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
