"""A task from a file of the user's own: a text and a class per row, split by content. Imports no torch.

Classes are what the column of labels holds, sorted. What is left out is counted, and what looks like a slip of the file
(spaces around labels, a text with two labels) is named with its rows.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from penchant.data.in_memory import data_source
from penchant.data.layouts.columns import rename_columns
from penchant.data.sources.files import SUFFIXES, TEXT_SUFFIXES, read_rows
from penchant.data.sources.packed import PACKED_SUFFIXES
from penchant.data.sources.rows import Row, RowProblem
from penchant.data.sources.values import RowError, as_text, bulleted, cut, describe
from penchant.errors import InputError
from penchant.session.objects import code_name
from penchant.session.store import is_session_name, session_path
from penchant.tasks.load import TaskData, divide_task, group_of
from penchant.tasks.spec import TaskSpec, digest, normalized
from penchant.types import LabeledExample

log = logging.getLogger("penchant.tasks")


def _task_name(value: object) -> object:
    """Return the name under which settings hold a task: its own, of rows of the session, or of code."""
    is_rows = isinstance(value, list) or hasattr(value, "to_dict") or hasattr(value, "to_dicts")
    return data_source(value) if is_rows else code_name(value)


TaskName = Annotated[str, BeforeValidator(_task_name)]
"""The name of a task in settings; rows, a data frame or a task of a Python session may stand in its place."""

FIELDS = ("text", "label", "group", "split", "difficulty")
"""What `columns` may name: the first two are needed, and the last is read only where it is named."""
TEXT_FIELDS = ("text", "sentence", "content", "prompt")
"""Columns that hold the text where `columns` does not say which; the first that is there."""
TRAIN, TEST = ("train", "training"), ("test", "testing")
"""What the column of splits calls rows to train and to test on; rows of other splits are left out."""
MOST_CLASSES = 50
"""Classes of a task: more are a rating or a text, which no student of this study learns as classes."""
MOST_SHOWN = 10
DIGESTS = 2**64  # of how many the digest of a text is one


@dataclass(frozen=True)
class OwnFile:
    """A file of labelled texts as a task, and how it is read.

    Attributes:
        path: of the rows. test_path: of those to test on; empty where the file is divided.
        columns: pairs of a field of `FIELDS` and the column that holds it; None leaves the column of that name out.
        test_share: of the groups of a file that is divided by content.
    """

    path: str
    test_path: str = ""
    columns: tuple[tuple[str, str | None], ...] = ()
    test_share: float = 0.25

    @property
    def title(self) -> str:
        """The file's name, without the folders of the user's machine."""
        return Path(self.path).name.rpartition(":")[2]


@dataclass(frozen=True)
class _OwnRow:
    """A row as it was read, with the name of its class.

    Attributes:
        source: the row, as `file:line`. spaced: whether white space stood around its label or group.
        difficulty: how hard it is; None where no column says so.
    """

    source: str
    text: str
    label: str
    group: str
    split: str
    spaced: bool
    difficulty: float | None = None


@dataclass(frozen=True)
class _OwnRows:
    """The rows of a file.

    Attributes:
        unlabeled: how many rows had no label.
    """

    rows: tuple[_OwnRow, ...]
    unlabeled: int


def is_data_file(name: str) -> bool:
    """Return whether the name of a task is meant as a file of rows, by how it ends."""
    if is_session_name(name):
        return name.endswith(".jsonl")
    packed = tuple(suffix + packing for suffix in TEXT_SUFFIXES for packing in PACKED_SUFFIXES)
    # a text file has no labels, and a database of comparisons no classes
    return name.lower().endswith((*SUFFIXES, *packed)) and not name.lower().endswith(".py")


def own_spec(file: OwnFile) -> TaskSpec:
    """Return the task of a file, with the classes that its labels name; slips of the file are named in a warning.

    Raises:
        InputError: no such file or column, rows that cannot be used (named), one class, or too many.
    """
    return _read_once(file, tuple(map(_content, _paths(file))))[0]


def load_own(file: OwnFile, *, train: int | None = None, test: int | None = None) -> TaskData:
    """Return the examples of a file, those to train and to test on; see `load_task`.

    Raises:
        InputError: as `own_spec`; a class without rows to train or to test on.
    """
    spec, parts = _read_once(file, tuple(map(_content, _paths(file))))
    rows = [row for part in parts for row in part.rows]
    dropped = {"without a label": sum(part.unlabeled for part in parts)}
    # a file of test rows goes before a column of splits that both files may have
    if len(parts) == 2:
        train_rows, test_rows = parts[0].rows, parts[1].rows
    elif any(row.split for row in rows):
        train_rows, test_rows = (tuple(row for row in rows if row.split.lower() in names) for names in (TRAIN, TEST))
        dropped["of other splits"] = len(rows) - len(train_rows) - len(test_rows)
        _check_splits(file, rows)
    else:
        train_rows, test_rows = _divided(rows, spec, file.test_share)
    source = " and ".join(Path(path).name for path in _paths(file))
    examples = [[_example(row, spec) for row in part] for part in (train_rows, test_rows)]
    data = divide_task(spec, source, *examples, train=train, test=test, dropped=dropped)
    # reversed, so that of equal texts the first stays, whose row is kept
    difficulty = {row.text: row.difficulty for row in reversed(rows) if row.difficulty is not None}
    return replace(data, difficulty=difficulty)


def _paths(file: OwnFile) -> list[str]:
    return [file.path, *([file.test_path] if file.test_path else [])]


def _content(path: str) -> tuple[int, int]:
    """Return what changes with a file's content: its size, and when it was written."""
    file = Path(session_path(path)).expanduser()
    stat = file.stat() if file.is_file() else None
    return (stat.st_size, stat.st_mtime_ns) if stat else (0, 0)


