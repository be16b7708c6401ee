"""Probe a chat template: let it write small conversations of texts that stand nowhere else, and look where they stand.

The texts of a data set are no good probes: a short one such as "a" stands in nearly every text, also before its turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penchant.data.rendering.apply_template import apply_template
from penchant.data.sources.values import cut
from penchant.errors import InputError
from penchant.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME = re.compile(r"[a-z]+")
USER_NAMES = {"user", "human", "prompter", "instruction", "question", "query", "inst", "customer"}
ASSISTANT_NAMES = {"assistant", "model", "bot", "chatbot", "gpt", "ai", "answer", "response", "agent"}
CLOSING = re.compile(r"<\|?/[^<>]*>|\[/[^][]*\]|<\|?end[a-z_]*\|?>")  # ends a turn, so it names the one before
MARK = re.compile(r"<[^<>\n]{0,60}>|\[[^][\n]{0,60}\]|\{[^{}\n]{0,60}\}")
FEWEST_WORDS = 4  # of a default system prompt; fewer are names and marks


@dataclass(frozen=True)
class TemplateFault:
    """A fault of a template. turns: the numbers of the turns that it is about; none where it is about all."""

    turns: tuple[int, ...]
    words: str


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


def find_fault(tokenizer: PreTrainedTokenizerBase, roles: Sequence[str]) -> TemplateFault | None:
    """Return what is wrong with a conversation of these roles: a turn that is left out, or stands before its place.

    A system turn may stand anywhere: some templates write it into the last question.
    """
    written = _write(tokenizer, roles)
    if written is None:
        return None
    last = None  # the turn before, not counting system turns
    for number, (role, start) in enumerate(zip(roles, written.starts, strict=True), start=1):
        if start < 0:
            return TemplateFault((number,), f"leaves out turn {number} (the {role}'s)")
        if role in ("system", "developer"):
            continue
        if last is not None and start < written.starts[last - 1]:
            words = f"writes turn {number} (the {role}'s) before turn {last} (the {roles[last - 1]}'s)"
            return TemplateFault((last, number), words)
        last = number
    return None


def find_misnaming(tokenizer: PreTrainedTokenizerBase) -> TemplateFault | None:
    """Return what is wrong with the names that stand before turns: exchanged, or one name for both sides."""
    written = _write(tokenizer, ("user", "assistant", "user"))
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


def speakers_look_alike(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether nothing in the text tells the turns of the user from those of the assistant."""
    written = _write(tokenizer, ("user", "assistant", "user"))
    return written is not None and _in_order(written) and written.between(1) == written.between(2)


def repeated_turn(tokenizer: PreTrainedTokenizerBase, roles: Sequence[str]) -> int | None:
    """Return the number of the first turn that the template writes more than once."""
    written = _write(tokenizer, roles)
    if written is None:
        return None
    counts = [written.text.count(probe) for probe in written.probes]
    return next((number for number, count in enumerate(counts, start=1) if count > 1), None)


def default_system_text(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the text that the template writes before a question without a system turn; empty without any."""
    written = _write(tokenizer, ("user",))
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


def _write(tokenizer: PreTrainedTokenizerBase, roles: Sequence[str]) -> _Written | None:
    """Return a conversation of probes; None where the template refuses it, as one does that looks at contents."""
    # words that stand in no template, with a number each, and with no letters that a template would change
    probes = tuple(f"zq{number}turn{number}qz" for number in range(len(roles)))
    messages = [Message(role, probe) for role, probe in zip(roles, probes, strict=True)]
    try:
        text = apply_template(tokenizer, messages, answered=False)
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
