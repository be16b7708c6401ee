"""Find a response in a conversation that a template has written: its thoughts, its text, its calls, and its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from penchant.data.options import Thoughts
from penchant.data.rendering.chat_template import parse_object
from penchant.data.sources.values import cut
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
        # thoughts in a field of their own: marks in the text are then a part of the answer
        block = None if turn.reasoning else find_thoughts(turn.only_text)
        if block is None:
            return cls(turn.reasoning.strip(), turn.only_text.strip(), turn)
        return cls(turn.only_text[block.start : block.end].strip(), turn.only_text[block.answer :].strip(), turn)


@dataclass(frozen=True, slots=True)
class AnswerBounds:
    """The bounds of a response in a text, in characters.

    Attributes:
        start: where the response's own text begins: its thoughts, or its answer.
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


@dataclass(frozen=True, slots=True)
class AnsweredText:
    """A conversation with its answer, as a template writes it.

    Attributes:
        full: the text.
        begin: where the prompt ends in it, at the latest. differs: from where on it is not the prompt as it was asked.
        suffix: what the template writes behind an answer; None where that is not known.
        call_end: the token behind calls; empty without one.
    """

    full: str
    begin: int
    differs: int
    suffix: str | None = None
    call_end: str = ""


def find_answer(text: AnsweredText, answer: Answer) -> AnswerBounds | None:
    """Find a response behind its prompt; None where its text or its calls do not stand there as they are."""
    full = text.full
    # a template writes calls in its own form, so the text alone tells no bounds
    if answer.turn.tool_calls:
        return _find_calls(text, answer)
    bounds = _text_bounds(text, answer)
    if bounds is None:
        return None
    first, end = bounds
    thoughts = _find_thoughts(text, answer.thoughts, first) if answer.thoughts else None
    if thoughts is None:
        block = _behind_closing(full, text.begin, first) >= 0
        return AnswerBounds(_own_space(full, first, answer, text.begin), first, end, block, bool(answer.thoughts))
    return AnswerBounds(thoughts[0], first if answer.text else thoughts[1], end, True)


def _text_bounds(text: AnsweredText, answer: Answer) -> tuple[int, int] | None:
    """Return where the text of a response starts and where its content ends."""
    full, begin = text.full, text.begin
    # first by what stands behind it: a short answer may stand in the prompt too
    if text.suffix is not None and full.endswith(text.suffix):
        end = len(full) - len(text.suffix)
        start = len(full[:end].rstrip()) - len(answer.text)
        if not answer.text:
            return max(begin, end), max(begin, end)
        if start >= begin and full.startswith(answer.text, start):
            return start, end
    if not answer.text:
        return max(begin, len(full.rstrip())), max(begin, len(full.rstrip()))
    # the last one: a template may repeat a turn before its answer
    start = full.rfind(answer.text, begin)
    if start < 0:
        return None
    end = start + len(answer.text)
    content = answer.turn.only_text
    # white space that the file has and the template keeps is taught as well
    padding = content[len(content.rstrip()) :]
    return start, end + (len(padding) if full.startswith(padding, end) else 0)


def _own_space(full: str, start: int, answer: Answer, begin: int) -> int:
    """Return where a text starts with the white space at its beginning, if the template leaves it there."""
    content = answer.turn.only_text
    space = content[: len(content) - len(content.lstrip())] if answer.text and not answer.thoughts else ""
    space_start = start - len(space)
    return space_start if space_start >= begin and full.startswith(space, space_start) else start


def _find_calls(text: AnsweredText, answer: Answer) -> AnswerBounds | None:
    """Find a response with calls; its text stands before them or behind them."""
    full = text.full
    end = full.rfind(text.call_end) if text.call_end else -1
    end = end if end >= text.begin else len(full.rstrip())
    region = full[text.begin : end]
    # a call that was rewritten or cut would be scored as something else
    if any(not _stands(value, region) for value in call_values(answer.turn)):
        return None
    thoughts = _find_thoughts(text, answer.thoughts, end) if answer.thoughts else None
    name = full.find(answer.turn.tool_calls[0].name, thoughts[1] if thoughts else text.differs, end)
    closed = _behind_closing(full, text.begin, name)
    first = thoughts[1] if thoughts else _skip_space(full, closed, end) if closed >= 0 else text.differs
    first = _skip_header(text, first, name)
    if answer.text:
        start = full.find(answer.text, first, end)
        if start < 0:
            return None
        first = min(start, first) if start > name else start
    block = thoughts is not None or closed >= 0
    return AnswerBounds(
        thoughts[0] if thoughts else first, first, end, block, bool(answer.thoughts) and thoughts is None
    )


def _skip_header(text: AnsweredText, start: int, end: int) -> int:
    """Return where calls start that stand behind the prompt's header once more, as behind GPT-OSS's thoughts.

    A call without thoughts stands behind the prompt's own header, and the same of both is scored.
    """
    prompt = text.full[: text.begin]
    shortest = 3  # characters: a bracket or a line break may end a prompt and begin a call
    for stop in range(end, start + shortest - 1, -1):
        if prompt.endswith(text.full[start:stop]):
            return stop
    return start


def _find_thoughts(text: AnsweredText, thoughts: str, end: int) -> tuple[int, int] | None:
    """Return where thoughts start, and where what follows their closing mark does; None where they do not stand there.

    Short thoughts may stand elsewhere too, in the header of the answer for one, so the mark tells which they are.
    """
    full = text.full
    start = full.find(thoughts, text.begin, end)
    while start >= 0:
        behind = _skip_space(full, start + len(thoughts), end)
        mark = next((mark for mark in CLOSING if full.startswith(mark, behind)), None)
        if mark is not None:
            return start, _skip_space(full, behind + len(mark), end)
        start = full.find(thoughts, start + 1, end)
    start = full.find(thoughts, text.differs, end)
    return (start, start + len(thoughts)) if start >= 0 else None


def call_values(turn: Message) -> Iterator[str]:
    """Yield what of a turn's calls has to stand in the text: names, keys of arguments, and values that are texts."""
    for call in turn.tool_calls:
        yield call.name
        yield from _texts(parse_object(call.arguments))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        # keys too: a template that drops an argument drops its name
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


def _skip_space(full: str, start: int, end: int) -> int:
    return end - len(full[start:end].lstrip())


def refuse_unclosed(turn: Message) -> None:
    """Refuse a turn that is taught to its end, and whose think block never ends.

    Raises:
        InputError: it is one.
    """
    block = find_thoughts(turn.only_text)
    if block is not None and not block.closed:
        raise InputError(
            "a think block is never closed: the response has an opening mark without its closing one (</think>), so it "
            "has no answer. Mend the text, leave the row out (bad_rows=skip), or say that it was cut (finished: false)"
        )


def refuse_thoughts_alone(turn: Message, thoughts: Thoughts) -> None:
    """Refuse a response of which nothing but its end is left where its thoughts are not scored.

    Raises:
        InputError: it is one: what would be taught is to say nothing.
    """
    answer = Answer.of(turn)
    if thoughts != "score" and answer.thoughts and not answer.text and not turn.tool_calls:
        raise InputError(
            f"a response is thoughts alone ({cut(answer.thoughts)!r}), and thoughts={thoughts} leaves no answer of it: "
            "leave the row out, or score them (thoughts=score)"
        )
