"""Read the layouts that other training frameworks document, and that are no one's yet: pairs, rankings, answers.

A reader raises `RowError` for what it cannot use; `load` and `check` name the row.
"""

from __future__ import annotations

from collections.abc import Sequence

from penchant.data.layouts.answers import as_response, response_turns, without_switches
from penchant.data.layouts.calls import as_tools
from penchant.data.layouts.outcomes import comparisons_of_scores, refuse_identical
from penchant.data.layouts.pairs import pair_of_turns, shared_history
from penchant.data.layouts.turns import as_prompt, as_turns, instruction_turns
from penchant.data.sources.values import (
    RowError,
    RowValues,
    as_list,
    as_number,
    as_object,
    as_records,
    as_text,
    cut,
    describe,
    flag,
    holds,
)
from penchant.types import Message, PromptGroup, prompt_turns

REQUEST_FIELDS = ("messages", "tools", "functions", "parallel_tool_calls", "tool_choice")
ASKING_FIELDS = ("question", "query", "input")
LABELLED_FIELDS = ("completion", "response", "output", "answer")


def read_openai_preference(row: RowValues) -> PromptGroup:
    """Read OpenAI's preference format: `input` (`messages`, `tools`), `preferred_output`, `non_preferred_output`."""
    request = as_object(row["input"], "input")
    if unknown := [name for name, value in request.items() if name not in REQUEST_FIELDS and holds(value)]:
        raise RowError("unread", f"field 'input.{cut(unknown[0])}' is not read, so what it says would be lost")
    history = as_turns(request.get("messages"), "input.messages")
    # inside of `input`, where `add_context`, which looks at columns, does not see them
    for name in ("tools", "functions"):
        if (tools := as_tools(request.get(name), f"input.{name}")) is not None and tools not in history:
            history = (tools, *history)
    names = ("preferred_output", "non_preferred_output")
    preferred, other = (response_turns(row[name], name) for name in names)
    return pair_of_turns(row, history, preferred, other, names)


def read_swift_messages(row: RowValues) -> PromptGroup:
    """Read ms-swift's pairs of conversations: `messages` with the preferred answer, `rejected_messages` with the other.

    Raises:
        RowError: functions of the rejected conversation (`rejected_tools`) that are not those of the preferred one.
    """
    names = ("messages", "rejected_messages")
    chosen, rejected = (as_turns(row[name], name) for name in names)
    # `dict.get`: `add_context` adds the tools, if nobody has read them
    if as_tools(row.get("rejected_tools"), "rejected_tools") not in (None, as_tools(dict.get(row, "tools"), "tools")):
        raise RowError("history", "field 'rejected_tools' differs from 'tools'; both answers are to one prompt")
    return pair_of_turns(row, shared_history(chosen, rejected, names), chosen, rejected, names)


def read_nemo(row: RowValues) -> PromptGroup:
    """Read NeMo-RL's rankings: `context` as turns, and `completions` with a `rank` each, the lowest the best."""
    # the turns of a context say nothing of what is learned from completions
    context = without_switches(prompt_turns(as_prompt(row["context"], "context")))
    completions = as_records(row["completions"], "completions")
    if len(completions) < 2:
        raise RowError("value", f"field 'completions': expected at least two to compare, got {len(completions)}")
    responses = []
    for index, completion in enumerate(completions):
        if unknown := [
            field for field in completion if field not in ("rank", "completion") and holds(completion[field])
        ]:
            raise RowError("unread", f"field 'completions[{index}].{cut(unknown[0])}' is not read, so it would be lost")
        name = f"completions[{index}].completion"
        turns = response_turns(completion.get("completion"), name)
        if len(turns) != 1:
            raise RowError("history", f"field {name!r}: expected one turn, the assistant's, got {len(turns)}")
        responses.append(as_response(turns[0], name))
    # in NeMo-RL's files 0 is the best place, where ours is 1: only the order counts
    ranks = [as_number(completion.get("rank"), f"completions[{i}].rank") for i, completion in enumerate(completions)]
    comparisons = comparisons_of_scores(ranks, range(len(ranks)), lower_wins=True)
    refuse_identical(responses, comparisons, "completions")
    return PromptGroup(context, responses, comparisons)


def asking_field(row: RowValues) -> str | None:
    """Return the column that asks, where a row has no prompt by its own name; None without one.

    A question may come with an input, which `add_context` adds to it.

    Raises:
        RowError: two columns that may both be the question.
    """
    # `dict.get`: an input beside a question is still to be read, and a `ReadRow` notes what its own `get` returns
    filled = [name for name in ASKING_FIELDS if holds(dict.get(row, name))]
    if len(filled) > 1 and filled[1] != "input":
        raise RowError(
            "unread",
            f"fields {filled[0]!r} and {filled[1]!r} may both be the prompt: say which (data.columns={{prompt: "
            f"{filled[0]}, {filled[1]}: null}})",
        )
    return filled[0] if filled else None


def _column_of(row: RowValues, names: Sequence[str]) -> str:
    """Return the first of these columns that a row has, to be refused as one that says nothing."""
    return next((name for name in names if name in row), names[0])


def read_question_pair(row: RowValues) -> PromptGroup:
    """Read a question with `chosen` and `rejected`, as Orca's pairs and axolotl's kinds have them: a user's turn."""
    field = asking_field(row) or _column_of(row, ASKING_FIELDS)
    question = (Message("user", as_text(row[field], field)),)
    chosen, rejected = (response_turns(row[name], name) for name in ("chosen", "rejected"))
    return pair_of_turns(row, question, chosen, rejected)


