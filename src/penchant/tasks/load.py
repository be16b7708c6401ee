"""A task's examples: read, free of duplicates, balanced, and split with related items together. Imports no torch.

What is dropped is counted. Everything is decided by content, so every model of a study sees the same rows.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

from penchant.data.sources.files import read_rows
from penchant.data.sources.hub_table import split_file
from penchant.data.sources.rows import Row, RowProblem
from penchant.errors import InputError, MissingExtra, RunError
from penchant.extension.door import Door, is_extension
from penchant.extension.user_code import describe_error, suggest
from penchant.tasks.checks import checked_example, checked_groups, task_problem
from penchant.tasks.pairs import as_pairs, base_of, pairs_spec
from penchant.tasks.spec import TaskSpec, digest, normalized
from penchant.types import LabeledExample

TABLES = ("classification", "multiple_choice", "chess", "hh")
"""Modules here whose tasks are built in. Imported by name, so that a stage depends on its own task's row alone."""


def _read_tables() -> dict[str, tuple[str, TaskSpec]]:
    """Return the built-in tasks by name, each with the module that it stands in."""
    modules = [import_module(f"penchant.tasks.{table}") for table in TABLES]
    return {
        spec.name: (module.__name__, spec)
        for module in modules
        for spec in vars(module).values()
        if isinstance(spec, TaskSpec)
    }


_BUILT_IN = _read_tables()
NAMES = tuple(sorted(_BUILT_IN))
OWN_TASKS = Door("task", NAMES)
"""Tasks of the user's, by `module:attribute`."""
DATA_FOLDER = "data"
UNBALANCED = 0.55  # a class that is larger than this makes a task be balanced, as in the paper
TEST_SHARE = 4  # of a task with one file every fourth group is for testing


