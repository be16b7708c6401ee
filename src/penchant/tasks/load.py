"""A task's examples: read, free of duplicates, balanced, and split with related items together. Imports no torch.

What is dropped is counted. Everything is decided by content, so every model of a study sees the same rows.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import Row, RowProblem
from penchant.errors import InputError, MissingExtra
from penchant.tasks.spec import TaskSpec, digest, normalized
from penchant.types import LabeledExample

NAMES = (
    "amazon_polarity",
    "anli_r2",
    "boolq",
    "chess_puzzles",
    "cola",
    "cosmos_qa",
    "dream",
    "emotion",
    "ethics_deontology",
    "ethics_justice",
    "hellaswag",
    "hh_harmless",
    "imdb",
    "mc_taco",
    "multirc",
    "openbookqa",
    "paws",
    "piqa",
    "quail",
    "quartz",
    "sciq",
    "social_i_qa",
    "sst2",
    "twitter_sentiment",
    "wic",
)
UNBALANCED = 0.55  # a class that is larger than this makes a task be balanced, as in the paper
TEST_SHARE = 4  # of a task with one file every fourth group is for testing


@dataclass(frozen=True)
class TaskData:
    """Examples to train and to test on.

    Attributes:
        spec: what they are of. source: the files or the hub id they came from.
        train, test: they share no text and no group; classes of both are balanced if the task's are far from it.
        dropped: how many examples were left out, by reason.
    """

    spec: TaskSpec
    source: str
    train: tuple[LabeledExample, ...]
    test: tuple[LabeledExample, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)


def task_spec(name: str) -> TaskSpec:
    """The task of this name.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    if name not in NAMES:
        raise InputError(f"there is no task {name!r}; there are {', '.join(NAMES)}")
    spec: TaskSpec = import_module(f"penchant.tasks.{name}").TASK
    return spec


def data_folder() -> Path:
    """The folder of data: what PENCHANT_DATA names, or `../shared/data`."""
    return Path(os.environ.get("PENCHANT_DATA", Path("..") / "shared" / "data")).expanduser().resolve()


def local_files(spec: TaskSpec, folder: Path) -> list[Path]:
    """A task's files in a folder of data; empty where one is missing."""
    files = [folder / name for name in spec.local]
    return files if all(file.is_file() for file in files) else []


def load_task(name: str, *, train: int | None = None, test: int | None = None, folder: Path | None = None) -> TaskData:
    """A task, from its files in the folder of data where they are, else from the hub.

    Args:
        folder: of data; `data_folder()` if not given.
        train, test: take at most so many examples, by content, whole groups (so the last group may be cut).

    Raises:
        InputError: no such task; data that cannot be read; a class without examples.
    """
    spec = task_spec(name)
    source, train_rows, test_rows = _rows(spec, folder or data_folder())
    dropped: Counter[str] = Counter()
    testing = _checked(_unique(test_rows, dropped), spec, "test")
    seen = {normalized(example.text) for example in testing} | {group_of(e) for e in testing if e.group}
    unique = _unique(train_rows, dropped)
    training = [e for e in unique if normalized(e.text) not in seen and group_of(e) not in seen]
    dropped["related to test rows"] = len(unique) - len(training)
    training = _checked(training, spec, "train")
    before = len(training) + len(testing)
    training, testing = balanced(training), balanced(testing)
    dropped["to balance classes"] = before - len(training) - len(testing)
    return TaskData(spec, source, tuple(training[:train]), tuple(testing[:test]), dict(dropped))


def halves(examples: Sequence[LabeledExample], seed: int) -> tuple[list[LabeledExample], list[LabeledExample]]:
    """Two random parts of about equal size; a group lies in one of them. One is for the weak supervisor to learn from,
    the other for it to label."""
    groups = _by_group(examples)
    keys = sorted(groups)
    random.Random(seed).shuffle(keys)
    parts: tuple[list[LabeledExample], list[LabeledExample]] = [], []
    for key in keys:
        min(parts, key=len).extend(groups[key])
    return parts


