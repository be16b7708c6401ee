"""Typed access to the values of a row: text, turns, numbers - or a `RowError` that says what was expected.

A *name* is the path of a value inside its row as a person would write it, such as `summaries[0].text`.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from penchant.errors import InputError
from penchant.types import Message, Prompt

Kind = Literal["damaged", "missing", "type", "value", "empty", "identical", "history", "mixed", "unread"]
ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "system": "system",
    # of chat templates that know them; the renderer refuses a template that leaves such a turn out
    "developer": "developer",
    "tool": "tool",
}
# ["text", "text"] or ['text'], which tables hold where a prompt has several turns.
WRITTEN_LIST = re.compile(
    r"""\[\s*(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')(?:\s*,\s*(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'))*+\s*\]""",
    re.DOTALL,
)
WEIGHT = "weight"  # of a turn: 0 where it is not to be trained on (OpenAI, SlimOrca)
TURN_KEYS = ("role", "content", "from", "value")
TURN_METADATA = ("id", "message_id", "timestamp", "created_at", "model", "lang", "language", "token_count", "type")
WORD = re.compile(r"[a-z]+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# What programs write into a cell of text that holds nothing.
NO_TEXT = ("", "none", "nan", "<na>", "<noinput>")
FLAGS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}  # as tables write them
# Characters that nobody sees: a text of them alone is empty.
INVISIBLE = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\u2800\u3164\ufeff"
BLANK = INVISIBLE + " \t\n\r\x0b\x0c\u00a0\u2007\u202f\u3000"
SHOWN_NAME = 60  # characters of a name or value in a message


class RowError(InputError):
    """One row that cannot be used. `kind` sorts it for counts; `str(error)` names the field, not the row."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


def shown(value: object) -> str:
    """The type and a short form of a value, for messages: `int (5)`."""
    if value is None:
        return "null"
    return f"{type(value).__name__} ({cut(_form(value), 40)})"


def cut(text: object, length: int = SHOWN_NAME) -> str:
    """A text from a file, short enough for a message."""
    form = str(text)
    return form if len(form) <= length else form[: length - 3] + "..."


def words_of(name: str) -> list[str]:
    """The words of a column's name, lower-cased: `imageUrl`, `image_url` and `Image URL` have the same."""
    return WORD.findall(CAMEL.sub("_", name).lower())


def holds(value: Any) -> bool:
    """Whether a cell holds anything: blank text, null, NaN, and empty lists and objects do not."""
    if isinstance(value, str):
        return value.strip().lower() not in (*NO_TEXT, "[]", "{}", "null")
    if isinstance(value, list | tuple):
        return any(map(holds, value))
    if isinstance(value, dict):
        return any(map(holds, value.values()))
    return value is not None and value == value  # not NaN, as which tables show a missing cell


def flag(value: object, name: str) -> bool:
    """True or false, also as 1 or 0 and as text, which tables have.

    Raises:
        RowError: anything else.
    """
    known = FLAGS.get(value.strip().lower()) if isinstance(value, str) else value
    if not (isinstance(known, bool) or (isinstance(known, int | float) and known in (0, 1))):
        raise RowError("type", f"field {name!r}: expected true or false, got {shown(value)}")
    return bool(known)


def _form(value: object) -> str:
    try:
        return repr(value[:100] if isinstance(value, str | bytes | list) else value)
    except ValueError:  # an integer of too many digits for a text
        return "a number of very many digits"


def as_text(value: object, name: str, *, empty_ok: bool = False, nul_ok: bool = False) -> str:
    """Return a string that can be encoded.

    Args:
        empty_ok: whether it may be blank. nul_ok: whether it may hold NUL characters, as samples of byte-level models
            do, whose token ids count.

    Raises:
        RowError: anything else.
    """
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
    if "\x00" in value and not nul_ok:
        raise RowError(
            "value",
            f"field {name!r} holds a NUL character (\\x00) at character {value.index(chr(0)) + 1}, which no text has; "
            "repair the program that wrote it",
        )
    if not empty_ok and not value.strip(BLANK).strip():
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
    """One turn, spelled `{"role", "content"}` or as in ShareGPT `{"from", "value"}`.

    Raises:
        RowError: a role that nobody knows, or a part that cannot be read, such as tool calls or reasoning.
    """
    turn = as_object(value, name)
    keys = ("role", "content") if "role" in turn or "content" in turn else ("from", "value")
    if keys[0] not in turn or (keys[1] not in turn and keys[0] == "from"):
        found = ", ".join(map(cut, list(turn)[:10])) or "nothing"
        raise RowError("missing", f"field {name!r}: a turn needs 'role' and 'content', it has {found}")
    _refuse_parts(turn, name)
    _refuse_two_spellings(turn, name)
    return Message(_role(turn[keys[0]], f"{name}.{keys[0]}"), as_content(turn.get(keys[1]), f"{name}.{keys[1]}"))


