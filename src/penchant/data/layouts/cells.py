"""Parse cells that hold a conversation written as text: JSON, or a Python literal as pandas writes it into CSV."""

from __future__ import annotations

import ast
import re

from penchant.data.layouts.turns import ROLES
from penchant.data.sources.lines import parsed_json
from penchant.data.sources.values import RowError, RowValues, cut

TURN_KEYS = (("role", "content"), ("from", "value"))
# A list or an object, or numpy's way to show one, that names the parts of a turn.
OPENING = re.compile(r"\s*(?:array\(\s*)?(?:\[\s*)?\{\s*['\"]")
PARTS = tuple(tuple(re.compile(rf"(['\"]){name}\1\s*:") for name in names) for names in TURN_KEYS)
LONGEST_LITERAL = 2**20  # characters; Python's parser takes memory by the hundredfold


def unfold_turns(values: RowValues) -> RowValues:
    """Parse the cells of a row that hold turns written as text; others stay as they are.

    Raises:
        RowError: a cell that begins as turns do, but can be parsed neither as JSON nor as Python.
    """
    return {
        name: _parsed(value, name) if isinstance(value, str) and _names_turns(value) else value
        for name, value in values.items()
    }


def _names_turns(text: str) -> bool:
    # a prompt may begin with a bracket by itself; only the names of a turn's parts make it a conversation
    return OPENING.match(text) is not None and any(all(part.search(text) for part in parts) for parts in PARTS)


def _is_turn(value: object) -> bool:
    return isinstance(value, dict) and any({first, second} <= value.keys() for first, second in TURN_KEYS)


def _parsed(text: str, name: str) -> object:
    """Return the turns that a text holds; the text itself where it is JSON or Python of another kind."""
    value = _literal(text, name)
    if isinstance(value, dict) and str(value.get("role", value.get("from"))).lower() not in ROLES:
        return text  # an object of another kind that has such fields
    turns = [value] if isinstance(value, dict) else value
    return value if isinstance(turns, list) and turns and all(map(_is_turn, turns)) else text


def _literal(text: str, name: str) -> object:
    try:
        return parsed_json(text)
    except RowError:
        pass  # not JSON: pandas writes lists as Python literals, and what is neither is refused below
    try:
        if len(text) > LONGEST_LITERAL:
            raise ValueError(f"longer than {LONGEST_LITERAL} characters")
        value: object = ast.literal_eval(text.strip())
        return value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise RowError(
            "type",
            f"field {cut(name)!r} begins like a list of turns written as text, but is neither JSON nor a Python "
            f"literal ({cut(error)}); write the list itself (JSON Lines or Parquet), or a text without it",
        ) from None
