"""Read the layouts without preferences: demonstrations for SFT, and bare prompts."""

from __future__ import annotations

from dataclasses import replace

from penchant.data.layouts.answers import as_response, refuse_untaught, response_turns
from penchant.data.layouts.calls import TOOLS_ROLE
from penchant.data.layouts.turns import as_prompt, as_turns, instruction_turns
from penchant.data.sources.values import RowError, RowValues, as_text, holds
from penchant.types import Message, PromptGroup, prompt_turns

QUESTION_FIELDS = ("question", "query")
ANSWER_FIELDS = ("answer", "response")
COMPLETION_FIELDS = ("completion", "response", "generation")
SUMMARY_FIELDS = ("highlights", "summary")
SPEAKER_COLUMNS = ("role", "speaker", "parent_id", "message_tree_id", "parent")


def read_completion(row: RowValues) -> PromptGroup:
    """Read `prompt` with `completion`, `response` or `generation`: texts, or turns (the assistant's as completion)."""
    field = next(name for name in COMPLETION_FIELDS if row.get(name) is not None)
    prompt = as_prompt(row["prompt"], "prompt")
    value = row[field]
    if isinstance(value, str):
        return PromptGroup(prompt, [as_text(value, field)])
    turns = response_turns(value, field)
    roles = [turn.role for turn in turns]
    if roles[0] != "assistant" or roles[-1] != "assistant" or "user" in roles:
        raise RowError("value", f"field {field!r}: expected one assistant turn, got {_roles(turns)}")
    refuse_untaught(turns[-1], f"{field}[{len(turns) - 1}]")
    # A prompt as text beside a response as a turn is a question, not a text to be continued. Earlier turns of the
    # answer, such as a call and its result, stand before the last one, and are taught as well.
    previous = [
        replace(turn, taught=True) if turn.role == "assistant" and turn.taught is None else turn for turn in turns[:-1]
    ]
    return PromptGroup((*prompt_turns(prompt), *previous), [as_response(turns[-1], field)])


def read_messages(row: RowValues) -> PromptGroup:
    """Read `messages` (or ShareGPT's `conversations`): the last turn, an assistant's, is the response.

    Turns behind the last one that is to be learned are left out, as nothing that is learned follows them.
    """
    field, turns = _conversation(row)
    taught = [index for index, turn in enumerate(turns) if turn.role == "assistant" and turn.taught is not False]
    if not taught:
        refuse_untaught(turns[-1], f"{field}[{len(turns) - 1}]")
    return _group_of_turns(turns[: taught[-1] + 1], field)


def read_answered(row: RowValues) -> PromptGroup:
    """Read `messages` whose last turn is judged: that one is the response, whatever it says of being taught."""
    field, turns = _conversation(row)
    refuse_untaught(turns[-1], f"{field}[{len(turns) - 1}]")
    return _group_of_turns(turns, field)


def _conversation(row: RowValues) -> tuple[str, tuple[Message, ...]]:
    """Return the field that holds a conversation, and its turns, which end with the assistant's."""
    field = "messages" if row.get("messages") is not None else "conversations"
    turns = as_turns(row[field], field)
    if turns[-1].role != "assistant":
        raise RowError("value", f"field {field!r}: its last turn must be the assistant's, got {_roles(turns)}")
    return field, turns


def _group_of_turns(turns: tuple[Message, ...], field: str) -> PromptGroup:
    # a system turn alone would do: its text is what the response follows
    if not any(turn.text.strip() for turn in turns[:-1] if turn.role != TOOLS_ROLE):
        raise RowError("empty", f"field {field!r}: no turn with text stands before the response")
    return PromptGroup(turns[:-1], [as_response(turns[-1], f"{field}[{len(turns) - 1}]")])


def read_alpaca(row: RowValues) -> PromptGroup:
    """Read `instruction`, `input`, `output` (and `system`, `history`): the instruction becomes a user's turn."""
    return PromptGroup(instruction_turns(row), [as_text(row["output"], "output")])


def read_question(row: RowValues) -> PromptGroup:
    """Read `question` (or `query`) with `answer` or `response`, as GSM8K and OpenOrca have them: a user's turn."""
    # the layout was recognised by one of these, so there is one
    question = next(name for name in QUESTION_FIELDS if row.get(name) is not None)
    answer = next(name for name in ANSWER_FIELDS if row.get(name) is not None)
    return PromptGroup(instruction_turns(row, question), [as_text(row[answer], answer)])


def read_instruction(row: RowValues) -> PromptGroup:
    """Read `instruction` with `response`, as Dolly has them: a user's turn. Its `context` is added like any other."""
    return PromptGroup(instruction_turns(row), [as_text(row["response"], "response")])


def read_article(row: RowValues) -> PromptGroup:
    """Read `article` with its `highlights` (as CNN/DailyMail has them) or its `summary`."""
    field = next(name for name in SUMMARY_FIELDS if row.get(name) is not None)
    return PromptGroup(as_text(row["article"], "article"), [as_text(row[field], field)])


def read_text(row: RowValues) -> PromptGroup:
    """Read `text`: a plain language-modelling row, a response to the empty prompt.

    Raises:
        RowError: the text is one turn of a conversation, such as a question of OpenAssistant's.
    """
    # A question of OpenAssistant's has an answer in another row, and would be taught as a text to write.
    if (speaker := next((name for name in SPEAKER_COLUMNS if holds(row.get(name))), None)) is not None:
        raise RowError(
            "unread",
            f"field {speaker!r} says that 'text' is a turn of a conversation, whose other turns stand in other rows: "
            "write each conversation into one row as `messages`, with its roles",
        )
    return PromptGroup("", [as_text(row["text"], "text")])


def read_bare_prompt(row: RowValues) -> PromptGroup:
    """Read `prompt` alone."""
    return PromptGroup(as_prompt(row["prompt"], "prompt"))


def _roles(turns: tuple[Message, ...]) -> str:
    return "turns of " + ", ".join(turn.role for turn in turns)