def _refuse_parts(turn: dict[str, Any], name: str) -> None:
    """Refuse a turn that holds more than who says what: it would be lost without a word.

    Whether a turn is to be trained on (`weight`) is looked at in `as_turns`.
    """
    for key, value in turn.items():
        if key == WEIGHT and holds(value) and value in (0, 1):
            continue
        if key in TURN_KEYS or key in TURN_METADATA or value is None or value == "" or value == [] or value == {}:
            continue
        raise RowError(
            "unread",
            f"field '{name}.{cut(key)}' is not read, so what it says would be lost ({shown(value)}): only the role and "
            "the content of a turn are. Write it into the content as the model is to say it, or remove it",
        )


def _refuse_two_spellings(turn: dict[str, Any], name: str) -> None:
    """Refuse a turn that says one thing as `role` and `content`, and another as `from` and `value`.

    Raises:
        RowError: names the field that would not be read.
    """
    if "role" not in turn and "content" not in turn:
        return
    other_role = str(turn.get("from") or turn.get("role")).strip().lower()
    differs = {"from": ROLES.get(other_role) != ROLES.get(str(turn.get("role")).strip().lower())}
    differs["value"] = holds(turn.get("value")) and turn["value"] != turn.get("content")
    for key, differing in differs.items():
        if differing:
            raise RowError("unread", f"field '{name}.{key}' differs from what the turn says as role and content")


def _role(value: object, name: str) -> str:
    role = as_text(value, name)
    known = ROLES.get(role.strip().lower())
    if known is None:
        raise RowError("value", f"field {name!r}: expected one of {', '.join(ROLES)}, got {cut(role)!r}")
    return known


def as_turns(value: object, name: str) -> tuple[Message, ...]:
    """The turns of a conversation, at least one."""
    turns = as_list(value, name, of="turns")
    if not turns:
        raise RowError("empty", f"field {name!r} is empty; expected at least one turn")
    read = tuple(as_turn(turn, f"{name}[{index}]") for index, turn in enumerate(turns))
    if read[-1].role == "assistant" and turns[-1].get(WEIGHT) == 0:
        raise RowError(
            "unread",
            f"field '{name}[{len(read) - 1}].{WEIGHT}' is 0, so this answer is not to be learned; remove the row",
        )
    return read


def as_prompt(value: object, name: str) -> Prompt:
    """Text, or turns of which at least one says something."""
    if isinstance(value, str) and WRITTEN_LIST.fullmatch(value.strip()):
        raise RowError(
            "type",
            f"field {name!r} is a list of texts written as text ({cut(value)}); give a list of turns with roles, or "
            "the text alone",
        )
    if not isinstance(value, list):
        return as_text(value, name)
    turns = as_turns(value, name)
    if not any(turn.content.strip() for turn in turns):
        raise RowError("empty", f"field {name!r} is empty; at least one turn must have text")
    return turns


def history_turns(value: object) -> tuple[Message, ...]:
    """Earlier turns: [user, assistant] pairs of texts, or turns with roles."""
    items = as_list(value, "history", of="[user, assistant] pairs")
    if any(isinstance(item, dict) for item in items):
        return as_turns(items, "history")
    turns = []
    for index, pair in enumerate(items):
        name = f"history[{index}]"
        if len(as_list(pair, name, of="two texts")) != 2:
            raise RowError("value", f"field {name!r}: expected [user, assistant], got {len(pair)} items")
        turns.append(Message("user", as_text(pair[0], f"{name}[0]", empty_ok=True)))
        turns.append(Message("assistant", as_text(pair[1], f"{name}[1]", empty_ok=True)))
    return tuple(turns)


def instruction_turns(row: dict[str, Any], field: str = "instruction") -> tuple[Message, ...]:
    """The turns of an instruction row: `system`, `history` ([user, assistant] pairs), `instruction` and
    `input`.

    An instruction is something a user says, so it becomes a user's turn and not bare text to be continued.
    """
    turns = []
    if holds(row.get("system")):
        turns.append(Message("system", as_text(row["system"], "system")))
    if holds(row.get("history")):
        turns += history_turns(row["history"])
    extra = "" if row.get("input") is None else as_text(row["input"], "input", empty_ok=True)
    extra = "" if extra.strip().lower() in NO_TEXT else extra
    instruction = as_text(row[field], field, empty_ok=bool(extra.strip()))
    spoken = [part for part in (instruction, extra) if part.strip()]
    turns.append(Message("user", "\n\n".join(spoken)))
    return tuple(turns)


def prompt_or_instruction(row: dict[str, Any]) -> Prompt:
    """`prompt` as it stands, or else `instruction` and its companions as a user's turn."""
    if row.get("prompt") is not None:
        return as_prompt(row["prompt"], "prompt")
    return instruction_turns(row)
