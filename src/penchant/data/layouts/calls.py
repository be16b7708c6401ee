"""Read the functions that a model may call, and the calls that its turns make, in the spellings of the field.

Both become JSON text of one form, so that rows that say the same are the same. A null inside of them counts as
absent: a table gives every object the fields of all, and fills those that a row lacks with null.
"""

from __future__ import annotations

import json

from penchant.data.sources.lines import parsed_json
from penchant.data.sources.values import RowError, RowValues, as_list, as_object, as_text, cut, describe, holds
from penchant.types import Message, ToolCall

CALL_FIELDS = ("id", "type", "index", "function", "name")
ARGUMENT_FIELDS = ("arguments", "parameters")  # Llama 3.1 writes the second
TOOLS_ROLE = "tools"


def as_tools(value: object, name: str) -> Message | None:
    """Return the turn that lists functions, from a list of them or from that list as JSON text; None for none.

    Raises:
        RowError: no list of functions, or one without a name.
    """
    if not holds(value):
        return None
    items = as_list(json_value(value, name), name, of="functions") if isinstance(value, str | list) else [value]
    functions = [_function(item, f"{name}[{index}]") for index, item in enumerate(items)]
    return Message(TOOLS_ROLE, _json_text(functions, name)) if functions else None


def _function(value: object, name: str) -> RowValues:
    """Return a function as chat templates read it: `{"type": "function", "function": {"name": ...}}`."""
    item = without_nulls(as_object(json_value(value, name), name))
    inner = item.get("function", item)
    if not holds(as_object(inner, f"{name}.function").get("name")):
        raise RowError("missing", f"field {name!r}: a function needs a 'name', it has {', '.join(map(cut, item))}")
    # `functions` of OpenAI's first format, and LLaMA-Factory's `tools`, leave the wrapper out
    return item if "function" in item else {"type": "function", "function": item}


def as_calls(value: object, name: str) -> tuple[ToolCall, ...]:
    """Return the calls of a turn: a list of them, a single one, or either as JSON text.

    Raises:
        RowError: a call without a name, or whose arguments are no JSON object.
    """
    if not holds(value):
        return ()
    calls = json_value(value, name)
    if isinstance(calls, list):
        return tuple(_call(item, f"{name}[{index}]") for index, item in enumerate(calls))
    return (_call(calls, name),)


def _call(value: object, name: str) -> ToolCall:
    item = as_object(json_value(value, name), name)
    if item.get("type") not in (None, "", "function"):
        raise RowError("value", f"field '{name}.type': expected 'function', got {describe(item['type'])}")
    inner = as_object(item["function"], f"{name}.function") if item.get("function") is not None else item
    # a call with both would say two things, and a field that nobody reads might be a third
    arguments = [field for field in ARGUMENT_FIELDS if inner.get(field) is not None]
    fields = {**item, **inner}
    spare = [field for field in fields if field not in (*CALL_FIELDS, *ARGUMENT_FIELDS) and holds(fields[field])]
    if spare or len(arguments) > 1:
        field = cut([*spare, *arguments[1:]][0])
        raise RowError("unread", f"field '{name}.{field}' of a call is not read, so it would be lost")
    identity = as_text(item["id"], f"{name}.id", empty_ok=True) if item.get("id") is not None else ""
    function = as_text(inner.get("name"), f"{name}.name")
    field = arguments[0] if arguments else ARGUMENT_FIELDS[0]
    return ToolCall(function, _arguments(inner.get(field), f"{name}.{field}"), identity)


def _arguments(value: object, name: str) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):  # a function without parameters
        return "{}"
    is_text = isinstance(value, str)
    arguments = json_value(value, name)
    if not isinstance(arguments, dict):
        raise RowError("type", f"field {name!r}: the arguments of a call are a JSON object, got {describe(value)}")
    # In text no table has filled anything in: there a null is what the call says.
    return _json_text(arguments if is_text else without_nulls(arguments), name)


def json_value(value: object, name: str) -> object:
    """Return what a JSON text holds; any other value as it is.

    Raises:
        RowError: text that is no JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return parsed_json(value)
    except RowError as error:
        raise RowError("type", f"field {name!r}: expected JSON, got {describe(value)} ({error})") from None


def without_nulls(value: RowValues) -> RowValues:
    """Return an object without the fields that are null, at any depth."""
    return {field: _cleaned(item) for field, item in value.items() if item is not None}


def _cleaned(value: object) -> object:
    if isinstance(value, dict):
        return without_nulls(value)
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


def _json_text(value: object, name: str) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:  # a date of a table, NaN
        raise RowError("type", f"field {name!r} holds what JSON cannot say ({cut(error)})") from None
    return as_text(text, name)  # half of a surrogate pair is no text
