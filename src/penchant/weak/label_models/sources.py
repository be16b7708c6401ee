"""Votes that are computed: by labelling functions, keywords, regular expressions, and classifiers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from penchant.errors import InputError
from penchant.weak.command_settings import WeakLabel
from penchant.weak.label import supervise
from penchant.weak.label_models.columns import ColumnTable, column_of
from penchant.weak.label_models.functions import Vote, apply_functions
from penchant.weak.label_models.read import (
    VoteTable,
    check_columns,
    read_table,
    read_votes,
    text_column,
    votes_of_columns,
)
from penchant.weak.label_models.settings import ClassifierSource, Keywords, Pattern, WeakSources
from penchant.weak.rows import LabelledRows


def collect_votes(config: WeakSources) -> VoteTable:
    """Return the votes of a file's columns, or those that functions and other sources give on its texts.

    Raises:
        InputError: what `read_votes` raises; rows without a text; functions or classifiers that cannot be used.
    """
    if config.data is None:
        return read_votes(config)
    rows = read_table(config.data)
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    check_columns(config, names)
    text = text_column(config, names)
    texts = tuple("" if text is None or row.get(text) is None else str(row[text]) for row in rows)
    if text is None or not all(map(str.strip, texts)):
        number = next((number for number, value in enumerate(texts, 1) if not value.strip()), 1)
        raise InputError(f"{config.data}: row {number} has no text: name the column by `text`, or take the row out")
    applied = apply_functions(config.functions, rows, texts, jobs=config.jobs)
    columns: dict[str, Sequence[Vote]] = dict(applied.votes)
    for source in config.sources:
        if source.column in columns:
            raise InputError(f"two sources are called {source.column!r}: name one by `title`")
        columns[source.column] = _votes_of(source, texts, config.classes)
    truth = {} if config.truth is None else {config.truth: column_of([row.get(config.truth) for row in rows])}
    cells = {name: column_of(votes) for name, votes in columns.items()}
    table = votes_of_columns(config, ColumnTable(len(rows), names, truth, {text: texts}), cells, text)
    table.failures = applied.failures
    table.first_errors = applied.first_errors
    return table


def _votes_of(
    source: Keywords | Pattern | ClassifierSource, texts: Sequence[str], classes: Sequence[str] | None
) -> Sequence[Vote]:
    if isinstance(source, ClassifierSource):
        return _votes_of_classifier(source, texts, classes)
    words = "|".join(map(re.escape, source.words)) if isinstance(source, Keywords) else ""
    # whole words: "song" is not in "songbird"; at a sign that is no letter, such as "$", there is no border of a word
    pattern = rf"(?<!\w)(?:{words})(?!\w)" if isinstance(source, Keywords) else source.pattern
    finder = re.compile(pattern, re.IGNORECASE)
    return [source.vote if finder.search(text) else None for text in texts]


def _votes_of_classifier(
    source: ClassifierSource, texts: Sequence[str], classes: Sequence[str] | None
) -> Sequence[Vote]:
    """Return the most probable class of each text, where it is probable enough."""
    config = WeakLabel(
        data=source.column,
        train=source.train,
        saved=source.saved,
        supervisor=source.classifier,
        classes=None if classes is None else tuple(classes),
        out="votes.jsonl",
    )
    rows = LabelledRows(source.column, tuple(texts), (), None, ("",) * len(texts))
    probabilities, names = supervise(config, rows)
    # two classes alike are no vote for the first
    ordered = np.sort(probabilities, -1)
    is_sure = (ordered[:, -1] >= source.threshold) & (ordered[:, -1] > ordered[:, -2])
    return [names[k] if votes else None for k, votes in zip(probabilities.argmax(-1).tolist(), is_sure, strict=True)]
