"""Rewards that read other columns of the rows, such as `answer`: what they ask for, and how they are handed it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penchant.clean_text import clean
from penchant.errors import InputError, PenchantError, did_you_mean
from penchant.extension.user_code import describe_error
from penchant.types import PromptGroup

Columns = Mapping[str, object]
"""What is known of a row by column."""
ALL_COLUMNS = "columns"
"""The parameter of a function that is handed all columns of each row."""
MAX_NAMES = 20  # columns of a row that a message names
Check = Callable[[Sequence[tuple[str, str]], object], list[float]]
"""Turns what a function returned for some pairs into finite numbers, or raises InputError."""


def column_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the columns that a function asks for: its parameters after the first one that have no default.

    A parameter with a default is a setting of the function, as it always was.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())[1:]
    except (TypeError, ValueError):  # code in C says nothing of its parameters
        return ()
    # a parameter by position alone cannot be handed over by a column's name
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(
        parameter.name for parameter in parameters if parameter.kind in by_name and parameter.default is parameter.empty
    )


@dataclass
class ColumnReward:
    """A reward that is handed columns of the rows beside prompts and responses, with its contract enforced.

    Attributes:
        function: takes (prompt, response) texts, and by name a list with a value per text for each of `names`; under
            the name `columns` a list of mappings.
        title: what messages call it. where: adds the line of the user's code to an error.
        names: the columns that it asks for.
        check: holds what it returns to the contract.
    """

    function: Callable[..., Any]
    title: str
    names: tuple[str, ...]
    check: Check
    where: Callable[[BaseException], str]
    reads_thoughts: bool = False

    is_checked_reward = True

    def __call__(
        self,
        pairs: Sequence[tuple[str, str]],
        columns: Sequence[Columns] | None = None,
        sources: Sequence[str] = (),
    ) -> list[float]:
        """Return a finite number per (prompt, response) text.

        Args:
            columns: of each text's row. sources: where each row came from, for messages.

        Raises:
            InputError: no columns, a row without one that is asked for, or whatever the function does against its
                contract.
        """
        # a copy, since user code may change the list that it gets
        pairs = list(pairs)
        if not pairs:
            return []
        if columns is None:
            raise InputError(
                f"{self.title} asks for {_listed(self.names)} of the rows, and prompts and responses alone have none: "
                "use it where rows of a file are sampled for (`pt.score_groups` takes groups with `columns`)"
            )
        names = list(sources) or [f"pair {index} (counted from 0)" for index in range(len(pairs))]
        for row, name in zip(columns, names, strict=True):
            self.require(row, name)
        try:
            answer = self.function(pairs, **self._arguments(columns))
        except (PenchantError, KeyboardInterrupt):
            raise
        except BaseException as error:  # the user's code may raise anything, and `sys.exit` is an exception
            raise self._failure(error, pairs, columns, names) from error
        return self.check(pairs, answer)

    def require(self, row: Columns, source: str) -> None:
        """Refuse a row without a column that is asked for.

        Raises:
            InputError: names the row, and the columns that it has.
        """
        missing = next((name for name in self.names if name != ALL_COLUMNS and row.get(name) is None), None)
        if missing is None:
            return
        # those that are there: most often one of them is the column under another name
        present = ", ".join(list(row)[:MAX_NAMES]) or "none beside the prompt"
        # of a verifier the column is a setting; of a function it is the name of a parameter
        verifier = getattr(getattr(self.function, "verifier", None), "name", "")
        setting = (
            f"; name another with reward={verifier}:column={clean(next(iter(row)))[:100]}" if verifier and row else ""
        )
        raise InputError(
            f"{self.title} asks for the column {missing!r}, which {source or 'a prompt'} does not have; its columns: "
            f"{clean(present)}{did_you_mean(missing, list(row), form=repr)}{setting} (rows of one prompt that differ "
            "in a column lose it)"
        )

    def _arguments(self, columns: Sequence[Columns]) -> dict[str, list[object]]:
        # copies: user code may change what it gets
        return {
            name: [dict(row) if name == ALL_COLUMNS else row[name] for row in columns]  # one list per parameter
            for name in self.names
        }

    def _failure(
        self,
        error: BaseException,
        pairs: Sequence[tuple[str, str]],
        columns: Sequence[Columns],
        names: Sequence[str],
    ) -> InputError:
        """Return the error of a function that raised, with the first row on which it raises alone."""
        # one by one, since the function was handed all of them and does not say which it was looking at
        for pair, row, name in zip(pairs, columns, names, strict=True):
            try:
                self.function([pair], **self._arguments([row]))
            except KeyboardInterrupt:
                raise
            except BaseException as single:
                text = clean(repr(pair[1]))
                response = text if len(text) <= 60 else f"{text[:57]}..."
                return InputError(
                    f"{self.title} failed on {name}, response {response}: {describe_error(single)}{self.where(single)}"
                )
        return InputError(f"{self.title} failed on {len(pairs)} pairs: {describe_error(error)}{self.where(error)}")


def _listed(names: Sequence[str]) -> str:
    columns = [repr(name) for name in names if name != ALL_COLUMNS]
    if not columns:
        return "the columns"
    return f"the column{'s' if len(columns) > 1 else ''} {', '.join(columns)}"


def reads_columns(reward: object) -> bool:
    """Return whether a loaded reward reads other columns of the rows."""
    return isinstance(reward, ColumnReward)


def check_columns(reward: object, groups: Sequence[PromptGroup]) -> None:
    """Refuse rows without a column that a reward asks for; worth asking before long work.

    Raises:
        InputError: names the first such row, and the columns that it has.
    """
    if isinstance(reward, ColumnReward):
        for group in groups:
            reward.require(group.columns, group.source)


def refuse_columns(reward: object, use: str) -> None:
    """Refuse a reward that reads columns where there are only prompts and responses.

    Args:
        use: what would use it.

    Raises:
        InputError: names the columns.
    """
    if isinstance(reward, ColumnReward):
        raise InputError(
            f"{reward.title} asks for {_listed(reward.names)} of the rows, and {use} has prompts and responses alone"
        )


def carry_columns(samples: Sequence[PromptGroup], rows: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return groups of samples with the columns and the sources of the rows that they were drawn for, in order."""
    return [
        group.replace(columns=row.columns, source=group.source or row.source)
        for group, row in zip(samples, rows, strict=True)
    ]
