"""Read the layouts whose rows hold one pair, chosen and rejected. Each reader takes a row and gives a group.

A reader raises `RowError` for what it cannot use; `load` and `check` name the row.
"""

from __future__ import annotations

import re

from penchant.data.layouts import demonstrations
from penchant.data.layouts.answers import as_response, refuse_untaught, response_turns, without_switches
from penchant.data.layouts.pair_ratings import pair, rated_pair
from penchant.data.layouts.turns import as_prompt, as_turns, instruction_turns
from penchant.data.sources.values import RowError, RowValues, as_text, common_length, holds
from penchant.types import Message, PromptGroup, prompt_text

HH_MARKER = re.compile(r"(?:\A|\n\n)\s*(Human|Assistant):")
STRAY_MARKER = re.compile(r"\b(?:Human|Assistant):")
# Where a response begins in text written for a template; the prompt ends after the last one that both texts share.
RESPONSE_MARKER = re.compile(
    r"\n\s*(?:Assistant|ASSISTANT|AI|Bot|A|Answer|Response):|### Response:\s*|"
    r"<\|im_start\|>assistant\n|<\|assistant\|>\n?|\[/INST\]|"
    r"<start_of_turn>model\n|<\|start_header_id\|>assistant<\|end_header_id\|>\n\n"
)

SENTENCE_END = re.compile(r"[.!?:;\n\u3002\uff01\uff1f\uff1a\u2026>\]][\"'\u201d\u2019)]*\s*\Z")
OPEN_TAG = re.compile(r"<(\w{1,30})>")


def read_trl(row: RowValues) -> PromptGroup:
    """Read TRL's format with an explicit prompt: three texts, taken as they stand."""
    prompt = as_prompt(row["prompt"], "prompt")
    chosen, rejected = _two_texts(row)
    # Read as they stand, they would show the prompt twice and teach all turns before the last as well.
    if all(is_transcript(text) and "\nAssistant:" in text for text in (chosen, rejected)):
        raise RowError(
            "history",
            "fields 'chosen' and 'rejected' are whole transcripts ('Human:' ... 'Assistant:'), which hold the prompt "
            "again. Leave the field 'prompt' out to read them (data.columns={prompt: null})",
        )
    return rated_pair(row, prompt, chosen, rejected)


def _two_texts(row: RowValues) -> tuple[str, str]:
    return as_text(row["chosen"], "chosen"), as_text(row["rejected"], "rejected")


def read_swift(row: RowValues) -> PromptGroup:
    """Read ms-swift: `messages` that end with the preferred answer, and the other one as `rejected_response`."""
    group = demonstrations.read_answered(row)
    turns = response_turns(row["rejected_response"], "rejected_response")
    if len(turns) != 1:
        raise RowError("history", f"field 'rejected_response': expected one turn, got {len(turns)}")
    rejected = as_response(without_switches(turns)[0], "rejected_response")
    return rated_pair(row, group.prompt, group.responses[0], rejected)


def read_instructgpt_summaries(row: RowValues) -> PromptGroup:
    """Read a post with a person's summary and a model's, as OpenAI published samples of InstructGPT.

    Nobody compared them: the person's summary is the preferred one only if the layout is prescribed by name.
    Prompt and responses as in OpenAI's summaries: the prompt ends with `TL;DR:`, a summary begins with a space.
    """
    post, written, sampled = (as_text(row[name], name).strip() for name in ("context", "ref_text", "sample"))
    row.get("model_type")  # who wrote the sample: see `model_names`
    return pair(post.removesuffix("TL;DR:").rstrip() + "\n\nTL;DR:", f" {written}", f" {sampled}")


