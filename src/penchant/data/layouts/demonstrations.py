"""Read the layouts without preferences: demonstrations for SFT, and bare prompts."""

from __future__ import annotations

from penchant.data.layouts.turns import as_prompt, as_turns, instruction_turns, response_turns
from penchant.data.sources.values import RowError, RowValues, as_text, holds
from penchant.types import Message, PromptGroup, prompt_turns

QUESTION_FIELDS = ("question", "query")
ANSWER_FIELDS = ("answer", "response")
SPEAKER_COLUMNS = ("role", "speaker", "parent_id", "message_tree_id", "parent")


def read_completion(row: RowValues) -> PromptGroup:
    """Read `prompt` with `completion` or `response`: texts, or turns (one assistant turn as completion)."""
    field = "completion" if row.get("completion") is not None else "response"
    prompt = as_prompt(row["prompt"], "prompt")
    value = row[field]
    if isinstance(value, str):
        return PromptGroup(prompt, [as_text(value, field)])
    turns = response_turns(value, field)
    if len(turns) != 1 or turns[0].role != "assistant":
        raise RowError("value", f"field {field!r}: expected one assistant turn, got {_roles(turns)}")
    # A prompt as text beside a response as a turn is a question, not a text to be continued.
    return PromptGroup(prompt_turns(prompt), [as_text(turns[0].content, field)])


def read_messages(row: RowValues) -> PromptGroup:
    """Read `messages` (or ShareGPT's `conversations`): the last turn, an assistant's, is the response."""
    field = "messages" if row.get("messages") is not None else "conversations"
    turns = as_turns(row[field], field)
    if turns[-1].role != "assistant":
        raise RowError("value", f"field {field!r}: its last turn must be the assistant's, got {_roles(turns)}")
    # a system turn alone would do: its text is what the response follows
    if not any(turn.content.strip() for turn in turns[:-1]):
        raise RowError("empty", f"field {field!r}: no turn with text stands before the response")
    return PromptGroup(turns[:-1], [as_text(turns[-1].content, f"{field}[{len(turns) - 1}]")])


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
    """Read `article` and `highlights`, as CNN/DailyMail has them: the highlights are the summary."""
    return PromptGroup(as_text(row["article"], "article"), [as_text(row["highlights"], "highlights")])


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