def balanced(examples: Sequence[LabeledExample]) -> list[LabeledExample]:
    """In a fixed shuffled order, groups together; where a class has over 55%, every class as often as the rarest."""
    groups = _by_group(examples)
    ordered = [example for key in sorted(groups, key=lambda key: (digest(key), key)) for example in groups[key]]
    counts = Counter(example.label for example in ordered)
    if not ordered or max(counts.values()) / len(ordered) <= UNBALANCED:
        return ordered
    taken: Counter[int] = Counter()
    kept = []
    for example in ordered:
        if taken[example.label] < min(counts.values()):
            taken[example.label] += 1
            kept.append(example)
    return kept


def _by_group(examples: Iterable[LabeledExample]) -> dict[str, list[LabeledExample]]:
    groups: dict[str, list[LabeledExample]] = defaultdict(list)
    for example in examples:
        groups[group_of(example)].append(example)
    return groups


def group_of(example: LabeledExample) -> str:
    """Return what related examples share, whatever its case, spaces and punctuation. A text that stands alone is a
    group of its own."""
    own = example.group or example.text
    return normalized(own) or own


def _rows(spec: TaskSpec, folder: Path) -> tuple[str, list[LabeledExample], list[LabeledExample]]:
    if files := local_files(spec, folder):
        parts = [_examples(spec, file) for file in files]
        if len(parts) == 1:
            test = [digest(group_of(e)) % TEST_SHARE == 0 for e in parts[0]]
            parts = [
                [e for e, tested in zip(parts[0], test, strict=True) if tested is wanted] for wanted in (False, True)
            ]
        return ", ".join(spec.local), parts[0], parts[1]
    try:
        train, test_rows = (_examples(spec, spec.hub, split) for split in spec.splits)
    except InputError as error:
        missing = [name for name in spec.local if not (folder / name).is_file()]
        looked = f"; {folder}, the folder that PENCHANT_DATA names, does not hold {' and '.join(missing)}"
        raise InputError(f"{error}{looked if missing else ''}") from error
    return spec.hub, train, test_rows


def _examples(spec: TaskSpec, source: str | Path, split: str = "train") -> list[LabeledExample]:
    """Return a file's examples, in its order, with their groups."""
    examples = list(_each(spec, source, split))
    if spec.relate is None:
        return examples
    groups = spec.relate([example.text for example in examples])
    return [replace(example, group=group) for example, group in zip(examples, groups, strict=True)]


def _each(spec: TaskSpec, source: str | Path, split: str) -> Iterator[LabeledExample]:
    for row in read_rows(source, split):
        if isinstance(row, RowProblem):
            raise InputError(f"{spec.name}: {row}")
        yield from _read(spec, row)


def _read(spec: TaskSpec, row: Row) -> Iterable[LabeledExample]:
    try:
        examples = list(spec.read(row.values))
    except MissingExtra:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{spec.name}: {row.source} is no row of {spec.title}: {type(error).__name__} {error}"
        ) from error
    for example in examples:
        answers = spec.classes or example.options
        if not 0 <= example.label < len(answers):
            raise InputError(
                f"{spec.name}: {row.source} has the label {example.label}; there are {len(answers)}, counted from 0: "
                f"{', '.join(answers)}"
            )
    return examples


def _unique(examples: Iterable[LabeledExample], dropped: Counter[str]) -> list[LabeledExample]:
    """Each text once; none of a text with two labels, which cannot both be right."""
    first: dict[str, LabeledExample] = {}
    contradicted: set[str] = set()
    for example in examples:
        key = normalized("\n".join((example.text, *example.options)))
        if not key:
            dropped["empty"] += 1
            continue
        known = first.setdefault(key, example)
        if known is not example:
            dropped["duplicates"] += 1
            if known.label != example.label:
                contradicted.add(key)
    dropped["with two labels"] += len(contradicted)
    return [example for key, example in first.items() if key not in contradicted]


def _checked(examples: list[LabeledExample], spec: TaskSpec, part: str) -> list[LabeledExample]:
    if not examples:
        raise InputError(f"{spec.name}: no example to {part} on")
    missing = sorted(set(range(len(spec.classes))) - {example.label for example in examples})
    if missing:
        names = ", ".join(spec.classes[label] for label in missing)
        raise InputError(f"{spec.name}: no example of {names} to {part} on, among {len(examples)}")
    return examples
