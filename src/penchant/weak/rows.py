"""Rows with labels from a file of one's own: classes by name or number, or probabilities, of a person or a model.

A row has a text, or a picture (`penchant.weak.pictures`).

For comparisons, whose rows are prompts with two responses, see `penchant.weak.comparisons`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from penchant.data.layouts.columns import rename_columns
from penchant.data.options import Columns
from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import RowProblem
from penchant.data.sources.values import RowError, RowValues, as_list, as_number, as_text, describe
from penchant.errors import InputError
from penchant.files import atomic_write
from penchant.image import Image
from penchant.tasks.spec import with_plain_prompt
from penchant.types import PromptGroup, prompt_text
from penchant.weak.contract import Example, Probabilities, mark, marks_of
from penchant.weak.pictures import DIGEST_FIELD, IMAGE_FIELD, keep_picture, picture_fields, read_picture, shows_picture

Label = str | dict[str, object] | list[object]
"""A class by its name or number, or probabilities: by name, or in the order of the classes."""
TEXT_FIELDS = ("text", "sentence", "content", "prompt")
LABEL_FIELDS = ("label", "probabilities")
MOST_SHOWN = 20
ABSTAIN = "-1"
ORDER_UNKNOWN = 'order of classes nobody said: name it (classes=[no, yes]), or write {"no": 0.1, "yes": 0.9}'


@dataclass(frozen=True)
class LabelledRows:
    """Rows with the labels that somebody gave them.

    Attributes:
        examples: texts, or prompts whose responses are the options, as the file has them.
        names: of the classes, or of the options, in the order of columns.
        targets: shape (rows, classes), probabilities; None where rows have no labels.
        groups: what related rows share; empty for a row that stands alone.
        weights: shape (rows,), how much each row counts in training; None where all count alike.
    """

    source: str
    examples: tuple[Example, ...]
    names: tuple[str, ...]
    targets: Probabilities | None
    groups: tuple[str, ...]
    weights: Probabilities | None = None

    @property
    def inputs(self) -> list[Example]:
        """The examples as a classifier gets them: a conversation is one text that ends where the answer begins."""
        return [
            with_plain_prompt(example) if isinstance(example, PromptGroup) else example for example in self.examples
        ]

    @property
    def texts(self) -> tuple[str, ...]:
        """The rows as texts, for people, and to find equal rows; a picture's is its digest."""
        return tuple(_as_text(example, self.names) for example in self.examples)

    def pick(self, indices: Sequence[int]) -> LabelledRows:
        """Return some of the rows, in the order given."""
        return replace(
            self,
            examples=tuple(self.examples[index] for index in indices),
            targets=None if self.targets is None else self.targets[list(indices)],
            groups=tuple(self.groups[index] for index in indices),
            weights=None if self.weights is None else self.weights[list(indices)],
        )


def _as_text(example: Example, names: Sequence[str]) -> str:
    if isinstance(example, PromptGroup):
        return _text_and_label(example, names)
    return f"picture {example.pixel_digest()}" if isinstance(example, Image) else example


def _text_and_label(group: PromptGroup, names: Sequence[str]) -> str:
    options = (f"{name}: {option.text}" for name, option in zip(names, group.responses, strict=True))
    return "\n\n".join((prompt_text(group.prompt), *options))


