"""Read a data set of the benchmark USB: texts with two back-translations each, as its own files have them.

Source: Wang et al. 2022 (arXiv:2208.07204), whose `train.json` and `test.json` are objects of rows
`{"ori": text, "aug_0": back-translation, "aug_1": another, "label": class}` by number.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from penchant.errors import InputError
from penchant.files import read_json
from penchant.tasks.spec import normalized

TRAIN, TEST = "train.json", "test.json"
COPIES = ("aug_0", "aug_1")
SHUFFLE_SEED = 0


@dataclass(frozen=True)
class UsbRows:
    """Rows of a part.

    Attributes:
        texts, labels: of each row. copies: for each of two back-translations, the texts of all rows; empty for tests.
    """

    texts: tuple[str, ...]
    labels: tuple[int, ...]
    copies: tuple[tuple[str, ...], ...] = ()


def usb_files(folder: Path) -> tuple[Path, Path]:
    """Return the files of a data set.

    Raises:
        InputError: one is missing.
    """
    files = folder / TRAIN, folder / TEST
    if missing := [file.name for file in files if not file.is_file()]:
        raise InputError(
            f"usb:{folder} lacks {' and '.join(missing)}: unpack a data set of the benchmark USB (its `data` folder, "
            "such as data/ag_news), and name that folder"
        )
    return files


def read_usb(folder: Path, *, train: int | None, test: int | None) -> tuple[UsbRows, UsbRows, dict[str, int]]:
    """Return rows to learn from with their back-translations, rows to test on, and how many were left out.

    Args:
        train, test: how many to take at most, drawn in an order that never changes.

    Raises:
        InputError: a file is missing, is no such file, or has a row without one of its fields.
    """
    import numpy as np

    train_file, test_file = usb_files(folder)
    dropped: Counter[str] = Counter()
    # test rows first: a text that both files have tests, and does not train
    testing = _unique(_rows(test_file, ()), set(), dropped)
    known_keys = {normalized(row[0]) for row in testing}
    training = _unique(_rows(train_file, COPIES), known_keys, dropped)
    parts = []
    for rows, count in ((training, train), (testing, test)):
        # USB's files are sorted by nothing that is promised
        order = np.random.default_rng(SHUFFLE_SEED).permutation(len(rows))[:count]
        parts.append([rows[index] for index in order.tolist()])
    return _columns(parts[0], COPIES), _columns(parts[1], ()), dict(dropped)


def _columns(rows: list[tuple[str, int, tuple[str, ...]]], copies: tuple[str, ...]) -> UsbRows:
    texts, labels = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
    return UsbRows(texts, labels, tuple(tuple(row[2][copy] for row in rows) for copy in range(len(copies))))


def _unique(
    rows: list[tuple[str, int, tuple[str, ...]]], known_keys: set[str], dropped: Counter[str]
) -> list[tuple[str, int, tuple[str, ...]]]:
    """Return each text once, and none that is known; test rows are known to rows to learn from."""
    unique_rows, seen = [], set(known_keys)
    for row in rows:
        # whatever the case, spaces and punctuation
        key = normalized(row[0])
        if key in seen:
            dropped["that test, too" if key in known_keys else "twice"] += 1
            continue
        seen.add(key)
        unique_rows.append(row)
    return unique_rows


def _rows(file: Path, copies: tuple[str, ...]) -> list[tuple[str, int, tuple[str, ...]]]:
    """Return text, class and copies of each row of a file."""
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON ({error})") from error
    if not isinstance(content, dict) or not content:
        raise InputError(f"{file} is no file of USB: expected an object of rows by number")
    rows = []
    # all rows are looked at before anything is trained
    for key, row in content.items():
        try:
            texts = tuple(row[name] for name in ("ori", *copies))
            # as text: a class of 1.7 is a slip, and `int` would make it 1
            label = int(str(row["label"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}, row {key!r}: expected {', '.join(('ori', *copies, 'label'))}, and {error!r} came up"
            ) from error
        # an empty back-translation would be a view of nothing
        if not all(isinstance(text, str) and text.strip() for text in texts) or label < 0:
            raise InputError(f"{file}, row {key!r}: an empty text, one that is no text, or a class below 0")
        rows.append((texts[0], label, texts[1:]))
    return rows
