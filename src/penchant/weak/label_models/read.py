"""Votes from a table: which columns are sources, what their cells say, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import RowProblem
from penchant.data.sources.values import cut
from penchant.errors import InputError, did_you_mean
from penchant.weak.label_models.settings import WeakSources
from penchant.weak.label_models.votes import ABSTAINS, Answers, VoteMatrix, Votes
from penchant.weak.rows import TEXT_FIELDS

ABSTENTIONS = {"": "empty", "none": "null", "null": "null", "nan": "null", "<na>": "null", "abstain": "abstain"}
MINUS_ONE = "-1"
ROW_NUMBERS = frozenset({"id", "idx", "index", "row", "uid", "uuid", "guid", "group", "unnamed: 0", "comment_id"})
MOST_CLASSES = 50  # a column with more values is no vote
LONGEST_CLASS = 60  # characters of a class's name on average, beyond which a column is text
MOST_SHOWN = 5

Cell = str | None
"""A vote by the name or number of a class; None abstains."""


@dataclass
class VoteTable:
    """A file of votes as it was read.

    Attributes:
        votes: of the sources. left_out: by column that is no source, why.
        abstentions: how many cells abstain, by what stands there (`empty`, `null`, `-1`).
        truth_missing: rows without a truth, where there is a column of it.
        failures: by function, on how many rows it raised an error, and abstains. first_errors: by function, the first.
        items: of pairs, the numbers of the two responses that each row compares, shape (rows, 2).
    """

    votes: Votes
    left_out: Mapping[str, str]
    abstentions: Mapping[str, int]
    truth_missing: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    first_errors: Mapping[str, str] = field(default_factory=dict)
    items: NDArray[np.intp] | None = None


@dataclass
class _Columns:
    """Cells by column, with what was found out about them."""

    cells: dict[str, list[Cell]]
    left_out: dict[str, str] = field(default_factory=dict)
    abstentions: Counter[str] = field(default_factory=Counter)


def read_votes(config: WeakSources) -> VoteTable:
    """Read the file that `votes` names.

    Raises:
        InputError: rows that cannot be read, named columns that are not there, no column of votes, probabilities where
            they are not asked for, names and numbers of classes mixed, classes that nobody named, or one class.
    """
    assert config.votes is not None
    rows = read_table(config.votes)
    check_columns(config, rows)
    text = text_column(config, rows)
    columns = {
        name: [row.get(name) for row in rows]
        for name in _names(rows)
        if name not in (text, config.truth, *config.ignore)
    }
    return votes_of_columns(config, rows, columns, text)


def votes_of_columns(
    config: WeakSources, rows: Sequence[Mapping[str, object]], columns: Mapping[str, Sequence[object]], text: str | None
) -> VoteTable:
    """Return the votes of columns, one cell per row, with texts and truth of the rows.

    Args:
        columns: cells by column. text: the column of the texts.

    Raises:
        InputError: as `read_votes`.
    """
    source = config.votes or config.data or "the votes"
    parsed = _Columns({}, dict.fromkeys(config.ignore, "named in ignore"))
    for name, cells in columns.items():
        _add_column(parsed, name, cells, config)
    if not parsed.cells:
        raise InputError(f"{source} has no column of votes: {_listed(_names(rows))}" + _reasons(parsed.left_out))
    # apart from the sources: the truth is not to vote
    truth = _Columns({})
    if config.truth is not None:
        _add_column(truth, config.truth, [row.get(config.truth) for row in rows], config, is_source=False)
    cells_of_truth = truth.cells.get(config.truth or "", [])
    classes = config.classes or _class_names(source, parsed.cells, cells_of_truth)
    # a column at a time: a full table of rows and sources would be mostly silence
    read_columns = (_answers(name, cells, classes, config) for name, cells in parsed.cells.items())
    matrix = VoteMatrix.of_columns(read_columns, len(rows))
    if (matrix.counts_by_source(len(classes)).sum(0) > 0).sum() < 2:
        raise InputError(_one_class(source, matrix, classes))
    true_classes = None if config.truth is None else _answers(config.truth, cells_of_truth, classes, config)
    votes = Votes(matrix, tuple(parsed.cells), tuple(classes), texts_of(rows, text) if text else None, true_classes)
    missing = 0 if true_classes is None else int((true_classes == ABSTAINS).sum())
    return VoteTable(votes, parsed.left_out, dict(parsed.abstentions), missing)


def text_column(config: WeakSources, rows: Sequence[Mapping[str, object]]) -> str | None:
    """Return the column that holds the texts; None where there is none."""
    return config.text or next((name for name in TEXT_FIELDS if name in _names(rows)), None)


def texts_of(rows: Sequence[Mapping[str, object]], column: str | None) -> tuple[str, ...]:
    """Return the text of each row; empty where a row has none."""
    return tuple("" if column is None or row.get(column) is None else str(row[column]) for row in rows)


def _names(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the columns of all rows, in the order in which they come first."""
    return list(dict.fromkeys(name for row in rows for name in row))