def read_labelled_instruction(row: RowValues) -> PromptGroup:
    """Read an instruction or question with one answer, which another column labels."""
    answer = next(name for name in LABELLED_FIELDS if row.get(name) is not None)
    return PromptGroup(_asking_turns(row), [as_text(row[answer], answer)])


def _asking_turns(row: RowValues) -> tuple[Message, ...]:
    field = "instruction" if row.get("instruction") is not None else asking_field(row)
    field = field or _column_of(row, ("instruction", *ASKING_FIELDS))
    # an input beside a question belongs to it, and alone it is the question
    return (Message("user", as_text(row[field], field)),) if field == "input" else instruction_turns(row, field)


def read_labelled_conversation(row: RowValues) -> PromptGroup:
    """Read a whole conversation under `completion`, whose last turn another column labels."""
    turns = as_turns(row["completion"], "completion")
    if len(turns) < 2:
        raise RowError("empty", "field 'completion': no turn stands before the response, and there is no 'prompt'")
    return PromptGroup(without_switches(turns[:-1]), [as_response(turns[-1], f"completion[{len(turns) - 1}]")])


def read_rounds(row: RowValues) -> PromptGroup:
    """Read ms-swift's rounds: `conversation` as a list of `{"human", "assistant"}`; the last answer is learned."""
    turns = []
    for index, value in enumerate(as_list(row["conversation"], "conversation", of="rounds")):
        name = f"conversation[{index}]"
        round_of_two = as_object(value, name)
        if unknown := [field for field in round_of_two if field not in ("human", "assistant")]:
            raise RowError("unread", f"field '{name}.{cut(unknown[0])}' is not read; expected 'human' and 'assistant'")
        turns.append(Message("user", as_text(round_of_two.get("human"), f"{name}.human")))
        turns.append(Message("assistant", as_text(round_of_two.get("assistant"), f"{name}.assistant")))
    if not turns:
        raise RowError("empty", "field 'conversation' is empty; expected at least one round")
    return PromptGroup(turns[:-1], [turns[-1].only_text])


def read_message_pair(row: RowValues) -> PromptGroup:
    """Read Camel's pairs of messages: `message_1` is the user's, `message_2` the answer."""
    question = Message("user", as_text(row["message_1"], "message_1"))
    return PromptGroup((question,), [as_text(row["message_2"], "message_2")])


def read_article_question(row: RowValues) -> PromptGroup:
    """Read a question about an article: a user's turn of both, the article first."""
    # the article first, as in axolotl's prompt: what is asked stands next to the answer
    article, question = (as_text(row[name], name) for name in ("article", "question"))
    return PromptGroup((Message("user", f"{article}\n\n{question}"),), [as_text(row["answer"], "answer")])


def read_input_output(row: RowValues) -> PromptGroup:
    """Read `input` and `output`, as OpenRLHF's keys name them: texts of a user and an assistant, or turns."""
    prompt = without_switches(prompt_turns(as_prompt(row["input"], "input")))
    turns = response_turns(row["output"], "output")
    if len(turns) != 1:
        raise RowError("history", f"field 'output': expected one turn, the assistant's, got {len(turns)}")
    return PromptGroup(prompt, [as_response(turns[0], "output")])


def read_segments(row: RowValues) -> PromptGroup:
    """Read axolotl's `input_output`: segments of one text, of which those with `label: true` are learned.

    The text in front is the prompt, and what is learned the response. The segments are joined as they stand.

    Raises:
        RowError: segments that are not learned stand behind some that are.
    """
    texts: dict[bool, list[str]] = {False: [], True: []}
    for index, segment in enumerate(as_records(row["segments"], "segments")):
        name = f"segments[{index}]"
        is_taught = flag(segment.get("label"), f"{name}.label")
        # one span is scored per text; only the turns of a conversation can be scored apart
        if texts[True] and not is_taught:
            raise RowError(
                "value",
                f"field {name!r} is not to be learned, but stands behind segments that are: a text is learned from "
                "one place to its end. Write a conversation as `messages`, with `train: false` at turns",
            )
        texts[is_taught].append(as_text(segment.get("text"), f"{name}.text", empty_ok=True))
    response = as_text("".join(texts[True]), "segments")
    return PromptGroup("".join(texts[False]), [response])


def refuse_stepwise(row: RowValues) -> None:
    """Refuse TRL's stepwise supervision, which no method learns from.

    Raises:
        RowError: the row labels the steps of one answer.
    """
    steps, labels = row["completions"], row.get("labels")
    if isinstance(steps, list) and isinstance(labels, list) and all(isinstance(step, str) for step in steps):
        raise RowError(
            "value",
            f"fields 'completions' and 'labels' judge the steps of one answer ({describe(labels)}), which no method "
            "learns from. Write whole answers with a label each for kto, or with `ranks` to compare them",
        )


def read_asking(row: RowValues) -> PromptGroup:
    """Read a question alone, without an answer, as a user's turn."""
    return PromptGroup(_asking_turns(row))


def read_open_conversation(row: RowValues) -> PromptGroup:
    """Read a conversation that waits for its answer."""
    field = "messages" if row.get("messages") is not None else "conversations"
    return PromptGroup(without_switches(prompt_turns(as_prompt(row[field], field))))