@dataclass(frozen=True)
class TaskData:
    """Examples to train and to test on.

    Attributes:
        spec: what they are of. source: the files or the hub id they came from.
        train, test: they share no text and no group; classes of both are balanced if the task's are far from it.
        dropped: how many examples were left out, by reason.
        difficulty: by text, how hard its row is; only of a file of the user's that says so.
    """

    spec: TaskSpec
    source: str
    train: tuple[LabeledExample, ...]
    test: tuple[LabeledExample, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    difficulty: Mapping[str, float] = field(default_factory=dict)


def task_spec(name: str) -> TaskSpec:
    """Return the task of a built-in name, or the user's that `module:attribute` names.

    Raises:
        InputError: there is none, with the names there are and the nearest one; or the attribute is no task.
    """
    # a built-in name never runs a file of the user's, also where one of that name lies here
    if name in _BUILT_IN:
        return _BUILT_IN[name][1]
    if is_pairs(name):
        return pairs_spec(_BUILT_IN[base_of(name)][1])
    if not is_extension(name):
        raise InputError(f"there is no task {name!r}; there are {', '.join(NAMES)}{suggest(name, NAMES)}")
    spec = OWN_TASKS.load(name)
    if problem := task_problem(spec):
        raise OWN_TASKS.refusal(name, problem)
    return replace(spec, name=name)


def is_pairs(name: str) -> bool:
    """Return whether a name is that of a built-in task whose texts are read as pairs, such as `sst2-pairs`."""
    return base_of(name) in _BUILT_IN


def task_row(name: str) -> str:
    """Return where the source of a built-in task lies, as `module:row`; empty for a task of the user's."""
    row = base_of(name) if is_pairs(name) else name
    return f"{_BUILT_IN[row][0]}:{row}" if row in _BUILT_IN else ""


def task_code(name: str) -> str:
    """Return the digest of the code behind a task of the user's; empty for a built-in one, which counts as our source.

    Raises:
        InputError: there is no such file, module or attribute.
    """
    return OWN_TASKS.content(name) if is_extension(name) else ""


def data_folder() -> Path:
    """Return the folder of data: what PENCHANT_DATA names, or `data`, where `penchant data get` writes."""
    return Path(os.environ.get("PENCHANT_DATA") or DATA_FOLDER).expanduser().resolve()


def local_files(spec: TaskSpec, folder: Path) -> list[Path]:
    """Return a task's files in a folder of data: its own, or its splits of the hub; none where one is missing."""
    # all or none: the hub's rows beside a local file would be another split of the same data
    files_at_hand = [folder / name for name in spec.local]
    splits = [split_file(folder, spec.hub, split) for split in spec.splits] if spec.hub else []
    return next((files for files in (files_at_hand, splits) if files and all(file.is_file() for file in files)), [])


def load_task(name: str, *, train: int | None = None, test: int | None = None, folder: Path | None = None) -> TaskData:
    """Return a task's examples, from its files in the folder of data where they are, else from the hub.

    Args:
        name: a built-in one (`NAMES`), one of two classes with `-pairs` behind it, or `module:attribute` for a task of
            the user's.
        folder: of data; `data_folder()` if not given.
        train, test: how many examples to take at most, by content, whole groups (so the last group may be cut).

    Raises:
        InputError: no such task; data that cannot be read; a class without examples.
    """
    spec = task_spec(name)
    if is_pairs(name):
        texts = load_task(base_of(name), folder=folder)
        parts = (as_pairs(part, texts.spec) for part in (texts.train, texts.test))
        train_pairs, test_pairs = (tuple(part[:size]) for part, size in zip(parts, (train, test), strict=True))
        return TaskData(spec, texts.source, train_pairs, test_pairs, texts.dropped)
    source, train_rows, test_rows = _rows(spec, folder or data_folder())
    return divide_task(spec, source, train_rows, test_rows, train=train, test=test)


def divide_task(
    spec: TaskSpec,
    source: str,
    train_rows: Iterable[LabeledExample],
    test_rows: Iterable[LabeledExample],
    *,
    train: int | None = None,
    test: int | None = None,
    dropped: Mapping[str, int] | None = None,
) -> TaskData:
    """Return rows to train and to test on as a task's: free of duplicates, unrelated, and balanced.

    Args:
        source: where the rows came from.
        train, test: how many to take at most.
        dropped: how many rows were left out before, by reason.

    Raises:
        InputError: a class without examples.
    """
    counts: Counter[str] = Counter(dropped or {})
    # test rows come first: rows related to them are dropped from those to train on, so that no test row was learned
    testing = _checked(_unique(test_rows, counts), spec, "test")
    seen = {normalized(example.text) for example in testing} | {group_of(e) for e in testing if e.group}
    unique = _unique(train_rows, counts)
    # by text and by group: a passage of a test question must not stand in a row to train on
    training = [e for e in unique if normalized(e.text) not in seen and group_of(e) not in seen]
    counts["related to test rows"] = len(unique) - len(training)
    training = _checked(training, spec, "train")
    # classes are balanced after that, since what was dropped may have unbalanced them
    before = len(training) + len(testing)
    training, testing = balanced(training), balanced(testing)
    counts["to balance classes"] = before - len(training) - len(testing)
    return TaskData(spec, source, tuple(training[:train]), tuple(testing[:test]), dict(counts))


def halves(examples: Sequence[LabeledExample], seed: int) -> tuple[list[LabeledExample], list[LabeledExample]]:
    """Split examples into two random parts of about equal size; a group lies in one of them.

    One is for the weak supervisor to learn from, the other for it to label.
    """
    groups = _by_group(examples)
    keys = sorted(groups)
    # sorted first: the order must depend on the content and the seed, never on the order of the rows
    random.Random(seed).shuffle(keys)
    parts: tuple[list[LabeledExample], list[LabeledExample]] = [], []
    for key in keys:
        # the smaller part takes the next group: groups differ in size, and the parts should not
        min(parts, key=len).extend(groups[key])
    return parts


def balanced(examples: Sequence[LabeledExample]) -> list[LabeledExample]:
    """Return examples in a fixed shuffled order, groups together.

    Where a class has over 55% of them, every class is taken as often as the rarest.
    """
    groups = _by_group(examples)
    # by digest: shuffled, and in the same order on every machine; the key breaks ties
    ordered = [example for key in sorted(groups, key=lambda key: (digest(key), key)) for example in groups[key]]
    # as in the paper: a task is balanced only where a class is clearly larger
    counts = Counter(example.label for example in ordered)
    if not ordered or max(counts.values()) / len(ordered) <= UNBALANCED:
        return ordered
    used: Counter[int] = Counter()
    balanced_examples = []
    for example in ordered:
        if used[example.label] < min(counts.values()):
            used[example.label] += 1
            balanced_examples.append(example)
    # the rarer classes are taken to the end of the order, the others to its middle: in another order, whoever takes the
    # first so many takes as many of each class, too
    groups = _by_group(balanced_examples)
    shuffled = sorted(groups, key=lambda key: (digest(f"balanced {key}"), key))
    return [example for key in shuffled for example in groups[key]]


def _by_group(examples: Iterable[LabeledExample]) -> dict[str, list[LabeledExample]]:
    groups: dict[str, list[LabeledExample]] = defaultdict(list)
    for example in examples:
        groups[group_of(example)].append(example)
    return groups


def group_of(example: LabeledExample) -> str:
    """Return the key of an example's group, whatever the case, spaces and punctuation.

    A text that stands alone is a group of its own.
    """
    text = example.group or example.text
    return normalized(text) or text


def _rows(spec: TaskSpec, folder: Path) -> tuple[str, list[LabeledExample], list[LabeledExample]]:
    if files := local_files(spec, folder):
        parts = [_examples(spec, file) for file in files]
        if len(parts) == 1:
            # by content: a file that grows keeps the side of the rows that it had
            test = [digest(group_of(e)) % TEST_SHARE == 0 for e in parts[0]]
            parts = [
                [e for e, tested in zip(parts[0], test, strict=True) if tested is is_test] for is_test in (False, True)
            ]
        return ", ".join(str(file.relative_to(folder)) for file in files), parts[0], parts[1]
    if not spec.hub:
        missing = [str(folder / name) for name in spec.local if not (folder / name).is_file()]
        raise InputError(f"{spec.name}: there is no file {' and no file '.join(missing)}, which its `local` names")
    try:
        train, test_rows = (_examples(spec, spec.hub, split) for split in spec.splits)
    except InputError as error:
        missing = [name for name in spec.local if not (folder / name).is_file()]
        looked = f"; {folder}, the folder of data (PENCHANT_DATA names another), does not hold {' and '.join(missing)}"
        prefix = "" if str(error).startswith(spec.name) else f"{spec.name}: "
        raise InputError(f"{prefix}{error}{looked if missing else ''}") from error
    return spec.hub, train, test_rows


def _examples(spec: TaskSpec, source: str | Path, split: str = "train") -> list[LabeledExample]:
    """Return a file's examples, in its order, with their groups."""
    examples = list(_read_examples(spec, source, split))
    if spec.relate is None:
        return examples
    texts = [example.text for example in examples]
    with _named_errors(spec, "`relate` failed"):
        groups = spec.relate(texts)
    groups = checked_groups(groups, texts, spec)
    return [replace(example, group=group) for example, group in zip(examples, groups, strict=True)]


def _read_examples(spec: TaskSpec, source: str | Path, split: str) -> Iterator[LabeledExample]:
    rows = spec.open_rows(source) if spec.open_rows and isinstance(source, Path) else read_rows(source, split)
    for row in rows:
        # never left out: every model of a study has to see the same rows
        if isinstance(row, RowProblem):
            raise InputError(f"{spec.name}: {row}")
        yield from _read(spec, row)


def _read(spec: TaskSpec, row: Row) -> list[LabeledExample]:
    columns = ", ".join(map(str, row.values)) if isinstance(row.values, Mapping) else ""
    with _named_errors(spec, f"{row.source} is no row of {spec.title}, with the columns {columns}"):
        examples: object = spec.read(row.values)
        if not isinstance(examples, Iterable):  # the example itself, or None, where `yield` was meant
            kind = type(examples).__name__
            raise TypeError(f"it was read as a {kind}, expected examples: `yield` each, or return a list of them")
        examples = list(examples)
    return [checked_example(example, spec, row.source) for example in examples]


@contextmanager
def _named_errors(spec: TaskSpec, doing: str) -> Iterator[None]:
    """Turn whatever a task's code raises into an error with its name; `sys.exit` is an exception, too.

    Raises:
        InputError: what the code raised, and what it was doing.
    """
    try:
        yield
    except (MissingExtra, RunError, KeyboardInterrupt):  # no fault of the row
        raise
    except BaseException as error:
        raise InputError(f"{spec.name}: {doing}: {describe_error(error)}") from error


def _unique(examples: Iterable[LabeledExample], dropped: Counter[str]) -> list[LabeledExample]:
    """Return each text once, and none of a text with two labels, which cannot both be right."""
    # the first of equal texts is kept, in the order of the file
    first: dict[str, LabeledExample] = {}
    contradicted: set[str] = set()
    for example in examples:
        # with options: one question may be asked with other answers
        key = normalized("\n".join((example.text, *example.options)))
        if not key:
            dropped["empty"] += 1
            continue
        earlier_example = first.setdefault(key, example)
        if earlier_example is not example:
            dropped["duplicates"] += 1
            if earlier_example.label != example.label:
                contradicted.add(key)
    dropped["with two labels"] += len(contradicted)
    return [example for key, example in first.items() if key not in contradicted]


def _checked(examples: list[LabeledExample], spec: TaskSpec, part: str) -> list[LabeledExample]:
    if not examples:
        raise InputError(f"{spec.name}: no example to {part} on")
    # without examples of a class, accuracy would say nothing about it
    missing = sorted(set(range(len(spec.classes))) - {example.label for example in examples})
    if missing:
        names = ", ".join(spec.classes[label] for label in missing)
        raise InputError(f"{spec.name}: no example of {names} to {part} on, among {len(examples)}")
    return examples
