"""Read turns of conversations in the spellings of the field, and prompts - or raise what was expected instead."""

from __future__ import annotations

import re

from penchant.data.sources.values import (
    NO_TEXT,
    RowError,
    RowValues,
    as_list,
    as_object,
    as_records,
    as_text,
    cut,
    describe,
    holds,
)
from penchant.types import Message, Prompt

ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "assistant", "bot", "model", "ai"), "assistant"),
    "system": "system",
    # of chat templates that know them; the renderer refuses a template that leaves such a turn out
    "developer": "developer",
    "tool": "tool",
}
"""By the spelling of a file, the role as chat templates spell it."""
# ["text", "text"] or ['text'], which tables hold where a prompt has several turns. The possessive `*+` keeps the match
# linear: a prompt may be megabytes long and full of quotes.
WRITTEN_LIST = re.compile(
    r"""\[\s*(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')(?:\s*,\s*(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'))*+\s*\]""",
    re.DOTALL,
)
WEIGHT = "weight"  # of a turn: 0 where it is not to be trained on (OpenAI, SlimOrca)
TURN_KEYS = ("role", "content", "from", "value")
TURN_METADATA = ("id", "message_id", "timestamp", "created_at", "model", "lang", "language", "token_count", "type")


def as_content(value: object, name: str) -> str:
    """Return the content of a turn: text, or a list of text parts, which are joined."""
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
    """Return one turn, spelled `{"role", "content"}` or as in ShareGPT `{"from", "value"}`.

    Raises:
        RowError: a role that nobody knows, or a part that cannot be read, such as tool calls or reasoning.
    """
    turn = as_object(value, name)
    # Some exporters write both spellings; `role` is the one of today, and `_refuse_two_spellings` looks at the other.
    keys = ("role", "content") if "role" in turn or "content" in turn else ("from", "value")
    # A turn without `content` is allowed: of a turn with tool calls alone, `_refuse_parts` names the calls.
    if keys[0] not in turn or (keys[1] not in turn and keys[0] == "from"):
        names = ", ".join(map(cut, list(turn)[:10])) or "nothing"
        raise RowError("missing", f"field {name!r}: a turn needs 'role' and 'content', it has {names}")
    _refuse_parts(turn, name)
    _refuse_two_spellings(turn, name)
    return Message(_role(turn[keys[0]], f"{name}.{keys[0]}"), as_content(turn.get(keys[1]), f"{name}.{keys[1]}"))


def _refuse_parts(turn: RowValues, name: str) -> None:
    """Refuse a turn that holds more than who says what: it would be lost without a word.

    Whether a turn is to be trained on (`weight`) is looked at in `as_turns`.
    """
    for key, value in turn.items():
        if key == WEIGHT and holds(value) and value in (0, 1):
            continue
        # Tables give every turn the fields of all, so those that are empty say nothing.
        if key in TURN_KEYS or key in TURN_METADATA or value is None or value in ("", [], {}):
            continue
        raise RowError(
            "unread",
            f"field '{name}.{cut(key)}' is not read, so what it says would be lost ({describe(value)}): only the role "
            "and the content of a turn are. Write it into the content as the model is to say it, or remove it",
        )


def _refuse_two_spellings(turn: RowValues, name: str) -> None:
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
    standard = ROLES.get(role.strip().lower())
    if standard is None:
        raise RowError("value", f"field {name!r}: expected one of {', '.join(ROLES)}, got {cut(role)!r}")
    return standard


def as_turns(value: object, name: str) -> tuple[Message, ...]:
    """Return the turns of a conversation, at least one."""
    if not (turns := as_list(value, name, of="turns")):
        raise RowError("empty", f"field {name!r} is empty; expected at least one turn")
    read = tuple(as_turn(turn, f"{name}[{index}]") for index, turn in enumerate(turns))
    last = as_object(turns[-1], name)
    if read[-1].role == "assistant" and last.get(WEIGHT) == 0:
        raise RowError(
            "unread",
            f"field '{name}[{len(read) - 1}].{WEIGHT}' is 0, so this answer is not to be learned; remove the row",
        )
    return read


def response_turns(value: object, name: str) -> tuple[Message, ...]:
    """Return the turns of a response, given as text, as one turn or as a list of turns."""
    if isinstance(value, str):
        return (Message("assistant", as_text(value, name)),)
    return (as_turn(value, name),) if isinstance(value, dict) else as_turns(value, name)


def as_prompt(value: object, name: str) -> Prompt:
    """Return text, or turns of which at least one says something."""
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
    """Return earlier turns: [user, assistant] pairs of texts, or turns with roles."""
    items = as_list(value, "history", of="[user, assistant] pairs")
    if any(isinstance(item, dict) for item in items):
        return as_turns(items, "history")
    turns = []
    for index, item in enumerate(items):
        name = f"history[{index}]"
        pair = as_list(item, name, of="two texts")
        if len(pair) != 2:
            raise RowError("value", f"field {name!r}: expected [user, assistant], got {len(pair)} items")
        turns.append(Message("user", as_text(pair[0], f"{name}[0]", empty_ok=True)))
        turns.append(Message("assistant", as_text(pair[1], f"{name}[1]", empty_ok=True)))
    return tuple(turns)


def instruction_turns(row: RowValues, field: str = "instruction") -> tuple[Message, ...]:
    """Return the turns of an instruction row: `system`, `history` (pairs of user, assistant), `instruction`, `input`.

    An instruction is something a user says, so it becomes a user's turn and not bare text to be continued.
    """
    turns = []
    if holds(row.get("system")):
        turns.append(Message("system", as_text(row["system"], "system")))
    if holds(row.get("history")):
        turns += history_turns(row["history"])
    extra = "" if row.get("input") is None else as_text(row["input"], "input", empty_ok=True)
    # tables fill a missing input with "nan", which would be asked for with every instruction
    extra = "" if extra.strip().lower() in NO_TEXT else extra
    instruction = as_text(row[field], field, empty_ok=bool(extra.strip()))
    spoken = [part for part in (instruction, extra) if part.strip()]
    turns.append(Message("user", "\n\n".join(spoken)))
    return tuple(turns)


def prompt_or_instruction(row: RowValues) -> Prompt:
    """Return `prompt` as it stands, or else `instruction` and its companions as a user's turn."""
    if row.get("prompt") is not None:
        return as_prompt(row["prompt"], "prompt")
    return instruction_turns(row)
