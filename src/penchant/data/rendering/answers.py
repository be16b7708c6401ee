"""Find a response in a conversation that a template has written: its thoughts, its text, its calls, and its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from penchant.data.rendering.chat_template import parse_object
from penchant.errors import InputError
from penchant.thoughts import MARKS, find_thoughts
from penchant.types import Message

CLOSING = (*(closing for _, closing in MARKS), "<|end|>")  # the latter of GPT-OSS's channel of thoughts


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it is looked for.

    Attributes:
        thoughts: without marks and without white space around them; empty without any.
        text: behind the thoughts, without white space around it.
        turn: the response as a turn.
    """

    thoughts: str
    text: str
    turn: Message

    @classmethod
    def of(cls, turn: Message) -> Answer:
        """Take the thoughts and the text of a turn apart."""
        block = None if turn.reasoning else find_thoughts(turn.content)
        if block is None:
            return cls(turn.reasoning.strip(), turn.content.strip(), turn)
        return cls(turn.content[block.start : block.end].strip(), turn.content[block.answer :].strip(), turn)


@dataclass(frozen=True, slots=True)
class AnswerBounds:
    """Where a response stands in a text, in characters.

    Attributes:
        start: where what the response itself has begins: the mark of its thoughts, or its text.
        answer: where the answer starts, behind thoughts and their marks; the same as `start` without a think block.
        end: where its content ends; the end token follows.
        block: whether a think block stands before the answer, an empty one that the template adds too.
        lacks_thoughts: whether the thoughts do not stand there.
    """

    start: int
    answer: int
    end: int
    block: bool = False
    lacks_thoughts: bool = False


def find_answer(full: str, begin: int, answer: Answer, suffix: str | None, call_end: str) -> AnswerBounds | None:
    """Find a response behind its prompt.

    Args:
        full: the answered conversation. begin: where the prompt ends in it, at the latest.
        suffix: what the template writes behind an answer, if that is known.
        call_end: the token behind calls; empty without one.

    Returns:
        None where its text or its calls do not stand there as they are.
    """
    if answer.turn.tool_calls:
        bounds = _call_bounds(full, begin, answer, call_end)
    else:
        bounds = _text_bounds(full, begin, answer, suffix)
    if bounds is None:
        return None
    first, end = bounds
    thoughts = full.find(answer.thoughts, begin, first) if answer.thoughts else -1
    if thoughts < 0:
        block = _behind_closing(full, begin, first) >= 0
        return AnswerBounds(first, first, end, block, bool(answer.thoughts))
    behind = first
    if not answer.text:
        closed = _behind_closing(full, thoughts + len(answer.thoughts), end)
        behind = _skip_space(full, closed, end) if closed >= 0 else first
    return AnswerBounds(_opening(full, begin, thoughts), behind, end, True)


def _text_bounds(full: str, begin: int, answer: Answer, suffix: str | None) -> tuple[int, int] | None:
    """Return where the text of a response starts and where its content ends."""
    if suffix is not None and full.endswith(suffix):
        end = len(full) - len(suffix)
        trimmed = len(full[:end].rstrip())
        start = trimmed - len(answer.text)
        if not answer.text:
            return max(begin, end), max(begin, end)
        if start >= begin and full.startswith(answer.text, start):
            return start, end
    if not answer.text:
        return max(begin, len(full.rstrip())), max(begin, len(full.rstrip()))
    start = full.rfind(answer.text, begin)
    if start < 0:
        return None
    end = start + len(answer.text)
    content = answer.turn.content
    padding = content[len(content.rstrip()) :]
    return start, end + (len(padding) if full.startswith(padding, end) else 0)


def _call_bounds(full: str, begin: int, answer: Answer, call_end: str) -> tuple[int, int] | None:
    """Return where a response with calls starts, behind its thoughts, and where its content ends."""
    end = full.rfind(call_end) if call_end else -1
    end = end if end >= begin else len(full.rstrip())
    region = full[begin:end]
    if any(not _stands(value, region) for value in call_values(answer.turn)):
        return None
    if answer.text:
        start = full.find(answer.text, begin + max(region.find(answer.thoughts), 0) + len(answer.thoughts), end)
        call = full.find(answer.turn.tool_calls[0].name, begin, end)
        if start >= 0:
            # a template that writes the calls first: the response starts where the prompt ends
            return (start if start <= call else begin), end
        return None
    # calls alone start behind the thoughts, or where the prompt ends
    begin_thoughts = full.find(answer.thoughts, begin, end) if answer.thoughts else -1
    if begin_thoughts < 0:
        name = full.find(answer.turn.tool_calls[0].name, begin, end)
        closed = _behind_closing(full, begin, name)
        return (_skip_space(full, closed, end) if closed >= 0 else begin), end
    return begin_thoughts + len(answer.thoughts), end


def call_values(turn: Message) -> Iterator[str]:
    """Yield what of a turn's calls has to stand in the text: names, keys of arguments, and values that are texts."""
    for call in turn.tool_calls:
        yield call.name
        yield from _texts(parse_object(call.arguments))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _stands(value: str, text: str) -> bool:
    """Return whether a value stands in a text, as it is or as JSON writes it."""
    return value.strip() in text or any(
        json.dumps(value.strip(), ensure_ascii=ascii_only)[1:-1] in text for ascii_only in (False, True)
    )


def stands_in_json(content: str, text: str) -> bool:
    """Return whether a turn stands in a text as a JSON string, as templates write the answers of functions."""
    return json.dumps(content, ensure_ascii=False)[1:-1] in text


def _behind_closing(full: str, begin: int, end: int) -> int:
    """Return where the last closing mark between two places ends; -1 without one."""
    starts = [(full.rfind(mark, begin, end), len(mark)) for mark in CLOSING]
    start, length = max(starts)
    return start + length if start >= 0 else -1


def _opening(full: str, begin: int, thoughts: int) -> int:
    """Return where the mark before thoughts starts; where the thoughts do if there is none behind the prompt."""
    lead = full[begin:thoughts].rstrip()
    mark = next((opening for opening, _ in MARKS if lead.endswith(opening)), "")
    return begin + len(lead) - len(mark) if mark else thoughts


def _skip_space(full: str, start: int, end: int) -> int:
    return end - len(full[start:end].lstrip())


def refuse_unclosed(turn: Message) -> None:
    """Refuse a response that says it ended, and whose think block never does.

    Raises:
        InputError: it is one.
    """
    block = find_thoughts(turn.content)
    if block is not None and not block.closed:
        raise InputError(
            "a think block is never closed: the response has an opening mark without its closing one (</think>), so it "
            "has no answer. Mend the text, leave the row out (bad_rows=skip), or say that it was cut (finished: false)"
        )