def read_trl_implicit(row: RowValues) -> PromptGroup:
    """Read TRL's format with an implicit prompt: both texts begin with it, and it ends where their responses start.

    That is after the last template marker of a response that both share, else before the last shared white
    space (which goes to the responses), so that no word is cut in two.
    """
    chosen, rejected = _two_texts(row)
    if chosen == rejected:
        return pair("", chosen, rejected)  # raises; else the whole text would be the prompt, and the error about that
    shared = chosen[: common_length(chosen, rejected)]
    markers = list(RESPONSE_MARKER.finditer(shared))
    cut = markers[-1].end() if markers else _last_word_end(chosen, rejected, len(shared))
    if not shared[:cut].strip():
        raise RowError(
            "history",
            "fields 'chosen' and 'rejected' share no beginning that could be the prompt; add a field 'prompt'",
        )
    # Two answers may think alike at first: "<think>The user asks" is shared, and is no question.
    if any(f"</{tag}>" not in shared and f"</{tag}>" in chosen for tag in OPEN_TAG.findall(shared)):
        raise RowError(
            "history",
            "fields 'chosen' and 'rejected' share a beginning that ends inside a block (such as <think>), which is no "
            "prompt; add a field 'prompt'",
        )
    return rated_pair(row, shared[:cut], as_text(chosen[cut:], "chosen"), as_text(rejected[cut:], "rejected"))


def refuse_cut_sentence(row: RowValues) -> None:
    """Refuse a shared beginning that ends inside a sentence: it is half of an answer, or of a question.

    Raises:
        RowError: says what was shared, and how to have it all the same.
    """
    prompt = prompt_text(read_trl_implicit(row).prompt)
    if RESPONSE_MARKER.search(prompt) or SENTENCE_END.search(prompt):
        return
    raise RowError(
        "history",
        f"fields 'chosen' and 'rejected' share the beginning {prompt[-40:]!r}, which ends inside a sentence and "
        "may be no prompt; add a field 'prompt', or set layout=trl-implicit to take it all the same",
    )


def _last_word_end(chosen: str, rejected: str, shared: int) -> int:
    """Return the last index up to `shared` that ends a word, where both texts go on with white space and more."""
    for cut in range(min(shared, len(chosen) - 1, len(rejected) - 1), 0, -1):
        follows = chosen[cut].isspace() and rejected[cut].isspace() and not chosen[cut - 1].isspace()
        if follows and chosen[cut:].strip() and rejected[cut:].strip():
            return cut
    return 0


def read_trl_conversational(row: RowValues) -> PromptGroup:
    """Read TRL's conversational format with an explicit prompt, which the lists may repeat, as UltraFeedback's do.

    A prompt given as text is the user's turn.
    """
    prompt = as_prompt(row["prompt"], "prompt")
    if all(isinstance(part, str) for part in (prompt, row["chosen"], row["rejected"])):
        raise RowError("type", "field 'chosen': expected turns as in the rows before, got text; use one form")
    chosen, rejected = response_turns(row["chosen"], "chosen"), response_turns(row["rejected"], "rejected")
    # The prompt is what the row says it is. Where it is text, the lists may hold it again, with the turns around it.
    if isinstance(prompt, tuple):
        history = prompt
    elif any(turn.role == "user" for turn in (*chosen, *rejected)):
        history = shared_history(chosen, rejected)
        if prompt.strip() not in (turn.text.strip() for turn in history):
            raise RowError("history", "field 'prompt' is none of the turns that 'chosen' and 'rejected' begin with")
    else:
        history = (Message("user", prompt),)
    return pair_of_turns(row, history, chosen, rejected)


def read_trl_implicit_conversational(row: RowValues) -> PromptGroup:
    """Read TRL's conversational format with an implicit prompt: all turns before the last, the same in both."""
    chosen, rejected = as_turns(row["chosen"], "chosen"), as_turns(row["rejected"], "rejected")
    return pair_of_turns(row, shared_history(chosen, rejected), chosen, rejected)


def pair_of_turns(
    row: RowValues,
    history: tuple[Message, ...],
    chosen: tuple[Message, ...],
    rejected: tuple[Message, ...],
    names: tuple[str, str] = ("chosen", "rejected"),
) -> PromptGroup:
    """Return the pair of last turns; what stands between the prompt and them belongs to the prompt where both share it.

    Raises:
        RowError: answers of several turns (such as a call, its result, and what is made of it) that differ before the
            last one: a response is one turn.
    """
    history = without_switches(history)
    refuse_untaught(chosen[-1], f"{names[0]}[{len(chosen) - 1}]")
    chosen, rejected = (_answer_turns(without_switches(turns), history) for turns in (chosen, rejected))
    previous = (chosen[:-1], rejected[:-1])
    if any(previous) and (previous[0] != previous[1] or chosen[0].role != "assistant"):
        name, turns = (names[0], chosen) if len(chosen) > 1 else (names[1], rejected)
        raise RowError(
            "history",
            f"field {name!r}: expected one turn after the prompt's {len(history)}, got {len(turns)} "
            f"({', '.join(turn.role for turn in turns[:6])}). A response is one turn; earlier turns of an answer are "
            f"read as part of the prompt where {names[0]!r} and {names[1]!r} share them",
        )
    history += chosen[:-1]
    return rated_pair(row, history, as_response(chosen[-1], names[0]), as_response(rejected[-1], names[1]))


