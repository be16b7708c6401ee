"""Conversations with a system text, thoughts, functions, calls and their results, for tests of chat templates."""

from __future__ import annotations

import json
from typing import Any

from penchant.types import Message, Response, ToolCall

SYSTEM, ASKED = Message("system", "Be kind."), Message("user", "Name a river.")
EARLIER = (ASKED, Message("assistant", "The Po."), Message("user", "Another one?"))
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "add", "description": "Add.", "parameters": PARAMETERS}}]
GIVEN_TOOLS = Message("tools", json.dumps(TOOLS))
CALL = ToolCall("add", '{"a": 1, "b": "x\\"y"}', "call00001")
CALLED = Message("assistant", "", tool_calls=(CALL,))
RESULT = Message("tool", '{"sum": "1"}', name="add", tool_call_id="call00001")
THOUGHT = "<think>\nI look.\n</think>\n\n"
Conversation = tuple[tuple[Message, ...], Response]
CONVERSATIONS: dict[str, Conversation] = {
    "plain": ((ASKED,), Response("The Rhine.")),
    "system": ((SYSTEM, ASKED), Response("The Rhine.")),
    "turns": (EARLIER, Response("The Elbe.")),
    "thinking": ((ASKED,), Response(f"{THOUGHT}The Rhine.")),
    "reasoning": ((ASKED,), Response("The Rhine.", reasoning="I look.")),
    "call": ((GIVEN_TOOLS, SYSTEM, ASKED), Response("", tool_calls=(CALL,))),
    "text and call": ((GIVEN_TOOLS, ASKED), Response("I add.", tool_calls=(CALL,))),
    "result": ((GIVEN_TOOLS, SYSTEM, ASKED, CALLED, RESULT), Response("It is 1.")),
}


def rows_of(prompt: tuple[Message, ...], response: Response) -> tuple[list[dict[str, Any]], Any]:
    """A conversation as users of `transformers` write it, and its functions."""
    rows, tools = [], None
    last = Message("assistant", response.text, response.reasoning, response.tool_calls)
    for turn in (*prompt, last):
        if turn.role == "tools":
            tools = json.loads(turn.content)
            continue
        row: dict[str, Any] = {"role": turn.role, "content": turn.content}
        if turn.reasoning:
            row["reasoning_content"] = turn.reasoning
        if turn.tool_calls:
            row["tool_calls"] = [
                {
                    "type": "function",
                    "id": call.id,
                    "function": {"name": call.name, "arguments": json.loads(call.arguments)},
                }
                for call in turn.tool_calls
            ]
        if turn.role == "tool":
            row |= {"name": turn.name, "tool_call_id": turn.tool_call_id}
        rows.append(row)
    return rows, tools
