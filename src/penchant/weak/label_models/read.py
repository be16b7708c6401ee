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
from penchant.weak.label_models.columns import MOST_SHOWN, Column, ColumnTable, read_columns, refuse_damaged
from penchant.weak.label_models.settings import WeakSources
from penchant.weak.label_models.votes import ABSTAINS, Answers, VoteMatrix, Votes
from penchant.weak.rows import TEXT_FIELDS

ABSTENTIONS = {"": "empty", "none": "null", "null": "null", "nan": "null", "<na>": "null", "abstain": "abstain"}
MINUS_ONE = "-1"
ROW_NUMBERS = frozenset({"id", "idx", "index", "row", "uid", "uuid", "guid", "group", "unnamed: 0", "comment_id"})
MOST_CLASSES = 50  # a column with more values is no vote
LONGEST_CLASS = 60  # characters of a class's name on average, beyond which a column is text

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
class _Cells:
    """A column whose values were read: the vote (or class) that each of its distinct texts is."""

    column: Column
    votes: list[Cell]

    @property
    def names(self) -> set[str]:
        """The classes that some cell names."""
        return {vote for vote in self.votes if vote is not None}


@dataclass
class _Columns:
    """Cells by column, with what was found out about them."""

    cells: dict[str, _Cells]
    left_out: dict[str, str] = field(default_factory=dict)
    abstentions: Counter[str] = field(default_factory=Counter)


def read_votes(config: WeakSources) -> VoteTable:
    """Read the file that `votes` names.

    Raises:
        InputError: rows that cannot be read, named columns that are not there, no column of votes, probabilities where
            they are not asked for, names and numbers of classes mixed, classes that nobody named, or one class.
    """
    assert config.votes is not None
    table = read_columns(config.votes, texts=_text_names(config), ignored=config.ignore)
    check_columns(config, table.names)
    text = text_column(config, table.names)
    sources = {name: column for name, column in table.columns.items() if name not in (text, config.truth)}
    return votes_of_columns(config, table, sources, text)


def votes_of_columns(
    config: WeakSources, table: ColumnTable, sources: Mapping[str, Column], text: str | None
) -> VoteTable:
    """Return the votes of columns, with texts and truth of the rows.

    Args:
        table: with the column of the truth. sources: columns of votes. text: the name of the column of the texts.

    Raises:
        InputError: as `read_votes`.
    """
    source = config.votes or config.data or "the votes"
    parsed = _Columns({}, dict.fromkeys(config.ignore, "named in ignore"))
    for name, column in sources.items():
        _add_column(parsed, name, column, config)
    if not parsed.cells:
        raise InputError(f"{source} has no column of votes: {_listed(table.names)}" + _reasons(parsed.left_out))
    # apart from the sources: the truth is not to vote
    truth = _Columns({})
    if config.truth is not None:
        _add_column(truth, config.truth, table.columns[config.truth], config, is_source=False)
    by_column = {name: cells.names for name, cells in parsed.cells.items()}
    true_cells = truth.cells.get(config.truth or "")
    if true_cells is not None:
        by_column["the truth"] = true_cells.names
    classes = config.classes or _class_names(source, by_column)
    # a column at a time: a full table of rows and sources would be mostly silence
    read = (_answers(name, cells, table.rows, classes, config) for name, cells in parsed.cells.items())
    matrix = VoteMatrix.of_columns(read, table.rows)
    if (matrix.counts_by_source(len(classes)).sum(0) > 0).sum() < 2:
        raise InputError(_one_class(source, matrix, classes))
    true_classes = None
    if true_cells is not None:
        true_classes = _answers(config.truth or "", true_cells, table.rows, classes, config)
    votes = Votes(
        matrix,
        tuple(parsed.cells),
        tuple(classes),
        None if text is None else table.texts[text],
        true_classes,
    )
    missing = 0 if true_classes is None else int((true_classes == ABSTAINS).sum())
    return VoteTable(votes, parsed.left_out, dict(parsed.abstentions), missing)


def text_column(config: WeakSources, names: Sequence[str]) -> str | None:
    """Return the column that holds the texts; None where there is none."""
    return config.text or next((name for name in _text_names(config) if name in names), None)


def _text_names(config: WeakSources) -> tuple[str, ...]:
    """Return the names of columns of which the first that is there holds the texts."""
    return (config.text,) if config.text else tuple(name for name in TEXT_FIELDS if name != config.truth)


def read_table(source: str) -> list[Mapping[str, object]]:
    """Return the rows of a file, which functions are to see; refuse one with damaged rows, or without any."""
    rows: list[Mapping[str, object]] = []
    problems: list[str] = []
    for row in read_rows(source):
        if isinstance(row, RowProblem):
            problems.append(str(row))
        else:
            rows.append(row.values)
    refuse_damaged(source, problems, len(rows))
    return rows