def read_table(source: str) -> list[Mapping[str, object]]:
    """Return the rows of a file; refuse one with damaged rows, or without any."""
    rows: list[Mapping[str, object]] = []
    problems: list[str] = []
    # all damaged rows at once: a file with one kind of mistake has it in many
    for row in read_rows(source):
        if isinstance(row, RowProblem):
            problems.append(str(row))
        else:
            rows.append(row.values)
    if problems:
        ending = f"\n(+{len(problems) - MOST_SHOWN} more)" if len(problems) > MOST_SHOWN else ""
        raise InputError(
            f"{source}: {len(problems)} rows cannot be read:\n" + "\n".join(problems[:MOST_SHOWN]) + ending
        )
    if not rows:
        raise InputError(f"{source} has no rows")
    return rows


def check_columns(config: WeakSources, rows: Sequence[Mapping[str, object]]) -> None:
    """Refuse a column that the settings name and the file has not, or that they name twice."""
    names, source = _names(rows), config.votes or config.data
    for setting, column in (("text", config.text), ("truth", config.truth), *(("ignore", c) for c in config.ignore)):
        if column is not None and column not in names:
            question = did_you_mean(column, names)
            raise InputError(f"{setting}={cut(column)}: {source} has no such column{question}; it has {_listed(names)}")
    if config.truth is not None and config.truth in (config.text, *config.ignore):
        raise InputError(f"the column {cut(config.truth)} is named as the truth and as something else")


def _add_column(
    columns: _Columns, name: str, values: Sequence[object], config: WeakSources, *, is_source: bool = True
) -> None:
    """Read a column's cells; one that holds no votes is left out, with the reason."""
    abstentions: Counter[str] = Counter()
    cells = [_cell(value, config.classes, abstentions) for value in values]
    present = [cell for cell in cells if cell is not None]
    fractions = [cell for cell in present if _is_fraction(cell)]
    if is_source and (reason := _no_vote_reason(name, present, len(fractions), config)):
        columns.left_out[name] = reason
        return
    # names of classes may look like probabilities, such as ratings of 0.5
    if fractions and not (config.classes and set(fractions) <= set(config.classes)):
        if config.probabilities == "refuse" or not is_source:
            raise InputError(
                f"the column {cut(name)} holds probabilities, such as {fractions[0]}, and a vote is "
                "a class or an abstention: name the column in `ignore`, or take the more probable of two classes by "
                "`probabilities=argmax`"
            )
        cells = [None if cell is None else _more_probable(cell, name) for cell in cells]
    columns.cells[name] = cells
    columns.abstentions.update(abstentions)


def _cell(value: object, classes: Sequence[str] | None, abstentions: Counter[str]) -> Cell:
    """Return a vote as text; None for an abstention, which is counted by what stands there."""
    if value is None:
        abstentions["null"] += 1
        return None
    # JSON's true and false, which a table of text spells in this way
    if isinstance(value, bool):
        text = str(value).lower()
    # a gap in a column of numbers, as pandas and Parquet hold it
    elif isinstance(value, float) and value != value:
        text = "nan"
    else:
        text = str(value).strip()
    # pandas writes a column of whole numbers with gaps as 1.0
    if text.endswith(".0") and text[:-2].lstrip("-").isdecimal():
        text = text[:-2]
    # before abstentions: somebody may have named a class "none" or "-1"
    if classes is not None and text in classes:
        return text
    if text.lower() in ABSTENTIONS:
        abstentions[ABSTENTIONS[text.lower()]] += 1
        return None
    if text == MINUS_ONE:
        abstentions[MINUS_ONE] += 1
        return None
    return text


def _is_fraction(cell: str) -> bool:
    """Return whether a cell is a number between whole ones, as a probability is."""
    try:
        number = float(cell)
    except ValueError:
        return False
    return 0 < number < 1


def _more_probable(cell: str, name: str) -> Cell:
    """Return the class 0 or 1 by the probability of class 1; None at one half."""
    try:
        number = float(cell)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise InputError(f"the column {cut(name)} holds probabilities and {cut(cell)!r}, which is none")
    return None if number == 0.5 else str(int(number > 0.5))


