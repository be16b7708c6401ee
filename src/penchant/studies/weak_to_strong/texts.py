"""The texts of a task's rows, in pieces that a language model can learn."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.data.rendering.renderer import Renderer
from penchant.types import LabeledExample

MOST_READ = 4
"""Options of a row that are read as texts: more are a list of all possible answers, such as legal moves."""


def pieces_of(renderer: Renderer, texts: Sequence[str], longest: int) -> list[str]:
    """Return texts in pieces of a little less than `longest` tokens, without those that are blank."""
    # a piece alone may be a token or two longer than in its text, since its ends are not tokenized with what follows
    room = longest - max(3, longest // 16)
    pieces = []
    for text in texts:
        read = renderer.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False, verbose=False)
        inputs = read["offset_mapping"]
        # where every `room`-th token begins; texts without any token are one piece, which is blank
        starts = [inputs[first][0] for first in range(0, len(inputs), room)] or [0]
        ends = [*starts[1:], len(text)]
        pieces += [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return [piece for piece in pieces if piece.strip()]


def texts_of(example: LabeledExample) -> list[str]:
    """Return the texts of a row, without its label.

    That is a prompt with each response that people compared, but no list of all possible answers, such as legal moves.
    """
    if 0 < len(example.options) <= MOST_READ:
        return [example.text + option for option in example.options]
    return [example.text]
