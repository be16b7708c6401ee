"""Probe a chat template: let it write small conversations of texts that stand nowhere else, and look where they stand.

The texts of a data set are no good probes: a short one such as "a" stands in nearly every text, also before its turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from penchant.data.rendering.chat_template import PROBE, ChatTemplate
from penchant.data.sources.values import common_length, cut
from penchant.errors import InputError
from penchant.types import Message, ToolCall

NAME = re.compile(r"[a-z]+")
USER_NAMES = {"user", "human", "prompter", "instruction", "question", "query", "inst", "customer"}
ASSISTANT_NAMES = {"assistant", "model", "bot", "chatbot", "gpt", "ai", "answer", "response", "agent"}
CLOSING = re.compile(r"<\|?/[^<>]*>|\[/[^][]*\]|<\|?end[a-z_]*\|?>")  # ends a turn, so it names the one before
MARK = re.compile(r"<[^<>\n]{0,60}>|\[[^][\n]{0,60}\]|\{[^{}\n]{0,60}\}")
CHANCES = 8  # texts of one conversation: two choices at random are taken for none once in 128 templates
FEWEST_WORDS = 4  # of a default system prompt; fewer are names and marks
TOOL = "zqtoolqz"
FUNCTION = {"name": TOOL, "description": "zqaboutqz", "parameters": {"type": "object", "properties": {}}}


class TurnKind(NamedTuple):
    """The features of a turn that a template may look at, its words aside: turns of one kind are written alike."""

    role: str
    filled: bool = True
    calls: int = 0
    name: bool = False
    answers: bool = False

    @classmethod
    def of(cls, turn: Message) -> TurnKind:
        """Return the kind of a turn."""
        if turn.role == "user" and not turn.name:  # nearly all turns
            return USER
        return cls(
            turn.role, bool(turn.only_text.strip()), len(turn.tool_calls), bool(turn.name), bool(turn.tool_call_id)
        )


USER = TurnKind("user")
Kinds = Sequence[TurnKind]


@dataclass(frozen=True)
class TemplateFault:
    """A fault of a template. turns: the numbers of the turns that it is about; none where it is about all."""

    turns: tuple[int, ...]
    words: str


@dataclass(frozen=True)
class AnswerShape:
    """The form of an answer that a template writes behind a prompt of some kinds of turns.

    Attributes:
        suffix: what stands behind an answer of text; None where that could not be found out.
        unasked: whether `add_generation_prompt` changes nothing although an answer has a header.
        header: characters that `add_generation_prompt` writes.
        fault: what is wrong with such conversations.
    """

    suffix: str | None = None
    unasked: bool = False
    header: int = 0
    fault: TemplateFault | None = None


@dataclass(frozen=True)
class _Written:
    """A conversation of probes as the template writes it. starts: where each stands first; below 0 if nowhere."""

    text: str
    probes: tuple[str, ...]
    starts: tuple[int, ...]

    def between(self, turn: int) -> str:
        """Return the text between a turn (from 0) and the one before it."""
        begin = self.starts[turn - 1] + len(self.probes[turn - 1]) if turn else 0
        return self.text[begin : self.starts[turn]]


def probe_answer(template: ChatTemplate, kinds: Kinds) -> AnswerShape:
    """Return how a template writes the answer to a conversation of these kinds of turns."""
    fault = find_fault(template, kinds)
    messages = [*probe_turns(kinds), Message("assistant", PROBE)]
    try:
        with_header = template.write(messages[:-1], answered=False)
        without_header = template.write(messages[:-1], answered=True)
        full = template.write(messages, answered=True)
    except InputError:  # the conversation itself will tell, with its place
        return AnswerShape(fault=fault)
    start = full.rfind(PROBE)
    if start < 0:
        return AnswerShape(fault=fault)
    between = full[common_length(with_header, full) : start]
    header = len(with_header) - common_length(with_header, without_header)
    if fault is None:
        fault = _answer_fault(kinds, full, start)
    # white space alone, as of templates that join turns by a space, is a part of the answer
    return AnswerShape(
        full[start + len(PROBE) :], with_header == without_header and bool(between.strip()), header, fault
    )


def _answer_fault(kinds: Kinds, full: str, start: int) -> TemplateFault | None:
    """Return what is wrong with the turns before an answer that starts there: each must stand before it."""
    for number, kind in enumerate(kinds, start=1):
        if kind.role == "tools" or (kind.calls and not kind.filled):
            continue
        position = full.find(_word(number - 1))
        if position < 0:
            return TemplateFault((number,), f"leaves out turn {number} (the {kind.role}'s) once it is answered")
        if position > start:
            return TemplateFault((number,), f"writes an answer before turn {number} (the {kind.role}'s)")
    return None


def probe_turns(kinds: Kinds) -> list[Message]:
    """Return turns of these kinds, each with a word that stands nowhere else."""
    turns = []
    function = ""
    for number, kind in enumerate(kinds):
        if kind.role == "tools":
            turns.append(Message("tools", json.dumps([{"type": "function", "function": FUNCTION}])))
            continue
        calls = tuple(
            ToolCall(f"zq{number}call{index}qz", json.dumps({"zqkeyqz": f"zq{number}argument{index}qz"}), "zq0000000")
            for index in range(kind.calls)
        )
        function = calls[-1].name if calls else function
        name = (function or "zqnameqz") if kind.name else ""
        content = _word(number) if kind.filled or not calls else ""
        turns.append(Message(kind.role, content, "", calls, name, "zq0000000" if kind.answers else ""))
    return turns


def find_fault(template: ChatTemplate, kinds: Kinds) -> TemplateFault | None:
    """Return what is wrong with a conversation of these kinds of turns: something left out, or before its place.

    A system turn may stand anywhere: some templates write it into the last question.
    """
    written = _write(template, kinds)
    if written is None:
        return None
    if kinds[0].role == "tools" and TOOL not in written.text:
        return TemplateFault((), "does not write the functions that the model may call (tools)")
    last = None  # the turn before, not counting system turns
    for number, (kind, start) in enumerate(zip(kinds, written.starts, strict=True), start=1):
        role = kind.role
        if kind.calls and not _writes_calls(written.text, number - 1):
            return TemplateFault((), f"does not write the calls (tool_calls) of turn {number} (the {role}'s)")
        if role == "tools" or (kind.calls and not kind.filled):
            continue
        if start < 0:
            return TemplateFault((number,), f"leaves out turn {number} (the {role}'s)")
        if role in ("system", "developer"):
            continue
        if last is not None and start < written.starts[last - 1]:
            words = f"writes turn {number} (the {role}'s) before turn {last} (the {kinds[last - 1].role}'s)"
            return TemplateFault((last, number), words)
        last = number
    return None


def _writes_calls(text: str, number: int) -> bool:
    return f"zq{number}call0qz" in text and f"zq{number}argument0qz" in text


def find_misnaming(template: ChatTemplate) -> TemplateFault | None:
    """Return what is wrong with the names that stand before turns: exchanged, or one name for both sides."""
    written = _write(template, (USER, TurnKind("assistant"), USER))
    if written is None or not _in_order(written):
        return None
    # A name stands before its turn, so the text between two turns holds the name of the second.
    names = [_nearest_name(written.between(turn)) for turn in range(3)]
    if names == ["assistant", "user", "assistant"]:
        return TemplateFault((), "writes the user's turns under the assistant's name and the other way round")
    if names[1] is not None and written.between(1) == written.between(2):
        name = cut(written.between(1))
        return TemplateFault((), f"writes the turns of the user and the assistant under the same name ({name!r})")
    return None


def find_chance(template: ChatTemplate) -> TemplateFault | None:
    """Return what is wrong with a template that draws random numbers: no two texts of it are the same prompt."""
    texts = {written.text for _ in range(CHANCES) if (written := _write(template, (USER,))) is not None}
    return TemplateFault((), "writes the same conversation in several ways, at random") if len(texts) > 1 else None


def speakers_look_alike(template: ChatTemplate) -> bool:
    """Return whether nothing in the text tells the turns of the user from those of the assistant."""
    written = _write(template, (USER, TurnKind("assistant"), USER))
    return written is not None and _in_order(written) and written.between(1) == written.between(2)


def repeated_turn(template: ChatTemplate, kinds: Kinds) -> int | None:
    """Return the number of the first turn that the template writes more than once."""
    written = _write(template, kinds)
    if written is None:
        return None
    counts = [written.text.count(probe) for probe in written.probes]
    return next((number for number, count in enumerate(counts, start=1) if count > 1), None)


def default_system_text(template: ChatTemplate) -> str:
    """Return the text that the template writes before a question without a system turn; empty without any."""
    written = _write(template, (USER,))
    if written is None or written.starts[0] < 0:
        return ""
    # What is left after marks and names are taken off its ends is a sentence, or nothing.
    words = MARK.sub(" ", written.text[: written.starts[0]]).split()
    names = {*USER_NAMES, *ASSISTANT_NAMES, "system"}
    while words and words[0].strip(":#").lower() in names:
        del words[0]
    while words and words[-1].strip(":#").lower() in names:
        del words[-1]
    return " ".join(words) if len(words) >= FEWEST_WORDS else ""


def _word(number: int) -> str:
    # with a number each, and with no letters that a template would change
    return f"zq{number}turn{number}qz"


def _write(template: ChatTemplate, kinds: Kinds) -> _Written | None:
    """Return a conversation of probes; None where the template refuses it, as one does that looks at contents."""
    probes = tuple(_word(number) for number in range(len(kinds)))
    try:
        text = template.write(probe_turns(kinds), answered=False)
    except InputError:  # the conversation itself will tell, with its place
        return None
    return _Written(text, probes, tuple(map(text.find, probes)))


def _in_order(written: _Written) -> bool:
    return 0 <= written.starts[0] < written.starts[1] < written.starts[2]


def _nearest_name(header: str) -> str | None:
    """Return whose name stands last in what a template writes before a turn."""
    for word in reversed(NAME.findall(CLOSING.sub(" ", header.lower()))):
        if word in USER_NAMES:
            return "user"
        if word in ASSISTANT_NAMES:
            return "assistant"
    return None
