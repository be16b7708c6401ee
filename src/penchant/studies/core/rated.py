"""Rated texts, as the VADER lexicon's authors publish them: `id<TAB>mean rating<TAB>text`, a line each."""

from __future__ import annotations

import re
from pathlib import Path

from penchant.data.sources.lines import decoded, numbered_lines
from penchant.data.sources.values import RowError
from penchant.errors import InputError

LINE = re.compile(r"\S+\t(-?\d+(?:\.\d+)?)\t(.+)")
SUFFIXES = (".txt", ".txt.gz")


def rated_texts(path: str | Path) -> list[str] | None:
    """Return the texts of a file of rated texts in order; None where it is no file, or one of another kind.

    Raises:
        InputError: a later line of another kind, or one that is damaged; says which.
    """
    file = Path(path).expanduser()
    if not file.is_file() or not file.name.endswith(SUFFIXES):
        return None
    texts: list[str] = []
    for number, raw in numbered_lines(file):
        try:
            line = decoded(raw).strip("\r\n")
        except RowError as error:
            raise InputError(f"{file}:{number}: {error}") from None
        if not line.strip():
            continue
        match = LINE.fullmatch(line)
        if match is None:
            # the first line decides which kind of file it is; from then on another kind is damage
            if not texts:
                return None
            raise InputError(f"{file}:{number}: expected `id<TAB>mean rating<TAB>text`, as in the lines above")
        texts.append(match.group(2).strip())
    return texts or None
