"""Tell the thoughts of a response from its answer: what stands in think marks, and what is meant for the reader.

Three spellings are known: `<think>...</think>` (Qwen3, DeepSeek-R1, GLM-4.x, Nemotron, SmolLM3), `[THINK]...[/THINK]`
(Magistral), and the channels of GPT-OSS, with their marks or without them (as a sample is decoded).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from penchant.types import Response, ToolCall, call_line

READ_THOUGHTS = "thoughts:"
"""Before a reward's name: it sees the thoughts before an answer too."""
MARKS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
"""What opens and what closes a think block."""

# GPT-OSS: the thoughts' channel, and the answer's. A sample is decoded without the marks, and the words remain.
_ANALYSIS = re.compile(r"\s*(?:(?:<\|start\|>assistant)?<\|channel\|>analysis<\|message\|>|analysis(?=\S))")
_FINAL = re.compile(r"(?:<\|end\|>\s*)?(?:<\|start\|>)?assistant(?:<\|channel\|>)?final(?:<\|message\|>)?")


class ThoughtBlock(NamedTuple):
    """The place of the thoughts in a text, in characters.

    Attributes:
        start, end: the thoughts without their marks.
        answer: where the answer starts, behind the closing mark and the white space that follows it; the text's length
            where the block is never closed.
        closed: whether the block is closed.
    """

    start: int
    end: int
    answer: int
    closed: bool


def find_thoughts(text: str) -> ThoughtBlock | None:
    """Find the think block that a text begins with; None without any.

    The opening mark may be missing, as in a sample that was drawn behind a prompt which ends with it. Marks that stand
    further down, behind other text, are the text's own.
    """
    begin = len(text) - len(text.lstrip())
    for opening, closing in MARKS:
        start = begin + len(opening) if text.startswith(opening, begin) else 0
        end = text.find(closing, start)
        if start and end < 0:
            return ThoughtBlock(start, len(text), len(text), False)
        # an opening mark that stands in the middle belongs to the text, with its closing one
        if end >= 0 and (start or opening not in text[:end]):
            return ThoughtBlock(start, end, _skip_space(text, end + len(closing)), True)
    return _find_channels(text)


def _find_channels(text: str) -> ThoughtBlock | None:
    opening = _ANALYSIS.match(text)
    final = _FINAL.search(text, opening.end()) if opening else None
    if opening is None or (final is None and "<|channel|>" not in opening.group()):
        return None
    if final is None:
        return ThoughtBlock(opening.end(), len(text), len(text), False)
    return ThoughtBlock(opening.end(), final.start(), final.end(), True)


def _skip_space(text: str, start: int) -> int:
    return len(text) - len(text[start:].lstrip())


def split_thoughts(text: str) -> tuple[str | None, str]:
    """Return the thoughts that a text begins with, and the answer behind them.

    Returns:
        Thoughts without their marks (None without a think block), and the answer. A text without a block is returned
        as it is. A block that is never closed has no answer.

    Examples:
        >>> split_thoughts("<think>\\nTwo and two.\\n</think>\\n\\nFour.")
        ('Two and two.', 'Four.')
        >>> split_thoughts("Four.")
        (None, 'Four.')
    """
    block = find_thoughts(text)
    if block is None:
        return None, text
    return text[block.start : block.end].strip(), text[block.answer :]


def answer_of(response: Response) -> str:
    """Return what a reader is meant to see of a response: its text without thoughts, and its calls, a line each."""
    _, answer = split_thoughts(response.text)
    if not response.tool_calls:
        return answer
    return "\n".join(filter(None, [answer.strip(), call_lines(response.tool_calls)]))


def has_thoughts(response: Response) -> bool:
    """Return whether a response has thoughts beside its answer."""
    return bool(response.reasoning) or find_thoughts(response.text) is not None


def full_text(response: Response) -> str:
    """Return all of a response as one text: its thoughts, the text and its calls, a line each.

    Thoughts that a file has apart are put in think marks.
    """
    text = (
        f"<think>\n{response.reasoning.strip()}\n</think>\n\n{response.text}" if response.reasoning else response.text
    )
    return "\n".join(filter(None, [text.strip(), call_lines(response.tool_calls)])) if response.tool_calls else text


def shown_text(response: Response, *, thoughts: bool) -> str:
    """Return what a judge or a reward sees of a response: the answer, or all of it where thoughts are asked for."""
    return full_text(response) if thoughts else answer_of(response)


def call_lines(calls: Sequence[ToolCall]) -> str:
    """Write calls of functions as JSON objects of name and arguments, one per line."""
    return "\n".join(map(call_line, calls))