def _no_vote_reason(name: str, present: Sequence[str], fractions: int, config: WeakSources) -> str:
    """Return why a column is no source; empty where it is one. Columns without any vote stay: they are warned of."""
    # of probabilities every row has another value, and yet they are meant as votes
    if fractions and name.strip().lower() not in ROW_NUMBERS:
        return ""
    if (classes := config.classes) is not None:
        matches = sum(cell in classes or (cell.isdecimal() and int(cell) < len(classes)) for cell in present)
        # some cells outside of the classes are a mistake to name, most of them another kind of column
        return "" if 2 * matches >= len(present) else _kind_of(name, present) or "most values are no classes"
    return _kind_of(name, present)


def _kind_of(name: str, present: Sequence[str]) -> str:
    """Return what a column holds in place of votes, as far as names and values tell; empty where nothing does."""
    values = set(present)
    if name.strip().lower() in ROW_NUMBERS:
        return "numbers or names of rows"
    if present and sum(map(len, present)) / len(present) > LONGEST_CLASS:
        return "text"
    if len(values) > MOST_CLASSES or (len(values) > 5 and 2 * len(values) > len(present)):
        return f"{len(values)} different values"
    return ""


def _class_names(source: str, cells: Mapping[str, Sequence[Cell]], truth: Sequence[Cell]) -> tuple[str, ...]:
    """Return the classes that somebody votes for, or that are true; numbers by their value.

    Raises:
        InputError: names and numbers mixed, or names that differ in case alone.
    """
    by_column = {name: {cell for cell in column if cell is not None} for name, column in cells.items()}
    if truth:
        by_column["the truth"] = {cell for cell in truth if cell is not None}
    names = set().union(*by_column.values())
    numbers = {name for name in names if name.isdecimal()}
    if numbers and numbers != names:
        with_numbers = [name for name, values in by_column.items() if values & numbers]
        with_names = [name for name, values in by_column.items() if values - numbers]
        raise InputError(
            f"{source}: {_listed(with_numbers)} name classes by number ({_listed(sorted(numbers))}), "
            f"{_listed(with_names)} by name ({_listed(sorted(names - numbers))}): say which number is which, by "
            f"`classes=[{', '.join(sorted(names - numbers)[:MOST_SHOWN])}]` in the order 0, 1, ..."
        )
    folded: dict[str, str] = {}
    for name in sorted(names):
        if (other := folded.setdefault(name.casefold(), name)) != name:
            raise InputError(
                f"{source}: the classes {other!r} and {name!r} differ in case alone; write them alike, or name both in "
                "`classes`"
            )
    return tuple(sorted(names, key=lambda name: (int(name) if name.isdecimal() else 0, name)))


def _answers(name: str, cells: Sequence[Cell], classes: Sequence[str], config: WeakSources) -> Answers:
    """Return a column as classes, shape (rows,).

    Raises:
        InputError: votes outside the classes, with the first of them.
    """
    numbers = {cell: number for number, cell in enumerate(classes)}
    # a number stands for a class only where somebody said the order, and after a class of that name
    if config.classes is not None:
        numbers = {str(number): number for number in range(len(classes))} | numbers
    unknown = [(row, cell) for row, cell in enumerate(cells, 1) if cell is not None and cell not in numbers]
    if unknown:
        row, cell = unknown[0]
        raise InputError(
            f"{config.votes or config.data}: {len(unknown)} votes of the column {cut(name)} are none of the classes "
            f"{_listed(classes)}; the first is {cut(cell)!r} in row {row}. Name all classes in `classes`, or the "
            "column in `ignore`"
        )
    return np.array([ABSTAINS if cell is None else numbers[cell] for cell in cells], dtype=np.int64)


def _one_class(source: str, matrix: VoteMatrix, classes: Sequence[str]) -> str:
    voted = matrix.vote_classes
    if not len(voted):
        return f"{source}: every source abstains on every row: there are no votes"
    return (
        f"{source}: all votes are for the class {cut(classes[voted[0]])}: nothing tells it from another. Add a source "
        "that votes for another class"
    )


def _reasons(left_out: Mapping[str, str]) -> str:
    if not left_out:
        return ""
    return " (" + "; ".join(f"{cut(name)}: {reason}" for name, reason in list(left_out.items())[:MOST_SHOWN]) + ")"


def _listed(names: Sequence[str]) -> str:
    first_names = ", ".join(cut(name) for name in names[:MOST_SHOWN])
    return first_names + (f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else "")
