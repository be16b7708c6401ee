"""Read turns of conversations in the spellings of the field, and prompts - or raise what was expected instead."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from penchant.data.layouts.calls import TOOLS_ROLE, as_calls, as_tools
from penchant.data.layouts.media import as_parts
from penchant.data.sources.values import (
    NO_TEXT,
    RowError,
    RowValues,
    as_list,
    as_object,
    as_text,
    cut,
    describe,
    flag,
    holds,
)
from penchant.types import Message, Prompt, ToolCall

if TYPE_CHECKING:
    from penchant.media import Part

ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "assistant", "bot", "model", "ai"), "assistant"),
    "system": "system",
    # of chat templates that know them; the renderer refuses a template that leaves such a turn out
    "developer": "developer",
    **dict.fromkeys(("tool", "function", "observation", "tool_response", "function_response"), "tool"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
    TOOLS_ROLE: TOOLS_ROLE,
}
"""By the spelling of a file, the role as chat templates spell it."""
PLAIN_ROLES = ("system", "user", "assistant")  # with a content alone
CALL_ROLES = ("function_call", "tool_call")  # ShareGPT's and ms-swift's: the content of such a turn is the call
# ["text", "text"] or ['text'], which tables hold where a prompt has several turns. The possessive `*+` keeps the match
# linear: a prompt may be megabytes long and full of quotes.
WRITTEN_LIST = re.compile(
    r"""\[\s*(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')(?:\s*,\s*(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'))*+\s*\]""",
    re.DOTALL,
)
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
# Whether a turn is to be trained on: OpenAI and SlimOrca write `weight` (0 or 1), axolotl `train` or `training`,
# ms-swift `loss`, and we `taught`.
TAUGHT_FIELDS = ("weight", "train", "training", "loss", "taught")
CALL_FIELDS = ("tool_calls", "function_call")
TURN_KEYS = (
    *("role", "content", "from", "value"),
    *("name", "tool_call_id"),
    *(*REASONING_FIELDS, *TAUGHT_FIELDS, *CALL_FIELDS),
)
TURN_METADATA = ("id", "message_id", "timestamp", "created_at", "model", "lang", "language", "token_count", "type")


def as_content(value: object, name: str) -> str | tuple[Part, ...]:
    """Return the content of a turn: text, or a list of parts; texts alone are joined."""
    return as_parts(value, name) if isinstance(value, list) else as_text(value, name, empty_ok=True)


def as_turn(value: object, name: str) -> Message:
    """Return one turn, spelled `{"role", "content"}` or as in ShareGPT `{"from", "value"}`.

    Raises:
        RowError: a role that nobody knows, or a part that cannot be read.
    """
    turn = as_object(value, name)
    role, content = turn.get("role"), turn.get("content")
    # nearly all turns of nearly all files, so that they are not looked through for what else they may hold
    if len(turn) == 2 and isinstance(content, str) and isinstance(role, str) and role in PLAIN_ROLES:
        return Message(role, as_text(content, f"{name}.content", empty_ok=True))
    # Some exporters write both spellings; `role` is the one of today, and `_refuse_two_spellings` looks at the other.
    # Pygmalion's files mix them.
    keys = tuple(
        old if turn.get(new) is None and old in turn else new for new, old in (("role", "from"), ("content", "value"))
    )
    # A turn that only calls functions may come without content.
    if keys[0] not in turn or (keys[1] not in turn and keys[0] == "from"):
        names = ", ".join(map(cut, list(turn)[:10])) or "nothing"
        raise RowError("missing", f"field {name!r}: a turn needs 'role' and 'content', it has {names}")
    _refuse_parts(turn, name)
    _refuse_two_spellings(turn, name)
    role = _role(turn[keys[0]], f"{name}.{keys[0]}")
    content, content_name = turn.get(keys[1]), f"{name}.{keys[1]}"
    if role == TOOLS_ROLE:
        return as_tools(content, content_name) or _refuse_no_tools(content_name)
    calls = _calls(turn, name)
    if _is_call_turn(turn):
        content, calls = None, (*as_calls(content, content_name), *calls)
    if role == "tool" and isinstance(content, dict):  # a result that is no text yet
        content = json.dumps(content, ensure_ascii=False)
    return _checked_parts(
        Message(
            role,
            "" if content is None and calls else as_content(content, content_name),
            _reasoning(turn, name),
            calls,
            _optional_text(turn, "name", name),
            _optional_text(turn, "tool_call_id", name),
            _taught(turn, role, name),
        ),
        name,
    )


def _is_call_turn(turn: object) -> bool:
    """Return whether a turn's content is a call, by the spelling of its role."""
    spelled = as_object(turn, "turn")
    return str(spelled.get("role", spelled.get("from"))).strip().lower() in CALL_ROLES