def _answer_turns(turns: tuple[Message, ...], history: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the turns that are left when a repeated history is taken off."""
    # A single turn is the response, even where it says the same as a history of one turn.
    return turns[len(history) :] or turns if len(turns) > 1 and turns[: len(history)] == history else turns


def shared_history(
    chosen: tuple[Message, ...], rejected: tuple[Message, ...], names: tuple[str, str] = ("chosen", "rejected")
) -> tuple[Message, ...]:
    """Return all turns but the last, which must be the same ones in both."""
    before, other = without_switches(chosen[:-1]), without_switches(rejected[:-1])
    if before != other:
        turn = next((i for i, (a, b) in enumerate(zip(before, other, strict=False)) if a != b), None)
        number = min(len(before), len(other)) + 1 if turn is None else turn + 1
        raise RowError(
            "history",
            f"fields {names[0]!r} and {names[1]!r} differ before the last turn "
            f"(first at turn {number} of {len(chosen)} and {len(rejected)}); they must answer the same conversation",
        )
    if not any(turn.text.strip() for turn in before):  # a list of one turn has nothing before its last
        raise RowError("history", f"no turn stands before the response in {names[0]!r}, so there is no prompt")
    return before


def is_transcript(value: object) -> bool:
    """Return whether a value is a text like `\\n\\nHuman: ...\\n\\nAssistant: ...`."""
    return isinstance(value, str) and value.lstrip().startswith("Human:")


def read_hh(row: RowValues) -> PromptGroup:
    """Read Anthropic HH: two transcripts with a shared history; the last Assistant turn is the response.

    Turns are stripped of white space around them. In the real files a few last turns are empty, and in a few
    rows the model went on to write the next human turn itself, so that the histories differ: those rows are
    refused (teaching such a response would teach the model to speak for the user).
    """
    chosen, rejected = _transcript(row["chosen"], "chosen"), _transcript(row["rejected"], "rejected")
    return pair_of_turns(row, shared_history(chosen, rejected), chosen, rejected)


def _transcript(value: object, name: str) -> tuple[Message, ...]:
    text = as_text(value, name)
    pieces = HH_MARKER.split(text)
    # Split at the markers: what stands before the first one, then speaker and text in turns.
    if pieces[0].strip() or len(pieces) < 3:
        raise RowError("value", f"field {name!r}: a transcript must begin with 'Human:', got {text.strip()[:30]!r}")
    roles = {"Human": "user", "Assistant": "assistant"}
    return tuple(
        Message(roles[speaker], content.strip()) for speaker, content in zip(pieces[1::2], pieces[2::2], strict=True)
    )


def speaks_for_both(group: PromptGroup) -> bool:
    """Return whether a response holds a turn marker inside, as where a model wrote the next human turn itself."""
    return any(STRAY_MARKER.search(response.text) for response in group.responses)


def read_llamafactory(row: RowValues) -> PromptGroup:
    """Read LLaMA-Factory's rankings: `instruction`, `input` (and `system`, `history`), `chosen`, `rejected`."""
    return rated_pair(row, instruction_turns(row), *_two_texts(row))


def read_llamafactory_sharegpt(row: RowValues) -> PromptGroup:
    """Read LLaMA-Factory's rankings with ShareGPT's turns: `conversations` up to the answer, and one turn per side."""
    field = "conversations" if row.get("conversations") is not None else "messages"
    history = as_turns(row[field], field)
    if holds(row.get("system")):
        history = (Message("system", as_text(row["system"], "system")), *history)
    if history[-1].role == "assistant":
        raise RowError("history", f"field {field!r}: the conversation must end before the assistant's answer")
    chosen, rejected = response_turns(row["chosen"], "chosen"), response_turns(row["rejected"], "rejected")
    return pair_of_turns(row, history, chosen, rejected)