def read_labelled(
    source: str,
    *,
    names: Sequence[str] | None = None,
    order_known: bool = True,
    labels: bool = True,
    split: str = "train",
    columns: Columns | None = None,
) -> LabelledRows:
    """Read rows with a text and a label, or with probabilities of the classes.

    The text is `text` (or `sentence`, `content`, `prompt`), `label` a class's name or number, `probabilities` by name
    (`{"yes": 0.9, "no": 0.1}`) or a list in the order of the classes.

    Args:
        source: JSONL, JSON, CSV, TSV, Parquet, or a hub id.
        names: of the classes, in order, where they are known; found out if not given: those of the rows, sorted.
        order_known: whether the order of `names` was said by whoever wrote the rows, so that lists of probabilities may
            be read in it; names that were found out in another file are sorted.
        labels: whether rows must have one; if not, labels are not looked at.
        columns: by field, the column that holds it; None leaves the column of that name out.

    Raises:
        InputError: rows that cannot be used, all named with their lines; no rows; one class; lists of probabilities
            where nobody said the order of the classes; `columns` with a field that labelled rows do not have.
    """
    rows, problems = _parse(source, split, columns or {}, labels=labels)
    _refuse_abstentions(source, rows, names)
    labels_of_rows = [row.label for row in rows if row.label is not None]
    class_names = names or (_names(labels_of_rows, source) if labels_of_rows else ())
    targets = []
    for row in rows:
        if row.label is not None:
            try:
                targets.append(_target(row.label, class_names, is_probability=names is not None and order_known))
            except RowError as error:
                problems.append(f"{row.source}: {error}")
    if problems:  # all at once: a file with one kind of mistake has it in many rows
        # a column under another name is the same mistake in every row
        if len(problems) > 2 and len({problem.partition(": ")[2] for problem in problems}) == 1:
            raise InputError(f"{problems[0]} (and {len(problems) - 1} more rows)")
        ending = f"\n(+{len(problems) - MOST_SHOWN} more)" if len(problems) > MOST_SHOWN else ""
        raise InputError(
            f"{source}: {len(problems)} rows cannot be used:\n" + "\n".join(problems[:MOST_SHOWN]) + ending
        )
    if not rows:
        raise InputError(f"{source} has no rows")
    return LabelledRows(
        source,
        _of_one_kind(rows, source),
        tuple(class_names),
        np.array(targets) if labels else None,
        tuple(row.group for row in rows),
        _weights(rows) if labels else None,
    )


@dataclass(frozen=True)
class _Row:
    """A row as it was read; `label` is None where nobody asks for labels."""

    source: str
    example: str | Image
    group: str
    label: Label | None
    weight: float | None = None


def _parse(source: str, split: str, columns: Columns, *, labels: bool) -> tuple[list[_Row], list[str]]:
    """Return the rows of a file, and what is wrong with the others.

    Raises:
        InputError: `columns` with a field that labelled rows do not have.
    """
    _require_fields(columns)
    # rows to label may lack the column of the label
    columns = {field: column for field, column in columns.items() if labels or field not in LABEL_FIELDS}
    rows: list[_Row] = []
    problems: list[str] = []
    for row in read_rows(source, split):
        if isinstance(row, RowProblem):
            problems.append(str(row))
            continue
        try:
            values = _renamed(row.values, columns)
            example = _example(values, source)
            label, weight = (_label(values), _weight(values)) if labels else (None, None)
            rows.append(_Row(row.source, example, str(values.get("group") or ""), label, weight))
        except RowError as error:
            problems.append(f"{row.source}: {error}".replace("data.columns", "columns"))
    return rows, problems


def _require_fields(columns: Columns) -> None:
    fields = (*TEXT_FIELDS, IMAGE_FIELD, DIGEST_FIELD, *LABEL_FIELDS, "group")
    for field, column in columns.items():
        if field not in fields and column is not None:
            advice = f"; did you mean columns={{{column}: {field}}}?" if column in fields else ""
            raise InputError(f"columns: {field!r} is no field of labelled rows ({', '.join(fields)}){advice}")


def _renamed(values: RowValues, columns: Columns) -> RowValues:
    """Return a row with its columns under the names of fields."""
    # What `penchant weak label` wrote has `text` and `label`, whatever the rows of `test` call them.
    of_this_file = {
        field: column
        for field, column in columns.items()
        if column is None or field not in values or column.partition(".")[0] in values or column in values
    }
    return rename_columns(values, of_this_file) if of_this_file else values