# once per process: the study asks for the classes before it reads the rows, and each warning is to stand once
@cache
def _read_once(file: OwnFile, contents: tuple[tuple[int, int], ...]) -> tuple[TaskSpec, tuple[_OwnRows, ...]]:
    """Read a task's files; `contents` is there so that a file that is edited is read anew."""
    parts = tuple(_read_file(path, dict(file.columns)) for path in _paths(file))
    rows = [row for part in parts for row in part.rows]
    names = sorted({row.label for row in rows}, key=_class_order)
    _check_classes(file, names, rows)
    _warn_of_slips(file, rows)
    return TaskSpec(file.title, file.title, tuple(names), read=lambda row: [], local=(file.path,)), parts


def _read_file(path: str, columns: Mapping[str, str | None]) -> _OwnRows:
    rows: list[_OwnRow] = []
    problems: list[str] = []
    unlabeled = 0
    for row in read_rows(Path(path).expanduser() if not is_session_name(path) else path):
        if isinstance(row, RowProblem):
            problems.append(str(row))
            continue
        try:
            parsed = _parse(row, columns)
        except RowError as error:
            problem = str(error).removeprefix("data.")  # the setting is called `columns` here
            # a column that is not there is missing in every row
            if error.kind == "column":
                raise InputError(f"{row.source}: {problem}") from error
            problems.append(f"{row.source}: {problem}")
            continue
        rows += [parsed] if parsed else []
        unlabeled += parsed is None
    if problems:
        lines = "\n".join(bulleted(problems, MOST_SHOWN))
        raise InputError(f"{path}: {len(problems)} rows cannot be used:\n{lines}")
    if not rows:
        raise InputError(f"{path}: no row has a label" if unlabeled else f"{path} has no rows")
    return _OwnRows(tuple(rows), unlabeled)


def _parse(row: Row, columns: Mapping[str, str | None]) -> _OwnRow | None:
    """Return a row's text and labels; None where it has no label."""
    values = rename_columns(row.values, columns)
    text_field = next((name for name in TEXT_FIELDS if name in values), "text")
    for field in (text_field, "label"):
        if field not in values:
            names = ", ".join(cut(name) for name in list(row.values)[:20])
            raise RowError(
                "column",
                f"there is no column {field!r}, and the row has {names}: say which one it is (columns.{field}=COLUMN)",
            )
    label, is_spaced = _name(values["label"], "label")
    if not label:
        return None
    group, group_is_spaced = _name(values.get("group"), "group")
    split, _ = _name(values.get("split"), "split")
    text = as_text(values[text_field], text_field, empty_ok=True).strip()
    difficulty = _difficulty(values, columns["difficulty"]) if columns.get("difficulty") else None
    return _OwnRow(row.source, text, label, group, split, is_spaced or group_is_spaced, difficulty)


def _difficulty(values: Mapping[str, object], column: str | None) -> float:
    """Return how hard a row is.

    Raises:
        RowError: what the column holds is no finite number.
    """
    try:
        number = float(str(values["difficulty"]))
    except ValueError:
        number = math.nan
    # a NaN would stand anywhere in the order
    if not math.isfinite(number):
        raise RowError(
            "value", f"column {column!r}: expected how hard the row is, a number, got {describe(values['difficulty'])}"
        )
    return number


