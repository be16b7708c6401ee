"""Lists that callers of Python functions hand over: prompts, groups, pairs of texts.

To Python a text is a list of characters, so that a function would draw a sample for each letter of a bare prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeGuard

from penchant.clean_text import clean
from penchant.errors import InputError
from penchant.types import Message, Prompt, PromptGroup

EXCERPT = 40
"""Characters of a value that a message shows."""


def is_prompt(value: object) -> TypeGuard[Prompt]:
    """Return whether a value is one prompt: a text, or the messages of one conversation."""
    if isinstance(value, str):
        return True
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Message)


def as_prompts(prompts: Prompt | Iterable[Prompt]) -> list[Prompt]:
    """Return prompts as a list; a bare text or a conversation is one prompt.

    Raises:
        InputError: an item that is no prompt, with its number.
    """
    # before the items are looked at: those of a text are its letters
    if is_prompt(prompts):
        return [_frozen(prompts)]
    if not isinstance(prompts, Iterable) or isinstance(prompts, bytes):
        raise InputError(f"expected prompts, texts or conversations of pt.Message, got {excerpt(prompts)}")
    return [_checked_prompt(number, prompt) for number, prompt in enumerate(prompts)]


def _checked_prompt(number: int, prompt: object) -> Prompt:
    # a conversation without a turn is the renderer's matter, which says what a template makes of it
    if is_prompt(prompt) or prompt == ():
        return _frozen(prompt)
    advice = ": give its `prompt`" if isinstance(prompt, PromptGroup) else ""
    raise InputError(
        f"prompt {number} (counted from 0) is {excerpt(prompt)}, expected a text or a conversation of pt.Message"
        f"{advice}"
    )


def _frozen(prompt: Prompt) -> Prompt:
    return prompt if isinstance(prompt, str) else tuple(prompt)


def each_group(groups: Iterable[PromptGroup]) -> Iterator[PromptGroup]:
    """Yield the groups of a list.

    Raises:
        InputError: it is no list, or an item is no group, with its number.
    """
    if isinstance(groups, PromptGroup):
        raise InputError("expected a list of PromptGroup, got one PromptGroup: write [group]")
    if isinstance(groups, str | bytes) or not isinstance(groups, Iterable):
        raise InputError(f"expected a list of PromptGroup, got {excerpt(groups)}")
    for number, group in enumerate(groups):
        # one by one: groups of large files are read as they are asked for
        if not isinstance(group, PromptGroup):
            raise InputError(f"item {number} (counted from 0) is {excerpt(group)}, expected a PromptGroup")
        yield group


def check_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Refuse what is no list of (prompt, response) texts, such as one pair alone, or responses without prompts.

    Raises:
        InputError: names the first item that is no pair.
    """
    expected = "expected a list of (prompt, response) texts"
    if isinstance(pairs, str):
        raise InputError(f"{expected}, got {excerpt(pairs)}: write [(prompt, response)]")
    for number, pair in enumerate(pairs):
        # a text of two characters would be a pair to Python
        if isinstance(pair, str) or len(pair) != 2:
            advice = ": write [(prompt, response)]" if isinstance(pair, str) else ""
            raise InputError(f"{expected}, but item {number} (counted from 0) is {excerpt(pair)}{advice}")


def excerpt(value: object) -> str:
    """Return the kind of a foreign value and its beginning, for a message."""
    text = clean(repr(value))
    return f"a {type(value).__name__} ({text if len(text) <= EXCERPT else text[: EXCERPT - 3] + '...'})"