def overlap(rows: LabelledRows, other: LabelledRows) -> list[int]:
    """Return the indices of `other`'s rows whose text or group `rows` has too, whatever case and punctuation."""
    return among(other, frozenset().union(*marks(rows)))


def marks(rows: LabelledRows) -> list[frozenset[str]]:
    """Return the digests by which each row is recognised: the example's, and its group's."""
    marked = zip(marks_of(rows.inputs), rows.groups, strict=True)
    return [frozenset(filter(None, (text_mark, mark("group", group)))) for text_mark, group in marked]


def among(rows: LabelledRows, known_marks: Set[str]) -> list[int]:
    """Return the indices of rows that have one of the known marks."""
    return [index for index, row_marks in enumerate(marks(rows)) if row_marks & known_marks]


def write_labels(rows: LabelledRows, probabilities: Probabilities, path: Path, *, keep_pictures: bool = False) -> None:
    """Write a JSON line per row: text, group where there is one, the most probable class, all probabilities by name.

    In place of a picture stand its path and its digest.

    Args:
        keep_pictures: whether those that are in no file are written too, into a folder beside it.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    lines = []
    folder = path.with_name(f"{path.stem}-images") if keep_pictures else None
    for example, text, group, row in zip(rows.examples, rows.texts, rows.groups, probabilities, strict=True):
        content = example_fields(example, text, folder)
        if group:
            content["group"] = group
        content["label"] = rows.names[int(row.argmax())]
        content["probabilities"] = {name: float(p) for name, p in zip(rows.names, row, strict=True)}
        lines.append(json.dumps(content, ensure_ascii=False))
    atomic_write(path, "\n".join(lines) + "\n")


def example_fields(example: Example, text: str, folder: Path | None = None) -> dict[str, object]:
    """Return what a line says of an example: its text, or of a picture its path and digest.

    Args:
        folder: where pictures are written that are in no file; None writes none.
    """
    if isinstance(example, Image):
        return {**(picture_fields(example) if folder is None else keep_picture(example, folder))}
    return {"text": text}


def _of_one_kind(rows: Sequence[_Row], source: str) -> tuple[Example, ...]:
    """Return the examples; refuse texts and pictures in one file."""
    pictures = [row for row in rows if isinstance(row.example, Image)]
    if 0 < len(pictures) < len(rows):
        raise InputError(
            f"{source}: {len(pictures)} rows have a picture (the first is {pictures[0].source}), others not"
        )
    return tuple(row.example for row in rows)


def _example(values: RowValues, source: str) -> str | Image:
    # a text beside a picture describes it, and is no example of its own
    return read_picture(values, source) if shows_picture(values) else _text(values)


def _text(values: Mapping[str, object]) -> str:
    # the first that is there: a row with `text` and `prompt` is read by its text
    name = next((name for name in TEXT_FIELDS if name in values), None)
    if name is None:
        raise RowError(
            "missing",
            f"no text: expected a field {' or '.join(TEXT_FIELDS)} (or {IMAGE_FIELD}), got {', '.join(values)}; "
            "name the columns (columns='{text: ..., label: ...}')",
        )
    return as_text(values[name], name)


def _label(values: Mapping[str, object]) -> Label:
    """Return a row's label: a name, or probabilities by name or as a list."""
    probabilities = values.get("probabilities")
    if probabilities is not None:
        if isinstance(probabilities, str):  # a cell of a table
            with contextlib.suppress(ValueError):
                probabilities = json.loads(probabilities)
        if not isinstance(probabilities, dict | list):
            raise RowError(
                "type",
                f"field 'probabilities': expected numbers by class or a list of them, got {describe(probabilities)}",
            )
        return probabilities
    label = values.get("label")
    if label is None:
        raise RowError("missing", "no label: expected a field `label` or `probabilities`")
    # JSON's true and 1.5 are no classes; to Python true would be 1
    if isinstance(label, bool) or not isinstance(label, str | int):
        raise RowError("type", f"field 'label': expected a class's name or number, got {describe(label)}")
    if not str(label).strip():
        raise RowError("missing", "no label: the field `label` is blank")
    return str(label)