def _refuse_no_tools(name: str) -> NoReturn:
    raise RowError("empty", f"field {name!r} is empty; expected the JSON list of the functions that may be called")


def _refuse_parts(turn: RowValues, name: str) -> None:
    """Refuse a turn that holds more than is read: it would be lost without a word."""
    for key, value in turn.items():
        # Tables give every turn the fields of all, so those that are empty say nothing.
        if key in TURN_KEYS or key in TURN_METADATA or value is None or value in ("", [], {}):
            continue
        raise RowError(
            "unread",
            f"field '{name}.{cut(key)}' is not read, so what it says would be lost ({describe(value)}). Write it into "
            "the content as the model is to say it, or remove it",
        )


def _checked_parts(turn: Message, name: str) -> Message:
    """Return the turn, if its parts belong to its role.

    Raises:
        RowError: calls or thoughts that are not the assistant's, or an answer to a call that is no tool's.
    """
    for part, value, role in (
        ("tool_calls", turn.tool_calls, "assistant"),
        ("reasoning_content", turn.reasoning, "assistant"),
        ("tool_call_id", turn.tool_call_id, "tool"),
    ):
        if value and turn.role != role:
            raise RowError(
                "unread", f"field '{name}.{part}' belongs to a turn of the role {role!r}, not to one of {turn.role!r}"
            )
    return turn


def _calls(turn: RowValues, name: str) -> tuple[ToolCall, ...]:
    calls = {key: as_calls(turn[key], f"{name}.{key}") for key in CALL_FIELDS if holds(turn.get(key))}
    if len(set(calls.values())) > 1:
        raise RowError("value", f"fields '{name}.tool_calls' and '{name}.function_call' differ; keep one of them")
    return next(iter(calls.values()), ())


def _reasoning(turn: RowValues, name: str) -> str:
    """Return the thoughts that a turn has apart from its content."""
    filled = {key: as_text(turn[key], f"{name}.{key}") for key in REASONING_FIELDS if holds(turn.get(key))}
    if len(set(filled.values())) > 1:
        raise RowError("value", f"fields {' and '.join(filled)} of {name!r} differ; keep one of them")
    return next(iter(filled.values()), "")


def _optional_text(turn: RowValues, key: str, name: str) -> str:
    return as_text(turn[key], f"{name}.{key}") if holds(turn.get(key)) else ""


def _taught(turn: RowValues, role: str, name: str) -> bool | None:
    """Return whether a turn is to be trained on, where it says so."""
    filled = [key for key in TAUGHT_FIELDS if holds(turn.get(key))]
    flags = {key: flag(turn[key], f"{name}.{key}", expected="1 or 0 (true or false)") for key in filled}
    if len(set(flags.values())) > 1:
        raise RowError("value", f"fields {' and '.join(flags)} of {name!r} say the opposite of each other; keep one")
    if role == "assistant" or not filled:
        return next(iter(flags.values()), None)
    # A weight of 1 stands at every turn of many files, as a default that says nothing of the user's.
    if flags[filled[0]] and filled[0] != "weight":
        raise RowError(
            "unread", f"field '{name}.{filled[0]}' asks for the {role}'s turn to be learned; only the assistant's are"
        )
    return None


def _refuse_two_spellings(turn: RowValues, name: str) -> None:
    """Refuse a turn that says one thing as `role` and `content`, and another as `from` and `value`.

    Raises:
        RowError: names the field that would not be read.
    """
    roles = [str(turn[key]).strip().lower() for key in ("role", "from") if turn.get(key) is not None]
    differs = {"from": len({ROLES.get(role, role) for role in roles}) > 1}
    differs["value"] = holds(turn.get("value")) and turn.get("content") not in (None, turn["value"])
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
    read: list[Message] = []
    for index, item in enumerate(turns):
        turn = as_turn(item, f"{name}[{index}]")
        if turn.role == TOOLS_ROLE and index:
            raise RowError("value", f"field '{name}[{index}]': the list of functions stands before all turns")
        if turn.tool_calls and read and read[-1].role == "assistant" and _is_call_turn(item):
            # ms-swift writes a turn per call; for a template they are calls of one turn
            spoken = read.pop()
            turn = replace(spoken, tool_calls=(*spoken.tool_calls, *turn.tool_calls))
        read.append(turn)
    return tuple(read)


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
    if not any(turn.text.strip() for turn in turns):
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