def _name(value: object, field: str) -> tuple[str, bool]:
    """Return a cell as a name without white space around it, and whether there was some; empty for an empty cell."""
    # an empty cell of Parquet and Excel files is no number: NaN is unequal to itself
    if value is None or value != value:
        return "", False
    # as CSV files write it, so that a file is the same task in every form
    if isinstance(value, bool):
        return str(value).lower(), False
    # a column of whole numbers that lacks some is one of floats in pandas
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int | float):
        raise RowError("type", f"field {field!r}: expected a name or a number, got {describe(value)}")
    name = str(value)
    return name.strip(), bool(name.strip()) and name != name.strip()


def _class_order(name: str) -> tuple[bool, int, str]:
    # 10 after 9: numbers as text would sort 1, 10, 2
    return not name.isdecimal(), int(name) if name.isdecimal() else 0, name


def _check_classes(file: OwnFile, names: list[str], rows: list[_OwnRow]) -> None:
    """Refuse labels that make no classes.

    Raises:
        InputError: one class, more than `MOST_CLASSES`, or two whose names differ in case alone.
    """
    column = dict(file.columns).get("label") or "label"
    if len(names) < 2:
        raise InputError(f"{file.title}: all {len(rows)} rows have the class {names[0]}: there must be at least two")
    if len(names) > MOST_CLASSES:
        raise InputError(
            f"{file.title}: the column {column!r} has {len(names)} different values in {len(rows)} rows, such as "
            f"{', '.join(cut(name) for name in names[:3])}; expected at most {MOST_CLASSES} classes. Say which column "
            "holds them (columns.label=COLUMN), or put ratings into classes"
        )
    # "Yes" beside "yes" is a slip of whoever labelled, and would make two classes of one
    by_lower: dict[str, str] = {}
    for name in names:
        if (other := by_lower.setdefault(name.lower(), name)) != name:
            first = {row.label: row.source for row in reversed(rows)}
            raise InputError(
                f"{file.title}: the classes {other!r} ({first[other]}) and {name!r} ({first[name]}) differ in case "
                "alone: write them alike"
            )


def _warn_of_slips(file: OwnFile, rows: list[_OwnRow]) -> None:
    """Name what looks like a slip of the file, and what is made of it."""
    spaced = [row for row in rows if row.spaced]
    if spaced:
        log.warning(
            "%s: %d rows have spaces around their label or group (the first is %s); they are read without",
            file.title,
            len(spaced),
            spaced[0].source,
        )
    first: dict[str, _OwnRow] = {}
    contradictions: dict[str, str] = {}
    for row in rows:
        # as duplicates are found: whatever the case, spaces and punctuation
        key = normalized(row.text)
        earlier_row = first.setdefault(key, row)
        if key and earlier_row.label != row.label:
            pair = f"{earlier_row.source} ({earlier_row.label}) and {row.source} ({row.label})"
            contradictions.setdefault(key, pair)
    if contradictions:
        pairs = list(contradictions.values())
        omitted = f", and {len(pairs) - 3} more" if len(pairs) > 3 else ""
        log.warning(
            "%s: %d texts have two labels, and none of their rows is used: %s%s",
            file.title,
            len(pairs),
            "; ".join(pairs[:3]),
            omitted,
        )


def _check_splits(file: OwnFile, rows: list[_OwnRow]) -> None:
    """Refuse a column of splits without rows to train on, or without rows to test on."""
    names = sorted({row.split for row in rows})
    for part, known_names in (("train", TRAIN), ("test", TEST)):
        if not {name.lower() for name in names} & set(known_names):
            raise InputError(
                f"{file.title}: no row to {part} on: the column of splits has {', '.join(map(repr, names[:10]))}; "
                f"expected `train` and `test`. Without that column (columns.split=null) the file is divided by content"
            )


def _divided(rows: list[_OwnRow], spec: TaskSpec, test_share: float) -> tuple[tuple[_OwnRow, ...], tuple[_OwnRow, ...]]:
    """Return rows to train and to test on, by a digest of each one's group: a file that grows keeps its sides."""
    is_test = [digest(group_of(_example(row, spec))) < test_share * DIGESTS for row in rows]

    def side(tested: bool) -> Iterator[_OwnRow]:
        return (row for row, is_tested in zip(rows, is_test, strict=True) if is_tested is tested)

    return tuple(side(False)), tuple(side(True))


def _example(row: _OwnRow, spec: TaskSpec) -> LabeledExample:
    return LabeledExample(row.text, spec.classes.index(row.label), row.group)