def _weight(values: Mapping[str, object]) -> float | None:
    """Return how much a row counts; None where it does not say so."""
    value = values.get("weight")
    if value is None or value == "":
        return None
    if isinstance(value, str):  # a cell of a table
        with contextlib.suppress(ValueError):
            value = float(value)
    weight = as_number(value, "weight")
    if weight < 0:
        raise RowError("value", f"field 'weight': expected a number of at least 0, got {weight:g}")
    return weight


def _weights(rows: Sequence[_Row]) -> Probabilities | None:
    """Return the weights of rows, 1 for a row that has none; None where no row has one."""
    if all(row.weight is None for row in rows):
        return None
    return np.array([1.0 if row.weight is None else row.weight for row in rows])


def _names(labels: Sequence[Label], source: str) -> tuple[str, ...]:
    """Return the classes that rows name, sorted; numbers by their value."""
    by_name = [label for label in labels if not isinstance(label, list)]
    if len(by_name) < len(labels):
        raise InputError(f"{source} has probabilities as lists, whose {ORDER_UNKNOWN}")
    known_names = {name for label in by_name for name in (label if isinstance(label, dict) else (label,))}
    if len(known_names) < 2:
        raise InputError(f"{source}: all rows have the class {', '.join(known_names)}: there must be at least two")
    return tuple(
        # 10 after 9: numbers as text would sort 1, 10, 2
        sorted(known_names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    )


def _refuse_abstentions(source: str, rows: Sequence[_Row], names: Sequence[str] | None) -> None:
    """Refuse rows that a Snorkel labeller abstained on: -1 is no class, unless `names` has it."""
    if names is not None and ABSTAIN in names:
        return
    # of a list only the order says which class a number is of, so -1 stands for none there
    abstained = [
        row.source for row in rows if row.label == ABSTAIN or (isinstance(row.label, dict) and ABSTAIN in row.label)
    ]
    if abstained:
        abstained_names = ", ".join(abstained[:5]) + (", ..." if len(abstained) > 5 else "")
        raise InputError(
            f"{source}: {len(abstained)} rows have the label -1 ({abstained_names}), by which a Snorkel labeller "
            "abstains: it is no class. Leave these rows out, or name it if it is one (classes=[-1, 1])"
        )


def _target(label: Label, names: Sequence[str], *, is_probability: bool) -> list[float]:
    if isinstance(label, str):
        # a class may itself be called 1: its name goes before its number
        if is_probability and label.isdecimal() and label not in names and int(label) < len(names):
            label = names[int(label)]  # a number counts from 0 in the order that somebody said
        if label not in names:
            raise RowError("value", f"the class {label!r} is none of {', '.join(names)}")
        return [float(name == label) for name in names]
    if isinstance(label, dict):
        # a misspelt class must not count as one with a probability of 0
        if unknown := [name for name in label if name not in names]:
            raise RowError("value", f"the class {unknown[0]!r} is none of {', '.join(names)}")
        # a class that a row leaves out has none of the probability
        numbers = [as_number(label.get(name, 0.0), f"probabilities.{name}") for name in names]
    else:
        cells = as_list(label, "probabilities", of="numbers")
        if not is_probability:
            raise RowError("value", f"a list of probabilities, whose {ORDER_UNKNOWN}")
        if len(cells) != len(names):
            raise RowError("value", f"{len(cells)} probabilities for {len(names)} classes ({', '.join(names)})")
        numbers = [as_number(cell, "probabilities") for cell in cells]
    if min(numbers) < 0 or abs(sum(numbers) - 1) > 1e-3:
        raise RowError("value", f"probabilities must be at least 0 and sum to 1, got {numbers}")
    return numbers