def check_columns(config: WeakSources, names: Sequence[str]) -> None:
    """Refuse a column that the settings name and the file has not, or that they name twice."""
    source = config.votes or config.data
    for setting, column in (("text", config.text), ("truth", config.truth), *(("ignore", c) for c in config.ignore)):
        if column is not None and column not in names:
            question = did_you_mean(column, names)
            raise InputError(f"{setting}={cut(column)}: {source} has no such column{question}; it has {_listed(names)}")
    if config.truth is not None and config.truth in (config.text, *config.ignore):
        raise InputError(f"the column {cut(config.truth)} is named as the truth and as something else")


def _add_column(columns: _Columns, name: str, column: Column, config: WeakSources, *, is_source: bool = True) -> None:
    """Read a column's values; one that holds no votes is left out, with the reason."""
    abstentions: Counter[str] = Counter()
    counts = column.counts
    votes = [
        _cell(value, count, config.classes, abstentions) for value, count in zip(column.values, counts, strict=True)
    ]
    present = {vote: count for vote, count in zip(votes, counts, strict=True) if vote is not None}
    fractions = [vote for vote in present if _is_fraction(vote)]
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
        votes = [None if vote is None else _more_probable(vote, name) for vote in votes]
    abstentions += Counter(null=column.null, empty=column.empty)
    columns.cells[name] = _Cells(column, votes)
    columns.abstentions.update(abstentions)


def _cell(text: str, count: int, classes: Sequence[str] | None, abstentions: Counter[str]) -> Cell:
    """Return a vote; None for an abstention, whose cells are counted by what stands there."""
    # before abstentions: somebody may have named a class "none" or "-1"
    if classes is not None and text in classes:
        return text
    kind = MINUS_ONE if text == MINUS_ONE else ABSTENTIONS.get(text.lower())
    if kind is None:
        return text
    abstentions[kind] += count
    return None


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


def _no_vote_reason(name: str, present: Mapping[str, int], fractions: int, config: WeakSources) -> str:
    """Return why a column is no source; empty where it is one. Columns without any vote stay: they are warned of.

    Args:
        present: what its cells hold, with how many do.
    """
    # of probabilities every row has another value, and yet they are meant as votes
    if fractions and name.strip().lower() not in ROW_NUMBERS:
        return ""
    if (classes := config.classes) is not None:
        matches = sum(
            count
            for cell, count in present.items()
            if cell in classes or (cell.isdecimal() and int(cell) < len(classes))
        )
        # some cells outside of the classes are a mistake to name, most of them another kind of column
        is_of_classes = 2 * matches >= sum(present.values())
        return "" if is_of_classes else _kind_of(name, present) or "most values are no classes"
    return _kind_of(name, present)


def _kind_of(name: str, present: Mapping[str, int]) -> str:
    """Return what a column holds in place of votes, as far as names and values tell; empty where nothing does."""
    cells = sum(present.values())
    if name.strip().lower() in ROW_NUMBERS:
        return "numbers or names of rows"
    if present and sum(len(text) * count for text, count in present.items()) / cells > LONGEST_CLASS:
        return "text"
    if len(present) > MOST_CLASSES or (len(present) > 5 and 2 * len(present) > cells):
        return f"{len(present)} different values"
    return ""


def _class_names(source: str, by_column: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Return the classes that somebody votes for, or that are true; numbers by their value.

    Args:
        by_column: what the cells of each column name.

    Raises:
        InputError: names and numbers mixed, or names that differ in case alone.
    """
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


def _answers(name: str, cells: _Cells, rows: int, classes: Sequence[str], config: WeakSources) -> Answers:
    """Return a column as classes, shape (rows,).

    Raises:
        InputError: votes outside the classes, with the first of them.
    """
    numbers = {cell: number for number, cell in enumerate(classes)}
    # a number stands for a class only where somebody said the order, and after a class of that name
    if config.classes is not None:
        numbers = {str(number): number for number in range(len(classes))} | numbers
    column, votes = cells.column, cells.votes
    unknown = np.array([vote is not None and vote not in numbers for vote in votes], dtype=bool)[column.codes]
    if unknown.any():
        first = int(unknown.argmax())
        raise InputError(
            f"{config.votes or config.data}: {int(unknown.sum())} votes of the column {cut(name)} are none of the "
            f"classes {_listed(classes)}; the first is {cut(votes[column.codes[first]])!r} in row "
            f"{column.rows[first] + 1}. Name all classes in `classes`, or the column in `ignore`"
        )
    answers = np.full(rows, ABSTAINS, dtype=np.int64)
    classes_of_values = np.array([ABSTAINS if vote is None else numbers[vote] for vote in votes], dtype=np.int64)
    answers[column.rows] = classes_of_values[column.codes]
    return answers


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
