"""Cells that hold a conversation written as text: JSON, or a Python literal as pandas writes it into CSV files."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from penchant.data.fields import RowError, cut
from penchant.data.lines import parsed_json

# A list or an object of turns, or numpy's way to show one.
OPENING = re.compile(r"\s*(?:array\(\s*)?(?:\[\s*)?\{\s*(['\"])(?:role|from|content|value)\1\s*:")
LONGEST_LITERAL = 2**20  # characters; Python's parser takes memory by the hundredfold


def unfold_turns(values: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its cells that are turns written as text turned into turns.

    Raises:
        RowError: a cell that begins as turns do, but can be parsed neither as JSON nor as Python.
    """
    return {
        name: _parsed(value, str(name)) if isinstance(value, str) and OPENING.match(value) else value
        for name, value in values.items()
    }


def _parsed(text: str, name: str) -> Any:
    try:
        return parsed_json(text)
    except RowError:
        pass
    try:
        if len(text) > LONGEST_LITERAL:
            raise ValueError(f"longer than {LONGEST_LITERAL} characters")
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise RowError(
            "type",
            f"field {cut(name)!r} begins like a list of turns written as text, but is neither JSON nor a Python "
            f"literal ({cut(error)}); write the list itself (JSON Lines or Parquet), or a text without it",
        ) from None
    return [*value] if isinstance(value, tuple) else value
