"""Find the tokens with which a chat template ends a turn of the assistant."""

from __future__ import annotations

import re
from dataclasses import dataclass

from penchant.data.rendering.chat_template import ChatTemplate
from penchant.data.rendering.template_probe import USER, Kinds, TurnKind, probe_answer, probe_turns
from penchant.errors import InputError


@dataclass(frozen=True)
class EndTokens:
    """The tokens that a template writes right behind an answer.

    Attributes:
        ids: of them, to be taught and to stop samples.
        call: the text of the any_added behind calls; empty without any_added.
        added: finds any added token, behind white space; None where the tokenizer has none.
    """

    ids: frozenset[int] = frozenset()
    call: str = ""
    added: re.Pattern[str] | None = None

    def turn_end(self, text: str, content_end: int) -> int:
        """Return where a turn ends whose content ends there: behind the added token that follows, if any_added does."""
        token = self.added.match(text, content_end) if self.added else None
        return token.end() if token else content_end

    def token_start(self, text: str, character: int) -> int:
        """Return where the added token starts that holds a character and the one before; else the character."""
        longest = 80  # of a mark, in characters
        if self.added is not None:
            for token in self.added.finditer(text, max(character - longest, 0), character + longest):
                if token.start(1) < character < token.end(1):
                    return token.start(1)
        return character


def find_end_tokens(template: ChatTemplate) -> EndTokens:
    """Return what ends an answer and what ends calls.

    A base model may have another end-of-sequence token than its template writes: Qwen2.5's `<|endoftext|>` beside
    `<|im_end|>`. And GPT-OSS ends calls with a token of their own.
    """
    added = {token.content: number for number, token in template.tokenizer.added_tokens_decoder.items()}
    if not added:
        return EndTokens()
    any_added = "|".join(re.escape(content) for content in sorted(added, key=len, reverse=True))
    shape = probe_answer(template, (USER,))
    pattern = re.compile(rf"\s*({any_added})")
    ends = pattern.match(shape.suffix or "")
    end = ends.group(1) if ends else ""
    # a token that opens the first turn opens the next any_added here, and ends nothing
    if end and _opens(template, end, any_added):
        end = ""
    call = _call_end(template, any_added, end)
    return EndTokens(frozenset(added[content] for content in (end, call) if content), call, pattern)


def _opens(template: ChatTemplate, token: str, any_added: str) -> bool:
    question = probe_turns((USER,))
    try:
        text = template.write(question, answered=True)
    except InputError:
        return False
    before = re.findall(any_added, text[: text.find(question[0].only_text)])
    return bool(before) and before[-1] == token


def _call_end(template: ChatTemplate, any_added: str, end: str) -> str:
    """Return the token behind calls: the any_added that ends answers, or the last special token that stands there."""
    kinds: Kinds = (TurnKind("tools"), USER, TurnKind("assistant", filled=False, calls=1))
    try:
        text = template.write(probe_turns(kinds), answered=True)
    except InputError:
        return ""
    _, argument, tail = text.rpartition("zq2argument0qz")
    if not argument:
        return ""
    special = set(map(str, template.tokenizer.all_special_tokens))
    behind = re.findall(any_added, tail)
    if end in behind:
        return end
    return next((token for token in reversed(behind) if token in special), "")
