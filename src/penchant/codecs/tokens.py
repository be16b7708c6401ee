"""The text of pictures and sounds that a model writes: `<p17><p3>...` for a picture, `<s4><s90>...` for a sound."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from penchant.errors import InputError

PICTURE_CODES, SOUND_CODES = 128, 256
"""Entries of the two codebooks of `penchant-kinds`."""
GRID = 7
"""Picture tokens per row and per column: a picture has 49, from its upper left corner on, row by row."""
FEWEST_FRAMES, MOST_FRAMES = 5, 60
"""Sound tokens of a word, each 20 ms."""
CLASSES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)
"""What pictures show, in the order of Fashion-MNIST's labels."""
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""What sounds say."""
_PICTURE, _SOUND = re.compile(r"(?:<p\d{1,3}>)+"), re.compile(r"(?:<s\d{1,3}>)+")


def picture_prompt(name: str) -> str:
    """Return the prompt behind which `penchant-kinds` writes a picture of this class."""
    return f"A picture of {'' if name == 'trousers' else 'a '}{name}:"


def sound_prompt(word: str) -> str:
    """Return the prompt behind which `penchant-kinds` writes the sound of this word."""
    return f"The sound of {word}:"


def picture_text(codes: Iterable[int]) -> str:
    """Return picture codes as the text of their tokens."""
    return "".join(f"<p{code}>" for code in codes)


def sound_text(codes: Iterable[int]) -> str:
    """Return sound codes as the text of their tokens."""
    return "".join(f"<s{code}>" for code in codes)


def read_picture(text: str) -> tuple[int, ...] | None:
    """Return the codes of a text that is a whole picture and nothing else; None for any other text."""
    codes = _codes(_PICTURE, text, PICTURE_CODES)
    return codes if len(codes) == GRID * GRID else None


def read_sound(text: str) -> tuple[int, ...] | None:
    """Return the codes of a text that is a sound of a word's length and nothing else; None for any other text."""
    codes = _codes(_SOUND, text, SOUND_CODES)
    return codes if FEWEST_FRAMES <= len(codes) <= MOST_FRAMES else None


def _codes(pattern: re.Pattern[str], text: str, count: int) -> tuple[int, ...]:
    """Return the codes of a text of such tokens alone; nothing where it is none, or one is not in the codebook."""
    # tokenizers may put a space before the first token
    stripped = text.strip()
    if pattern.fullmatch(stripped) is None:
        return ()
    codes = tuple(map(int, re.findall(r"\d+", stripped)))
    # three digits name more codes than there are
    return codes if max(codes) < count else ()


def named_in(prompt: str, names: Sequence[str]) -> int:
    """Return the number of the last of these names that a prompt holds as a word.

    Raises:
        InputError: it holds none.
    """
    # "shirt" stands inside of "T-shirt" as well: a hyphen joins words here
    matches = [(match.start(), number) for number, name in enumerate(names) for match in _word(name).finditer(prompt)]
    if not matches:
        raise InputError(f"the prompt {prompt[:60]!r} names none of {', '.join(names)}: such a prompt is expected")
    # the last one: a prompt may tell a story before it asks
    return max(matches)[1]


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])", re.IGNORECASE)
