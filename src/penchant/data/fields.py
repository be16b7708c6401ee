"""Typed access to the values of a row: text, turns, numbers - or a `RowError` that says what was expected.

A *name* is the path of a value inside its row as a person would write it, such as `summaries[0].text`.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from penchant.errors import InputError
from penchant.types import Message, Prompt

Kind = Literal["damaged", "missing", "type", "value", "empty", "identical", "history", "mixed"]
ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}


class RowError(InputError):
    """One row that cannot be used. `kind` sorts it for counts; `str(error)` names the field, not the row."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


def shown(value: object) -> str:
    """The type and a short form of a value, for messages: `int (5)`."""
    if value is None:
        return "null"
    form = repr(value)
    return f"{type(value).__name__} ({form if len(form) <= 40 else form[:37] + '...'})"


def as_text(value: object, name: str, *, empty_ok: bool = False) -> str:
    """A string that can be encoded; blank only if `empty_ok`."""
    if not isinstance(value, str):
        raise RowError("type", f"field {name!r}: expected text, got {shown(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(
            "value",
            f"field {name!r}: half of a surrogate pair (\\u{ord(value[error.start]):04x}) at character "
            f"{error.start + 1}, which is no text; repair the program that cut this string",
        ) from None
    if not empty_ok and not value.strip():
        raise RowError("empty", f"field {name!r} is empty; give it some text")
    return value


def as_number(value: object, name: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError("type", f"field {name!r}: expected a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RowError("value", f"field {name!r}: expected a finite number, got {shown(value)}")
    return number


def as_integer(value: object, name: str, *, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included (`1.0` counts: tables turn integers into floats)."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != value
        or value in (math.inf, -math.inf)
    ):
        raise RowError("type", f"field {name!r}: expected a whole number from {low} to {high}, got {shown(value)}")
    if value != int(value) or not low <= value <= high:
        raise RowError("value", f"field {name!r}: expected a whole number from {low} to {high}, got {value!r}")
    return int(value)


def as_list(value: object, name: str, *, of: str) -> list[Any]:
    """A list; `of` says what should be in it, for the message."""
    if not isinstance(value, list):
        raise RowError("type", f"field {name!r}: expected a list of {of}, got {shown(value)}")
    return value


def as_object(value: object, name: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise RowError("type", f"field {name!r}: expected an object, got {shown(value)}")
    return value


def as_records(value: object, name: str) -> list[dict[str, Any]]:
    """A list of objects; an object of equally long lists is turned around (older `datasets` store it so)."""
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        if len({len(column) for column in value.values()}) > 1:
            raise RowError("value", f"field {name!r}: its columns have different lengths")
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    items = as_list(value, name, of="objects")
    return [as_object(item, f"{name}[{index}]") for index, item in enumerate(items)]


def as_content(value: object, name: str) -> str:
    """The content of a turn: text, or a list of text parts, which are joined."""
    if not isinstance(value, list):
        return as_text(value, name, empty_ok=True)
    parts = []
    for index, part in enumerate(as_records(value, name)):
        if part.get("type", "text") != "text":
            raise RowError(
                "value",
                f"field '{name}[{index}]': expected a text part, got type {part['type']!r}; "
                "only text parts can be read (a picture that `penchant collect` shall show goes into the text as "
                "Markdown: ![what it shows](file.png))",
            )
        parts.append(as_text(part.get("text"), f"{name}[{index}].text", empty_ok=True))
    return "".join(parts)


def as_turn(value: object, name: str) -> Message:
    """One turn, spelled `{"role", "content"}` or as in ShareGPT `{"from", "value"}`."""
    turn = as_object(value, name)
    if "role" in turn or "content" in turn:
        role, content = as_text(turn.get("role"), f"{name}.role"), turn.get("content")
        return Message(role, as_content(content, f"{name}.content"))
    if "from" not in turn or "value" not in turn:
        found = ", ".join(map(str, turn)) or "nothing"
        raise RowError("missing", f"field {name!r}: a turn needs 'role' and 'content', it has {found}")
    speaker = as_text(turn["from"], f"{name}.from")
    if speaker.lower() not in ROLES:
        raise RowError("value", f"field '{name}.from': expected one of {', '.join(ROLES)}, got {speaker!r}")
    return Message(ROLES[speaker.lower()], as_content(turn["value"], f"{name}.value"))


def as_turns(value: object, name: str) -> tuple[Message, ...]:
    """The turns of a conversation, at least one."""
    turns = as_list(value, name, of="turns")
    if not turns:
        raise RowError("empty", f"field {name!r} is empty; expected at least one turn")
    return tuple(as_turn(turn, f"{name}[{index}]") for index, turn in enumerate(turns))


def as_prompt(value: object, name: str) -> Prompt:
    """Text, or turns of which at least one says something."""
    if not isinstance(value, list):
        return as_text(value, name)
    turns = as_turns(value, name)
    if not any(turn.content.strip() for turn in turns):
        raise RowError("empty", f"field {name!r} is empty; at least one turn must have text")
    return turns


def instruction_turns(row: dict[str, Any], field: str = "instruction") -> tuple[Message, ...]:
    """The turns of an instruction row: `system`, `history` ([user, assistant] pairs), `instruction` and
    `input`.

    An instruction is something a user says, so it becomes a user's turn and not bare text to be continued.
    """
    turns = []
    if row.get("system") is not None and as_text(row["system"], "system", empty_ok=True).strip():
        turns.append(Message("system", row["system"]))
    if row.get("history") is not None:
        for index, pair in enumerate(as_list(row["history"], "history", of="[user, assistant] pairs")):
            name = f"history[{index}]"
            if len(as_list(pair, name, of="two texts")) != 2:
                raise RowError("value", f"field {name!r}: expected [user, assistant], got {len(pair)} items")
            turns.append(Message("user", as_text(pair[0], f"{name}[0]", empty_ok=True)))
            turns.append(Message("assistant", as_text(pair[1], f"{name}[1]", empty_ok=True)))
    extra = "" if row.get("input") is None else as_text(row["input"], "input", empty_ok=True)
    instruction = as_text(row[field], field, empty_ok=bool(extra.strip()))
    spoken = [part for part in (instruction, extra) if part.strip()]
    turns.append(Message("user", "\n\n".join(spoken)))
    return tuple(turns)


def prompt_or_instruction(row: dict[str, Any]) -> Prompt:
    """`prompt` as it stands, or else `instruction` and its companions as a user's turn."""
    if row.get("prompt") is not None:
        return as_prompt(row["prompt"], "prompt")
    return instruction_turns(row)
