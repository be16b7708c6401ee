"""Contents of turns and responses as readable text: pictures and sounds by their marks, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penchant.errors import InputError

if TYPE_CHECKING:
    from penchant.media import Part


def marked(content: object) -> str:
    """Return the representation of a content, with a mark for each picture and sound in it."""
    if not isinstance(content, tuple):
        return repr(content)
    return repr(tuple(part if isinstance(part, str) else part.mark for part in content))


def readable_parts(parts: Sequence[Part]) -> str:
    """Return parts as one readable string, with a mark for each picture or sound that tells it from all others."""
    return "".join(part if isinstance(part, str) else part.mark for part in parts)


def refused_media(parts: Sequence[Part], where: str) -> InputError:
    """Return the error of what reads text alone and is given pictures or sounds.

    Args:
        where: what holds them, such as `the prompt`.
    """
    # the first is enough: whoever has one such row mostly has a column of them
    first = next(part for part in parts if not isinstance(part, str))
    return InputError(
        f"{where} holds {first.kind_name} ({first.name or first.mark}), and text alone can be used here: leave such "
        "rows out, or the column with its files (data.columns={images: null})"
    )
